//! Responses as they stand on the wire.

use hurricane_http::{
    BodyLength, Dialect, Head, HeadEncoder, HttpDate, Limits, RequestFacts, Response, ResponseBody,
    ResponseError, TransferFraming, Version, chunk_prefix, end_head,
};

const LIVES_ON: RequestFacts = RequestFacts {
    version: Version::Http11,
    is_head: false,
    keep_alive: true,
    id: None,
    dialect: &Dialect::OURS,
};
const CLOSES: RequestFacts = RequestFacts { keep_alive: false, ..LIVES_ON };
const OLD: RequestFacts = RequestFacts { version: Version::Http10, ..LIVES_ON };
const HEAD: RequestFacts = RequestFacts { is_head: true, ..LIVES_ON };

type Encoded = Result<(String, TransferFraming, bool), ResponseError>;

fn encode(
    status: u16,
    fields: &[(&str, &str)],
    length: BodyLength,
    facts: RequestFacts,
) -> Encoded {
    let mut out = b"before".to_vec();
    let result = (|| {
        let mut encoder = HeadEncoder::new(&mut out, status, b"")?;
        for (name, value) in fields {
            encoder.header(name.as_bytes(), value.as_bytes())?;
        }
        encoder.finish(length, facts, &HttpDate::new(784_111_777))
    })();
    match result {
        Ok((framing, lives_on)) => {
            let text = String::from_utf8(out).unwrap();
            Ok((text.strip_prefix("before").unwrap().to_owned(), framing, lives_on))
        }
        Err(error) => {
            assert_eq!(out, b"before", "cut back");
            Err(error)
        }
    }
}

fn ok(
    status: u16,
    fields: &[(&str, &str)],
    length: BodyLength,
    facts: RequestFacts,
) -> (String, TransferFraming, bool) {
    encode(status, fields, length, facts).unwrap()
}

#[test]
fn a_plain_response_gets_what_the_application_left_out() {
    let (text, framing, lives_on) = ok(200, &[("X-A", " b ")], BodyLength::Known(5), LIVES_ON);
    assert_eq!(
        text,
        "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\
        Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: hurricane\r\n\r\n"
    );
    assert_eq!((framing, lives_on), (TransferFraming::Length(5), true));
}

#[test]
fn date_and_server_of_the_application_stay() {
    let fields = [("date", "today"), ("SERVER", "mine")];
    let (text, ..) = ok(200, &fields, BodyLength::Known(0), LIVES_ON);
    assert_eq!(text, "HTTP/1.1 200 OK\r\ndate: today\r\nSERVER: mine\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn the_connection_field_says_what_will_happen() {
    let connection = |fields: &[(&str, &str)], facts| {
        let (text, _, lives_on) = ok(200, fields, BodyLength::Known(1), facts);
        let said = text.lines().filter_map(|line| line.strip_prefix("Connection: "));
        (said.collect::<Vec<_>>().join("|"), lives_on)
    };
    let expect = |said: &str, lives_on| (said.to_owned(), lives_on);
    assert_eq!(connection(&[], LIVES_ON), expect("", true));
    assert_eq!(connection(&[], CLOSES), expect("close", false));
    assert_eq!(connection(&[], OLD), expect("keep-alive", true));
    assert_eq!(connection(&[("Connection", "close")], LIVES_ON), expect("close", false));
    assert_eq!(connection(&[("connection", "Close")], OLD), expect("close", false));
    assert_eq!(connection(&[("Connection", "keep-alive")], LIVES_ON), expect("", true));
    assert_eq!(connection(&[("Connection", "Keep-Alive")], CLOSES), expect("close", false));
}

#[test]
fn unknown_lengths_are_chunked_to_1_1_and_end_the_connection_of_1_0() {
    let (text, framing, lives_on) = ok(200, &[], BodyLength::Unknown, LIVES_ON);
    assert!(
        text.contains("\r\nTransfer-Encoding: chunked\r\n") && !text.contains("Content-Length")
    );
    assert_eq!((framing, lives_on), (TransferFraming::Chunked, true));
    let (text, framing, lives_on) = ok(200, &[], BodyLength::Unknown, OLD);
    assert!(text.contains("\r\nConnection: close\r\n") && !text.contains("Transfer-Encoding"));
    assert_eq!((framing, lives_on), (TransferFraming::Close, false));
}

#[test]
fn content_length_of_the_application_wins_and_stands_once() {
    let length = |fields: &[(&str, &str)], length| {
        encode(200, fields, length, LIVES_ON).map(|(text, framing, _)| {
            assert_eq!(text.matches("Content-Length").count(), 1);
            framing
        })
    };
    let three = [("Content-Length", "3")];
    assert_eq!(length(&three, BodyLength::Unknown), Ok(TransferFraming::Length(3)));
    assert_eq!(length(&three, BodyLength::Known(9)), Ok(TransferFraming::Length(3)));
    let twice = [("content-length", "3"), ("Content-Length", " 3 ")];
    assert_eq!(length(&twice, BodyLength::Unknown), Ok(TransferFraming::Length(3)));
    let differing = [("Content-Length", "3"), ("Content-Length", "4")];
    let expected = ResponseError::DifferingContentLengths { first: 3, second: 4 };
    assert_eq!(length(&differing, BodyLength::Unknown), Err(expected));
    for value in ["", "-1", "+1", "3, 3", "x", "18446744073709551616"] {
        let result = length(&[("Content-Length", value)], BodyLength::Unknown);
        assert_eq!(result, Err(ResponseError::ContentLength), "{value}");
    }
}

#[test]
fn responses_without_a_body_say_no_wrong_length() {
    let length = |status, fields: &[(&str, &str)], length, facts| {
        let (text, framing, lives_on) = ok(status, fields, length, facts);
        assert_eq!(framing, TransferFraming::None);
        assert!(lives_on && !text.contains("Transfer-Encoding"), "{text}");
        let mut said = text.lines().filter_map(|line| line.strip_prefix("Content-Length: "));
        said.next().map(|length| length.parse::<u64>().unwrap())
    };
    let nine = [("Content-Length", "9")];
    assert_eq!(length(204, &nine, BodyLength::Known(4), LIVES_ON), None);
    assert_eq!(length(204, &[], BodyLength::Unknown, OLD), None);
    assert_eq!(length(304, &nine, BodyLength::Known(0), LIVES_ON), None);
    assert_eq!(length(205, &nine, BodyLength::Known(9), LIVES_ON), Some(0));
    assert_eq!(length(200, &nine, BodyLength::Known(0), HEAD), Some(9));
    assert_eq!(length(200, &nine, BodyLength::Known(4), HEAD), Some(9));
    assert_eq!(length(200, &[], BodyLength::Known(4), HEAD), Some(4));
    assert_eq!(length(200, &[], BodyLength::Known(0), HEAD), None);
    assert_eq!(length(200, &[], BodyLength::Unknown, HEAD), None);
    assert_eq!(length(204, &[], BodyLength::Known(4), HEAD), None);
}

#[test]
fn no_byte_of_the_application_ends_a_line() {
    for bad in ["a\r\nb", "a\nb", "a\rb", "a\0b", "\n", "a\u{7f}", "a\u{1}"] {
        let value = encode(200, &[("X-A", bad)], BodyLength::Known(0), LIVES_ON);
        assert_eq!(value, Err(ResponseError::FieldValue { name: "X-A".to_owned() }), "{bad:?}");
        let name = encode(200, &[(bad, "b")], BodyLength::Known(0), LIVES_ON);
        assert_eq!(name, Err(ResponseError::FieldName { name: bad.to_owned() }), "{bad:?}");
        let mut out = Vec::new();
        let reason = HeadEncoder::new(&mut out, 200, bad.as_bytes()).unwrap_err();
        assert_eq!(reason, ResponseError::Reason);
        assert!(out.is_empty());
    }
    for bad in ["", "a b", "a:", "\u{e9}", " a"] {
        let name = encode(200, &[(bad, "b")], BodyLength::Known(0), LIVES_ON);
        assert!(matches!(name, Err(ResponseError::FieldName { .. })), "{bad:?}");
    }
    let (text, ..) = ok(200, &[("X-A", ""), ("X-B", "\u{e9}\tc")], BodyLength::Known(0), LIVES_ON);
    assert!(text.contains("\r\nX-A: \r\nX-B: \u{e9}\tc\r\n"));
}

#[test]
fn hop_by_hop_fields_are_the_servers() {
    let fields = [
        ("Transfer-Encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("Upgrade", "websocket"),
        ("Connection", "upgrade"),
        ("Connection", "close, x-a"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
        ("Trailer", "X"),
        ("Trailers", "X"),
        ("Proxy-Authenticate", "Basic"),
        ("Proxy-Authorization", "Basic"),
        ("Proxy-Connection", "keep-alive"),
    ];
    for (name, value) in fields {
        let result = encode(200, &[(name, value)], BodyLength::Known(0), LIVES_ON);
        assert_eq!(result, Err(ResponseError::HopByHop { name: name.to_owned() }));
    }
}

#[test]
fn final_status_codes_are_200_to_999() {
    for status in [0, 99, 100, 101, 199, 1000, u16::MAX] {
        let result = encode(status, &[], BodyLength::Known(0), LIVES_ON);
        assert_eq!(result, Err(ResponseError::Status(status)));
    }
    let line = |status| ok(status, &[], BodyLength::Known(0), LIVES_ON).0;
    assert!(line(299).starts_with("HTTP/1.1 299 \r\n"));
    assert!(line(999).starts_with("HTTP/1.1 999 \r\n"));
    assert!(line(404).starts_with("HTTP/1.1 404 Not Found\r\n"));
    let mut out = Vec::new();
    HeadEncoder::new(&mut out, 404, b"Gone Fishing").unwrap();
    assert_eq!(out, b"HTTP/1.1 404 Gone Fishing\r\n");
}

#[test]
fn an_encoder_that_has_failed_stays_failed() {
    let mut out = b"before".to_vec();
    let mut encoder = HeadEncoder::new(&mut out, 200, b"").unwrap();
    let error = encoder.header(b"A", b"\n").unwrap_err();
    assert_eq!(encoder.header(b"B", b"c"), Err(error.clone()));
    let finished = encoder.finish(BodyLength::Known(0), LIVES_ON, &HttpDate::new(0));
    assert_eq!(finished, Err(error));
    assert_eq!(out, b"before");
}

#[test]
fn chunk_prefixes_are_hexadecimal() {
    for len in [1, 9, 10, 15, 16, 255, 256, 4096, 65_535, 1 << 20, usize::MAX] {
        let mut out = Vec::new();
        chunk_prefix(&mut out, len);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{len:x}\r\n"));
    }
}

#[test]
fn responses_encode_themselves() {
    let encode = |response: &Response| {
        let mut out = Vec::new();
        let (framing, _) =
            response.encode_head(&mut out, LIVES_ON, &HttpDate::new(784_111_777)).unwrap();
        (String::from_utf8(out).unwrap(), framing)
    };
    let (text, framing) = encode(&Response::text("hello").with_header("X", "y").with_status(201));
    assert!(text.starts_with(
        "HTTP/1.1 201 Created\r\nContent-Type: text/plain; charset=utf-8\r\nX: y\r\nContent-Length: 5\r\n"
    ));
    assert_eq!(framing, TransferFraming::Length(5));
    let (text, _) = encode(&Response::json("{}"));
    assert!(text.contains("\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"));
    let (text, _) = encode(&Response::empty(503));
    assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"));
}

#[test]
fn a_body_prints_its_kind_and_not_its_bytes() {
    assert_eq!(format!("{:?}", ResponseBody::Full("secret".into())), "Full(6 bytes)");
    assert_eq!(format!("{:?}", ResponseBody::Empty), "Empty");
}

#[test]
fn the_identifier_of_the_request_is_told_unless_the_application_tells_one() {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: came\r\n\r\n";
    let (mut head, _) = Head::parse(request, &Limits::default()).unwrap().unwrap();
    head.identify(|| unreachable!("one is there"));
    let id = head.echo();
    let facts = RequestFacts { id: id.as_ref(), ..LIVES_ON };
    let told = |fields| ok(200, fields, BodyLength::Known(0), facts).0;
    let lines = |text: &str| {
        let lines = text.lines().filter(|line| line.to_lowercase().starts_with("x-request-id"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&told(&[])), ["X-Request-ID: came"]);
    assert_eq!(lines(&told(&[("x-request-id", "own")])), ["x-request-id: own"]);
    let mut out = Vec::new();
    end_head(&mut out, facts, &HttpDate::new(784_111_777));
    assert_eq!(lines(&String::from_utf8(out).unwrap()), ["X-Request-ID: came"]);
}
