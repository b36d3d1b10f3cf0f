//! The `Date` field, rendered once a second.

use std::time::{Duration, UNIX_EPOCH};

/// The format has four digits for the year.
const LAST_SECOND: u64 = 253_402_300_799;

/// An IMF-fixdate (RFC 9110 §5.6.7) and the second it stands for.
#[derive(Clone, Debug)]
pub struct HttpDate {
    unix_seconds: u64,
    text: [u8; 29],
}

impl HttpDate {
    /// The date of a second since the Unix epoch, or of the last one of the year 9999.
    pub fn new(unix_seconds: u64) -> Self {
        let shown = Duration::from_secs(unix_seconds.min(LAST_SECOND));
        let rendered = httpdate::fmt_http_date(UNIX_EPOCH + shown);
        let mut text = [b' '; 29];
        let len = rendered.len().min(29);
        text[..len].copy_from_slice(&rendered.as_bytes()[..len]);
        Self { unix_seconds, text }
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
    pub fn as_bytes(&self) -> &[u8; 29] {
        &self.text
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
