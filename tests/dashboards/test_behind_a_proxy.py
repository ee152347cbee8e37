"""The example of a reverse proxy, as nginx itself reads it, before a real page."""

from __future__ import annotations

import base64
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "dashboards/proxy/nginx.conf"
NAME = "sweeps.example.org"


def test_the_example_passes_websockets_on() -> None:
    text = EXAMPLE.read_text()
    assert text.count("{") == text.count("}")
    assert re.search(r"proxy_set_header Upgrade\s+\$http_upgrade;", text)
    assert re.search(r"proxy_set_header Connection\s+\$connection_upgrade;", text)
    assert "proxy_http_version 1.1;" in text
    # A proxy_set_header inside a location would drop all of these there.
    assert all("proxy_set_header" not in block for block in re.findall(r"location [^{]*\{([^}]*)\}", text))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def proxied(tmp_path: Path, dashboard) -> Iterator[int]:
    """Port of nginx with the example, its ports and certificate replaced, before a page of `maineffect dash`."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if nginx is None or shutil.which("openssl") is None:
        pytest.skip("nginx or openssl is not installed (Debian's packages nginx-light, openssl)")
    key, certificate = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={NAME}"]
    subprocess.run([*words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    home = tmp_path / "home"
    home.mkdir()
    with dashboard(home) as url:
        port, plain = _free_port(), _free_port()
        text = EXAMPLE.read_text().replace("http://127.0.0.1:8787", url)
        text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl").replace(
            "listen 80", f"listen 127.0.0.1:{plain}"
        )
        text = text.replace("/etc/nginx/tls", str(tmp_path)).replace("/run/nginx.pid", str(tmp_path / "pid"))
        text = text.replace("http {", f"http {{ access_log off; client_body_temp_path {tmp_path}/body;", 1)
        (tmp_path / "nginx.conf").write_text(text)
        start = [nginx, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path), "-e", str(tmp_path / "error.log")]
        tried = subprocess.run([*start, "-t"], capture_output=True, text=True)
        assert tried.returncode == 0, tried.stderr
        served = subprocess.Popen([*start, "-g", "daemon off;"])
        try:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield port
        finally:
            served.terminate()
            served.wait(timeout=240)


def _ask(port: int, path: str, *headers: str) -> str:
    """Head and beginning of the answer to a request over TLS."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=NAME) as talk,
    ):
        talk.sendall("\r\n".join([f"GET {path} HTTP/1.1", f"Host: {NAME}:{port}", *headers, "", ""]).encode())
        return talk.recv(4096).decode(errors="replace")


@pytest.mark.live
def test_the_page_and_its_websocket_come_through(proxied: int) -> None:
    assert "200 OK" in _ask(proxied, "/_stcore/health", "Connection: close").splitlines()[0]
    upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(b'sixteen bytes ok').decode()}",
        "Sec-WebSocket-Protocol: streamlit",
    ]
    own = _ask(proxied, "/_stcore/stream", *upgrade, f"Origin: https://{NAME}:{proxied}")
    assert "101 Switching Protocols" in own.splitlines()[0], own
    foreign = _ask(proxied, "/_stcore/stream", *upgrade, "Origin: https://elsewhere.example.com")
    assert "403" in foreign.splitlines()[0], foreign
