"""A growing file of metrics is passed on once, in order, whatever is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from maineffect.command.metrics import MetricsFile


class Heard:
    def __init__(self, path: Path, steps: int | None = None) -> None:
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.progress: list[tuple[int, int]] = []
        self.file = MetricsFile(
            path, lambda s, m: self.logged.append((s, dict(m))), lambda d, t: self.progress.append((d, t)), steps
        )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_lines_are_passed_on_as_they_come_and_half_a_line_waits(path: Path) -> None:
    heard = Heard(path)
    heard.file.look()
    with path.open("a") as file:
        print('{"step": 0, "reward": 0.5, "note": "x", "ok": true}', file=file, flush=True)
        file.write('{"step": 1, "rew')
        file.flush()
        heard.file.look()
        assert heard.logged == [(0, {"reward": 0.5})]
        file.write('ard": 1}\n')
        file.flush()
        heard.file.look()
        heard.file.look()
        file.write('{"step": 2, "reward": 2}')
    assert heard.logged[1:] == [(1, {"reward": 1.0})]
    heard.file.look(last=True)
    heard.file.look(last=True)
    assert heard.logged[2:] == [(2, {"reward": 2.0})]


def test_progress_counts_from_zero_or_one(path: Path) -> None:
    for first, expected in ((0, [(2, 3)]), (1, [(2, 3)])):
        heard = Heard(path, steps=3)
        path.write_text("".join(f'{{"step": {first + n}, "x": 1}}\n' for n in range(2)))
        heard.file.look()
        assert heard.progress == expected
    path.write_text('{"step": 900, "x": 1}\n')
    heard = Heard(path, steps=3)
    heard.file.look()
    assert heard.progress == [(3, 3)]


def test_a_file_written_anew_is_read_anew(path: Path) -> None:
    heard = Heard(path)
    path.write_text('{"step": 0, "x": 1}\n{"step": 1, "x": 1}\n')
    heard.file.look()
    path.write_text('{"step": 0, "x": 2}\n')
    heard.file.look()
    assert heard.logged[-1] == (0, {"x": 2.0})


def test_lines_that_cannot_be_used_are_named_a_few_times_and_cost_nothing_else(path: Path) -> None:
    heard = Heard(path)
    path.write_text('nothing\n[1]\n{"x": 1}\n{"step": "a"}\n{"step": NaN}\n\n{"step": 3, "x": NaN}\n')
    heard.file.look(last=True)
    assert [step for step, _ in heard.logged] == [3]
    assert heard.file.unread == [
        "line 1 of metrics.jsonl is no JSON: left out of the curves",
        "line 2 of metrics.jsonl is no JSON object: left out of the curves",
        "line 3 of metrics.jsonl has no number `step`: left out of the curves",
    ]


def test_a_large_file_is_read_in_pieces_and_to_its_end(path: Path) -> None:
    heard = Heard(path)
    count = 200_000
    path.write_text("".join(f'{{"step": {n}, "reward": 0.123456789}}\n' for n in range(count)))
    heard.file.look()
    assert 0 < len(heard.logged) < count
    heard.file.look(last=True)
    assert [step for step, _ in heard.logged] == list(range(count))
