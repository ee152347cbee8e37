r"""Runs another engine's launcher as one command of a sweep: its log becomes metrics, its last scores become results.

    python engine.py --log run.jsonl --curve reward=critic/rewards/mean --response accuracy=val-core/gsm8k/acc/mean@1 \
        --metrics metrics.jsonl --out results.json -- python -m verl.trainer.main_ppo trainer.logger=[file] ...

An engine's log has a line of JSON per step: numbers beside ``step`` (prime-rl's file monitor) or below ``data``
(verl's file logger). What an engine calls its own is renamed here, so that studies of two engines declare the same
responses. Needs Python alone, and knows nothing of the platform that sweeps it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

POLL_SECONDS = 1.0


class Log:
    """An engine's log, followed while it grows.

    Args:
        source: The engine's file of JSON lines; it may come later.
        target: Where lines of renamed numbers go.
        names: Our name → the engine's.

    Attributes:
        last: Our name → the newest value.
        known: Every name that the engine has used.
    """

    def __init__(self, source: Path, target: Path, names: dict[str, str]) -> None:
        self._source, self._target, self._names = source, target, names
        self._offset = 0
        self._newest = -1
        self.last: dict[str, float] = {}
        self.known: set[str] = set()

    def look(self) -> None:
        """Take the whole lines that came since the last look; steps that fall back are left out."""
        if not self._source.exists():
            return
        with self._source.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        self._offset += len(data)
        for line in data.splitlines():
            row = json.loads(line)
            step, numbers = int(row["step"]), row.get("data", row)
            self.known |= numbers.keys()
            ours = {name: numbers[theirs] for name, theirs in self._names.items() if theirs in numbers}
            if ours and step >= self._newest:
                self._newest = step
                self.last |= ours
                with self._target.open("a") as file:
                    print(json.dumps({"step": step, **ours}), file=file)


def pairs(given: list[str]) -> dict[str, str]:
    """``name=engine's name`` → a mapping."""
    return dict(one.split("=", 1) for one in given)


def resumed(checkpoint: str, linked_as: str, words: str) -> list[str]:
    """Arguments that make the engine go on from a checkpoint, which it finds under the name that it expects."""
    if not checkpoint:
        return []
    step = int(re.findall(r"\d+", Path(checkpoint).name)[-1])
    link = Path(f"{linked_as}{step}")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(checkpoint, target_is_directory=True)
    return [word.replace("CHECKPOINT", str(link)) for word in shlex.split(words)]


def main() -> None:
    """Start the engine, follow it, and write what it reached."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", type=Path, required=True, help="the engine's own file of JSON lines")
    parser.add_argument("--response", action="append", default=[], help="ours=theirs: a number of the results")
    parser.add_argument("--curve", action="append", default=[], help="ours=theirs: a number of the metrics file")
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--checkpoint", default="", help="where to go on from; empty at a run's beginning")
    parser.add_argument("--linked-as", default="", help="path and beginning of the name by which the engine finds it")
    parser.add_argument("--resumed", default="", help="arguments for the engine then; CHECKPOINT is the link")
    parser.add_argument("engine", nargs=argparse.REMAINDER, help="-- and the engine's command line")
    given = parser.parse_args()

    responses = pairs(given.response)
    log = Log(given.log, given.metrics, {**pairs(given.curve), **responses})
    words = given.engine[1:] if given.engine[:1] == ["--"] else given.engine
    words += resumed(given.checkpoint, given.linked_as, given.resumed)
    signal.signal(signal.SIGTERM, lambda *_: None)  # the engine, in the same group, is asked too: wait for it
    engine = subprocess.Popen(words)
    while True:
        try:
            code = engine.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            log.look()
            continue
        break
    log.look()
    if code != 0:
        sys.exit(code if code > 0 else 128 - code)
    if missing := [f"{ours}={theirs}" for ours, theirs in responses.items() if ours not in log.last]:
        near = sorted(name for name in log.known if "/" in name)
        sys.exit(f"{given.log} never had {', '.join(missing)}; it has {', '.join(near) or 'nothing'}")
    aside = given.out.with_suffix(".aside")
    aside.write_text(json.dumps({"responses": {name: log.last[name] for name in responses}}))
    os.replace(aside, given.out)


if __name__ == "__main__":
    main()
