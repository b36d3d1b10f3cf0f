//! Why a request is refused before the application sees it, and why a response cannot be sent.

/// Why a request is refused. One variant per rule, so that tests and metrics can name it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// RFC 9112 §3: longer than `head_bytes_max`.
    #[error("head exceeds {limit} bytes")]
    HeadTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    // The implementer adds one variant per rule here.
}

impl RequestError {
    /// The status code that answers this error.
    pub fn status(&self) -> u16 {
        match self {
            Self::HeadTooLarge { .. } => 431,
        }
    }
}

/// Why a response of the application cannot be sent as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// The status code is not in 100..=999.
    #[error("status code {0} is not in 100..=999")]
    Status(u16),
    // The implementer adds variants here.
}
