"""Runs a command where no inotify can be had: ``refuse_inotify.py COMMAND…``.

The kernel answers EMFILE to a user who has as many instances as are allowed.
"""

import errno
import os
import platform
import sys

from refuse_ring import refuse

INOTIFY_INIT1 = {"x86_64": 294, "aarch64": 26}

if __name__ == "__main__":
    refuse(errno.EMFILE, [INOTIFY_INIT1[platform.machine()]])
    os.execvp(sys.argv[1], sys.argv[1:])
