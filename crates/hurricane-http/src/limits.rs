//! Every limit of the server in one place.

use std::time::Duration;

use crate::Dialect;

/// The largest count, size and wait of everything that a peer or an application can make grow.
///
/// Memory of a worker is bounded by its connections, a read buffer each, and by what all of them may
/// have it keep.
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
    /// Bytes of requests that a worker keeps in memory, all together and without the first 16 KiB
    /// of each: beyond, bodies go to files, and longer heads are answered 503.
    pub request_memory_bytes_max: usize,
    /// Bytes of finished responses that a worker holds for slow peers, all together; beyond,
    /// threads of the application wait for their peers themselves.
    pub response_memory_bytes_max: usize,
    /// Bytes of files that a worker keeps in memory, all together.
    pub file_memory_bytes_max: usize,
    /// Bytes of a file that is kept in memory; longer ones are sent from where they are.
    pub file_in_memory_bytes_max: usize,
    /// Open connections of one worker; more are answered 503 and closed.
    pub connections_max: usize,
    /// Open connections of all workers together.
    pub connections_in_all_max: usize,
    /// Requests of one worker that wait for an application thread; more are answered 503.
    pub queue_len_max: usize,
    /// From the first byte of a request to the end of its head.
    pub head_timeout: Duration,
    /// The longest silence while a request body is read, and by how much a peer may fall behind
    /// the least rate.
    pub body_timeout: Duration,
    /// The least rate of a request body, in bytes a second; zero: none.
    pub body_rate_min: u64,
    /// The longest time without progress while a response is written, and by how much a peer may
    /// fall behind the least rate.
    pub write_timeout: Duration,
    /// The least rate at which a peer takes a response, in bytes a second; zero: none.
    pub write_rate_min: u64,
    /// The longest time an idle connection is kept.
    pub keep_alive_timeout: Duration,
    /// How old a connection may become, less up to a tenth of it at random, before its next answer
    /// ends it; zero: as old as it likes.
    pub connection_age_max: Duration,
    /// Requests of one connection; the answer to the last one ends it. Zero: any number.
    pub connection_requests_max: usize,
    /// The longest time after our FIN that we read what the peer still sends.
    pub linger_timeout: Duration,
    /// What is no limit but is needed wherever limits are: how requests are taken and answered.
    pub dialect: &'static Dialect,
}

/// Bytes a second: a quarter of what the slowest of mobile networks carry, and enough to make
/// connections cost those who only hold them.
const RATE_MIN: u64 = 240;

/// How long so many bytes may take at the least rate: by so much a peer's deadline is put off. For
/// ever where none is demanded.
pub fn time_at(rate_min: u64, bytes: u64) -> Duration {
    const SECOND_NS: u64 = 1_000_000_000;
    let nanos = bytes.saturating_mul(SECOND_NS).checked_div(rate_min);
    nanos.map_or(Duration::MAX, Duration::from_nanos)
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
            request_memory_bytes_max: 64 * 1024 * 1024,
            response_memory_bytes_max: 64 * 1024 * 1024,
            file_memory_bytes_max: 32 * 1024 * 1024,
            file_in_memory_bytes_max: 16 * 1024,
            connections_max: 16 * 1024,
            connections_in_all_max: usize::MAX,
            queue_len_max: 1024,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            body_rate_min: RATE_MIN,
            write_timeout: Duration::from_secs(30),
            write_rate_min: RATE_MIN,
            keep_alive_timeout: Duration::from_secs(75),
            connection_age_max: Duration::ZERO,
            connection_requests_max: 0,
            linger_timeout: Duration::from_secs(1),
            dialect: &Dialect::OURS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pay_for_time() {
        assert_eq!(time_at(100, 250), Duration::from_millis(2_500));
        assert_eq!(time_at(100, 0), Duration::ZERO);
        assert_eq!(time_at(0, 0), Duration::MAX);
    }
}
