"""Trainables that do what they are told, right or wrong. Copied beside the study of each test."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from maineffect.contracts import RunDiverged
from maineffect.seeds import generator


def train(request, context):
    """Do what the settings say for this run and this attempt; otherwise return a known skill."""
    attempt = int(context.run_dir.name[1:])
    note(request, f"{request.run_id} {attempt} {os.getpid()}")
    print(f"attempt {attempt} of {request.run_id} begins")
    ways = request.settings.get("ways", {})
    way = ways.get(f"{request.run_id}.a{attempt}", ways.get(request.run_id, request.settings.get("way", "fine")))
    act(way, request, context)
    return {"skill": skill(request), "extra": 1.0}


def companions(request, context):
    """Two processes beside the run: one counts, one says who it is and dies."""
    from collections import Counter

    from maineffect.contracts import RunLost
    from maineffect.errors import PluginError

    counter = context.companion(Counter)
    counter.call("update", {"a": 2, "b": 1})
    other = context.companion(Path, "/proc/self")
    who = [int(other.call("resolve").name), os.getpid()]
    try:
        counter.call("update", 5)
    except TypeError as error:
        who.append(type(error).__name__)
    try:
        context.companion(Counter)
    except PluginError as error:
        who.append(error.message)
    os.kill(who[0], 9)
    try:
        other.call("resolve")
    except RunLost as error:
        who.append(str(error))
    note(request, json.dumps([counter.call("most_common", 1), *who]))


def skill(request):
    """Known to the test as well: depends on the levels and the seed alone."""
    return float(request.levels["a"] + generator(request.seed, "noise", request.run_id).normal(0.0, 0.1))


def note(request, line):
    """One line in the diary; a short append is atomic."""
    with Path(request.settings["diary"]).open("a") as file:
        file.write(line + "\n")


def act(way, request, context):
    if way == "raises":
        raise ValueError("the learning rate is a vegetable")
    if way == "diverges":
        raise RunDiverged("entropy fell to 0 at step 3")
    if way == "dies":
        os._exit(9)
    elif way == "companions":
        companions(request, context)
    elif way == "main thread":
        main_thread(request)
    elif way == "computes":
        while True:  # never gives its thread away, as a long computation does
            context.check_cancelled()
            context.progress(1, 2)
    elif way == "terminated":
        interrupting(request, context)
    elif way == "out of memory":
        raise MemoryError("cannot allocate 1 TB")
    elif way == "holds the interpreter":
        # Backtracking that never gives up the interpreter lock: no thread of ours can run beside it.
        __import__("re").match(r"(a+)+$", "a" * 64 + "b")
    elif way == "hangs":
        time.sleep(3600)
    elif way == "leaks":
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        plain = subprocess.Popen(["sleep", "3600"], **quiet)
        own = subprocess.Popen(["sleep", "3600"], start_new_session=True, **quiet)
        code = "import subprocess as s; print(s.Popen(['sleep', '3600'], start_new_session=True, stdout=-3).pid)"
        orphan = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
        note(request, f"leak {plain.pid} {own.pid} {orphan.stdout.strip()}")
    elif way.startswith("leaks and "):
        act("leaks", request, context)
        act(way.removeprefix("leaks and "), request, context)
    elif way.startswith("after "):
        after(way, request, context)
    elif way.startswith("steps"):
        step_by_step(way, request, context)


def after(way, request, context):
    """``after r0 steps 8 0.1``: what follows begins when that run was entered, or after three minutes without it."""
    _, other, then = way.split(maxsplit=2)
    diary, deadline = Path(request.settings["diary"]), time.monotonic() + 180
    while time.monotonic() < deadline and not any(line.startswith(f"{other} ") for line in diary.open()):
        time.sleep(0.05)
    act(then, request, context)


def step_by_step(way, request, context):
    """``steps 10 0.1``: ten steps of 0.1 s with a checkpoint each, resumed from the newest one.

    With a third word such as ``+3600`` this process's clock jumps by so many seconds at the third step.
    """
    _, count, pause, *jump = way.split()
    found = context.latest_checkpoint()
    first = 0 if found is None else json.loads((found[1] / "state.json").read_text())["step"]
    for step in range(first, int(count)):
        context.check_cancelled()
        if jump and step == 2:
            time.time = lambda true=time.time: true() + float(jump[0])
        time.sleep(float(pause))
        note(request, f"step {request.run_id} {step}")
        context.log(step, {"reward": step / int(count)})
        context.progress(step + 1, int(count))
        context.save_checkpoint(
            step + 1, lambda to, s=step: (to / "state.json").write_text(json.dumps({"step": s + 1}))
        )


def main_thread(request):
    """What Lightning, verl and many graders of rewards do: Python allows it in the main thread alone."""
    heard = []
    for number in (signal.SIGUSR1, signal.SIGALRM):
        signal.signal(number, lambda number, _frame: heard.append(signal.Signals(number).name))
    signal.raise_signal(signal.SIGUSR1)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    while len(heard) < 2:
        time.sleep(0.01)
    loop = asyncio.get_event_loop().run_until_complete(asyncio.sleep(0, "loop"))
    ran = asyncio.run(asyncio.sleep(0, "run"))
    is_main = threading.current_thread() is threading.main_thread()
    note(request, json.dumps([is_main, *heard, loop, ran]))


def interrupting(request, context):
    """Send this process SIGTERM, as a cluster does that takes a node away."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def stand_on(request, context):
    """A run that starts from what was prepared for it; on its own it prepares that first."""
    for preparation in preparations(request):
        if not (context.cache_dir / preparation.files[0]).exists():
            note(request, f"alone {request.run_id}")
            write_start(preparation.files[0], preparation.seed, context)
        start = float((context.cache_dir / preparation.files[0]).read_text())
        return {"skill": train(request, context)["skill"] + start}
    return {"skill": train(request, context)["skill"]}


def preparations(request):
    """One for all runs, or one for each seed; cells named as ``bare`` need none."""
    from maineffect.preparation import Preparation

    if request.levels["a"] in request.settings.get("bare", ()):
        return []
    seed = request.seed if request.settings.get("per_seed") else 7
    return [Preparation("warm start", f"start-{seed}", request.settings, seed, (f"starts/{seed}.txt",))]


def prepare(request, context):
    """As told by the way of ``start``."""
    attempt = int(context.run_dir.name[1:])
    note(request, f"start {request.seed} {attempt} {os.getpid()}")
    ways = request.settings.get("ways", {})
    act(ways.get(f"start.a{attempt}", ways.get("start", "fine")), request, context)
    write_start(request.files[0], request.seed, context)
    return {"loss": 0.5}


def write_start(name, seed, context):
    path = context.cache_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(f".{os.getpid()}")
    aside.write_text(str(seed / 1000))
    aside.replace(path)


stand_on.preparations = preparations
stand_on.prepare = prepare
