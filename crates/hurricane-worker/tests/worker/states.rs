//! The table of a connection's states, row by row, over sockets; the rows are those that stand at
//! `Waiting` in `registry.rs`.

use std::io::{Read, Write};
use std::time::Duration;

use hurricane_http::{Application, Body, Limits, Request, Response, service};
use socket2::SockRef;

use crate::harness::{Client, Harness, on_both};

/// More than two sockets hold.
const LARGE_BYTES: usize = 64 << 20;
/// What is read of a refused body.
const REFUSED_BYTES: usize = 4096;
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LARGE: &[u8] = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
const PART: &[u8] = b"GET / HTTP/1.1\r\nHo";
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
const CHUNKED: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const BROKEN: &[u8] = b"GET / HTTP/1.1\r\nHost : a\r\n";

/// State, event, and what is done to see the rest of the row.
type Row = (&'static str, &'static str, fn(&Harness, &mut Client));

/// On a server without short deadlines.
const BY_EVENTS: [Row; 18] = [
    ("Request", "a part of a head", |_, client| {
        client.send(PART);
        client.send(b"st: a\r\n\r\n");
        answers(client, "200", b"");
    }),
    ("Request", "a whole head", |_, client| {
        client.send(GET);
        answers(client, "200", b"");
    }),
    ("Request", "the peer's end", |_, client| {
        client.finish();
        assert_eq!(client.rest(), b"");
    }),
    ("Head", "the rest of it, with a body to come", |_, client| {
        client.send(&POST[..20]);
        client.send(&POST[20..]);
        client.send(b"hello");
        answers(client, "200", b"hello");
    }),
    ("Head", "the rest of it", |_, client| {
        client.send(&GET[..20]);
        client.send(&GET[20..]);
        answers(client, "200", b"");
    }),
    ("Head", "a broken rule", |_, client| {
        client.send(BROKEN);
        ends_with(client, "400");
    }),
    ("Head", "the peer's end", |_, client| {
        client.send(PART);
        client.finish();
        assert_eq!(client.rest(), b"");
    }),
    ("Body", "the rest of it", |_, client| {
        client.send(POST);
        client.send(b"he");
        client.send(b"llo");
        answers(client, "200", b"hello");
    }),
    ("Body", "a broken rule", |_, client| {
        client.send(CHUNKED);
        client.send(b"no size\r\n");
        ends_with(client, "400");
    }),
    ("Body", "the peer's end", |_, client| {
        client.send(POST);
        client.send(b"he");
        client.finish();
        assert_eq!(client.rest(), b"");
    }),
    ("Reply", "an answer", |_, client| {
        for _ in 0..2 {
            client.send(GET);
            answers(client, "200", b"");
        }
    }),
    ("Reply", "the last answer", |_, client| {
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        ends_with(client, "200");
    }),
    ("Reply", "a panic of the application", |_, client| {
        client.send(b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\n");
        ends_with(client, "500");
    }),
    ("Reply", "the peer's end at once", |_, client| {
        client.send(GET);
        client.finish();
        ends_with(client, "200");
    }),
    ("Reply", "the next request", |_, client| {
        client.send(&[POST, b"first", POST, b"later"].concat());
        answers(client, "200", b"first");
        answers(client, "200", b"later");
    }),
    ("Write", "the peer takes it all", |_, client| {
        client.send(LARGE);
        assert_eq!(client.response().1.len(), LARGE_BYTES);
        client.send(GET);
        answers(client, "200", b"");
    }),
    ("Write", "the peer's reset", |_, client| {
        client.send(LARGE);
        client.head();
        SockRef::from(&*client.stream()).set_linger(Some(Duration::ZERO)).unwrap();
    }),
    ("Linger", "the peer's end", |_, client| {
        client.send(BROKEN);
        ends_with(client, "400");
        client.finish();
    }),
];

/// On a server that soon gives up.
const BY_DEADLINES: [Row; 5] = [
    ("Request", "the deadline", |_, client| assert_eq!(client.rest(), b"")),
    ("Head", "the deadline", |_, client| {
        client.send(PART);
        ends_with(client, "408");
    }),
    ("Body", "the deadline", |_, client| {
        client.send(POST);
        ends_with(client, "408");
    }),
    ("Write", "the deadline", |server, client| {
        client.send(LARGE);
        // Else there may be no connection yet.
        client.head();
        closed(server);
        let mut taken = Vec::new();
        // However it ends, by a reset as a rule.
        let _ = client.stream().read_to_end(&mut taken);
        assert!(taken.len() < LARGE_BYTES);
    }),
    ("Linger", "the deadline", |server, client| {
        client.send(BROKEN);
        ends_with(client, "400");
        // While our side is open.
        closed(server);
    }),
];

/// On a server that has time, and reads little of what it has refused.
const BY_BYTES: [Row; 1] = [("Linger", "more than is read of a refused body", |server, client| {
    client.send(BROKEN);
    ends_with(client, "400");
    // The last of it may meet the reset.
    let _ = client.stream().write_all(&[b'x'; 16 * REFUSED_BYTES]);
    closed(server);
})];

#[test]
fn each_row_of_the_table_is_as_it_says() {
    let patient = Limits {
        linger_timeout: Duration::from_secs(60),
        refused_body_bytes_max: REFUSED_BYTES,
        ..Limits::default()
    };
    let moment = Duration::from_millis(200);
    let hasty = Limits {
        // Not so short that the first bytes of a client could come too late.
        head_timeout: Duration::from_secs(1),
        keep_alive_timeout: Duration::from_secs(1),
        body_timeout: moment,
        write_timeout: moment,
        linger_timeout: moment,
        ..Limits::default()
    };
    on_both(|io| {
        for (limits, rows) in
            [(&patient, &BY_EVENTS[..]), (&patient, &BY_BYTES), (&hasty, &BY_DEADLINES)]
        {
            let server = Harness::start(io, limits.clone(), stages);
            for (state, event, try_it) in rows {
                eprint_row(state, event);
                let mut client = server.connect();
                try_it(&server, &mut client);
                drop(client);
                closed(&server);
            }
            server.stop();
        }
    });
}

#[test]
fn the_rows_are_those_of_the_table() {
    let mut table: Vec<(&str, &str)> = Vec::new();
    for line in include_str!("../../src/registry.rs").lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if let ["///", state, event, _, _, ""] = cells[..] {
            table.push((state, event));
        }
    }
    // Its head and the line below.
    let mut table = table.split_off(2);
    let all = BY_EVENTS.iter().chain(&BY_DEADLINES).chain(&BY_BYTES);
    let mut rows: Vec<_> = all.map(|(state, event, _)| (*state, *event)).collect();
    table.sort_unstable();
    rows.sort_unstable();
    assert_eq!(table, rows);
}

fn stages() -> impl Application {
    service(|request: Request| async move {
        let body = match (request.head.path(), request.body) {
            (b"/panic", _) => panic!("the application is broken"),
            (b"/large", _) => vec![b'x'; LARGE_BYTES],
            (_, Body::Memory(bytes)) => bytes,
            _ => Vec::new(),
        };
        Response::text(body)
    })
}

/// Shown where a row fails.
#[expect(clippy::print_stderr, reason = "a test's output is shown when it fails")]
fn eprint_row(state: &str, event: &str) {
    eprintln!("{state}: {event}");
}

fn answers(client: &mut Client, status: &str, body: &[u8]) {
    let (head, found) = client.response();
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    assert_eq!(found, body);
}

/// One answer, and then the server's end.
fn ends_with(client: &mut Client, status: &str) {
    let (head, _) = client.response();
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    assert_eq!(client.rest(), b"");
}

fn closed(server: &Harness) {
    server.until("the connection is closed", |server| server.reading().connections == 0);
}
