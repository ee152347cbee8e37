"""Real processes: who lives, who is dead, what the dead left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from maineffect.execute.cluster import processes, supervisor
from maineffect.execute.cluster.processes import (
    MARK,
    Owner,
    leftovers,
    mark_of_this_process,
    reap,
    this_process,
)
from maineffect.process_family import end_processes

QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def test_an_owner_is_read_as_it_was_written() -> None:
    owner = this_process("session_1")
    assert Owner.parse(str(owner)) == owner
    assert owner.alive is True
    assert str(this_process()) != str(this_process()), "two claims of one process differ"


@pytest.mark.parametrize("text", ["", "nobody", "host:1:2:3", "a|b|c", "host|12"])
def test_anything_else_is_no_owner(text: str) -> None:
    assert Owner.parse(text) is None


def test_dead_recycled_and_foreign_processes(wait) -> None:
    code = "from maineffect.execute.cluster.processes import this_process; print(this_process(), flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    owner = Owner.parse(process.stdout.readline().strip())
    assert owner.alive is True
    assert replace(owner, started=owner.started + 1).alive is False, "the id was given to another process"
    assert replace(owner, machine="elsewhere").alive is None, "unknown is not dead"
    process.kill()
    wait(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    assert owner.alive is False, "a zombie does nothing any more"
    process.communicate()
    assert owner.alive is False


def test_liveness_does_not_depend_on_the_clock(monkeypatch) -> None:
    owner = this_process()
    monkeypatch.setattr("time.time", lambda: 0.0)
    monkeypatch.setattr(psutil, "boot_time", lambda: 1e9)
    assert owner.alive is True
    assert this_process().started == owner.started


def test_only_marked_processes_of_the_dead_are_reaped(wait, running, monkeypatch) -> None:
    # A name of its own: whoever starts a sweep on this machine meanwhile reaps what carries the usual one.
    monkeypatch.setattr(processes, "MARK", name := f"{MARK}_{os.getpid()}")
    dead = replace(this_process(), started=1)
    marks = {"dead": str(dead), "alive": mark_of_this_process(), "foreign": "elsewhere|12|34", "nonsense": "?"}
    started = {
        kind: subprocess.Popen(["sleep", "60"], env={**os.environ, name: mark}, start_new_session=True, **QUIET)
        for kind, mark in marks.items()
    }
    started["unmarked"] = subprocess.Popen(["sleep", "60"], start_new_session=True, **QUIET)
    try:
        wait(lambda: {p.pid for p in leftovers(of=marks["alive"])} == {started["alive"].pid})
        wait(lambda: [p.pid for p in leftovers()] == [started["dead"].pid])
        assert reap() == 1
        assert {kind for kind, process in started.items() if not running(process.pid)} == {"dead"}
    finally:
        for process in started.values():
            process.kill()
            process.wait()


def test_a_process_that_ignores_a_gentle_end_is_killed(wait, running) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    end_processes([psutil.Process(process.pid)], gentle_seconds=0.2)
    assert not running(process.pid)
    process.stdout.close()
    process.wait()


def keep(driver: subprocess.Popen, mark: str, folder: Path) -> subprocess.Popen:
    started = Path(f"/proc/{driver.pid}/stat").read_text().rpartition(")")[2].split()[19]
    words = [sys.executable, "-I", "-S", supervisor.__file__, str(driver.pid), started, f"{MARK}={mark}", str(folder)]
    guard = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert guard.stdout.readline() == b"watching\n"
    guard.stdout.close()
    return guard


DRIVER = f"""
import os, subprocess, sys
quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
own = subprocess.Popen(["sleep", "60"], **quiet)
os.environ["{MARK}"] = "of this test"
code = "import subprocess as s; print(s.Popen(['sleep', '60'], start_new_session=True, stdout=-3, env={{}}).pid, flush=True); input()"
ray = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
print(own.pid, ray.pid, ray.stdout.readline().strip(), flush=True)
sys.stdin.read()
"""


def test_the_keeper_ends_what_is_rays_when_the_driver_is_killed(tmp_path, wait, running) -> None:
    folder = tmp_path / "session"
    folder.mkdir()
    driver = subprocess.Popen([sys.executable, "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    own, ray, unmarked_child = map(int, driver.stdout.readline().split())
    guard = keep(driver, "of this test", folder)
    try:
        driver.kill()
        driver.wait()
        guard.stdin.close()
        assert guard.wait(timeout=240) == 0
        wait(lambda: not running(ray) and not running(unmarked_child))
        assert running(own), "what else the driver started is not ours to end"
        assert not folder.exists()
    finally:
        for pid in (own, ray, unmarked_child):
            if running(pid):
                os.kill(pid, signal.SIGKILL)
        driver.stdout.close()
        driver.stdin.close()


RUN = f"""
import os, subprocess, sys
start = open("/proc/self/stat").read().rpartition(")")[2].split()[19]
os.environ["{MARK}"] = f"here|{{os.getpid()}}|{{start}}"
code = "import subprocess as s; print(s.Popen(['sleep', '60'], start_new_session=True, stdout=-3, stderr=-3).pid)"
orphan = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
print(os.getpid(), orphan, flush=True)
sys.stdin.read()
"""

ORPHANING = f"""
import os, subprocess, sys
os.environ["{MARK}"] = "of this test"
ray = subprocess.Popen([sys.executable, sys.argv[1]], stdin=subprocess.PIPE)
sys.stdin.read()
"""


def test_the_keeper_finds_orphans_by_the_mark_of_the_run_that_started_them(tmp_path, running) -> None:
    (tmp_path / "run.py").write_text(RUN)
    words = [sys.executable, "-c", ORPHANING, str(tmp_path / "run.py")]
    driver = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    run, orphan = map(int, driver.stdout.readline().split())
    assert psutil.Process(orphan).ppid() not in (run, driver.pid), "its parent is gone: only the mark tells whose it is"
    guard = keep(driver, "of this test", tmp_path / "session")
    try:
        driver.kill()
        driver.wait()
        guard.stdin.close()
        assert guard.wait(timeout=240) == 0
        assert not running(run)
        assert not running(orphan)
    finally:
        for pid in (run, orphan):
            if running(pid):
                os.kill(pid, signal.SIGKILL)
        driver.stdout.close()
        driver.stdin.close()


def test_the_keeper_goes_when_it_is_told(tmp_path) -> None:
    driver = subprocess.Popen(["sleep", "60"])
    guard = keep(driver, "of this test", tmp_path)
    guard.stdin.write(b".")
    guard.stdin.close()
    assert guard.wait(timeout=240) == 0
    assert driver.poll() is None
    assert tmp_path.exists()
    driver.kill()
    driver.wait()
