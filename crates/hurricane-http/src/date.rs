//! The `Date` field, rendered once a second.

use std::time::{Duration, UNIX_EPOCH};

/// An IMF-fixdate (RFC 9110 §5.6.7) and the second it stands for.
#[derive(Clone, Debug)]
pub struct HttpDate {
    unix_seconds: u64,
    text: [u8; 29],
}

impl HttpDate {
    /// The date of a second since the Unix epoch.
    pub fn new(unix_seconds: u64) -> Self {
        let rendered = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix_seconds));
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

    /// `Sun, 06 Nov 1994 08:49:37 GMT`
    pub fn as_bytes(&self) -> &[u8; 29] {
        &self.text
    }
}
