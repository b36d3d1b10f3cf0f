"""The bytes of a probe, as a kubelet sends it."""

HOST = "127.0.0.1"


def request(target: str, port: int, referer: str | None = None) -> bytes:
    """One GET, its fields in the order in which Go's client writes them."""
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {HOST}:{port}",
        "User-Agent: kube-probe/1.36",
        "Accept: */*",
        *([f"Referer: {referer}"] if referer else []),
        "Connection: close",
        "\r\n",
    ]
    return "\r\n".join(lines).encode("latin-1")
