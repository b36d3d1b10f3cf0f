"""A client that is not on this machine: TCP by hand through a TUN device, in a network of its own.

Over loopback a handshake is whole in one moment. Here a test says when its last packet comes.
"""

import ctypes
import fcntl
import os
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SERVER, CLIENT = "10.66.0.1", "10.66.0.2"
TUN = Path("/dev/net/tun")
CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
ANSWER_SECONDS_MAX = 10.0


def play(test: Callable[["Network"], None]) -> None:
    """Runs a test in a network of its own, with all processes that it starts."""
    if os.geteuid() != 0 or not TUN.exists():
        pytest.skip("no network of our own can be made here")
    failures: list[BaseException] = []

    def run() -> None:
        try:
            # `os.unshare` is there since Python 3.12.
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            network = Network()
            try:
                test(network)
            finally:
                network.close()
        except BaseException as failure:  # noqa: BLE001
            failures.append(failure)

    # A network belongs to a thread and to what it starts.
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


class Network:
    """The wire to the client, which is us."""

    def __init__(self) -> None:
        self.wire = os.open(TUN, os.O_RDWR)
        fcntl.ioctl(self.wire, TUNSETIFF, struct.pack("16sH", b"remote", IFF_TUN | IFF_NO_PI))
        subprocess.run(["ip", "address", "add", f"{SERVER}/24", "dev", "remote"], check=True)
        subprocess.run(["ip", "link", "set", "remote", "up"], check=True)
        self.next_port = 40_000
        self.arrived: dict[int, list[Segment]] = {}

    def close(self) -> None:
        """Cuts the wire."""
        os.close(self.wire)

    def begin(self, port: int) -> "Handshake":
        """Sends a SYN and receives what the server says to it."""
        self.next_port += 1
        handshake = Handshake(self, self.next_port, port)
        handshake.send(SYN)
        handshake.sent += 1
        first = self.receive(handshake.local)
        handshake.is_refused = bool(first.flags & RST)
        handshake.expected = first.sequence + 1
        return handshake

    def receive(self, port: int) -> "Segment":
        """The next segment for one of our ports."""
        end = time.monotonic() + ANSWER_SECONDS_MAX
        while not self.arrived.get(port):
            readable, _, _ = select.select([self.wire], [], [], max(end - time.monotonic(), 0))
            assert readable, f"nothing came for port {port}"
            packet = os.read(self.wire, 65536)
            # The kernel also says hello in IPv6.
            if packet[0] >> 4 == 4 and packet[9] == socket.IPPROTO_TCP:
                segment = Segment(packet[(packet[0] & 0xF) * 4 :])
                self.arrived.setdefault(segment.port, []).append(segment)
        return self.arrived[port].pop(0)


class Segment:
    """One TCP segment from the server."""

    def __init__(self, data: bytes) -> None:
        _, self.port, self.sequence, _, offset, self.flags = struct.unpack("!HHIIBB", data[:14])
        self.data = data[(offset >> 4) * 4 :]


class Handshake:
    """A connection whose last packet of the handshake has not been sent."""

    def __init__(self, network: Network, local: int, port: int) -> None:
        self.network = network
        self.local = local
        self.port = port
        self.sent = 1000
        self.expected = 0
        self.is_refused = False

    def finish(self, data: bytes) -> None:
        """Sends that packet, and a request with it."""
        self.send(ACK | PSH, data)
        self.sent += len(data)

    def answer(self) -> bytes:
        """Everything up to the server's FIN; a reset fails the test."""
        answer = b""
        while True:
            segment = self.network.receive(self.local)
            assert not segment.flags & RST, f"reset after {answer!r}"
            # What was sent before, such as the second packet of the handshake, comes again.
            if segment.sequence != self.expected or segment.flags & SYN:
                continue
            answer += segment.data
            self.expected += len(segment.data) + bool(segment.flags & FIN)
            self.send(ACK)
            if segment.flags & FIN:
                self.send(ACK | FIN)
                return answer

    def send(self, flags: int, data: bytes = b"") -> None:
        """Sends one segment."""
        acknowledged = self.expected if flags & ACK else 0
        head = struct.pack(
            "!HHIIBBHHH",
            *(self.local, self.port, self.sent, acknowledged, 5 << 4, flags, 0xFFFF, 0, 0),
        )
        addresses = socket.inet_aton(CLIENT) + socket.inet_aton(SERVER)
        pseudo = addresses + struct.pack("!HH", socket.IPPROTO_TCP, len(head) + len(data))
        tcp = head[:16] + struct.pack("!H", checksum(pseudo + head + data)) + head[18:] + data
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, socket.IPPROTO_TCP, 0)
        ip = ip[:10] + struct.pack("!H", checksum(ip + addresses)) + addresses
        os.write(self.network.wire, ip + tcp)


def checksum(data: bytes) -> int:
    """As the internet protocols have it."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
