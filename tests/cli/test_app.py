"""The command line: light to start, exact exit codes, one JSON document, errors with the way out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GOOD = """\
schema_version: 1
name: good
factors:
  a: {levels: [0.0, 1.0]}
  b: {levels: [low, high]}
design: {kind: full, replicates: 2}
responses: {y: {smallest_effect: 0.5}}
hypotheses: [{id: H1, term: a, response: y, direction: increase}]
analysis: {terms: two_way}
"""


def run(*words: str, cwd: Path, expect: int) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as a shell does; the other tests call the command line here."""
    done = subprocess.run(
        [sys.executable, "-m", "maineffect", *words], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == expect, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(GOOD)
    return path


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom maineffect.cli.app import main\nsys.argv = ['maineffect', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'ray', 'torch', 'mlflow', 'pandas', 'numpy', 'altair'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stderr
    for verb in (
        "check",
        "design",
        "power",
        "register",
        "submit",
        "status",
        "resubmit",
        "logs",
        "cancel",
        "analyse",
        "report",
        "schema",
        "env",
    ):
        assert verb in done.stdout


def test_check_counts_cells_and_runs(study: Path) -> None:
    document = json.loads(run("check", "study.yaml", "--json", cwd=study.parent, expect=0).stdout)
    assert (document["valid"], document["n_cells"], document["n_runs"]) == (True, 4, 8)


def test_every_error_at_once_with_file_line_and_hint(study: Path) -> None:
    study.write_text(
        GOOD.replace("smallest_effect", "smalest_effect").replace("term: a", "term: aa").replace("[low, high]", "[low]")
    )
    done = run("check", "study.yaml", "--json", cwd=study.parent, expect=3)
    problems = json.loads(done.stdout)["error"]["problems"]
    lines = {problem["line"] for problem in problems}
    assert {5, 7} <= lines
    assert "smallest_effect" in done.stderr
    assert "study.yaml:7" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("check", "absent.yaml"), 3, "absent.yaml"),
        (("nonsense",), 2, "nonsense"),
        (("check", "study.yaml", "--nonsense"), 2, "nonsense"),
        (("status", "nowhere", "--home", "h"), 2, "nowhere"),
        (("analyse", "--study", "study.yaml"), 2, "--table"),
        (("analyse", "--study", "study.yaml", "--table", "absent.csv"), 1, "absent.csv"),
        (("submit", "study.yaml", "--home", "h"), 3, "trainable"),
        (("submit", "study.yaml", "--tracking-uri", "http://127.0.0.1:9"), 3, "trainable"),
    ],
)
def test_errors_have_one_message_and_the_right_exit_code(
    here: Any, study: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    done = here(*words, cwd=study.parent, expect=code)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (study.parent / "h").exists(), "nothing half-made stays behind"


def test_a_server_that_does_not_answer_is_named_in_seconds(here: Any, study: Path) -> None:
    study.write_text(GOOD + "trainable: 'known:train'\n")
    (study.parent / "known.py").write_text("def train(request, context):\n    return {'y': 1.0}\n")
    done = here("submit", "study.yaml", "--tracking-uri", "http://user:secret@127.0.0.1:9", cwd=study.parent, expect=1)
    assert "127.0.0.1:9" in done.stderr
    assert "--tracking-uri" in done.stderr
    assert "secret" not in done.stderr
    assert not list(study.parent.glob("*.registration.json"))


def test_a_table_made_elsewhere_is_analysed_and_reported(here: Any, study: Path) -> None:
    noise = iter([0.02, -0.01, 0.03, -0.02, -0.03, 0.01, 0.02, -0.02])
    rows = ["a,b,replicate,y,stray"]
    for replicate in (1, 2):
        rows += [
            f"{a},{b},{replicate},{10 + 3 * a + 0.1 * replicate + next(noise)},1"
            for a in (0, 1)
            for b in ("low", "high")
        ]
    (study.parent / "runs.csv").write_text("\n".join(rows) + "\n")
    document = json.loads(
        here("analyse", "--study", "study.yaml", "--table", "runs.csv", "--json", cwd=study.parent, expect=0).stdout
    )
    effects = {effect["term"]: effect["estimate"] for effect in document["responses"]["y"]["effects"]}
    assert effects["a"] == pytest.approx(3.0, abs=0.05)
    assert effects["b"] == pytest.approx(0.0, abs=0.05)
    assert document["hypotheses"][0]["verdict"] == "supported"
    assert any("stray" in warning for warning in document["warnings"])
    done = here("report", "--study", "study.yaml", "--table", "runs.csv", "-o", "page.html", cwd=study.parent, expect=0)
    page = Path(done.stdout.strip().splitlines()[-1]).read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "supported" in page


def test_schema_is_json(here: Any) -> None:
    schema = json.loads(here("schema", cwd=Path.cwd(), expect=0).stdout)
    assert schema["properties"]["factors"]
