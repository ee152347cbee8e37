"""Real processes: everything that a command starts ends with it, and its output is passed on without secrets."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from maineffect.command.process import Child, oom_kills

# Starts a child, a grandchild that leaves the session, and one that also drops its environment; all write their ids.
FORKS = """
import os, subprocess, sys, time
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
pids = [os.getpid()]
pids.append(subprocess.Popen([sys.executable, "-c", stubborn]).pid)
pids.append(subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True).pid)
if "bare" in sys.argv:
    pids.append(subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True, env={}).pid)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open("daemon", "w") as file:
            file.write(str(os.getpid()))
        os.rename("daemon", "daemon.pid")
        time.sleep(600)
    os._exit(0)
while not os.path.exists("daemon.pid"):
    time.sleep(0.01)
pids.append(int(open("daemon.pid").read()))
open("aside", "w").write(" ".join(map(str, pids)))
os.rename("aside", "pids")
if "stay" in sys.argv:
    time.sleep(600)
"""


def start(folder: Path, source: str, *words: str, secrets: tuple[str, ...] = ()) -> Child:
    (folder / "script.py").write_text(source)
    return Child([sys.executable, "script.py", *words], folder, dict(os.environ), secrets)


def pids(folder: Path, wait) -> list[int]:
    wait(lambda: (folder / "pids").exists())
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def test_a_cancelled_command_leaves_no_process(tmp_path: Path, running, wait) -> None:
    child = start(tmp_path, FORKS, "stay", "bare")
    family = pids(tmp_path, wait)
    assert len(family) == 5
    assert all(running(pid) for pid in family)
    child.end(0.3)
    assert [pid for pid in family if running(pid)] == []


def test_what_a_finished_command_left_behind_is_ended(tmp_path: Path, running, wait) -> None:
    child = start(tmp_path, FORKS)
    family = pids(tmp_path, wait)
    wait(lambda: child.wait(0) == 0)
    assert any(running(pid) for pid in family)
    began = time.monotonic()
    assert child.close() == 0
    assert [pid for pid in family if running(pid)] == []
    assert time.monotonic() - began < 4.0


def test_another_process_of_this_user_is_left_alone(tmp_path: Path, running) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    one = start(tmp_path / "a", "import time; time.sleep(600)")
    other = start(tmp_path / "b", "import time; time.sleep(600)")
    one.end(0.5)
    assert not running(one.pid)
    assert running(other.pid)
    other.end(0.5)


def test_a_command_may_stop_by_itself_within_its_grace(tmp_path: Path, wait) -> None:
    source = (
        "import signal, sys, time\n"
        "def stop(*_):\n    open('saved', 'w').close(); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\nopen('ready', 'w').close()\ntime.sleep(600)\n"
    )
    child = start(tmp_path, source)
    wait(lambda: (tmp_path / "ready").exists())
    assert child.end(10.0) == 0
    assert (tmp_path / "saved").exists()


def test_output_is_passed_on_and_the_end_of_errors_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = "import sys\nprint('ü' * 100000)\nfor n in range(20000): print('line', n, file=sys.stderr)\n"
    child = start(tmp_path, source)
    assert child.wait(60) == 0
    child.close()
    heard = capsys.readouterr()
    assert heard.out == "ü" * 100000 + "\n"
    assert heard.err.count("\n") == 20000
    assert child.errors.endswith("line 19999\n")
    assert 60_000 < len(child.errors) < 200_000


def test_secrets_are_hidden_wherever_the_reads_cut_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = "s3cr3t-value"
    source = (
        "import os, time\n"
        f"for part in ('a s3cr', '3t-val', 'ue b\\n', 's3cr3', '\\n', 'x' * 65530 + '{secret}' + 'y'):\n"
        "    os.write(1, part.encode()); os.write(2, part.encode()); time.sleep(0.05)\n"
    )
    child = start(tmp_path, source, secrets=(secret, "s"))
    assert child.wait(60) == 0
    child.close()
    heard = capsys.readouterr()
    assert heard.out == heard.err == "a *** b\ns3cr3\n" + "x" * 65530 + "***y"
    assert secret not in child.errors


def test_the_counter_of_the_kernels_kills_is_a_number() -> None:
    assert oom_kills() >= 0
