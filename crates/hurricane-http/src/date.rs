//! The `Date` field, rendered once a second.

use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

/// The format has four digits for the year.
const LAST_SECOND: u64 = 253_402_300_799;

/// An IMF-fixdate (RFC 9110 §5.6.7) and the second it stands for.
#[derive(Clone, Debug)]
pub struct HttpDate {
    unix_seconds: u64,
    line: [u8; LINE.len()],
}

/// The whole field line, with the date to come.
const LINE: &[u8; 37] = b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
const DATE: Range<usize> = 6..35;

impl HttpDate {
    /// The date of a second since the Unix epoch, or of the last one of the year 9999.
    pub fn new(unix_seconds: u64) -> Self {
        let shown = Duration::from_secs(unix_seconds.min(LAST_SECOND));
        let rendered = httpdate::fmt_http_date(UNIX_EPOCH + shown);
        let mut line = *LINE;
        for (byte, shown) in line[DATE].iter_mut().zip(rendered.bytes()) {
            *byte = shown;
        }
        Self { unix_seconds, line }
    }

    /// Renders anew if `unix_seconds` is another second.
    pub fn update(&mut self, unix_seconds: u64) {
        if self.unix_seconds != unix_seconds {
            *self = Self::new(unix_seconds);
        }
    }

    /// The second that it stands for.
    pub fn unix_seconds(&self) -> u64 {
        self.unix_seconds
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`
    pub fn as_bytes(&self) -> &[u8] {
        &self.line[DATE]
    }

    /// The field with its end of line.
    pub(crate) fn line(&self) -> &[u8; LINE.len()] {
        &self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_rendered_in_the_fixed_format() {
        let mut date = HttpDate::new(784_111_777);
        assert_eq!(date.as_bytes(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        date.update(784_111_778);
        assert_eq!(date.as_bytes(), b"Sun, 06 Nov 1994 08:49:38 GMT");
    }

    #[test]
    fn a_clock_that_is_far_off_is_no_panic() {
        assert_eq!(HttpDate::new(u64::MAX).as_bytes(), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
