"""bjoern has no command line: this is what its documentation says to write, and TCP_NODELAY.

Without that a response in two pieces waits 40 ms for the client's delayed acknowledgement.
"""

import importlib
import socket
import sys

import bjoern

if __name__ == "__main__":
    sys.path.insert(0, "")
    module, name = sys.argv[1].split(":")
    application = getattr(importlib.import_module(module), name)
    listener = bjoern.bind_and_listen("127.0.0.1", int(sys.argv[2]))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bjoern.server_run(listener, application)
