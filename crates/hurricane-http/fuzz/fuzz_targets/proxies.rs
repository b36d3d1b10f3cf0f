//! What proxies say: a PROXY header is judged alike in any split, and of the fields that stand
//! before a trusted proxy's own none changes who the client is.
#![no_main]

use hurricane_http::{ForwardedFamily, Head, Limits, Origin, ProxyHeader, Scheme, Trusted};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let limits = Limits::default();
    let whole = ProxyHeader::parse(input, &limits);
    let split = (0..=input.len())
        .map(|len| ProxyHeader::parse(&input[..len], &limits))
        .find(|parsed| *parsed != Ok(None));
    assert_eq!(whole, split.unwrap_or(Ok(None)));

    let trusted: Trusted = "10.0.0.0/8".parse().expect("a network");
    let seen = Origin { client: "10.0.0.1:1".parse().ok(), scheme: Scheme::Http };
    for (family, name, own) in [
        (ForwardedFamily::XForwarded, "X-Forwarded-For", "192.0.2.1"),
        (ForwardedFamily::Rfc7239, "Forwarded", "for=192.0.2.1"),
    ] {
        let mut request = format!("GET / HTTP/1.1\r\nHost: a\r\n{name}: ").into_bytes();
        request.extend_from_slice(input);
        request.extend_from_slice(format!("\r\n{name}: {own}\r\n\r\n").as_bytes());
        let Ok(Some((mut head, len))) = Head::parse(&request, &limits) else { continue };
        if len < request.len() {
            continue;
        }
        if let Ok(origin) = head.resolve_origin(seen, &trusted, family) {
            assert_eq!(origin.client, "192.0.2.1:0".parse().ok());
        }
    }
});
