//! `request.GET` and `request.COOKIES`, made natively of what is plain ASCII; the rest is Django's.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use pyo3::{PyTypeInfo, intern};

use crate::django::lazy::Kit;
use crate::environ::unquote;

/// `parse_cookie` of the environ's Cookie.
pub(crate) fn cookies<'py>(
    environ: &Bound<'py, PyAny>,
    parse_cookie: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = environ.py();
    let Some(header) = environ.cast::<PyDict>()?.get_item(intern!(py, "HTTP_COOKIE"))? else {
        return Ok(PyDict::new(py).into_any());
    };
    let text = header.cast::<PyString>()?.to_str()?;
    // Quotes have an escaping of their own, other spaces than these are stripped too, and what is
    // not ASCII is UTF-8 that was taken for latin-1.
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~' if byte != b'"'));
    if !is_plain {
        let raw: Vec<u8> = text.chars().filter_map(|c| u8::try_from(c).ok()).collect();
        let text = String::from_utf8_lossy(&raw);
        return parse_cookie.call1((text.as_ref(),));
    }
    let made = PyDict::new(py);
    for chunk in text.split(';') {
        let (name, value) = chunk.split_once('=').unwrap_or(("", chunk));
        let (name, value) = (name.trim_ascii(), value.trim_ascii());
        if !name.is_empty() || !value.is_empty() {
            made.set_item(name, value)?;
        }
    }
    Ok(made.into_any())
}

/// The `QueryDict` of the environ's query.
pub(crate) fn query<'py>(
    environ: &Bound<'py, PyAny>,
    encoding: &Bound<'py, PyAny>,
    kit: &Kit,
) -> PyResult<Bound<'py, PyAny>> {
    let py = environ.py();
    let raw = environ.cast::<PyDict>()?.get_item(intern!(py, "QUERY_STRING"))?;
    let raw = match &raw {
        Some(raw) => raw.cast::<PyString>()?.to_str()?,
        None => "",
    };
    let class = kit.query_dict.bind(py);
    let settings = kit.settings.bind(py);
    let charset = settings.getattr(intern!(py, "DEFAULT_CHARSET"))?;
    let fields_max = settings.getattr(intern!(py, "DATA_UPLOAD_MAX_NUMBER_FIELDS"))?;
    let is_utf8 = encoding.is_none() && charset.cast::<PyString>().is_ok_and(|it| it == "utf-8");
    let fields_max = if fields_max.is_none() { usize::MAX } else { fields_max.extract()? };
    let fields = if is_utf8 { fields(raw, fields_max) } else { None };
    let Some(fields) = fields else {
        let bytes: Vec<u8> = raw.chars().filter_map(|c| u8::try_from(c).ok()).collect();
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "encoding"), encoding)?;
        return class.call((pyo3::types::PyBytes::new(py, &bytes),), Some(&keywords));
    };
    let made = class.call_method1(intern!(py, "__new__"), (class,))?;
    // Beneath the methods of the class, which keep it from being changed.
    let dict = made.cast::<PyDict>()?;
    debug_assert!(!PyDict::is_exact_type_of(dict));
    for (name, value) in fields {
        match dict.get_item(&name)? {
            Some(values) => values.cast::<PyList>()?.append(value)?,
            None => dict.set_item(name, PyList::new(py, [value])?)?,
        }
    }
    made.setattr(intern!(py, "_encoding"), charset)?;
    made.setattr(intern!(py, "_mutable"), false)?;
    Ok(made)
}

/// Names and values of a query; none if it is not plain, or is of more fields than are allowed.
fn fields(raw: &str, fields_max: usize) -> Option<Vec<(String, String)>> {
    if raw.is_empty() {
        return Some(Vec::new());
    }
    let count = raw.bytes().filter(|byte| *byte == b'&').count();
    if !raw.is_ascii() || count >= fields_max {
        return None;
    }
    let decode = |text: &str| String::from_utf8(unquote(text.replace('+', " ").as_bytes())).ok();
    raw.split('&')
        .filter(|field| !field.is_empty())
        .map(|field| {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            Some((decode(name)?, decode(value)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(raw: &str) -> Option<Vec<(String, String)>> {
        fields(raw, 1000)
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_plain_query_is_decoded() {
        assert_eq!(
            pairs("a=1&b=x+y%20z&c"),
            Some(vec![pair("a", "1"), pair("b", "x y z"), pair("c", ""),])
        );
        assert_eq!(pairs("&&=&a==b"), Some(vec![pair("", ""), pair("a", "=b")]));
        assert_eq!(pairs("%C3%A4=%2&b=%zz"), Some(vec![pair("ä", "%2"), pair("b", "%zz")]));
    }

    #[test]
    fn what_is_not_plain_is_left_to_django() {
        assert_eq!(pairs("a=%FF"), None);
        assert_eq!(pairs("a=\u{e4}"), None);
        assert_eq!(fields("a=1&b=2", 1), None);
        assert!(fields("a=1&b=2", 2).is_some());
    }
}
