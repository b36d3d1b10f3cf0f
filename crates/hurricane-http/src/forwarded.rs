//! What proxies say of the client behind them: X-Forwarded-* and Forwarded (RFC 7239).
//!
//! Each proxy appends what it has seen to what it was given, so only the end of these lists can be
//! believed: up to the first address, from the right, that is no trusted proxy's. That is the
//! client. What stands before it, anybody may have written.
//!
//! Invariants:
//! - Without a trusted peer nothing of a request changes but that these fields are gone.
//! - Fields of the family that the proxies do not write never reach the application.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::fields::{elements, is_token_byte, trim};
use crate::span::{FieldSpan, Span};
use crate::target::is_authority;
use crate::{ForwardedFamily, Head, RequestError, Trusted};

/// What a URL begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    #[default]
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The port that a URL without one means.
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// As proxies write it, WebSocket's included.
    fn read(value: &[u8]) -> Option<Self> {
        let is = |names: [&[u8]; 2]| names.iter().any(|name| value.eq_ignore_ascii_case(name));
        match value {
            _ if is([b"https", b"wss"]) => Some(Self::Https),
            _ if is([b"http", b"ws"]) => Some(Self::Http),
            _ => None,
        }
    }
}

/// Who asks, and over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The client; none on a Unix domain socket. Port 0: not known.
    pub client: Option<SocketAddr>,
    /// How it has reached the first of us.
    pub scheme: Scheme,
}

/// What a proxy says of one request, or of its way so far.
#[derive(Clone, Copy, Debug, Default)]
struct Hop {
    client: Option<SocketAddr>,
    scheme: Option<Scheme>,
    /// Name and value of the field that the client should have sent.
    host: Option<FieldSpan>,
}

impl Hop {
    /// Goes on to what the next proxy has appended.
    fn pass(&mut self, next: Self, trusted: &Trusted) {
        let is_proxy = next.client.is_some_and(|client| trusted.contains(Some(client.ip())));
        if !is_proxy {
            *self = next;
        } else if self.client.is_none() {
            // As far as the way is known.
            self.client = next.client;
            self.scheme = self.scheme.or(next.scheme);
            self.host = self.host.or(next.host);
        }
    }
}

impl Head {
    /// Finds out who asks, and makes the head what that client has sent: `Host` becomes the one that
    /// a trusted proxy was asked for, and fields that nobody trustworthy has written are gone.
    ///
    /// # Errors
    /// When a trusted proxy's Forwarded is none: an unclosed quote of a client's would hide what the
    /// proxy has written behind it.
    pub fn resolve_origin(
        &mut self,
        seen: Origin,
        trusted: &Trusted,
        family: ForwardedFamily,
    ) -> Result<Origin, RequestError> {
        if !trusted.contains(seen.client.map(|client| client.ip())) {
            self.forget_forwarding(None);
            return Ok(seen);
        }
        self.forget_forwarding(Some(family));
        let hop = match family {
            ForwardedFamily::XForwarded => self.by_x_forwarded(trusted),
            ForwardedFamily::Rfc7239 => self.by_forwarded(trusted)?,
        };
        if let Some(host) = hop.host {
            self.replace_host(host);
        }
        Ok(Origin { client: hop.client.or(seen.client), scheme: hop.scheme.unwrap_or(seen.scheme) })
    }

    /// Drops what proxies write, but for the fields of one family.
    fn forget_forwarding(&mut self, kept: Option<ForwardedFamily>) {
        let bytes = &self.0.bytes;
        self.0.fields.retain(|field| {
            let family = family_of(field.name.of(bytes));
            family.is_none() || family == kept
        });
    }

    fn by_x_forwarded(&self, trusted: &Trusted) -> Hop {
        let mut way = Hop::default();
        for element in self.values(b"x-forwarded-for").flat_map(elements) {
            way.pass(Hop { client: node(element), ..Hop::default() }, trusted);
        }
        // Only the last is by a trusted proxy for certain.
        let last = |name| self.values(name).last().and_then(|value| elements(value).last());
        let scheme = last(b"x-forwarded-proto").and_then(Scheme::read);
        let host =
            self.0.fields.iter().rfind(|field| is(field, &self.0.bytes, b"x-forwarded-host"));
        let host = host.and_then(|field| {
            let value = elements(field.value.of(&self.0.bytes)).last()?;
            // The field that it stands for has the end of its name.
            let name = field.name.of(&self.0.bytes).last_chunk::<4>()?;
            self.host_of(name, value)
        });
        Hop { scheme, host, ..way }
    }

    fn by_forwarded(&self, trusted: &Trusted) -> Result<Hop, RequestError> {
        let mut way = Hop::default();
        for value in self.values(b"forwarded") {
            let mut rest = value;
            loop {
                let (hop, tail) = self.forwarded_element(rest)?;
                way.pass(hop, trusted);
                match tail {
                    Some(tail) => rest = tail,
                    None => break,
                }
            }
        }
        Ok(way)
    }

    /// The first element of a Forwarded value, and what follows its comma (RFC 7239 §4).
    fn forwarded_element<'a>(
        &self,
        value: &'a [u8],
    ) -> Result<(Hop, Option<&'a [u8]>), RequestError> {
        const REFUSED: RequestError = RequestError::InvalidForwarded;
        let mut hop = Hop::default();
        let mut seen = [false; 3];
        let mut rest = trim(value);
        loop {
            let name_len = rest.iter().take_while(|byte| is_token_byte(**byte)).count();
            if name_len > 0 {
                let (name, after) = rest.split_at(name_len);
                let after = after.strip_prefix(b"=").ok_or(REFUSED)?;
                let (value, after) = token_or_quoted(after).ok_or(REFUSED)?;
                let known = [&b"for"[..], b"proto", b"host"];
                let index = known.iter().position(|known| name.eq_ignore_ascii_case(known));
                if index.is_some_and(|index| std::mem::replace(&mut seen[index], true)) {
                    return Err(REFUSED);
                }
                match index {
                    Some(0) => hop.client = node(value),
                    Some(1) => hop.scheme = Scheme::read(value),
                    Some(2) => hop.host = self.host_of(name, value),
                    _ => {}
                }
                rest = after;
            }
            match trim(rest) {
                [] => return Ok((hop, None)),
                [b';', tail @ ..] => rest = trim(tail),
                [b',', tail @ ..] => return Ok((hop, Some(tail))),
                _ => return Err(REFUSED),
            }
        }
    }

    fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.0.fields.iter().filter(move |field| is(field, &self.0.bytes, name));
        fields.map(|field| field.value.of(&self.0.bytes))
    }

    /// A field of these parts of the head, if it could be Host.
    fn host_of(&self, name: &[u8], value: &[u8]) -> Option<FieldSpan> {
        let is_host = !matches!(value.first(), None | Some(b':')) && is_authority(value);
        is_host.then(|| FieldSpan {
            name: Span::within(&self.0.bytes, name),
            value: Span::within(&self.0.bytes, value),
        })
    }

    fn replace_host(&mut self, host: FieldSpan) {
        let bytes = &self.0.bytes;
        match self.0.fields.iter_mut().find(|field| is(field, bytes, b"host")) {
            Some(field) => field.value = host.value,
            None => self.0.fields.push(host),
        }
        self.0.host = Some(host.value);
        if let Some(authority) = &mut self.0.target.authority {
            *authority = host.value;
        }
    }
}

fn is(field: &FieldSpan, bytes: &[u8], name: &[u8]) -> bool {
    field.name.of(bytes).eq_ignore_ascii_case(name)
}

/// Whose field it is, if it is a proxy's.
fn family_of(name: &[u8]) -> Option<ForwardedFamily> {
    const PREFIX: &[u8] = b"x-forwarded-";
    let is_x = name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    if is_x || name.eq_ignore_ascii_case(b"x-real-ip") {
        Some(ForwardedFamily::XForwarded)
    } else if name.eq_ignore_ascii_case(b"forwarded") {
        Some(ForwardedFamily::Rfc7239)
    } else {
        None
    }
}

/// A value, and what follows it. Addresses are taken without their quotes too, as some proxies write
/// them. Nothing that we look at needs a backslash: a value with one means nothing.
fn token_or_quoted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some(quoted) = bytes.strip_prefix(b"\"") else {
        let is_plain = |byte: &&u8| is_token_byte(**byte) || b":[]".contains(byte);
        let len = bytes.iter().take_while(is_plain).count();
        return (len > 0).then(|| bytes.split_at(len));
    };
    let mut is_escaped = false;
    for (index, byte) in quoted.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some((&quoted[..index], &quoted[index + 1..])),
            _ => {}
        }
    }
    None
}

/// An address as proxies write it: with or without a port, IPv6 with or without brackets. `None` of
/// `unknown`, of an obfuscated one, and of nonsense.
fn node(element: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(element).ok()?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip.to_canonical(), 0));
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => text.split_at(text.find(':')?),
    };
    let ip = match text.starts_with('[') {
        true => IpAddr::V6(host.parse::<Ipv6Addr>().ok()?),
        false => host.parse().ok()?,
    };
    let port = match port.strip_prefix(':') {
        // RFC 7239 lets a port be obfuscated too.
        Some(port) => port.parse().unwrap_or(0),
        None if port.is_empty() => 0,
        None => return None,
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}
