"""A driver that is gone is not waited for, and a study that cannot be written beside is refused in a sentence."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.ray


@pytest.mark.live
def test_runs_of_a_killed_driver_are_interrupted_and_the_watch_ends(workbench) -> None:
    workbench.plan(sleep=300.0)
    process = subprocess.Popen(
        [sys.executable, "-m", "maineffect", "submit", "study.yaml", "--workers", "1"],
        cwd=workbench.folder,
        env=workbench.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not workbench.started():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.2)
    living = workbench.document("status", "latest")
    assert (living["interrupted"], living["counts"]["running"]) == ([], 1)
    assert living["next"] == f"maineffect status {living['sweep']} --watch"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    began = time.monotonic()
    said = workbench.run("status", "latest", "--watch").stdout
    assert time.monotonic() - began < 60
    (run_id,) = workbench.started()
    assert ": 1 interrupted, 7 planned of 8\n" in said
    assert f"interrupted: {run_id} (the process on this machine that ran it is gone)" in said
    assert f"next: maineffect resubmit {living['sweep']}\n" in said
    document = workbench.document("status", "latest")
    assert document["interrupted"] == [run_id]
    assert document["counts"]["running"] == 1, "the count keeps its meaning: an attempt that is not ended"


def test_a_study_on_a_read_only_mount_is_refused_in_a_sentence(workbench) -> None:
    disk = workbench.folder / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True).returncode != 0:
        pytest.skip("mounting a disk needs root and CAP_SYS_ADMIN")
    try:
        for name in ("study.yaml", "known.py"):
            shutil.copy(workbench.folder / name, disk / name)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        done = workbench.run("submit", str(disk / "study.yaml"), expect=1)
        assert "Traceback" not in done.stderr
        assert f"cannot write the registration {disk / 'study.registration.json'}: Read-only file system" in done.stderr
        assert f"make {disk} writable, or copy the study to a folder of your own" in done.stderr
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
