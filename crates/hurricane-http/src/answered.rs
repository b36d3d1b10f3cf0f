//! What an access log tells of a request, once it is answered.

use std::net::IpAddr;
use std::time::Duration;

use crate::Head;

/// A request whose answer has been written.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The status code that was sent.
    pub status: u16,
    /// None of what was refused before its head was whole.
    pub head: Option<&'a Head>,
    /// Who asked; none on a Unix domain socket.
    pub peer: Option<IpAddr>,
    /// From the end of the head to the end of the answer.
    pub took: Duration,
}
