"""nginx as the tests start it: in the foreground, on a free port, writing in one directory."""

import os
import shutil
import subprocess
from pathlib import Path

import wire
from condition import wait_until
from serving import free_port

CONFIGURATION = """
daemon off;
master_process off;
worker_processes 1;
pid {scratch}/pid;
error_log {scratch}/errors;
events {{ worker_connections 64; }}
http {{
    access_log off;
    sendfile on;
    gzip_static on;
    gzip_vary on;
    etag on;
    charset utf-8;
    charset_types text/css text/javascript text/plain;
    types {{ text/css css; text/javascript js; text/plain txt; image/jpeg jpg; }}
    default_type application/octet-stream;
    client_body_temp_path {scratch}/body;
    proxy_temp_path {scratch}/proxy;
    fastcgi_temp_path {scratch}/fastcgi;
    uwsgi_temp_path {scratch}/uwsgi;
    scgi_temp_path {scratch}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /static/ {{ alias {root}/; expires 60s; disable_symlinks on from={root}; }}
        location / {{ return 404; }}
    }}
}}
"""


class Nginx:
    """A running nginx that serves a directory below ``/static/``."""

    def __init__(self, scratch: Path, root: Path) -> None:
        found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        assert found, "nginx is missing: apt-get install nginx-light"
        self.port = free_port()
        configuration = scratch / "nginx.conf"
        text = CONFIGURATION.format(scratch=scratch, root=root, port=self.port)
        # Its workers would not be root, and could not read the directory.
        text = f"user root;\n{text}" if os.geteuid() == 0 else text
        configuration.write_text(text)
        self.process = subprocess.Popen(
            [found, "-c", str(configuration), "-p", str(scratch), "-e", str(scratch / "errors")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self.answers, 10, "nginx")

    def answers(self) -> bool:
        """Whether it does."""
        assert self.process.poll() is None, "nginx has ended"
        try:
            return wire.get(self.port, "/").status == 404
        except (OSError, wire.Closed):
            return False

    def end(self) -> None:
        """Ends it."""
        self.process.terminate()
        self.process.wait(10)
