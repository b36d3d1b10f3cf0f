//! What proxies say: a PROXY header is judged alike in any split, and of the fields that stand
//! before a trusted proxy's own none changes who the client is.
#![no_main]

use hurricane_http::{ForwardedFamily, Head, Limits, Origin, ProxyHeader, Scheme, Trusted};

const PROXY: &str = "10.0.0.1:1";

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let limits = Limits::default();
    header(input, &limits);
    let trusted: Trusted = "10.0.0.0/8".parse().expect("a network");
    let seen = Origin { client: PROXY.parse().ok(), scheme: Scheme::Http };
    for (family, name, own) in [
        (ForwardedFamily::XForwarded, "X-Forwarded-For", "192.0.2.1"),
        (ForwardedFamily::Rfc7239, "Forwarded", "for=192.0.2.1"),
    ] {
        // As the value of the field, and as all fields before the proxy's own.
        let value = [name.as_bytes(), b": ", input].concat();
        for fields in [&value[..], input] {
            let mut request = [b"GET / HTTP/1.1\r\nHost: a\r\n", fields].concat();
            request.extend_from_slice(format!("\r\n{name}: {own}\r\n\r\n").as_bytes());
            let Ok(Some((mut head, len))) = Head::parse(&request, &limits) else { continue };
            if len < request.len() {
                continue;
            }
            if let Ok(origin) = head.resolve_origin(seen, &trusted, family) {
                assert_eq!(origin.client, "192.0.2.1:0".parse().ok());
                assert!(head.host().is_some_and(|host| !host.is_empty()));
            }
            // A client that comes by itself is believed nothing.
            let stranger = Origin { client: "198.51.100.1:1".parse().ok(), ..seen };
            let told = head.resolve_origin(stranger, &trusted, family);
            assert_eq!(told, Ok(stranger));
            assert_eq!(head.header(name), None);
        }
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(trusted) = text.parse::<Trusted>()
    {
        assert_eq!(trusted.to_string().parse(), Ok(trusted));
    }
});

fn header(input: &[u8], limits: &Limits) {
    let whole = ProxyHeader::parse(input, limits);
    let split = (0..=input.len())
        .map(|len| ProxyHeader::parse(&input[..len], limits))
        .find(|parsed| *parsed != Ok(None));
    assert_eq!(whole, split.unwrap_or(Ok(None)));
    if let Ok(Some((_, len))) = whole {
        assert!(len <= input.len() && len <= limits.proxy_header_bytes_max);
    }
}
