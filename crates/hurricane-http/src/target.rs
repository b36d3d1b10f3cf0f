//! The request target in its four forms (RFC 9112 §3.2), and the authority in it or in Host.

use std::net::Ipv6Addr;

use memchr::{memchr, memchr2};

use crate::RequestError;
use crate::fields::table;
use crate::span::Span;

/// A target taken apart. All spans are offsets into the head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Target {
    /// As sent.
    pub(crate) whole: Span,
    /// Empty only for an absolute-form without one.
    pub(crate) path: Span,
    /// Behind the first `?`.
    pub(crate) query: Span,
    /// Of an absolute-form.
    pub(crate) authority: Option<Span>,
}

/// Whether a byte may stand in a target. Bytes outside the URI grammar that browsers send
/// unencoded are let through; a `#` is not, and neither is a control byte or space.
pub(crate) fn is_target_byte(byte: u8) -> bool {
    byte > b' ' && byte != b'#' && byte != 0x7f
}

impl Target {
    /// Takes `head[start..end]` apart, of bytes that [`is_target_byte`] lets through.
    #[inline]
    pub(crate) fn parse(
        method: &[u8],
        head: &[u8],
        start: usize,
        end: usize,
    ) -> Result<Self, RequestError> {
        let bytes = &head[start..end];
        if !bytes.is_ascii() && std::str::from_utf8(bytes).is_err() {
            return Err(RequestError::TargetNotUtf8);
        }
        if bytes.first() == Some(&b'/') && method != b"CONNECT" {
            let (path, query) = split_query(head, start, end)?;
            return Ok(Self { whole: Span::new(start, end), path, query, authority: None });
        }
        Self::parse_other(method, head, start, end)
    }

    /// The forms that proxies are asked in.
    fn parse_other(
        method: &[u8],
        head: &[u8],
        start: usize,
        end: usize,
    ) -> Result<Self, RequestError> {
        let bytes = &head[start..end];
        let whole = Span::new(start, end);
        if method == b"CONNECT" {
            let authority = is_authority(bytes) && has_host_and_port(bytes);
            let refusal =
                if authority { RequestError::ConnectRefused } else { RequestError::InvalidTarget };
            return Err(refusal);
        }
        if bytes == b"*" {
            return match method {
                b"OPTIONS" => Ok(Self { whole, path: whole, ..Self::default() }),
                b"PRI" => Err(RequestError::Http2Preface),
                _ => Err(RequestError::AsteriskWithoutOptions),
            };
        }
        let authority_start = start + scheme_len(bytes)?;
        let authority_end = memchr2(b'/', b'?', &head[authority_start..end])
            .map_or(end, |index| authority_start + index);
        let authority = &head[authority_start..authority_end];
        if memchr(b'@', authority).is_some() {
            return Err(RequestError::Userinfo);
        }
        if matches!(authority.first(), None | Some(b':')) || !is_authority(authority) {
            return Err(RequestError::InvalidAuthority);
        }
        let (path, query) = split_query(head, authority_end, end)?;
        let authority = Some(Span::new(authority_start, authority_end));
        Ok(Self { whole, path, query, authority })
    }
}

/// Length of `http://` or `https://` at the start.
fn scheme_len(bytes: &[u8]) -> Result<usize, RequestError> {
    let Some(colon) = bytes.windows(3).position(|window| window == b"://") else {
        return Err(RequestError::InvalidTarget);
    };
    let scheme = &bytes[..colon];
    if scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https") {
        return Ok(colon + 3);
    }
    let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(byte));
    Err(if is_scheme { RequestError::UnsupportedScheme } else { RequestError::InvalidTarget })
}

/// Path and query of `head[start..end]`. Neither may hold a `#` (RFC 9112 §3.2).
#[inline]
fn split_query(head: &[u8], start: usize, end: usize) -> Result<(Span, Span), RequestError> {
    let Some(index) = memchr2(b'?', b'#', &head[start..end]) else {
        return Ok((Span::new(start, end), Span::default()));
    };
    let mark = start + index;
    if memchr(b'#', &head[mark..end]).is_some() {
        return Err(RequestError::TargetFragment);
    }
    Ok((Span::new(start, mark), Span::new(mark + 1, end)))
}

/// Whether this is `uri-host [ ":" port ]` (RFC 9110 §7.2), which may be empty.
pub(crate) fn is_authority(bytes: &[u8]) -> bool {
    let rest = match bytes {
        [b'[', literal @ ..] => match memchr(b']', literal) {
            Some(close) if is_ip_literal(&literal[..close]) => &literal[close + 1..],
            _ => return false,
        },
        _ => after_reg_name(bytes),
    };
    match rest {
        [] => true,
        [b':', port @ ..] => port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// What RFC 9112 §3.2.3 asks of an authority-form beyond [`is_authority`].
fn has_host_and_port(authority: &[u8]) -> bool {
    authority.first() != Some(&b':')
        && authority.last().is_some_and(u8::is_ascii_digit)
        && authority.iter().rev().find(|byte| !byte.is_ascii_digit()) == Some(&b':')
}

/// `reg-name` of RFC 3986 §3.2.2; covers IPv4 addresses too.
fn is_reg_name(bytes: &[u8]) -> bool {
    after_reg_name(bytes).is_empty()
}

/// What follows the longest `reg-name` at the start.
fn after_reg_name(mut bytes: &[u8]) -> &[u8] {
    loop {
        let plain = bytes.iter().position(|&byte| !is_reg_name_byte(byte)).unwrap_or(bytes.len());
        bytes = match &bytes[plain..] {
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest
            }
            rest => return rest,
        }
    }
}

/// `unreserved` or `sub-delims` of RFC 3986 §2.
const REG_NAME: [bool; 256] = table(b"-._~!$&'()*+,;=");

fn is_reg_name_byte(byte: u8) -> bool {
    REG_NAME[byte as usize]
}

/// What stands between the brackets of an `IP-literal` (RFC 3986 §3.2.2), with the zone of
/// RFC 6874 let through.
fn is_ip_literal(bytes: &[u8]) -> bool {
    if let [b'v' | b'V', future @ ..] = bytes {
        let Some(dot) = memchr(b'.', future) else { return false };
        let (version, address) = (&future[..dot], &future[dot + 1..]);
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && !address.is_empty()
            && address.iter().all(|&byte| byte == b':' || is_reg_name_byte(byte));
    }
    let (address, zone) = match memchr(b'%', bytes) {
        None => (bytes, None),
        Some(index) => (&bytes[..index], Some(&bytes[index..])),
    };
    let zone_is_valid = zone.is_none_or(|zone| {
        zone.strip_prefix(b"%25").is_some_and(|name| !name.is_empty() && is_reg_name(name))
    });
    zone_is_valid && std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_judged_by_the_uri_grammar() {
        let valid = [
            "",
            "a",
            "example.com",
            "example.com:",
            "example.com:8000",
            "127.0.0.1:1",
            "a_b",
            "xn--bcher-kva.example",
            "a%20b",
            "!$&'()*+,;=",
            "[::1]",
            "[::1]:80",
            "[::ffff:1.2.3.4]",
            "[fe80::1%25eth0]:80",
            "[v1.fe:d]",
            ":80",
        ];
        for authority in valid {
            assert!(is_authority(authority.as_bytes()), "{authority}");
        }
        let invalid = [
            "a b",
            "a/b",
            "a@b",
            "a:b",
            "a:80:80",
            "a:-1",
            "a%2",
            "a%zz",
            "[::1",
            "::1",
            "[::1]x",
            "[]",
            "[1.2.3.4]",
            "[::1%eth0]",
            "[::1%25]",
            "[v.a]",
            "[v1.]",
            "[v1]",
            "\u{e9}",
            "a\"",
            "a<b>",
            "[:::]",
            "a[::1]",
            "a\tb",
        ];
        for authority in invalid {
            assert!(!is_authority(authority.as_bytes()), "{authority}");
        }
    }
}
