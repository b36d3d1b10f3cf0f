//! The PROXY protocol, versions 1 and 2: the header with which a load balancer begins a connection
//! to say whose it is.
//!
//! Invariants:
//! - What is decided for a prefix is decided for everything that begins with it.
//! - Of the header's extensions (TLVs) nothing is looked at but their length.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{Limits, RequestError};

/// Begins a header of version 2. No protocol begins like this by chance.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Begins a header of version 1.
const WORD: &[u8; 6] = b"PROXY ";
/// Bytes of the longest line of version 1, its CRLF included.
const LINE_BYTES_MAX: usize = 107;
/// Bytes of a header of version 2 before its addresses.
const FIXED_BYTES: usize = 16;

/// What a load balancer says of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// It is its own (a health check), or of a kind that has no addresses: those of the socket
    /// count.
    Own,
    /// It is a client's, over a Unix domain socket.
    Unix,
    /// It is a client's.
    Client {
        /// Who has connected.
        source: SocketAddr,
        /// To where.
        destination: SocketAddr,
    },
}

impl ProxyHeader {
    /// Reads the header at the start of `input`; with it come the bytes that it takes. `Ok(None)`:
    /// it is not complete yet.
    ///
    /// # Errors
    /// When `input` begins with no header, or with one that is malformed or too long.
    pub fn parse(input: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, RequestError> {
        if begins(input, SIGNATURE) {
            binary(input, limits)
        } else if begins(input, WORD) {
            line(input)
        } else {
            Err(RequestError::MissingProxyHeader)
        }
    }
}

/// Whether `input` and `start` agree as far as both go.
fn begins(input: &[u8], start: &[u8]) -> bool {
    input.iter().zip(start).all(|(ours, theirs)| ours == theirs)
}

fn line(input: &[u8]) -> Result<Option<(ProxyHeader, usize)>, RequestError> {
    let window = &input[..input.len().min(LINE_BYTES_MAX)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return match window.len() {
            LINE_BYTES_MAX => Err(RequestError::ProxyHeaderTooLarge { limit: LINE_BYTES_MAX }),
            _ => Ok(None),
        };
    };
    let text = window[..end].strip_suffix(b"\r").and_then(|text| text.get(WORD.len()..));
    let text = text.and_then(|text| std::str::from_utf8(text).ok());
    let header = text.and_then(told).ok_or(RequestError::InvalidProxyHeader)?;
    Ok(Some((header, end + 1)))
}

/// What stands behind the first word of version 1.
fn told(text: &str) -> Option<ProxyHeader> {
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Some(ProxyHeader::Own);
    }
    let mut words = text.split(' ');
    let is_v6 = match words.next()? {
        "TCP4" => false,
        "TCP6" => true,
        _ => return None,
    };
    let mut address = || {
        let ip: IpAddr = words.next()?.parse().ok()?;
        (ip.is_ipv6() == is_v6).then(|| ip.to_canonical())
    };
    let (source, destination) = (address()?, address()?);
    let mut port = || {
        let digits = words.next()?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits.len() == 1 || !digits.starts_with('0'));
        digits.parse().ok().filter(|_| is_number)
    };
    let (source_port, destination_port) = (port()?, port()?);
    words.next().is_none().then_some(ProxyHeader::Client {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    })
}

fn binary(input: &[u8], limits: &Limits) -> Result<Option<(ProxyHeader, usize)>, RequestError> {
    const REFUSED: RequestError = RequestError::InvalidProxyHeader;
    let is_client = match input.get(SIGNATURE.len()) {
        None => return Ok(None),
        Some(0x20) => false,
        Some(0x21) => true,
        Some(_) => return Err(REFUSED),
    };
    let Some(&[family, high, low]) = input.get(SIGNATURE.len() + 1..FIXED_BYTES) else {
        return Ok(None);
    };
    let len = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    let limit = limits.proxy_header_bytes_max;
    if len > limit {
        return Err(RequestError::ProxyHeaderTooLarge { limit });
    }
    let Some(addresses) = input.get(FIXED_BYTES..len) else { return Ok(None) };
    let header = match family {
        _ if !is_client => ProxyHeader::Own,
        // TCP over IPv4, over IPv6, and a Unix domain socket's stream.
        0x11 => pair(addresses, |bytes: &[u8; 4]| Ipv4Addr::from(*bytes).into()).ok_or(REFUSED)?,
        0x21 => pair(addresses, |bytes: &[u8; 16]| Ipv6Addr::from(*bytes).into()).ok_or(REFUSED)?,
        0x31 => ProxyHeader::Unix,
        _ => ProxyHeader::Own,
    };
    Ok(Some((header, len)))
}

/// Source, destination, and the ports of both.
fn pair<const N: usize>(bytes: &[u8], address: impl Fn(&[u8; N]) -> IpAddr) -> Option<ProxyHeader> {
    let (source, rest) = bytes.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (ports, _extensions) = rest.split_first_chunk::<4>()?;
    let socket = |bytes, high, low| {
        SocketAddr::new(address(bytes).to_canonical(), u16::from_be_bytes([high, low]))
    };
    Some(ProxyHeader::Client {
        source: socket(source, ports[0], ports[1]),
        destination: socket(destination, ports[2], ports[3]),
    })
}
