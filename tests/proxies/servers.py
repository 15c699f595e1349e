"""Real proxies in front of `pamps serve`, each a process of its own on a free port of loopback."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests import canary
from tests.proxies import SEARCH_PATH
from tests.servers import free_port, served

NGINX = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream pamps { server 127.0.0.1:%(upstream)d; keepalive 4; }
    %(http)s
    server {
        listen 127.0.0.1:%(port)d %(tls)s;
        %(server)s
    }
}
"""
TLS = "ssl_certificate certificate.pem; ssl_certificate_key key.pem;"
# Locations that show Pamps under a path, which the proxy takes off what it passes on, or leaves.
UNDER_API = {
    "taken off": "location /api/ { proxy_pass http://pamps/; }",
    "left": "location /api/ { proxy_pass http://pamps; }",
}

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend front
    bind 127.0.0.1:%(port)d
    %(frontend)s
    default_backend pamps
backend pamps
    %(backend)s
    server pamps 127.0.0.1:%(upstream)d
"""


@contextmanager
def _running(port: int, folder: str, *command: str) -> Iterator[None]:
    """A proxy that listens on `port`."""
    with subprocess.Popen(command, cwd=folder, env=os.environ | {"PATH": SEARCH_PATH}) as process:
        try:
            while True:
                assert process.poll() is None, f"{command[0]} does not start"
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
            yield
        finally:
            process.send_signal(signal.SIGTERM)


def _make_certificate(folder: str) -> None:
    command = "openssl req -x509 -nodes -days 1 -newkey ec -pkeyopt ec_paramgen_curve:P-256"
    command += " -keyout key.pem -out certificate.pem"
    command += " -subj /CN=pamps -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)


@contextmanager
def nginx(
    upstream: int,
    server: str = "location / { proxy_pass http://pamps; }",
    http: str = "",
    tls: bool = False,
) -> Iterator[httpx.Client]:
    """nginx in front of the port `upstream`, and a client for it.

    `server` and `http` are what its configuration has in these blocks; the upstream is `pamps`.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        if tls:
            _make_certificate(folder)
            server = TLS + server
        values = {"port": port, "upstream": upstream, "http": http, "server": server}
        file = Path(folder, "nginx.conf")
        file.write_text(NGINX % (values | {"tls": "ssl" if tls else ""}))
        address = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        with _running(port, folder, "nginx", "-e", "stderr", "-p", folder, "-c", str(file)):
            context = ssl.create_default_context(
                cafile=f"{folder}/certificate.pem" if tls else None
            )
            with httpx.Client(base_url=address, timeout=20, verify=context) as client:
                yield client


@contextmanager
def haproxy(upstream: int, frontend: str = "", backend: str = "") -> Iterator[httpx.Client]:
    """HAProxy in front of the port `upstream`, and a client for it.

    `frontend` and `backend` are further lines of its configuration in these sections.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        values = {"port": port, "upstream": upstream, "frontend": frontend, "backend": backend}
        file = Path(folder, "haproxy.cfg")
        file.write_text(HAPROXY % values)
        address = f"http://127.0.0.1:{port}"
        with (
            _running(port, folder, "haproxy", "-db", "-q", "-f", str(file)),
            httpx.Client(base_url=address, timeout=20) as client,
        ):
            yield client


@contextmanager
def upstream(**settings: str) -> Iterator[int]:
    """`pamps serve` on the test's database, and its port; `settings` are PAMPS_… variables."""
    with served({f"PAMPS_{name}": value for name, value in settings.items()}) as (process, client):
        try:
            yield client.base_url.port
        finally:
            process.terminate()


def sign_up(client: httpx.Client, prefix: str = "") -> None:
    """Make an account for ana, whom the client then signs in as."""
    password = canary.password("ana")
    user = {"email": "ana@pamps.com", "username": "ana", "password": password}
    assert client.post(f"{prefix}/user/", json=user).status_code == 201
    tokens = client.post(f"{prefix}/token", data=user).json()
    client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
