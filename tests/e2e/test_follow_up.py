"""A finished sweep, its `next`, and the written study run for real: what was done is never done again."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.ray


@pytest.mark.slow  # two submissions; tests/journey/read/test_next.py holds each step without Ray
def test_a_sweep_is_followed_to_a_verdict(workbench) -> None:
    """The effect of a is 2, and the claim is that it exceeds 1.98: open after eight runs with a noise of .05."""
    text = workbench.study.read_text()
    text = text.replace("smallest_effect: 0.5", "smallest_effect: 1.98").replace("replicates: 2", "replicates: 3")
    text = text.replace("direction: increase}", "direction: increase, beyond: smallest_effect}")
    workbench.study.write_text(text.replace("  - {id: H2, term: b, response: skill, direction: negligible}\n", ""))
    first = workbench.document("submit", "study.yaml")
    analysed = workbench.document("analyse", "latest")
    assert analysed["hypotheses"][0]["verdict"] == "inconclusive"
    kinds = [proposal["kind"] for proposal in analysed["what_next"]["proposals"]]
    assert "confirm" in kinds, "nobody registered the effect of c"
    line = kinds.index("replicates")

    words = ("--budget", "1", "--write", "follow-up.yaml", "--choice", str(line + 1))
    document = workbench.document("next", "latest", *words)
    chosen = document["proposals"][line]
    assert chosen["chances"][0]["question"] == "H1"
    assert document["sweep"] == first["sweep"]
    ran = workbench.started()
    assert workbench.document("check", "follow-up.yaml")["n_runs"] == len(ran) + chosen["runs"]
    second = workbench.document("submit", "follow-up.yaml")
    assert second["reused"] == {first["sweep"]: len(ran)}
    new = workbench.started()[len(ran) :]
    assert len(new) == chosen["runs"]
    assert not set(new) & set(ran)
    judged = workbench.document("analyse", second["sweep"])["hypotheses"][0]
    assert [phase["counts"] for phase in judged["phases"]] == [False, True]
    assert judged["phases"][1]["runs"] == len(new)
    assert judged["post_hoc"] is None
    assert judged["verdict"] in ("supported", "inconclusive")
    workbench.run("report", second["sweep"], "-o", "report.html")
    page = (workbench.folder / "report.html").read_text()
    assert "Do the phases agree?" in page
    assert "What would decide the rest, at what price?" in page
