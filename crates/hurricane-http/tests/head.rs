//! What a request head may look like, and which rule each other one breaks. Every case is fed
//! whole, byte by byte and in three pieces; the result must be the same.

use hurricane_http::{
    BodyFraming, Head, HeadParser, Limits, REQUEST_ID_BYTES_MAX, RequestError, Version,
};
use proptest::prelude::*;

type Outcome = Result<Option<(Head, usize)>, RequestError>;

/// Feeds growing prefixes of `input` that end at `cuts`, then all of it.
fn parse_at(input: &[u8], cuts: impl IntoIterator<Item = usize>, limits: &Limits) -> Outcome {
    let mut parser = HeadParser::default();
    for cut in cuts {
        match parser.parse(&input[..cut], limits) {
            Ok(None) => {}
            decided => return decided,
        }
    }
    parser.parse(input, limits)
}

/// What two outcomes of one input have to agree on.
fn essence(outcome: &Outcome) -> Result<Option<(String, usize)>, RequestError> {
    match outcome {
        Ok(Some((head, consumed))) => Ok(Some((format!("{head:?}"), *consumed))),
        Ok(None) => Ok(None),
        Err(error) => Err(error.clone()),
    }
}

fn parse_with(input: &[u8], limits: &Limits) -> Outcome {
    let whole = Head::parse(input, limits);
    let third = input.len().div_ceil(3).max(1);
    let in_bytes = parse_at(input, 0..input.len(), limits);
    let in_thirds = parse_at(input, (third..input.len()).step_by(third), limits);
    let shown = String::from_utf8_lossy(input);
    assert_eq!(essence(&whole), essence(&in_bytes), "byte by byte: {shown:?}");
    assert_eq!(essence(&whole), essence(&in_thirds), "in three pieces: {shown:?}");
    whole
}

fn parse(input: &[u8]) -> Outcome {
    parse_with(input, &Limits::default())
}

/// The head of an input that is one, and only that.
fn head(input: &[u8]) -> Head {
    match parse(input) {
        Ok(Some((head, consumed))) => {
            assert_eq!(consumed, input.len());
            head
        }
        other => panic!("{:?} gave {other:?}", String::from_utf8_lossy(input)),
    }
}

/// A GET with Host and these further bytes of fields.
fn get(fields: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
}

fn check(input: impl AsRef<[u8]>, expected: RequestError) {
    let input = input.as_ref();
    let shown = String::from_utf8_lossy(input);
    assert_eq!(essence(&parse(input)), Err(expected), "{shown:?}");
}

fn incomplete(input: impl AsRef<[u8]>) {
    let input = input.as_ref();
    assert!(matches!(parse(input), Ok(None)), "{:?}", String::from_utf8_lossy(input));
}

#[test]
fn a_head_is_read_into_its_parts() {
    let input = b"POST /a/b%20c?d=e?f HTTP/1.1\r\nHost:example.com:80\r\nX-Empty:\r\n\
        x-space: \t v w \t \r\nX-Bytes: \xff\r\nContent-Length: 12\r\n\r\n";
    let head = head(input);
    assert_eq!(head.method(), "POST");
    assert_eq!(head.target(), b"/a/b%20c?d=e?f");
    assert_eq!(head.path(), b"/a/b%20c");
    assert_eq!(head.query(), b"d=e?f");
    assert_eq!(head.version(), Version::Http11);
    assert_eq!(head.host(), Some(&b"example.com:80"[..]));
    assert_eq!(head.framing(), BodyFraming::Length(12));
    assert!(head.keep_alive());
    assert!(!head.expects_continue());
    let fields: Vec<_> = head.headers().map(|field| (field.name, field.value)).collect();
    let expected: [(&str, &[u8]); 5] = [
        ("Host", b"example.com:80"),
        ("X-Empty", b""),
        ("x-space", b"v w"),
        ("X-Bytes", b"\xff"),
        ("Content-Length", b"12"),
    ];
    assert_eq!(fields, expected);
    assert_eq!(head.header("X-SPACE"), Some(&b"v w"[..]));
    assert_eq!(head.header("absent"), None);
}

#[test]
fn what_follows_the_head_is_left() {
    let input = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    let (first, consumed) = Head::parse(input, &Limits::default()).unwrap().unwrap();
    assert_eq!(first.target(), b"/1");
    assert_eq!(head(&input[consumed..]).target(), b"/2");
}

#[test]
fn a_parser_is_ready_for_the_next_head() {
    let limits = Limits::default();
    let mut parser = HeadParser::default();
    assert!(!parser.has_begun());
    assert!(parser.parse(b"\r\n", &limits).unwrap().is_none());
    assert!(!parser.has_begun());
    assert!(parser.parse(b"\r\nGET /1 HTTP/1.1\r\n", &limits).unwrap().is_none());
    assert!(parser.has_begun());
    let first = b"\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let (head, consumed) = parser.parse(first, &limits).unwrap().unwrap();
    assert_eq!((head.target(), consumed), (&b"/1"[..], first.len()));
    assert!(!parser.has_begun());
    let (head, _) = parser.parse(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", &limits).unwrap().unwrap();
    assert_eq!(head.target(), b"/2");
}

#[test]
fn one_empty_line_before_a_request_is_skipped() {
    assert_eq!(head(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").method(), "GET");
    check("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::InvalidRequestLine);
    check("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::BareLineFeed);
    check("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::BareCarriageReturn);
}

#[test]
fn any_token_is_a_method_and_keeps_its_case() {
    for method in ["GET", "get", "PROPFIND", "M-SEARCH", "x!#$%&'*+-.^_`|~9", "HEAD"] {
        let input = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(head(input.as_bytes()).method(), method);
    }
    for line in
        [" / HTTP/1.1", "G\tT / HTTP/1.1", "G(T / HTTP/1.1", "G\u{e9}T /", "\0", "\u{16}\u{3}"]
    {
        check(line, RequestError::InvalidMethod);
    }
    check("GET\r\n", RequestError::InvalidRequestLine);
    check("GET\n", RequestError::BareLineFeed);
    check("GET\rX", RequestError::BareCarriageReturn);
}

#[test]
fn targets_have_four_forms() {
    // Method, target, path, query, host.
    let cases: &[(&str, &str, &str, &str, &str)] = &[
        ("GET", "/", "/", "", "h"),
        ("GET", "//a//", "//a//", "", "h"),
        ("GET", "/?", "/", "", "h"),
        ("GET", "/a?b", "/a", "b", "h"),
        ("GET", "/http://x/?y", "/http://x/", "y", "h"),
        ("GET", "/\"<>\\^`{|}?\"", "/\"<>\\^`{|}", "\"", "h"),
        ("GET", "/%zz%00%", "/%zz%00%", "", "h"),
        ("GET", "/gr\u{fc}\u{df}e?\u{e4}", "/gr\u{fc}\u{df}e", "\u{e4}", "h"),
        ("GET", "http://x", "/", "", "x"),
        ("GET", "HTTPS://x:1/a?b", "/a", "b", "x:1"),
        ("GET", "http://x?b", "/", "b", "x"),
        ("GET", "http://[::1]:8/", "/", "", "[::1]:8"),
        ("OPTIONS", "*", "*", "", "h"),
        ("OPTIONS", "/a", "/a", "", "h"),
    ];
    for (method, target, path, query, host) in cases {
        let head = head(format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        assert_eq!(head.target(), target.as_bytes());
        assert_eq!(head.path(), path.as_bytes(), "{target}");
        assert_eq!(head.query(), query.as_bytes(), "{target}");
        assert_eq!(head.host(), Some(host.as_bytes()), "{target}");
    }
}

#[test]
fn other_targets_are_refused() {
    let cases = [
        ("GET *", RequestError::AsteriskWithoutOptions),
        ("OPTIONS **", RequestError::InvalidTarget),
        ("PRI *", RequestError::Http2Preface),
        ("GET a", RequestError::InvalidTarget),
        ("GET a.example:80", RequestError::InvalidTarget),
        ("GET ?a", RequestError::InvalidTarget),
        ("GET http:/a", RequestError::InvalidTarget),
        ("GET ://a", RequestError::InvalidTarget),
        ("GET 1http://a", RequestError::InvalidTarget),
        ("GET ftp://a/", RequestError::UnsupportedScheme),
        ("GET http://", RequestError::InvalidAuthority),
        ("GET http:///a", RequestError::InvalidAuthority),
        ("GET http://:80/", RequestError::InvalidAuthority),
        ("GET http://a:b/", RequestError::InvalidAuthority),
        ("GET http://[::1/", RequestError::InvalidAuthority),
        ("GET http://a\u{e9}/", RequestError::InvalidAuthority),
        ("GET http://u@a/", RequestError::Userinfo),
        ("GET http://u:p@a/", RequestError::Userinfo),
        ("GET /a#b", RequestError::TargetFragment),
        ("GET #", RequestError::TargetFragment),
        ("GET /\0", RequestError::InvalidTarget),
        ("GET /\t", RequestError::InvalidTarget),
        ("GET /\u{7f}", RequestError::InvalidTarget),
        ("GET ", RequestError::InvalidRequestLine),
        ("GET  /", RequestError::InvalidRequestLine),
        ("CONNECT a:80", RequestError::ConnectRefused),
        ("CONNECT [::1]:80", RequestError::ConnectRefused),
        ("CONNECT a", RequestError::InvalidTarget),
        ("CONNECT a:", RequestError::InvalidTarget),
        ("CONNECT :80", RequestError::InvalidTarget),
        ("CONNECT [::1]", RequestError::InvalidTarget),
        ("CONNECT /", RequestError::InvalidTarget),
        ("CONNECT *", RequestError::InvalidTarget),
    ];
    for (line, expected) in cases {
        check(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"), expected);
    }
    check(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", RequestError::TargetNotUtf8);
    check("GET /\r\n", RequestError::InvalidRequestLine);
    check("GET /\n", RequestError::BareLineFeed);
    check("GET /\rHTTP/1.1", RequestError::BareCarriageReturn);
}

#[test]
fn versions_are_1_0_and_1_1() {
    assert_eq!(head(b"GET / HTTP/1.0\r\n\r\n").version(), Version::Http10);
    let cases = [
        ("HTTP/1.2\r\n", RequestError::UnsupportedVersion),
        ("HTTP/0.9\r\n", RequestError::UnsupportedVersion),
        ("HTTP/2.0\r\n", RequestError::UnsupportedVersion),
        ("HTTP/9.9\r\n", RequestError::UnsupportedVersion),
        ("http/1.1\r\n", RequestError::InvalidVersion),
        ("HTTP/1.10\r\n", RequestError::InvalidVersion),
        ("HTTP/11\r\n", RequestError::InvalidVersion),
        ("HTTP/1,1\r\n", RequestError::InvalidVersion),
        ("HTTP/1\r\n", RequestError::InvalidVersion),
        ("HTTP/a.b\r\n", RequestError::InvalidVersion),
        ("HTTP/1.1 \r\n", RequestError::InvalidVersion),
        (" HTTP/1.1\r\n", RequestError::InvalidVersion),
        ("\r\n", RequestError::InvalidVersion),
        ("RTSP/1.0\r\n", RequestError::InvalidVersion),
        ("HTTP/1.1\n", RequestError::BareLineFeed),
        ("HTTP/1.1\rX", RequestError::BareCarriageReturn),
        ("HTTP/\rX", RequestError::BareCarriageReturn),
    ];
    for (version, expected) in cases {
        check(format!("GET / {version}Host: a\r\n\r\n"), expected);
    }
}

#[test]
fn an_http2_preface_is_refused_before_it_is_complete() {
    check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", RequestError::Http2Preface);
    check("PRI * ", RequestError::Http2Preface);
}

#[test]
fn field_lines_are_held_to_the_grammar() {
    let cases = [
        ("A : b\r\n", RequestError::SpaceBeforeColon),
        ("A\t: b\r\n", RequestError::SpaceBeforeColon),
        ("A b: c\r\n", RequestError::SpaceBeforeColon),
        (": b\r\n", RequestError::EmptyFieldName),
        ("A\r\n", RequestError::MissingColon),
        ("A(: b\r\n", RequestError::InvalidFieldName),
        ("A\0: b\r\n", RequestError::InvalidFieldName),
        ("\u{e9}: b\r\n", RequestError::InvalidFieldName),
        ("\"A\": b\r\n", RequestError::InvalidFieldName),
        ("A: b\r\n c\r\n", RequestError::FoldedField),
        ("A: b\r\n\tc\r\n", RequestError::FoldedField),
        ("A: b\r\n \r\n", RequestError::FoldedField),
        ("A: \0\r\n", RequestError::InvalidFieldValue),
        ("A: b\u{1}\r\n", RequestError::InvalidFieldValue),
        ("A: \u{7f}\r\n", RequestError::InvalidFieldValue),
        ("A: b\u{b}c\r\n", RequestError::InvalidFieldValue),
        ("A: b\rc\r\n", RequestError::BareCarriageReturn),
        ("A: b\r\r\n", RequestError::BareCarriageReturn),
        ("A\rB: c\r\n", RequestError::BareCarriageReturn),
        ("\rA: b\r\n", RequestError::BareCarriageReturn),
        ("A: b\nC: d\r\n", RequestError::BareLineFeed),
        ("A: b\n", RequestError::BareLineFeed),
        ("A:\n", RequestError::BareLineFeed),
        ("A\n: b\r\n", RequestError::BareLineFeed),
        ("\n", RequestError::BareLineFeed),
    ];
    for (fields, expected) in cases {
        check(get(fields), expected);
    }
    check("GET / HTTP/1.1\nHost: a\n\n", RequestError::BareLineFeed);
    check("GET / HTTP/1.1\r\nHost: a\r\n\n", RequestError::BareLineFeed);
    check("GET / HTTP/1.1\r\n Host: a\r\n\r\n", RequestError::SpaceBeforeFirstField);
    check("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", RequestError::SpaceBeforeFirstField);
}

#[test]
fn host_stands_exactly_once_and_is_valid() {
    for host in ["", "a", "a:80", "a:", "[::1]:80", "127.0.0.1", "a_b.example"] {
        let head = head(format!("GET / HTTP/1.1\r\nhOST: {host}\r\n\r\n").as_bytes());
        assert_eq!(head.host(), Some(host.as_bytes()));
    }
    for host in ["a b", "a/", "a@b", "a:b", "[::1", "::1", "a,b:c", "\"a\"", "\u{e9}"] {
        check(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), RequestError::InvalidHost);
        check(format!("GET http://x/ HTTP/1.0\r\nHost: {host}\r\n\r\n"), RequestError::InvalidHost);
    }
    check("GET / HTTP/1.1\r\n\r\n", RequestError::MissingHost);
    check("GET http://a/ HTTP/1.1\r\n\r\n", RequestError::MissingHost);
    check(get("host: a\r\n"), RequestError::RepeatedHost);
    check("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", RequestError::RepeatedHost);
    assert_eq!(head(b"GET / HTTP/1.0\r\n\r\n").host(), None);
}

#[test]
fn framing_is_never_ambiguous() {
    let framings = [
        ("", BodyFraming::None),
        ("Content-Length: 0\r\n", BodyFraming::None),
        ("Content-Length: 007\r\n", BodyFraming::Length(7)),
        ("content-LENGTH:\t18446744073709551615 \r\n", BodyFraming::Length(u64::MAX)),
        ("Transfer-Encoding: chunked\r\n", BodyFraming::Chunked),
        ("transfer-encoding: \tCHUNKED\t\r\n", BodyFraming::Chunked),
        ("Content_Length: 5\r\nTransfer_Encoding: chunked\r\n", BodyFraming::None),
    ];
    for (fields, expected) in framings {
        assert_eq!(head(&get(fields)).framing(), expected, "{fields}");
    }
    for value in ["", "+1", "-1", "1 0", "0x1", "1_0", "1,1", "1, 1", "a", "1;a", "\u{661}", "1.0"]
    {
        check(get(&format!("Content-Length: {value}\r\n")), RequestError::InvalidContentLength);
    }
    let faults = [
        ("Content-Length: 18446744073709551616\r\n", RequestError::ContentLengthOverflow),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", RequestError::RepeatedContentLength),
        ("Content-Length: 1\r\nContent-Length: 2\r\n", RequestError::RepeatedContentLength),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", RequestError::AmbiguousLength),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", RequestError::AmbiguousLength),
        ("Transfer-Encoding:\r\n", RequestError::InvalidTransferEncoding),
        ("Transfer-Encoding: ,chunked\r\n", RequestError::InvalidTransferEncoding),
        ("Transfer-Encoding: chunked,\r\n", RequestError::InvalidTransferEncoding),
        ("Transfer-Encoding: chunked;a=b\r\n", RequestError::InvalidTransferEncoding),
        ("Transfer-Encoding: chun ked\r\n", RequestError::InvalidTransferEncoding),
        ("Transfer-Encoding: \u{a0}chunked\r\n", RequestError::InvalidTransferEncoding),
        ("Transfer-Encoding: \"chunked\"\r\n", RequestError::InvalidTransferEncoding),
        ("Transfer-Encoding: chunked, chunked\r\n", RequestError::RepeatedChunked),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            RequestError::RepeatedChunked,
        ),
        ("Transfer-Encoding: identity\r\n", RequestError::ChunkedNotLast),
        ("Transfer-Encoding: xchunked\r\n", RequestError::ChunkedNotLast),
        ("Transfer-Encoding: chunked, gzip\r\n", RequestError::ChunkedNotLast),
        ("Transfer-Encoding: gzip, chunked\r\n", RequestError::UnknownTransferCoding),
    ];
    for (fields, expected) in faults {
        check(get(fields), expected);
    }
    check(
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        RequestError::TransferEncodingInHttp10,
    );
}

#[test]
fn connection_options_decide_whether_the_connection_lives_on() {
    let cases = [
        ("HTTP/1.1", "", true),
        ("HTTP/1.1", "Connection: close\r\n", false),
        ("HTTP/1.1", "connection: Upgrade,\tCLOSE \r\n", false),
        ("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("HTTP/1.1", "Connection: close, keep-alive\r\n", false),
        ("HTTP/1.1", "Connection: closed\r\n", true),
        ("HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket\r\n", true),
        ("HTTP/1.1", "Connection:\r\n", true),
        ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", true),
        ("HTTP/1.0", "Connection: keep-alive, close\r\n", false),
    ];
    for (version, fields, expected) in cases {
        let input = format!("GET / {version}\r\nHost: a\r\n{fields}\r\n");
        assert_eq!(head(input.as_bytes()).keep_alive(), expected, "{input}");
    }
}

#[test]
fn only_100_continue_is_expected_and_only_before_a_body_of_http_1_1() {
    let cases = [
        ("HTTP/1.1", "Expect: 100-continue\r\nContent-Length: 1\r\n", true),
        ("HTTP/1.1", "Transfer-Encoding: chunked\r\nexpect: 100-Continue\r\n", true),
        ("HTTP/1.1", "Expect: 100-continue\r\n", false),
        ("HTTP/1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n", false),
        ("HTTP/1.1", "Expect:\r\nContent-Length: 1\r\n", false),
        ("HTTP/1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n", false),
        ("HTTP/1.0", "Expect: lunch\r\nContent-Length: 1\r\n", false),
    ];
    for (version, fields, expected) in cases {
        let input = format!("POST / {version}\r\nHost: a\r\n{fields}\r\n");
        assert_eq!(head(input.as_bytes()).expects_continue(), expected, "{input}");
    }
    check(get("Expect: 200-ok\r\n"), RequestError::UnknownExpectation);
    check(get("Expect: 100-continue, lunch\r\n"), RequestError::UnknownExpectation);
}

#[test]
fn every_prefix_of_a_head_is_incomplete() {
    let input = b"\r\nPOST http://a/b?c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    for len in 0..input.len() {
        incomplete(&input[..len]);
    }
    head(input);
}

#[test]
fn a_line_that_cannot_become_right_is_refused_before_it_ends() {
    check("\u{1}", RequestError::InvalidMethod);
    check("GET x ", RequestError::InvalidTarget);
    check("GET / FTP", RequestError::InvalidVersion);
    check("GET / HTTP/1.1\r\n ", RequestError::SpaceBeforeFirstField);
    check("GET / HTTP/1.1\r\nHost ", RequestError::SpaceBeforeColon);
    check("GET / HTTP/1.1\r\nHost: \0", RequestError::InvalidFieldValue);
}

#[test]
fn heads_up_to_each_limit_pass_and_longer_ones_are_refused_without_their_end() {
    let limits = Limits {
        head_bytes_max: 64,
        target_bytes_max: 20,
        header_count_max: 3,
        ..Limits::default()
    };
    let too_large = RequestError::HeadTooLarge { limit: 64 };
    let of_len = |len: usize| {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(len - start.len() - 4))
    };
    assert!(matches!(parse_with(of_len(64).as_bytes(), &limits), Ok(Some((_, 64)))));
    let after_empty_line = format!("\r\n{}", of_len(64));
    assert!(matches!(parse_with(after_empty_line.as_bytes(), &limits), Ok(Some((_, 66)))));
    assert_eq!(parse_with(of_len(65).as_bytes(), &limits).unwrap_err(), too_large);
    assert!(matches!(parse_with(&of_len(80).as_bytes()[..63], &limits), Ok(None)));
    assert_eq!(parse_with(&of_len(80).as_bytes()[..64], &limits).unwrap_err(), too_large);

    let too_long = RequestError::TargetTooLong { limit: 20 };
    let of_target = |len: usize| format!("GET /{} HTTP/1.0\r\n\r\n", "x".repeat(len - 1));
    assert!(matches!(parse_with(of_target(20).as_bytes(), &limits), Ok(Some(_))));
    assert_eq!(parse_with(of_target(21).as_bytes(), &limits).unwrap_err(), too_long);
    assert!(matches!(parse_with(&of_target(30).as_bytes()[..24], &limits), Ok(None)));
    assert_eq!(parse_with(&of_target(30).as_bytes()[..25], &limits).unwrap_err(), too_long);

    let too_many = RequestError::TooManyFields { limit: 3 };
    let of_fields = |count: usize| format!("GET / HTTP/1.0\r\n{}\r\n", "A:b\r\n".repeat(count));
    assert!(matches!(parse_with(of_fields(3).as_bytes(), &limits), Ok(Some(_))));
    assert_eq!(parse_with(of_fields(4).as_bytes(), &limits).unwrap_err(), too_many);
}

#[test]
fn heads_of_any_number_of_fields_pass_where_the_limit_allows_it() {
    let limits = Limits { header_count_max: 300, ..Limits::default() };
    for count in [127, 128, 129, 300] {
        let input = get(&"A: b\r\n".repeat(count - 1));
        let (head, consumed) = parse_with(&input, &limits).unwrap().unwrap();
        assert_eq!((head.headers().len(), consumed), (count, input.len()));
    }
    let too_many = RequestError::TooManyFields { limit: 300 };
    assert_eq!(parse_with(&get(&"A: b\r\n".repeat(300)), &limits).unwrap_err(), too_many);
}

#[test]
fn each_byte_is_judged_the_same_whole_and_split_wherever_it_stands() {
    // Longer than the steps in which a value is looked at.
    let valid = b"\r\nPUT /a?b HTTP/1.1\r\nHost: a:1\r\n\
        X-Name: of more than thirty-two bytes, a tab:\t.\r\nContent-Length: 5\r\n\r\n";
    for at in 0..valid.len() {
        for byte in 0..=255 {
            let mut input = valid.to_vec();
            input[at] = byte;
            let whole = Head::parse(&input, &Limits::default());
            let split = parse_at(&input, 0..input.len(), &Limits::default());
            assert_eq!(essence(&whole), essence(&split), "{byte:#x} at {at}");
        }
    }
}

#[test]
fn limits_without_bound_do_not_overflow() {
    let limits = Limits {
        head_bytes_max: usize::MAX,
        target_bytes_max: usize::MAX,
        header_count_max: usize::MAX,
        ..Limits::default()
    };
    assert!(matches!(parse_with(&get("A: b\r\n"), &limits), Ok(Some(_))));
}

#[test]
fn a_parsed_head_can_be_shared_with_another_thread() {
    fn shareable<T: Send + Sync>(_: &T) {}
    shareable(&head(&get("")));
}

/// Bytes that decide about lines and fields, and some that do not.
fn telling_bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"\r\n",
        b"\r",
        b"\n",
        b"\0",
        b" ",
        b"\t",
        b":",
        b"#",
        b"?",
        b"/",
        b"\xff",
        b"\xc3\xa9",
        b"GET ",
        b"/a?b ",
        b"http://a:1/",
        b"HTTP/1.1\r\n",
        b"HTTP/1.0\r\n",
        b"Host: a\r\n",
        b"Connection: close\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"A: b\r\n",
    ];
    proptest::collection::vec(proptest::sample::select(pieces), 0..12)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn arbitrary_bytes_give_the_same_result_in_any_split(
        input in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = parse(&input);
    }

    #[test]
    fn telling_bytes_give_the_same_result_in_any_split(
        input in telling_bytes(),
        mut cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let whole = parse(&input);
        let mut cuts: Vec<usize> = cuts.drain(..).map(|cut| cut.index(input.len() + 1)).collect();
        cuts.sort_unstable();
        let split = parse_at(&input, cuts, &Limits::default());
        prop_assert_eq!(essence(&whole), essence(&split));
    }

    #[test]
    fn a_valid_head_with_some_bytes_changed_is_judged_without_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut input = b"POST http://a:1/b?c HTTP/1.1\r\nHost: [::1]:80\r\nExpect: 100-continue\r\n\
            Connection: close, x\r\nContent-Length: 12\r\n\r\nhello".to_vec();
        for (at, byte) in changes {
            let at = at.index(input.len());
            input[at] = byte;
        }
        if let Ok(Some((head, consumed))) = parse(&input) {
            prop_assert!(consumed <= input.len());
            for field in head.headers() {
                prop_assert!(!field.name.is_empty());
                prop_assert!(!field.value.iter().any(|byte| b"\r\n\0".contains(byte)));
            }
        }
    }
}

#[test]
fn an_identifier_is_believed_if_it_is_the_only_one_and_a_word() {
    let longest = "i".repeat(REQUEST_ID_BYTES_MAX);
    for (fields, believed) in [
        ("", None),
        ("X-Request-ID: 4711\r\n", Some("4711")),
        ("x-request-id:  a \r\n", Some("a")),
        (&format!("X-Request-ID: {longest}\r\n"), Some(longest.as_str())),
        (&format!("X-Request-ID: {longest}i\r\n"), None),
        ("X-Request-ID: \r\n", None),
        ("X-Request-ID: a b\r\n", None),
        ("X-Request-ID: \u{e4}\r\n", None),
        ("X-Request-ID: a\r\nX-Request-ID: a\r\n", None),
        ("X-Request-ID: a b\r\nX-Request-ID: a\r\n", None),
    ] {
        let head = head(&get(fields));
        assert_eq!(head.id(), believed.map(str::as_bytes), "{fields:?}");
        assert!(head.echo().is_none(), "nobody has asked for it");
    }
}

#[test]
fn a_request_is_given_an_identifier_as_if_it_had_come_with_it() {
    let given = *b"0123456789abcdef0123456789abcdef";
    for fields in ["", "X-Request-ID: a b\r\n", "X-Request-ID: a\r\nX-Request-ID: b\r\n"] {
        let mut head = head(&get(&format!("{fields}X-A: b\r\n")));
        head.identify(|| given);
        assert_eq!(head.header("x-request-id"), Some(&given[..]));
        assert_eq!(head.id(), Some(&given[..]));
        assert_eq!(head.echo().unwrap().as_bytes(), given);
        let names: Vec<_> = head.headers().map(|header| header.name.to_owned()).collect();
        assert_eq!(names, ["Host", "X-A", "X-Request-ID"]);
        assert_eq!((head.target(), head.header("x-a")), (&b"/"[..], Some(&b"b"[..])));
    }
}

#[test]
fn an_identifier_that_came_is_kept() {
    let mut head = head(&get("X-Request-ID: came\r\n"));
    head.identify(|| panic!("one is there"));
    assert_eq!(head.echo().unwrap().as_bytes(), b"came");
    assert_eq!(head.headers().len(), 2);
}
