"""Draws mutants of the statistics, runs the near tests on each, and reports what survived.

    .venv/bin/python tests/mutants/hunt.py [--number 400] [--minutes 90] [--survivors] [--only MODULE]

What is mutated is the last commit, in a copy under the temporary folder. Results are kept in ``.mutants.db``, a session
of Cosmic Ray: a hunt that was interrupted goes on where it ended, and one on another commit begins anew, except with
``--survivors``, which keeps the killed and tries the others again.
"""

from __future__ import annotations

import argparse
import hashlib
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult
from drawing import Identity, Mutant, draw
from near_tests import LEFT_OUT, NEAR
from trying import Outcome, Trial, import_heavy

ROOT = Path(__file__).resolve().parents[2]
SESSION = ROOT / ".mutants.db"
EXPLAINED = Path(__file__).with_name("explained.toml")
BY_HAND = Path(__file__).with_name("by_hand.toml")
NUMBER, SEED, MINUTES, AT_ONCE = 400, 2026, 90.0, 2
ENOUGH = 0.95
_FIRST_LIMIT_S = 120.0


def main() -> int:
    """0 where at least 95 % were killed, those by hand among them, and every survivor is explained."""
    parser = argparse.ArgumentParser(description="Mutants of the statistics against the tests near to them.")
    parser.add_argument("--number", type=int, default=NUMBER, help=f"how many mutants (default {NUMBER})")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="begin no mutant after this time")
    parser.add_argument("--survivors", action="store_true", help="keep the killed, try the others again")
    parser.add_argument("--only", choices=sorted(NEAR), help="one module of the same sample")
    told = parser.parse_args()
    # So that a hunt which is ended in whatever way ends its trials and takes its copy away.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: sys.exit("stopped; the same command goes on"))
    with _copy() as copy, use_db(str(SESSION)) as session:
        import_heavy()
        lived = _by_hand(copy)
        sample = draw(copy / "platform" / "maineffect", tuple(NEAR), told.number, SEED, _explained())
        digest, began = _digest(), time.monotonic()
        known = _known(session, sample, digest, survivors=told.survivors)
        sample = [mutant for mutant in sample if told.only in (None, mutant.module)]
        _hunt(copy, session, [mutant for mutant in sample if mutant.key not in known], digest, 60 * told.minutes)
        return max(_report(session, sample, (time.monotonic() - began) / 60), int(lived > 0))


@contextmanager
def _copy() -> Iterator[Path]:
    """The last commit in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        packed = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "-x"], cwd=folder, input=packed, check=True)
        yield Path(folder)


def _digest() -> str:
    """Of everything in the last commit that an outcome may depend on."""
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "HEAD", "platform", "tests", "factor_specs", "experiments", "pyproject.toml"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    near = [line for line in listed.splitlines() if "\ttests/mutants/" not in line]
    return hashlib.sha256("\n".join(near).encode()).hexdigest()[:16]


def _known(session: WorkDB, sample: Sequence[Mutant], digest: str, *, survivors: bool) -> set[str]:
    """Keys of the mutants whose outcome still holds; the session is made to hold the sample and these outcomes."""
    kept = {
        key: result
        for key, result in session.results
        if (result.is_killed if survivors else str(result.output).startswith(f"{digest}\n"))
    }
    kept = {mutant.key: kept[mutant.key] for mutant in sample if mutant.key in kept}
    session.clear()
    session.add_work_items(WorkItem.single(mutant.key, mutant.change) for mutant in sample)
    for key, result in kept.items():
        said = str(result.output).partition("\n")[2]
        session.set_result(key, WorkResult(result.worker_outcome, f"{digest}\n{said}", result.test_outcome))
    return set(kept)


def _hunt(copy: Path, session: WorkDB, mutants: Sequence[Mutant], digest: str, seconds: float) -> None:
    """Try the mutants, two at a time, and keep each outcome as soon as it is known."""
    if not mutants:
        return
    limits = _limits(copy, sorted({mutant.module for mutant in mutants}))
    began, done = time.monotonic(), 0
    waiting, under_way = list(mutants), dict[Trial, Mutant]()
    try:
        while waiting or under_way:
            while waiting and len(under_way) < AT_ONCE and time.monotonic() - began < seconds:
                mutant = waiting.pop(0)
                trial = _trial(copy, mutant.module, mutant.source, limits[mutant.module])
                under_way[trial] = mutant
            if not under_way:
                return
            time.sleep(0.05)
            for trial, outcome in [(trial, trial.ended()) for trial in under_way]:
                if outcome is None:
                    continue
                mutant = under_way.pop(trial)
                session.set_result(mutant.key, _kept(outcome, digest))
                done += 1
                word = "SURVIVED" if outcome.passed else "killed"
                _say(f"{done}/{len(mutants)} {word} {outcome.cpu_s:.1f} s {mutant.module}:{mutant.change.start_pos[0]}")
    finally:
        for trial in under_way:
            trial.stop()


def _trial(copy: Path, module: str, source: str | None, cpu_s: float) -> Trial:
    return Trial(copy, module, source, NEAR[module], LEFT_OUT, cpu_s)


def _limits(copy: Path, modules: Sequence[str]) -> dict[str, float]:
    """Module → processor time that a mutant gets; the near tests must pass as long as nothing is changed."""
    limits = {}
    for module in modules:
        outcome = _finished(_trial(copy, module, None, _FIRST_LIMIT_S))
        if not outcome.passed:
            raise SystemExit(f"the tests near to {module} fail without a mutant; mend them first\n{outcome.said}")
        limits[module] = max(20.0, 3 * outcome.cpu_s)
        _say(f"without a mutant: {outcome.cpu_s:.1f} s {module}")
    return limits


def _finished(trial: Trial) -> Outcome:
    while (outcome := trial.ended()) is None:
        time.sleep(0.05)
    return outcome


def _kept(outcome: Outcome, digest: str) -> WorkResult:
    test = TestOutcome.SURVIVED if outcome.passed else TestOutcome.KILLED
    return WorkResult(WorkerOutcome.NORMAL, f"{digest}\n{outcome.said}", test)


def _by_hand(copy: Path, limit_s: float = _FIRST_LIMIT_S) -> int:
    """Plant the mistakes that are kept in a file; how many lived."""
    lived = 0
    for entry in tomllib.loads(BY_HAND.read_text(encoding="utf-8"))["mutant"]:
        path = copy / "platform" / "maineffect" / entry["module"]
        source = path.read_text(encoding="utf-8")
        if source.count(entry["was"]) != 1:
            raise SystemExit(f"{entry['was']!r} is not in {entry['module']} once: write {BY_HAND.name} anew")
        mutated = source.replace(entry["was"], entry["becomes"])
        outcome = _finished(Trial(copy, entry["module"], mutated, entry["tests"], LEFT_OUT, limit_s))
        failed = [line.split(" - ")[0] for line in outcome.said.splitlines() if line.startswith(("FAILED", "ERROR"))]
        _say(f"by hand: {'SURVIVED' if outcome.passed else 'killed'}: {entry['what']} {' '.join(failed)}")
        lived += outcome.passed
    return lived


def _report(session: WorkDB, sample: Sequence[Mutant], minutes: float) -> int:
    """Print the survivors and a table; 0 where enough were killed, all were tried, and every survivor is explained."""
    reasons = _explained()
    results = dict(session.results)
    tried = [mutant for mutant in sample if mutant.key in results]
    lived = [mutant for mutant in tried if not results[mutant.key].is_killed]
    unexplained = [mutant for mutant in lived if mutant.identity not in reasons]
    for mutant in lived:
        why = reasons.get(mutant.identity, "NOT EXPLAINED")
        print(f"\n{mutant.module}:{mutant.change.start_pos[0]} in {mutant.change.definition_name}")
        print(f"  was      {mutant.was}\n  becomes  {mutant.becomes}\n  {why}")
    print(f"\n{'module':<40} {'tried':>6} {'killed':>7} {'lived':>6} {'explained':>10}")
    for module in NEAR:
        here = [mutant for mutant in tried if mutant.module == module]
        alive = [mutant for mutant in lived if mutant.module == module]
        known = sum(mutant.identity in reasons for mutant in alive)
        print(f"{module:<40} {len(here):>6} {len(here) - len(alive):>7} {len(alive):>6} {known:>10}")
    killed, explained = len(tried) - len(lived), len(lived) - len(unexplained)
    share = killed / max(1, killed + len(unexplained))
    print(
        f"\n{len(tried)} of {len(sample)} mutants tried in {minutes:.0f} minutes: {explained} lived that change no result, "
        f"as explained; of the other {killed + len(unexplained)} {killed} were killed ({share:.1%})"
    )
    for mutant in tried:
        if mutant.identity in reasons and mutant not in lived:
            print(f"killed, although explained.toml says that nothing can: {mutant.becomes}")
    if len(tried) < len(sample):
        print("not all were tried: the same command goes on")
    return int(share < ENOUGH or bool(unexplained) or len(tried) < len(sample))


def _explained() -> dict[Identity, str]:
    """Mutants that no test can tell from the program → why."""
    entries = tomllib.loads(EXPLAINED.read_text(encoding="utf-8")).get("survivor", [])
    return {(e["module"], e["function"], e["was"], e["becomes"]): e["why"] for e in entries}


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
