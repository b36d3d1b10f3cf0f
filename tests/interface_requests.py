"""The requests that both interfaces are asked, in groups; a group is asked in its order."""

from dataclasses import dataclass
from itertools import product

JOURNAL = "/journal"


@dataclass(frozen=True)
class Exchange:
    """A request as it goes over the wire; the connection ends with its answer."""

    name: str
    bytes: bytes


def ask(
    target: str | bytes,
    *fields: str | bytes,
    method: str = "GET",
    body: bytes | None = None,
    host: str | None = "example.com:8080",
    version: str = "HTTP/1.1",
) -> Exchange:
    """A request with these fields; a Content-Length is added to a body unless it is chunked."""
    target = target.encode("latin-1") if isinstance(target, str) else target
    lines = [method.encode() + b" " + target + b" " + version.encode(), b"Connection: close"]
    # Servers give identifiers of their own to requests without one.
    lines.append(b"X-Request-ID: asked")
    lines += [] if host is None else [b"Host: " + host.encode()]
    lines += [it.encode("latin-1") if isinstance(it, str) else it for it in fields]
    if body is not None and b"Transfer-Encoding: chunked" not in lines:
        lines.append(b"Content-Length: %d" % len(body))
    name = f"{method} {target!r} {fields} {len(body or b'')} bytes"
    return Exchange(name, b"\r\n".join(lines) + b"\r\n\r\n" + (body or b""))


def post(target: str, content_type: str, body: bytes, *fields: str) -> Exchange:
    """A POST of that type."""
    return ask(target, f"Content-Type: {content_type}", *fields, method="POST", body=body)


def chunked(*pieces: bytes) -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=XX"


def part(name: str, data: bytes, *, filename: str | None = None, more: str = "") -> bytes:
    """A part of a form with files."""
    named = f'; filename="{filename}"' if filename is not None else ""
    head = f'--XX\r\nContent-Disposition: form-data; name="{name}"{named}\r\n{more}\r\n'
    return head.encode() + data + b"\r\n"


def parts(*made: bytes) -> bytes:
    """A whole form of parts."""
    return b"".join(made) + b"--XX--\r\n"


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "get", "Post")

methods = [
    ask(target, method=method, body=body)
    for method, target in product(
        METHODS, ("/hello", "/seen", "/class", "/missing", "/slash", "/make/stream", "/form")
    )
    for body in ((None,) if method in ("GET", "HEAD", "get") else (None, b"body"))
]

QUERIES = (
    "", "a", "a=", "=a", "=", "&", "&&a&&", "a=1&a=2&b=3", "a=b=c", "a+b=c+d", "a%20b=%26%3D",
    "%C3%A4=%E2%82%AC", "%FF=%FE", "a=%", "a=%2", "a=%zz", "a=%u1234", "a;b=c", "a=1;b=2", "a[]=1",
    "a=%00", "a=%0d%0a", "+", "%", "a=%2B", "x=" + "y" * 3000, "a=%C3", "a=%c3%a4%E4",
    "&".join(f"f{n}=1" for n in range(20)), "&".join(f"f{n}=1" for n in range(21)),
    "&".join("a=1" for _ in range(19)) + "&", "a==", "a=&&b", "%3D=%3D", "?a=1", "a=1?b=2",
    "a=/../", "a=//", "%e4=1", "a=%ed%a0%80", "a=%f0%9f%92%a9",
)  # fmt: skip
queries = [ask(f"/seen?{query}") for query in QUERIES] + [
    ask("/seen"),
    ask(b"/seen?a=\xc3\xa4"),
    ask(b"/seen?\xe4=\xff&a=%41"),
    *(ask(f"/request/immutable?{query}") for query in QUERIES[:12]),
    *(ask(f"/request/encoded?{query}") for query in QUERIES[:14]),
]

paths = [
    ask(path)
    for path in (
        "//", "///hello", "/any/", "/any/%20", "/any/%C3%A4", "/any/%FF%C3%A4", "/any/%e2%82%ac",
        "/any/a%2Fb", "/any/a/../b", "/any/./b", "/any/%2e%2e/b", "/any/a//b", "/any/%00",
        "/any/%0a", "/any/%25", "/any/%", "/any/%2", "/any/%zz", "/any/a+b", "/any/a;b=c",
        "/any/a:b@c", "/any/~!$&'()*,", "/any/%F0%9F%92%A9", "/any/%ED%A0%80", "/any/%C0%AF",
        "/any/" + "x" * 2000, "/slash", "/slash/", "/slash?a=1", "/inner/12/name/",
        "/inner/x/name/", "/inner/12/name", "/pair/a%2Fb/1", "/pair/%C3%A4/22", "/pair/a/b",
        "/Hello", "/hello/", "/local-page/", "/de/local-page/", "/de/local-page", "/xx/local-page/",
        "http://example.com/seen?absolute", "http://example.org:81/seen", "/any/%41%42",
        "/any/a%0d%0aX:b", "/any/%80", "/any/%c3%28", "/any/%25C3",
    )
] + [ask(b"/any/\xc3\xa4"), ask(b"/any/\xff"), ask("*", method="OPTIONS")]  # fmt: skip

COOKIES = (
    "a=1", "a=1; b=2", "a=1;b=2", "a=1;  b = 2 ;", "a", "=a", "a=", ";", ";;", "a=b=c", "a=1; a=2",
    'a="quoted"', 'a="b\\"c"', 'a="b;c"', 'a="\\303\\244"', "a=%20", "a=\xc3\xa4", "\xe4=1",
    "a=\t1", "a b=c d", "a,b=c", "a=1, b=2", "$Version=1; a=2", "a=\"", 'a="', "a=''", "a={}",
    "x=" + "y" * 3000, "csrftoken=short", "sessionid=nothing", "signed=mine:forged",
    "a=\x7f", "a=1;\xa0b\xa0=2",
)  # fmt: skip
cookies = [ask("/seen", f"Cookie: {cookie}") for cookie in COOKIES] + [
    ask("/seen", "Cookie: a=1", "Cookie: b=2"),
    ask("/seen"),
    ask("/request/signed", "Cookie: signed=mine"),
    ask("/make/cookies"),
    ask("/make/cookies", method="HEAD"),
]

headers = [
    ask("/seen", *fields)
    for fields in (
        ("X-Test: 1",), ("X-Test: 1", "X-Test: 2"), ("x-test: lower",), ("X_Test: hidden",),
        ("X-Latin: \xe4",), (b"X-Utf: \xc3\xa4",), ("X-Empty:",), ("X-Tab: a\tb",),
        ("Accept: text/html;q=0.5, application/json",), ("Accept: */*;q=0",), ("Accept:",),
        ("Accept-Language: de, en;q=0.5",), ("Accept-Language: fr-CA",), ("Accept-Language: xx",),
        ("Accept-Encoding: gzip",), ("User-Agent: Mozilla/5.0 (X11)",), ("Referer: /x",),
        ("X-Forwarded-Proto: https",), ("X-Forwarded-Proto: http",),
        ("X-Forwarded-Proto: https, http",), ("X-Forwarded-Host: evil.com",),
        ("X-Forwarded-For: 1.2.3.4",), ("Authorization: Basic YTpi",), ("Range: bytes=0-3",),
        ("Content-Type: text/plain",), ("Content-Type:",), ("Content-Type: Text/HTML",),
        ("Content-Type: text/plain; charset=iso-8859-1",), ("Content-Type: a/b; charset=nope",),
        ("Content-Type: a/b; charset",), ('Content-Type: a/b; x="y;z"',), ("Content-Type: \xe4/b",),
        ("Content-Type: a/b;",), ("Content-Type: ;",), ("Content-Type: a b/c",),
        ("Content-Type: a/b; x*=utf-8''%e2%82%ac",), ("Content-Type: a/b; x*=bad''%e2",),
        ("Content-Type: a/b", "Content-Type: c/d"), ("Content-Type: " + "x" * 200,),
        ("Content-Type: a/" + "x" * 12000,), ("Content-Type: a/b; c=" + "x" * 12000,),
        ("X-Long: " + "x" * 8000,), tuple(f"X-{n}: {n}" for n in range(60)), ("Upgrade: h2c",),
        ("Cache-Control: no-cache", "Pragma: no-cache"), ("Origin: http://example.com",),
        ("X-Requested-With: XMLHttpRequest",), ("Expect: nothing",), ("TE: trailers",),
    )
] + [ask(f"/request/{what}", "X-Test: 1", "Accept-Language: de") for what in (
    "twins", "pickled", "changed", "shapes", "header", "preferred", "user", "language", "environ",
)]  # fmt: skip
headers += [
    ask(f"/request/{what}?a=1&b=%C3%A4", "Cookie: a=b; c=d", f"Content-Type: {FORM}",
        method="POST", body=b"x=y")
    for what in ("twins", "pickled", "changed", "shapes", "encoded", "environ")
]  # fmt: skip
hosts = [
    ask("/seen", host=host)
    for host in (
        "example.com", "EXAMPLE.com", "example.com:80", "example.com:443", "evil.com",
        "www.example.org", "example.com.", "[::1]", "[::1]:8000", "127.0.0.1:1", "a b", "",
        "example.com:port", "example.com@evil.com", "localhost:99999",
    )
] + [
    ask("/hello", host=None, version="HTTP/1.0"),
    ask("/make/stream", version="HTTP/1.0"),
]  # fmt: skip

FORMS = (
    b"", b"a=1", b"a=1&a=2&b=", b"a=%C3%A4&b=\xc3\xa4", b"a=%FF", b"a=\xff", b"&&", b"a+b=c+d",
    b"&".join(b"f%d=1" % n for n in range(25)), b"a=" + b"x" * 99_000, b"a=" + b"x" * 101_000,
)  # fmt: skip
bodies = [post("/seen", FORM, form) for form in FORMS]
bodies += [post("/seen", f"{FORM}; charset={name}", b"a=%E4") for name in ("iso-8859-1", "utf-8")]
bodies += [
    post(f"/read/{how}", content_type, body)
    for how, content_type, body in product(
        ("body", "twice", "form", "begin", "pieces", "lines", "readline", "readlines", "input",
         "stream", "nothing"),
        (FORM, "text/plain", MULTIPART),
        (b"", b"abc=def\nghi=jkl\n", b"line\n" * 5000),
    )
]  # fmt: skip
bodies += [
    ask(f"/read/{how}", f"Content-Type: {kind}", "Transfer-Encoding: chunked", method="POST",
        body=chunked(b"abc=", b"def", b"\n" * 20))
    for how, kind in product(("body", "twice", "lines", "nothing"), (FORM, "text/plain"))
]  # fmt: skip
bodies += [
    post("/read/json", "application/json", b'{"a": [1, 2]}'),
    post("/read/json", "application/json; charset=utf-8", b'{"a": "\xc3\xa4"}'),
    post("/read/json", "application/json", b"\xff"),
    ask("/read/body", method="PUT", body=b"put"),
    ask("/read/body", method="DELETE", body=b"delete"),
    ask("/read/body", method="GET", body=b"get"),
    ask("/seen", f"Content-Type: {FORM}", method="PUT", body=b"a=1"),
    ask("/read/body", "Expect: 100-continue", method="POST", body=b"1234"),
]

uploads = [
    post(target, content_type, body)
    for target, content_type, body in (
        ("/upload", MULTIPART, parts()),
        ("/upload", MULTIPART, b""),
        ("/upload", MULTIPART, parts(part("a", b"1"), part("a", b"2"), part("b", b"\xc3\xa4"))),
        ("/upload", MULTIPART, parts(part("f", b"text", filename="f.txt"))),
        ("/upload", MULTIPART, parts(part("f", b"x" * 9_000, filename="small"))),
        ("/upload", MULTIPART, parts(part("f", b"x" * 30_000, filename="large"), part("a", b"1"))),
        ("/upload", MULTIPART, parts(part("f", b"", filename="empty"))),
        ("/upload", MULTIPART, parts(part("f", b"1", filename=""))),
        ("/upload", MULTIPART, parts(part("f", b"1", filename="../../etc/passwd"))),
        ("/upload", MULTIPART, parts(part("f", b"1", filename="C:\\x\\y.txt"))),
        ("/upload", MULTIPART, parts(part("f", b"1", filename="\u00e4.txt"))),
        (
            "/upload",
            MULTIPART,
            parts(part("f", b"1", filename="t", more="Content-Type: text/x; charset=a\r\n")),
        ),
        (
            "/upload",
            MULTIPART,
            parts(
                part("f", b"QUJD", filename="b", more="Content-Transfer-Encoding: base64\r\n"),
                part("g", b"?", filename="b", more="Content-Transfer-Encoding: base64\r\n"),
            ),
        ),
        ("/upload", MULTIPART, b"".join(part("f", b"1", filename=f"{n}") for n in range(6))),
        ("/upload", MULTIPART, parts(*(part("f", b"1", filename=f"{n}") for n in range(7)))),
        ("/upload", MULTIPART, parts(*(part("a", b"1") for _ in range(30)))),
        ("/upload", MULTIPART, parts(part("a", b"x" * 120_000))),
        ("/upload", MULTIPART, part("f", b"no end", filename="f")),
        ("/upload", MULTIPART, b"--YY\r\n\r\nother boundary\r\n--YY--\r\n"),
        ("/upload", "multipart/form-data", parts(part("a", b"1"))),
        ("/upload", "multipart/form-data; boundary=", parts(part("a", b"1"))),
        ("/upload", 'multipart/form-data; boundary="XX"', parts(part("a", b"1"))),
        ("/upload", "multipart/form-data; boundary=" + "X" * 250, parts(part("a", b"1"))),
        ("/upload", "multipart/mixed; boundary=XX", parts(part("a", b"1"))),
        ("/upload?quota", MULTIPART, parts(part("f", b"x" * 200_000, filename="f"))),
        ("/upload?bad", MULTIPART, parts(part("f", b"x" * 200_000, filename="f"))),
        ("/seen", MULTIPART, parts(part("f", b"text", filename="f.txt"), part("a", b"1"))),
        ("/upload", f"{MULTIPART}; charset=iso-8859-1", parts(part("a", b"\xe4"))),
    )
]

KINDS = (
    "bytes", "memory", "empty", "iterator", "written", "number", "latin", "charset", "large",
    "compressible", "json", "json-list", "json-unsafe", "cookies", "reason", "no-reason",
    "reason-bytes", "latin-header", "wide-header", "split-header", "own-length", "short-length",
    "own-date", "own-server", "connection", "many", "redirect", "redirect-301", "redirect-bad",
    "redirect-named", "not-modified", "not-allowed", "gone", "string-status", "early", "closing",
    "overridden", "derived", "patched", "stream", "stream-empty", "stream-list", "stream-length",
    "stream-many", "stream-async", "stream-broken", "stream-broken-at-once", "file", "file-at",
    "file-attached", "file-typed", "file-memory", "file-nameless", "file-pipe", "file-iterator",
    "file-short", "file-204", "template", "none", "text", "coroutine", "unheard-of",
)  # fmt: skip
responses = [
    ask(f"/make/{kind}{query}", *fields, method=method)
    for kind in KINDS
    for method, query, fields in (
        ("GET", "", ()),
        ("HEAD", "?close", ()),
        ("GET", "?close", ("Accept-Encoding: gzip",)),
    )
] + [ask(JOURNAL)]
statuses = [
    ask(f"/status/{code}", method=method)
    for code in (200, 201, 202, 204, 205, 206, 301, 304, 307, 400, 401, 404, 405, 410, 418, 422,
                 429, 451, 499, 500, 501, 503, 599, 600, 99, 100, 101, 199)
    for method in ("GET", "HEAD")
] + [ask(JOURNAL)]  # fmt: skip

FAULTS = (
    "404", "403", "400", "suspicious", "host", "large", "fields", "multipart", "configured",
    "value", "unicode", "signature", "exit", "interrupt", "generator",
)  # fmt: skip
errors = [
    ask(f"/raise/{kind}", *fields, method=method)
    for kind in FAULTS
    for method, fields in (("GET", ()), ("POST", ()), ("GET", ("X-Catch: 1",)))
]
errors += [
    ask(target, f"X-Outermost: {wish}", "Cookie: own=1")
    for wish in ("answer", "raise", "exit", "none", "meta", "cookie", "path", "after")
    for target in ("/seen?own=1", "/raise/value", "/make/stream")
]
errors += [
    ask("/hello", "X-View: 1"),
    ask("/inner/3/x/", "X-View: 1"),
    ask("/raise/404", "X-View: 1"),
]
errors += [ask(JOURNAL)]

TAGS = ('"stable"', 'W/"stable"', '"other"', "*", '"a", "stable"', "stable", "")
DATES = ("Mon, 01 Jan 2024 00:00:00 GMT", "Sun, 31 Dec 2023 00:00:00 GMT", "never")
conditional = [
    ask(target, f"{field}: {value}", method=method)
    for target, method in (("/conditional", "GET"), ("/conditional", "HEAD"), ("/hello", "GET"))
    for field, values in (
        ("If-None-Match", TAGS),
        ("If-Match", TAGS),
        ("If-Modified-Since", DATES),
        ("If-Unmodified-Since", DATES),
    )
    for value in values
]
conditional += [
    ask(f"/cached/{kind}{query}", *fields)
    for kind in ("page", "never", "control", "vary", "noted", "value")
    for query, fields in (("", ()), ("", ()), ("?x=1", ()), ("?x=1", ("Accept-Encoding: gzip",)))
] + [ask(JOURNAL)]

languages = [
    ask(target, *fields)
    for target in ("/page", "/local-page/", "/de/local-page/", "/i18n/setlang/", "/form")
    for fields in (
        (), ("Accept-Language: de",), ("Accept-Language: fr;q=0.8, de;q=0.9",),
        ("Cookie: django_language=fr",), ("Accept-Language: xx, *;q=0.1",),
    )
] + [
    post("/i18n/setlang/", FORM, b"language=de&next=/hello"),
    post("/i18n/setlang/", FORM, b"language=de&next=http://evil.com/", "Referer: /x"),
    ask(JOURNAL),
]  # fmt: skip

TOKEN = "t" * 32
csrf = [
    post("/form", FORM, b"name=ada&count=3", *fields)
    for fields in (
        (),
        (f"Cookie: csrftoken={TOKEN}",),
        (f"Cookie: csrftoken={TOKEN}", f"X-CSRFToken: {TOKEN}"),
        (f"Cookie: csrftoken={TOKEN}", "X-CSRFToken: wrong"),
        (f"Cookie: csrftoken={TOKEN}", f"X-CSRFToken: {TOKEN}", "Origin: http://evil.com"),
        (f"Cookie: csrftoken={TOKEN}", f"X-CSRFToken: {TOKEN}", "Origin: null"),
        (f"Cookie: csrftoken={TOKEN}", f"X-CSRFToken: {TOKEN}", "X-Forwarded-Proto: https"),
        (
            f"Cookie: csrftoken={TOKEN}",
            f"X-CSRFToken: {TOKEN}",
            "X-Forwarded-Proto: https",
            "Referer: https://example.com:8080/",
        ),
    )
]
csrf += [
    post(
        "/form",
        FORM,
        form + b"&csrfmiddlewaretoken=" + TOKEN.encode(),
        f"Cookie: csrftoken={TOKEN}",
    )
    for form in (b"name=ada&count=3", b"name=toolong&count=0", b"", b"count=x")
]
csrf += [post("/form", MULTIPART, parts(part("name", b"a")), f"Cookie: csrftoken={TOKEN}")]
csrf += [ask("/form"), ask("/page"), ask("/form", f"Cookie: csrftoken={TOKEN}"), ask(JOURNAL)]

sessions = [
    ask(f"/session/{what}", *fields)
    for what in ("look", "set", "set", "expiry?age=0", "expiry?age=60", "cycle", "login", "look",
                 "logout", "flush", "look")
    for fields in ((), ("Cookie: sessionid=" + "s" * 32,))
] + [ask("/page"), ask("/page", "Cookie: messages=forged"), ask(JOURNAL)]  # fmt: skip

threads = [
    it
    for what in ("look", "urlconf", "none", "both", "prefix", "language", "zone")
    for it in (
        ask(f"/local/{what}"), ask("/local/look"), ask("/hello"), ask("/missing"),
        ask("/raise/404"), ask("/local/look", "Accept-Language: de"),
    )
]  # fmt: skip

NOTED = (
    "/hello",
    "/seen?a=1",
    "/make/stream",
    "/make/file",
    "/raise/value",
    "/missing",
    "/any/%C3%A4",
)
signals = [
    it
    for what in ("started", "finished", "raised", "refused-start", "refused-end")
    for it in (
        ask(f"/signal/{what}"),
        *(ask(target) for target in NOTED),
        ask("/seen", "X-Elsewhere: /hello"),
        ask(JOURNAL),
        ask(f"/signal/{what}?off"),
        ask(f"/signal/{what}?off"),
        ask("/hello"),
        ask(JOURNAL),
    )
]

databases = [
    ask(f"/database/{what}")
    for what in ("look", "count", "look", "atomic", "queries", "queries", "open", "look", "count",
                 "broken", "look", "count", "look")
] + [ask(JOURNAL)]  # fmt: skip

waiting = [
    ask(f"/waiting/{kind}", method=method)
    for kind in ("count", "sleep", "together", "local", "task", "404", "value", "cookies", "stream",
                 "broken", "none", "unheard-of")
    for method in ("GET", "HEAD")
] + [
    ask("/waiting/any?user"), ask("/waiting-class?a=1"), ask("/waiting-class", method="POST"),
    ask("/waiting-atomic"),
    ask("/database/look"), ask("/local/look"), ask(JOURNAL),
]  # fmt: skip

GROUPS: dict[str, list[Exchange]] = {
    "methods": methods,
    "queries": queries,
    "paths": paths,
    "cookies": cookies,
    "headers": headers,
    "hosts": hosts,
    "bodies": bodies,
    "uploads": uploads,
    "responses": responses,
    "statuses": statuses,
    "errors": errors,
    "conditional": conditional,
    "languages": languages,
    "csrf": csrf,
    "sessions": sessions,
    "threads": threads,
    "signals": signals,
    "databases": databases,
    "waiting": waiting,
}
