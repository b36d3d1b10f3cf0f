//! Every limit of the server in one place.

use std::time::Duration;

/// The largest count, size and wait of everything that a peer or an application can make grow.
///
/// Memory of a worker is bounded by these limits times its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request line and its fields together, final empty line included.
    pub head_bytes_max: usize,
    /// Bytes of the request target.
    pub target_bytes_max: usize,
    /// Number of fields in a head.
    pub header_count_max: usize,
    /// Bytes of a decoded request body; more is answered 413.
    pub body_bytes_max: u64,
    /// Bytes of a request body kept in memory; a longer body is spooled to a temporary file.
    pub body_memory_bytes_max: usize,
    /// Bytes of one chunk-size line with its extensions, without its CRLF.
    pub chunk_line_bytes_max: usize,
    /// Bytes of the extensions of all chunks of one body.
    pub chunk_extension_bytes_max: usize,
    /// Bytes of the trailer section of a chunked body, without the empty line that ends it.
    pub trailer_bytes_max: usize,
    /// Bytes of a PROXY header of version 2, what follows the addresses included.
    pub proxy_header_bytes_max: usize,
    /// Bytes of a refused body that are read before the connection is closed.
    pub refused_body_bytes_max: usize,
    /// Bytes of finished responses that a worker holds for slow peers, all together; beyond,
    /// threads of the application wait for their peers themselves.
    pub response_memory_bytes_max: usize,
    /// Bytes of files that a worker keeps in memory, all together.
    pub file_memory_bytes_max: usize,
    /// Bytes of a file that is kept in memory; longer ones are sent from where they are.
    pub file_in_memory_bytes_max: usize,
    /// Open connections of one worker.
    pub connections_max: usize,
    /// Requests of one worker that wait for an application thread; more are answered 503.
    pub queue_len_max: usize,
    /// From the first byte of a request to the end of its head.
    pub head_timeout: Duration,
    /// The longest silence while a request body is read.
    pub body_timeout: Duration,
    /// The longest time without progress while a response is written.
    pub write_timeout: Duration,
    /// The longest time an idle connection is kept.
    pub keep_alive_timeout: Duration,
    /// How old a connection may become, less up to a tenth of it at random, before its next answer
    /// ends it; zero: as old as it likes.
    pub connection_age_max: Duration,
    /// Requests of one connection; the answer to the last one ends it. Zero: any number.
    pub connection_requests_max: usize,
    /// The longest time after our FIN that we read what the peer still sends.
    pub linger_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 64 * 1024,
            target_bytes_max: 16 * 1024,
            header_count_max: 128,
            body_bytes_max: 100 * 1024 * 1024,
            body_memory_bytes_max: 1024 * 1024,
            chunk_line_bytes_max: 4 * 1024,
            chunk_extension_bytes_max: 16 * 1024,
            trailer_bytes_max: 8 * 1024,
            proxy_header_bytes_max: 4 * 1024,
            refused_body_bytes_max: 256 * 1024,
            response_memory_bytes_max: 64 * 1024 * 1024,
            file_memory_bytes_max: 32 * 1024 * 1024,
            file_in_memory_bytes_max: 64 * 1024,
            connections_max: 16 * 1024,
            queue_len_max: 1024,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            keep_alive_timeout: Duration::from_secs(75),
            connection_age_max: Duration::ZERO,
            connection_requests_max: 0,
            linger_timeout: Duration::from_secs(1),
        }
    }
}
