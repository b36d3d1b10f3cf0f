//! Hands out the file that an application names with X-Accel-Redirect or X-Sendfile: it has decided
//! who may have it, and the loop sends it.

use hurricane::Mount;
use hurricane_files::{Handed, HandingError, Named, hand_out};
use hurricane_http::{BodyLength, File, Head};
use pyo3::prelude::*;

use crate::announced::Announced;
use crate::transmission::{Transmission, TransmissionError};

/// What has taken the place of the application's response.
pub(crate) enum InPlace {
    /// Nothing: it names no file.
    Nothing,
    /// A file, whose head is encoded. None after a 304, 412 or 416.
    File(Option<File>),
    /// A refusal.
    Refusal,
}

/// Answers with the file that the application has announced instead of a body, if there are
/// directories for that and it is a 200. Waits for the disk, without the interpreter lock.
pub(crate) fn hand_over(
    py: Python<'_>,
    mounts: &[Mount],
    head: &Head,
    transmission: &mut Transmission,
) -> Result<InPlace, TransmissionError> {
    let Some(announced) = transmission.announced().filter(|announced| announced.status() == 200)
    else {
        return Ok(InPlace::Nothing);
    };
    let Some(named) = named(announced) else { return Ok(InPlace::Nothing) };
    match py.detach(|| hand_out(mounts, named, head)) {
        Ok(handed) => {
            let announced = with_file(announced, &handed);
            transmission.announce(announced);
            let len = handed.part.as_ref().map_or(0, |part| part.len);
            transmission.begin(BodyLength::Known(len))?;
            Ok(InPlace::File(handed.part))
        }
        Err(error) => {
            let (status, text) = match error {
                HandingError::Missing => (404, b"Not Found\n".as_slice()),
                HandingError::Outside | HandingError::Failed(_) => {
                    (500, b"Internal Server Error\n".as_slice())
                }
            };
            let path = String::from_utf8_lossy(head.path()).into_owned();
            let (Named::Url(file) | Named::Path(file)) = named;
            let file = String::from_utf8_lossy(file).into_owned();
            tracing::error!(path, file, %error, "the application names a file that cannot be sent");
            transmission.announce(Announced::plain(status));
            transmission.begin(BodyLength::Known(text.len() as u64))?;
            transmission.send(py, text, true)?;
            Ok(InPlace::Refusal)
        }
    }
}

fn named(announced: &Announced) -> Option<Named<'_>> {
    announced.fields().find_map(|(name, value)| match name.len() {
        16 if name.eq_ignore_ascii_case(b"x-accel-redirect") => Some(Named::Url(value)),
        10 if name.eq_ignore_ascii_case(b"x-sendfile") => Some(Named::Path(value)),
        _ => None,
    })
}

/// The application's fields, but for those that the file tells itself.
fn with_file(announced: &Announced, handed: &Handed) -> Announced {
    let mut answer = Announced::empty(handed.status);
    let mut has_type = false;
    for (name, value) in announced.fields().filter(|(name, _)| !Handed::replaces(name)) {
        has_type |= name.eq_ignore_ascii_case(b"content-type");
        answer.add(name, value);
    }
    if !has_type {
        answer.add(b"Content-Type", handed.media_type.as_bytes());
    }
    for (name, value) in &handed.fields {
        answer.add(name.as_bytes(), value);
    }
    answer
}
