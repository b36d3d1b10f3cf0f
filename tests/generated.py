"""Connections that a parser should think about: a grammar's, damaged, the same for a seed."""

import random
from collections.abc import Iterator

from packages import ROOT


def pool(text: bytes) -> tuple[bytes, ...]:
    """What stands between bars, with Python's escapes."""
    decoded = text.decode("ascii").encode().decode("unicode_escape").encode("latin-1")
    return tuple(decoded.split(b"|"))


METHODS = pool(
    rb"GET|POST|HEAD|PUT|OPTIONS|DELETE|PATCH|get|M-SEARCH|CONNECT|PRI|X|G ET||GE\tT|"
    rb"G\x80T|!#$%&'*+-.^_`~"
)
TARGETS = pool(
    rb"/|/a/b?c=d|/%2e%2e|//a|*|http://a/|http://a:80/?b|https://a|http://u@a/|a:1|/#f|"
    rb"/\xc3\xa4|/\xff||/a b|?a|ftp://a/|http:///|/\x7f|/\x01|/\t"
)
VERSIONS = (
    (b"HTTP/1.1",) * 12
    + (b"HTTP/1.0",) * 3
    + pool(rb"HTTP/1.2|HTTP/0.9|HTTP/2.0|HTTP/1|http/1.1|HTTP/01.1|HTTP/1.10||HTTP/1.1 | HTTP/1.1")
)
ENDS = (b"\r\n",) * 30 + pool(rb"\n|\r|\r\r\n|\n\r| \r\n|\x00\r\n|\r\n ")
HOSTS = (b"a",) * 6 + pool(rb"a:80|[::1]:80||a b|a/|a,b|u@a|a:b|[::1|\xe4|%41|a:|:80")
LENGTHS = pool(
    rb"0|1|5|05|+5|-1|5,5|5, 5|0x5|5 || 5|5_0|18446744073709551616|99999999999999999999999|"
    rb"1e1|5;|\x0b5|\xb2|50"
)
CODINGS = (b"chunked",) * 4 + pool(
    rb"Chunked|chunked, chunked|gzip, chunked|chunked, gzip|gzip|identity||chunked;a=b|"
    rb""", chunked|chunked,|\x0bchunked|chunke|xchunked|"chunked"|chunked\x00"""
)
CONNECTIONS = pool(rb"close|keep-alive|Close|close, keep-alive|upgrade|te||close\x00")
OTHERS = pool(
    rb"A: b|A:b|A :b|A\t: b|: b|A|A:|A: b\x00c|A: b\x01c|A: b\x7fc|A: \xe4|\xe4: b|A b: c|"
    rb"A_b: c| A: b|A: b\r\n c|A: b\r\n\tc|A: b\rc|A: b\nC: d|A(b: c|Expect: 100-continue|"
    rb"Expect: x|Upgrade: websocket|Upgrade: h2c|Proxy-Connection: close|A:\t b \t|"
    rb"A: b\x0bc|A: b\x85c|"
)
SIZES = (b"5",) * 6 + pool(
    rb"""05|0x5|+5|-5| 5|5 |5;a|5;a=b|5;a="b;c"|5; a|5 ;a|5\t|g||5;|5;a=|5;a="b|5_|"""
    rb"""ffffffffffffffff5|5;\x00|5;a\xe4|5\x0b|5;a\nb|5;a=\x22\\\x22\x22"""
)
TRAILERS = (b"",) * 8 + pool(
    rb"A: b|Content-Length: 5|A| A: b|A : b|: b|A: b\r\n c|A: \x00|"
    rb"Transfer-Encoding: chunked"
)
DAMAGE = pool(
    rb"""\r|\n|\r\n| |\t|\x00|:|;|,|0|5|\xff|"|\x0b|\x7f|\r\n\r\n|GET / HTTP/1.1\r\n|"""
    rb"Content-Length: 5\r\n|Transfer-Encoding: chunked\r\n"
)


def connections(seed: int, count: int) -> Iterator[bytes]:
    """So many; a seed is known by its numbers alone."""
    chance = random.Random(seed)
    for _ in range(count):
        requests = (request(chance) for _ in range(chance.choice((1, 1, 1, 2, 3))))
        data = b"".join(requests)
        for _ in range(chance.choice((0, 0, 0, 0, 1, 1, 3))):
            data = damaged(chance, data)
        yield data


def request(chance: random.Random) -> bytes:
    """Right in most places, odd in some."""

    def odd(choices: tuple[bytes, ...], right: bytes, often: float = 0.06) -> bytes:
        return chance.choice(choices) if chance.random() < often else right

    def end() -> bytes:
        return odd(ENDS, b"\r\n", 0.03)

    method = chance.choice(METHODS[:7]) if chance.random() < 0.9 else chance.choice(METHODS)
    line = method + b" " + odd(TARGETS, b"/a") + b" " + odd(VERSIONS, b"HTTP/1.1") + end()
    fields = [b"Host: " + odd(HOSTS, b"a")] if chance.random() < 0.96 else []
    body = b""
    kind = chance.random()
    if kind < 0.35:
        length = odd(LENGTHS, b"5", 0.2)
        fields.append(odd((b"content-length: ", b"Content-Length:", b"Content-Length : ",
                           b"Content_Length: "), b"Content-Length: ") + length)  # fmt: skip
        body = odd((b"", b"hell", b"hello\r\n"), b"hello", 0.2)
    if 0.33 < kind < 0.7:
        fields.append(odd((b"transfer-encoding:", b"Transfer-Encoding : ", b"Transfer_Encoding: "),
                          b"Transfer-Encoding: ") + odd(CODINGS, b"chunked", 0.12))  # fmt: skip
        body = chunked(chance)
    fields.extend(chance.choice(OTHERS) for _ in range(chance.choice((0, 0, 0, 1, 2))))
    if chance.random() < 0.2:
        fields.append(b"Connection: " + chance.choice(CONNECTIONS))
    if chance.random() < 0.06:
        fields.append(chance.choice(fields or [b"A: b"]))
    chance.shuffle(fields)
    head = line + b"".join(it + end() for it in fields) + end()
    return odd((b"\r\n", b"\n", b"\r\n\r\n", b" ", b"\x00"), b"", 0.04) + head + body


def chunked(chance: random.Random) -> bytes:
    """A chunked body, most of them right."""

    def end() -> bytes:
        return chance.choice(ENDS) if chance.random() < 0.03 else b"\r\n"

    chunks = [
        (chance.choice(SIZES) if chance.random() < 0.2 else b"5") + end() + b"hello" + end()
        for _ in range(chance.choice((0, 1, 1, 2)))
    ]
    last = chance.choice((b"00", b"0;a", b"0 ", b"")) if chance.random() < 0.1 else b"0"
    trailer = chance.choice(TRAILERS)
    return b"".join(chunks) + last + end() + (trailer + end() if trailer else b"") + end()


def damaged(chance: random.Random, data: bytes) -> bytes:
    """With one change somewhere."""
    at = chance.randrange(len(data) + 1)
    match chance.randrange(5):
        case 0:
            return data[:at] + chance.choice(DAMAGE) + data[at:]
        case 1:
            return data[:at] + data[at + chance.choice((1, 1, 2, 7)) :]
        case 2:
            return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        case 3:
            other = chance.randrange(len(data) + 1)
            return data[:at] + data[other : other + 20] + data[at:]
        case _:
            return data[:at]


def seeds() -> list[bytes]:
    """What the fuzz targets begin with, and what they have crashed on."""
    corpus = ROOT / "fuzz/corpus"
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    found = [it.read_bytes() for it in sorted((corpus / "head").iterdir())]
    found += [head + it.read_bytes() for it in sorted((corpus / "chunked").iterdir())]
    # The first bytes of these say how they are cut.
    found += [it.read_bytes()[6:] for it in sorted((corpus / "connection").iterdir())]
    return found
