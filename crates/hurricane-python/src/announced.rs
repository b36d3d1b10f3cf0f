//! What an application announces through `start_response`: status line and fields.

use hurricane_http::{
    BodyLength, HeadEncoder, HttpDate, RequestFacts, Response, ResponseError, TransferFraming,
};
use pyo3::Borrowed;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

/// Status line and fields as the application gave them, in latin-1.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    status: u16,
    reason: Vec<u8>,
    /// Names and values, one behind the other.
    text: Vec<u8>,
    /// For each field, where its name and its value end in `text`.
    ends: Vec<(usize, usize)>,
}

impl Announced {
    /// A plain answer of the server's own.
    pub(crate) fn plain(status: u16) -> Self {
        let mut announced = Self::empty(status);
        announced.add(b"Content-Type", b"text/plain; charset=utf-8");
        announced
    }

    /// An answer without a field.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// An answer of the server's own as it stands.
    pub(crate) fn of(response: &Response) -> Self {
        let mut announced = Self::empty(response.status);
        for (name, value) in &response.headers {
            announced.add(name, value);
        }
        announced
    }

    /// Adds a field.
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) {
        self.text.extend_from_slice(name);
        let name_end = self.text.len();
        self.text.extend_from_slice(value);
        self.ends.push((name_end, self.text.len()));
    }

    /// Names and values in order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |(name_end, end)| {
            let begin = std::mem::replace(&mut start, *end);
            (&self.text[begin..*name_end], &self.text[*name_end..*end])
        })
    }

    /// Reads the arguments of `start_response`.
    pub(crate) fn read(
        status: &Bound<'_, PyString>,
        headers: &Bound<'_, PyList>,
    ) -> PyResult<Self> {
        let line = status.to_str()?;
        let (code, reason) = line.split_at_checked(3).unwrap_or((line, ""));
        let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
        let status = match code.parse() {
            Ok(code @ 200..) if is_code && (reason.is_empty() || reason.starts_with(' ')) => code,
            _ => {
                let fault = format!("status {line:?} is not a final code and a reason");
                return Err(PyValueError::new_err(fault));
            }
        };
        let mut announced = Self::new(status, reason, headers.len());
        for header in headers.iter() {
            let header = header.cast::<PyTuple>().map_err(|_| not_a_pair())?;
            if header.len() != 2 {
                return Err(not_a_pair());
            }
            announced.field(header)?;
        }
        Ok(announced)
    }

    /// A head to which fields are added.
    pub(crate) fn new(status: u16, reason: &str, field_count: usize) -> Self {
        Self {
            status,
            reason: reason.trim_start().as_bytes().to_vec(),
            text: Vec::with_capacity(256),
            ends: Vec::with_capacity(field_count),
        }
    }

    /// Adds a field: a pair of name and value.
    pub(crate) fn field(&mut self, pair: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.push(pair.get_borrowed_item(0)?)?;
        let name_end = self.text.len();
        self.push(pair.get_borrowed_item(1)?)?;
        self.ends.push((name_end, self.text.len()));
        Ok(())
    }

    /// Adds a cookie, with something before it.
    pub(crate) fn set_cookie(&mut self, begin: &str, value: &Bound<'_, PyString>) -> PyResult<()> {
        self.text.extend_from_slice(b"Set-Cookie");
        let name_end = self.text.len();
        self.text.extend_from_slice(begin.as_bytes());
        self.push(value.as_any().as_borrowed())?;
        self.ends.push((name_end, self.text.len()));
        Ok(())
    }

    fn push(&mut self, item: Borrowed<'_, '_, PyAny>) -> PyResult<()> {
        let text = item.cast::<PyString>().map_err(|_| not_a_pair())?;
        let text = text.to_str()?;
        if text.is_ascii() {
            self.text.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        for character in text.chars() {
            let byte = u8::try_from(character).map_err(|_| {
                PyValueError::new_err(format!("header text {text:?} is not latin-1"))
            })?;
            self.text.push(byte);
        }
        Ok(())
    }

    /// Leaves out the fields without a value.
    pub(crate) fn drop_empty(&mut self) {
        let kept: Vec<_> = self
            .fields()
            .filter(|(_, value)| !value.trim_ascii().is_empty())
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect();
        self.text.clear();
        self.ends.clear();
        kept.iter().for_each(|(name, value)| self.add(name, value));
    }

    /// The status code.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase, which may be empty.
    pub(crate) fn reason(&self) -> &[u8] {
        &self.reason
    }

    /// Puts the head on the wire; every field is validated there.
    pub(crate) fn encode(
        &self,
        out: &mut Vec<u8>,
        length: BodyLength,
        facts: RequestFacts<'_>,
        date: &HttpDate,
    ) -> Result<(TransferFraming, bool), ResponseError> {
        let mut encoder = HeadEncoder::new(out, self.status, &self.reason)?;
        for (name, value) in self.fields() {
            encoder.header(name, value)?;
        }
        encoder.finish(length, facts, date)
    }
}

fn not_a_pair() -> PyErr {
    PyTypeError::new_err("each header must be a tuple of two str")
}
