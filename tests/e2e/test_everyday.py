"""A sweep over weeks: code is mended, replicates are added, the budget ends, and nothing is run twice unasked."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter

import pytest

pytestmark = pytest.mark.ray


@pytest.mark.slow  # a minute: five submissions; tests/execute and tests/ledger hold each step by itself
def test_code_is_mended_replicates_are_added_and_the_budget_ends(workbench) -> None:
    study, code = workbench.study.read_text().replace("replicates: 2", "replicates: 1"), workbench.folder / "known.py"
    workbench.study.write_text(study)
    code.write_text(code.read_text().replace("    noise =", '    print("trained", request.run_id)\n    noise ='))
    runs = [run["run_id"] for run in workbench.document("design", "study.yaml")["runs"]]
    workbench.plan(fail_once=[runs[1]], sleep=1.0)
    first = workbench.document("submit", "study.yaml", expect=5)
    (failed,) = first["failure_classes"]
    assert (failed["class"], failed["runs"], failed["run_id"]) == ("user-error", 1, runs[1])
    assert len(first["slowest"]) == 3
    assert "planned failure" in workbench.run("logs", runs[1]).stdout

    code.write_text(code.read_text() + "\n# mended\n")
    refused = workbench.run("resubmit", "latest", expect=2)
    assert "3 run(s) of this sweep were finished under code" in refused.stderr
    assert "--reuse-results" in refused.stderr
    mixed = workbench.document("resubmit", "latest", "--reuse-results")
    assert mixed["counts"]["finished"] == 4
    assert len(workbench.started()) == 5
    shutil.rmtree(workbench.folder / "home" / "runs")  # as on another machine
    (one, two) = workbench.document("logs", runs[1])["attempts"]
    assert (one["state"], one["class"], two["state"]) == ("failed", "user-error", "finished")
    assert (two["source"], two["output"]) == ("ledger", f"trained {runs[1]}\n")

    # One replicate more, with money for about half of it. Only the mended code's result is the same in everything.
    workbench.study.write_text(
        study.replace("replicates: 1", "replicates: 2") + "budget: {cpu_hours: 0.0008}\n"  # 2.9 s
    )
    cautious = workbench.document("submit", "study.yaml", "--dry-run")
    assert [found["run_id"] for found in cautious["reused"]] == [runs[1]]
    assert (len(cautious["would_run"]), cautious["other_code_elsewhere"]) == (7, 3)
    generous = workbench.document("submit", "study.yaml", "--dry-run", "--reuse-results")
    assert {found["run_id"] for found in generous["reused"]} == set(runs)
    assert len(generous["would_run"]) == 4
    short = workbench.run("submit", "study.yaml", "--register-anew", "--reuse-results", expect=5)
    assert f"4 run(s) are finished in sweep {mixed['sweep']}" in short.stderr
    assert "the budget bears no further run" in short.stderr
    standing = workbench.document("status", "latest")
    assert standing["reused"] == {mixed["sweep"]: 4}
    assert 4 < standing["counts"]["finished"] < 8
    assert standing["cost"]["cpu_hours"] <= 0.0008
    assert standing["budget"]["undone"] == 8 - standing["counts"]["finished"]

    # More money: the rest runs, and `logs --follow` sees it from before its start to its end.
    workbench.study.write_text(workbench.study.read_text().replace("cpu_hours: 0.0008", "cpu_hours: 1"))
    last = next(run["run_id"] for run in standing["runs"] if run["state"] == "planned")
    words = [sys.executable, "-m", "maineffect", "logs", last, "known-effects", "--follow", "--json"]
    follower = subprocess.Popen(words, cwd=workbench.folder, env=workbench.environment(), stdout=subprocess.PIPE)
    done = workbench.document("submit", "study.yaml", "--reuse-results")
    assert done["counts"]["finished"] == 8
    assert done["budget"]["limits"] == {"cpu_hours": 1.0}
    followed = json.loads(follower.communicate(timeout=240)[0])
    assert followed["state"] == "finished"
    assert followed["attempts"][-1]["output"] == f"trained {last}\n"
    assert max(Counter(workbench.started()).values()) == 2, "only what had failed was entered again"
    assert len(workbench.started()) == 9

    deviations = workbench.document("analyse", "latest")["facts"]["deviations"]
    assert any(f"4 run(s) were reused from sweep {mixed['sweep']}" in line for line in deviations)
    assert any("2 versions of the trainable's code" in line for line in deviations)
