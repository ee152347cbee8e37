"""`maineffect dash` asks for a token that nobody chose, and leaves no process behind when it is told to end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from maineffect.dashboards.reading import TOKEN


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_token_is_made_and_streamlit_ends_with_it(number: int, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "MAINEFFECT_HOME": str(tmp_path)}
    environment.pop(TOKEN, None)
    words = [sys.executable, "-m", "maineffect", "dash", "--port", str(port)]
    served = subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert served.stderr is not None
        address = served.stderr.readline()
        found = re.search(rf"http://127\.0\.0\.1:{port}/\?token=(\S{{20,}}) ", address)
        assert found, address
        deadline = time.monotonic() + 60
        while not (children := [c for c in psutil.Process(served.pid).children() if "streamlit" in c.cmdline()]):
            assert time.monotonic() < deadline, "Streamlit did not start"
            time.sleep(0.05)
        assert children[0].environ()[TOKEN] == found[1], "the pages ask for this one"
        served.send_signal(number)
        assert served.wait(timeout=240) == 128 + number
        assert not [child for child in children if child.is_running()]
    finally:
        for process in [*psutil.Process(served.pid).children(recursive=True)] if served.poll() is None else []:
            process.kill()
        served.kill()
        served.wait()
