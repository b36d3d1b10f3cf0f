//! What proxies say of clients: whom it is taken from, how far it is believed, and what of it
//! reaches the application.

use hurricane_http::{
    ForwardedFamily, Head, Limits, Origin, ProxyHeader, RequestError, Scheme, Trusted,
};
use proptest::prelude::*;

/// The peers of most cases: 10.x are proxies, 192.0.2.x are not.
const PROXY: &str = "10.0.0.1:7";

fn head(fields: &str) -> Head {
    let request = format!("GET / HTTP/1.1\r\nHost: ours\r\n{fields}\r\n");
    Head::parse(request.as_bytes(), &Limits::default()).unwrap().unwrap().0
}

fn origin(peer: &str) -> Origin {
    Origin { client: peer.parse().ok(), scheme: Scheme::Http }
}

/// Client, scheme and host of a request with these fields.
fn told(peer: &str, fields: &str, family: ForwardedFamily) -> Result<String, RequestError> {
    let (mut head, trusted) = (head(fields), "10.0.0.0/8,unix".parse::<Trusted>().unwrap());
    let Origin { client, scheme } = head.resolve_origin(origin(peer), &trusted, family)?;
    let client = client.map_or_else(|| "-".to_owned(), |client| client.to_string());
    let host = String::from_utf8_lossy(head.host().unwrap()).into_owned();
    assert_eq!(head.header("host"), head.host());
    Ok(format!("{client} {scheme:?} {host}"))
}

fn x_forwarded(peer: &str, fields: &str) -> String {
    told(peer, fields, ForwardedFamily::XForwarded).unwrap()
}

#[test]
fn the_client_is_the_right_most_address_that_is_no_proxys() {
    for (list, client) in [
        ("192.0.2.1", "192.0.2.1:0"),
        ("192.0.2.9, 192.0.2.1", "192.0.2.1:0"),
        ("192.0.2.9, 192.0.2.1, 10.0.0.2, 10.0.0.3", "192.0.2.1:0"),
        ("10.0.0.3,10.0.0.2", "10.0.0.3:0"),
        ("2001:db8::1", "[2001:db8::1]:0"),
        ("[2001:db8::1]", "[2001:db8::1]:0"),
        ("[2001:db8::1]:4711", "[2001:db8::1]:4711"),
        ("192.0.2.1:4711", "192.0.2.1:4711"),
        ("::ffff:192.0.2.1", "192.0.2.1:0"),
        ("192.0.2.9, ::ffff:10.0.0.2", "192.0.2.9:0"),
        // The way is known so far and no farther.
        ("192.0.2.9, unknown", PROXY),
        ("192.0.2.9, unknown, 10.0.0.2", "10.0.0.2:0"),
        ("192.0.2.9, ", PROXY),
        ("192.0.2.9, 1.2.3.4.5", PROXY),
        ("192.0.2.9, 192.0.2.1:70000", "192.0.2.1:0"),
        ("", PROXY),
    ] {
        let said = x_forwarded(PROXY, &format!("X-Forwarded-For: {list}\r\n"));
        assert_eq!(said, format!("{client} Http ours"), "{list}");
    }
}

#[test]
fn fields_of_one_name_are_one_list() {
    let fields = "X-Forwarded-For: 192.0.2.9\r\nA: b\r\nx-forwarded-for: 192.0.2.1\r\n";
    assert_eq!(x_forwarded(PROXY, fields), "192.0.2.1:0 Http ours");
}

#[test]
fn scheme_and_host_are_those_that_the_last_proxy_has_written() {
    for (fields, expected) in [
        ("X-Forwarded-Proto: https\r\n", "Https ours"),
        ("X-Forwarded-Proto: WSS\r\n", "Https ours"),
        ("X-Forwarded-Proto: https, http\r\n", "Http ours"),
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", "Http ours"),
        ("X-Forwarded-Proto: gopher\r\n", "Http ours"),
        ("X-Forwarded-Host: shop:8443\r\n", "Http shop:8443"),
        ("X-Forwarded-Host: evil, shop\r\n", "Http shop"),
        ("X-Forwarded-Host: a b\r\n", "Http ours"),
        ("X-Forwarded-Host: a@b\r\n", "Http ours"),
        ("X-Forwarded-Host: :80\r\n", "Http ours"),
        ("X-Forwarded-Host:\r\n", "Http ours"),
    ] {
        assert_eq!(x_forwarded(PROXY, fields), format!("{PROXY} {expected}"), "{fields}");
    }
}

#[test]
fn nobody_else_is_believed_and_what_they_wrote_is_gone() {
    let fields = "X-Forwarded-For: 192.0.2.9\r\nX-FORWARDED-PROTO: https\r\nX-Real-IP: 1.1.1.1\r\n\
                  X-Forwarded-Host: evil\r\nX-Forwarded-Prefix: /a\r\nForwarded: for=1.1.1.1\r\n\
                  X-Other: kept\r\n";
    let trusted = "10.0.0.0/8".parse::<Trusted>().unwrap();
    for peer in ["192.0.2.1:7", "-"] {
        let mut head = head(fields);
        let seen = origin(peer);
        let found = head.resolve_origin(seen, &trusted, ForwardedFamily::XForwarded).unwrap();
        assert_eq!(found, seen);
        let left: Vec<_> = head.headers().map(|field| field.name.to_owned()).collect();
        assert_eq!(left, ["Host", "X-Other"]);
        assert_eq!(head.host(), Some(&b"ours"[..]));
    }
}

#[test]
fn of_a_trusted_proxy_the_family_that_it_does_not_write_is_gone() {
    let fields = "Forwarded: for=1.1.1.1\r\nX-Forwarded-For: 192.0.2.1\r\nX-Real-IP: 1.1.1.1\r\n";
    let trusted = "10.0.0.0/8".parse::<Trusted>().unwrap();
    for (family, left) in [
        (ForwardedFamily::XForwarded, &["Host", "X-Forwarded-For", "X-Real-IP"][..]),
        (ForwardedFamily::Rfc7239, &["Host", "Forwarded"]),
    ] {
        let mut head = head(fields);
        head.resolve_origin(origin(PROXY), &trusted, family).unwrap();
        let names: Vec<_> = head.headers().map(|field| field.name.to_owned()).collect();
        assert_eq!(names, left);
    }
}

#[test]
fn a_unix_domain_sockets_peer_is_trusted_by_its_name() {
    assert_eq!(x_forwarded("-", "X-Forwarded-For: 192.0.2.1\r\n"), "192.0.2.1:0 Http ours");
    assert_eq!(x_forwarded("-", ""), "- Http ours");
}

#[test]
fn an_absolute_target_and_a_missing_host_take_the_forwarded_one() {
    let trusted = "10.0.0.0/8".parse::<Trusted>().unwrap();
    for start in ["GET http://inner/ HTTP/1.1\r\nHost: inner\r\n", "GET / HTTP/1.0\r\n"] {
        let request = format!("{start}X-Forwarded-Host: shop\r\n\r\n");
        let (mut head, _) = Head::parse(request.as_bytes(), &Limits::default()).unwrap().unwrap();
        head.resolve_origin(origin(PROXY), &trusted, ForwardedFamily::XForwarded).unwrap();
        assert_eq!(head.host(), Some(&b"shop"[..]), "{start}");
        assert_eq!(head.header("host"), Some(&b"shop"[..]), "{start}");
    }
}

#[test]
fn forwarded_tells_it_in_one_element() {
    for (value, expected) in [
        ("for=192.0.2.1", "192.0.2.1:0 Http ours"),
        ("For=\"192.0.2.1:80\";Proto=https;HOST=shop", "192.0.2.1:80 Https shop"),
        ("for=\"[2001:db8::1]:4711\"", "[2001:db8::1]:4711 Http ours"),
        ("for=[2001:db8::1];host=shop:80", "[2001:db8::1]:0 Http shop:80"),
        ("for=192.0.2.9;proto=http, for=192.0.2.1;proto=https", "192.0.2.1:0 Https ours"),
        // The first of our own proxies has seen the client, the second only the first.
        (
            "for=192.0.2.1;proto=https;host=shop, for=10.0.0.2;proto=http;host=inner",
            "192.0.2.1:0 Https shop",
        ),
        ("for=unknown;proto=https, for=10.0.0.2", "10.0.0.2:0 Https ours"),
        ("for=_hidden;proto=https", "10.0.0.1:7 Https ours"),
        ("for=192.0.2.1 ; proto=https ,for=10.0.0.2", "192.0.2.1:0 Https ours"),
        ("by=10.0.0.5;for=192.0.2.1;secret=\"a,b;c\\\"d\"", "192.0.2.1:0 Http ours"),
        ("for=192.0.2.1:_port", "192.0.2.1:0 Http ours"),
        ("host=\"a b\";for=192.0.2.1", "192.0.2.1:0 Http ours"),
        ("", "10.0.0.1:7 Http ours"),
    ] {
        let said = told(PROXY, &format!("Forwarded: {value}\r\n"), ForwardedFamily::Rfc7239);
        assert_eq!(said.as_deref(), Ok(expected), "{value}");
    }
}

#[test]
fn a_forwarded_that_could_hide_what_follows_is_refused() {
    for value in [
        "for=\"192.0.2.9, for=192.0.2.1",
        "for=\"192.0.2.9\\\", for=192.0.2.1",
        "for",
        "for=",
        "for =192.0.2.1",
        "for= 192.0.2.1",
        "=a",
        "for=192.0.2.1 proto=https",
        "for=192.0.2.1;for=192.0.2.2",
        "for=\"192.0.2.1\"x",
        "for=192.0.2.1;\u{e9}=a",
    ] {
        let said = told(PROXY, &format!("Forwarded: {value}\r\n"), ForwardedFamily::Rfc7239);
        assert_eq!(said, Err(RequestError::InvalidForwarded), "{value}");
        // Of a client's own it is not even read.
        let of_client =
            told("192.0.2.1:7", &format!("Forwarded: {value}\r\n"), ForwardedFamily::Rfc7239);
        assert_eq!(of_client.as_deref(), Ok("192.0.2.1:7 Http ours"), "{value}");
    }
}

type Parsed = Result<Option<(ProxyHeader, usize)>, RequestError>;

/// Parses growing prefixes until one is decided; all longer ones must agree.
fn proxy_header(input: &[u8]) -> Parsed {
    let limits = Limits::default();
    let whole = ProxyHeader::parse(input, &limits);
    let first = (0..=input.len())
        .map(|len| ProxyHeader::parse(&input[..len], &limits))
        .find(|parsed| *parsed != Ok(None));
    assert_eq!(whole, first.unwrap_or(Ok(None)), "{:?}", String::from_utf8_lossy(input));
    whole
}

fn client(source: &str, destination: &str) -> ProxyHeader {
    let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
    ProxyHeader::Client { source, destination }
}

/// A header of version 2.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &len, rest].concat()
}

const V4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x34, 0, 80];

#[test]
fn version_1_is_a_line() {
    for (line, header) in [
        ("TCP4 192.0.2.1 198.51.100.1 4660 80", client("192.0.2.1:4660", "198.51.100.1:80")),
        ("TCP6 2001:db8::1 ::1 65535 0", client("[2001:db8::1]:65535", "[::1]:0")),
        ("TCP6 ::ffff:192.0.2.1 ::ffff:10.0.0.1 1 2", client("192.0.2.1:1", "10.0.0.1:2")),
        ("UNKNOWN", ProxyHeader::Own),
        ("UNKNOWN what ever it says", ProxyHeader::Own),
    ] {
        let bytes = format!("PROXY {line}\r\nGET /");
        let parsed = proxy_header(bytes.as_bytes());
        assert_eq!(parsed, Ok(Some((header, bytes.len() - 5))), "{line}");
    }
}

#[test]
fn version_1_outside_its_grammar_is_refused() {
    for line in [
        "TCP4 192.0.2.1 198.51.100.1 4660 80 ",
        "TCP4  192.0.2.1 198.51.100.1 4660 80",
        "TCP4 192.0.2.1 198.51.100.1 4660",
        "TCP4 192.0.2.1 198.51.100.1 4660 65536",
        "TCP4 192.0.2.1 198.51.100.1 4660 080",
        "TCP4 192.0.2.1 198.51.100.1 +466 80",
        "TCP4 192.0.2.01 198.51.100.1 4660 80",
        "TCP4 2001:db8::1 ::1 4660 80",
        "TCP6 192.0.2.1 198.51.100.1 4660 80",
        "TCP5 192.0.2.1 198.51.100.1 4660 80",
        "UNKNOWNS",
        "",
    ] {
        let parsed = proxy_header(format!("PROXY {line}\r\n").as_bytes());
        assert_eq!(parsed, Err(RequestError::InvalidProxyHeader), "{line}");
    }
    assert_eq!(proxy_header(b"PROXY UNKNOWN\n"), Err(RequestError::InvalidProxyHeader));
    let long = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
    assert_eq!(proxy_header(&long), Err(RequestError::ProxyHeaderTooLarge { limit: 107 }));
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 16));
    assert_eq!(proxy_header(longest.as_bytes()), Ok(Some((ProxyHeader::Own, 107))));
}

#[test]
fn version_2_tells_addresses_and_its_extensions_are_passed_over() {
    let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 27], &[1, 0, 7, 0, 8]].concat();
    for (bytes, header) in [
        (binary(0x21, 0x11, V4), client("192.0.2.1:4660", "198.51.100.1:80")),
        (
            binary(0x21, 0x11, &[V4, &[0x04; 500]].concat()),
            client("192.0.2.1:4660", "198.51.100.1:80"),
        ),
        (binary(0x21, 0x21, &v6), client("[2001:db8::]:7", "[::1]:8")),
        (binary(0x21, 0x31, &[0; 216]), ProxyHeader::Unix),
        (binary(0x20, 0x11, V4), ProxyHeader::Own),
        (binary(0x20, 0, b""), ProxyHeader::Own),
        (binary(0x21, 0, b"what ever"), ProxyHeader::Own),
        // Datagrams do not come over streams.
        (binary(0x21, 0x12, V4), ProxyHeader::Own),
    ] {
        let input = [&bytes[..], b"GET /"].concat();
        assert_eq!(proxy_header(&input), Ok(Some((header, bytes.len()))));
    }
}

#[test]
fn version_2_outside_its_grammar_is_refused() {
    for bytes in [binary(0x11, 0x11, V4), binary(0x22, 0x11, V4), binary(0x21, 0x11, &V4[..11])] {
        assert_eq!(proxy_header(&bytes), Err(RequestError::InvalidProxyHeader));
    }
    let limit = Limits::default().proxy_header_bytes_max;
    assert!(proxy_header(&binary(0x20, 0, &vec![0; limit - 16])).is_ok());
    let long = proxy_header(&binary(0x20, 0, &vec![0; limit - 15]));
    assert_eq!(long, Err(RequestError::ProxyHeaderTooLarge { limit }));
}

#[test]
fn what_is_no_header_is_refused_with_its_first_odd_byte() {
    for input in ["GET / HTTP/1.1", "\r\n\r\nx", "PROXX", "proxy ", "\x16\x03\x01"] {
        let parsed = proxy_header(input.as_bytes());
        assert_eq!(parsed, Err(RequestError::MissingProxyHeader), "{input:?}");
    }
    for begun in ["", "P", "PROXY", "PROXY TCP4 1.2.3.4", "\r\n\r\n", "\r\n\r\n\0\r\nQUIT\n?"] {
        let expected =
            if begun.ends_with('?') { Err(RequestError::InvalidProxyHeader) } else { Ok(None) };
        assert_eq!(proxy_header(begun.as_bytes()), expected, "{begun:?}");
    }
}

proptest! {
    #[test]
    fn any_split_of_a_proxy_header_gives_the_same(
        start in prop_oneof![
            Just(b"PROXY ".to_vec()),
            Just(b"PROXY TCP4 1.1.1.1 ".to_vec()),
            Just(b"\r\n\r\n\0\r\nQUIT\n".to_vec()),
            Just(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec()),
            Just(Vec::new()),
        ],
        rest in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let _ = proxy_header(&[start, rest].concat());
    }

    #[test]
    fn a_line_is_read_back(source: [u8; 4], destination: [u8; 16], ports: (u16, u16)) {
        let (v4, v6) = (std::net::Ipv4Addr::from(source), std::net::Ipv6Addr::from(destination));
        let lines = [
            format!("PROXY TCP4 {v4} {v4} {} {}\r\n", ports.0, ports.1),
            format!("PROXY TCP6 {v6} {v6} {} {}\r\n", ports.0, ports.1),
        ];
        for (line, ip) in lines.iter().zip([v4.into(), std::net::IpAddr::from(v6).to_canonical()]) {
            let expected = ProxyHeader::Client {
                source: (ip, ports.0).into(),
                destination: (ip, ports.1).into(),
            };
            prop_assert_eq!(proxy_header(line.as_bytes()), Ok(Some((expected, line.len()))));
        }
    }

    #[test]
    fn what_a_client_writes_before_it_changes_no_address(junk in "[ -~]{0,60}") {
        let fields = format!("X-Forwarded-For: {junk}\r\nX-Forwarded-For: 192.0.2.1, 10.0.0.2\r\n");
        prop_assert_eq!(x_forwarded(PROXY, &fields), "192.0.2.1:0 Http ours");
        let fields = format!("Forwarded: {junk}\r\nForwarded: for=192.0.2.1, for=10.0.0.2\r\n");
        if let Ok(said) = told(PROXY, &fields, ForwardedFamily::Rfc7239) {
            prop_assert_eq!(said, "192.0.2.1:0 Http ours");
        }
    }
}
