"""The battery is frozen, and its probes tell the oracle from every shortcut."""

from __future__ import annotations

import numpy as np
import pytest

from maineffect.lab.evaluate.battery import PROBES, build_battery
from maineffect.lab.evaluate.metrics import RESPONSES, item_row, responses
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.scripted import SCRIPTED, play
from maineffect.seeds import generator

SETTINGS = LabSettings.model_validate({"evaluation": {"items": 40}})


def scores(name: str) -> dict[str, float]:
    rows = []
    for i, item in enumerate(build_battery(SETTINGS, 5).items):
        episode = item.episode()
        play(episode, SCRIPTED[name](generator(0, i)))
        rows.append(item_row(item, episode, 0))
    return responses(rows)


def test_the_battery_is_a_function_of_the_evaluation_seed_alone() -> None:
    other_cell = LabSettings.model_validate(
        {"evaluation": {"items": 40}, "world": {"conflict_rate": 0.5, "distractors": 4}, "retriever": {"recall": 0.5}}
    )
    assert build_battery(SETTINGS, 5).digest == build_battery(other_cell, 5).digest
    assert build_battery(SETTINGS, 5).digest != build_battery(SETTINGS, 6).digest
    assert len(build_battery(SETTINGS, 5).items) == 40 * len(PROBES)


def test_the_oracle_passes_every_probe() -> None:
    oracle = scores("oracle")
    for name in ("clean_accuracy", "conflict_accuracy", "abstention_unanswerable", "retriever_failure_accuracy"):
        assert oracle[name] == 1.0
    assert oracle["closed_book_abstention"] == 1.0
    assert oracle["brier"] == pytest.approx(0.01)
    assert oracle["citation_precision"] == 1.0


# A shortcut, and a response on which it must stay below the oracle by at least this much.
MARGINS = [
    ("always abstain", "clean_accuracy", 0.99),
    ("always abstain", "answer_when_answerable", 0.99),
    ("closed book", "clean_accuracy", 0.9),
    ("closed book", "abstention_unanswerable", 0.99),
    ("first document", "clean_accuracy", 0.4),
    ("majority", "conflict_accuracy", 0.3),
    ("cite everything", "citation_precision", 0.3),
    ("naive", "retriever_failure_accuracy", 0.5),
]


@pytest.mark.parametrize(("shortcut", "response", "margin"), MARGINS)
def test_shortcuts_stay_below_the_oracle(shortcut: str, response: str, margin: float) -> None:
    assert scores("oracle")[response] - scores(shortcut)[response] >= margin


def test_declared_responses_are_returned(make_context, make_request, small) -> None:
    from maineffect.lab import train_search_agent

    result = train_search_agent(make_request(small), make_context())
    assert set(result.responses) == set(RESPONSES)
    assert len(result.items) == 4 * len(PROBES)
    assert {row["probe"] for row in result.items} == {probe.name for probe in PROBES}
    assert np.isfinite([result.responses[name] for name in RESPONSES if name != "brier"]).all()
    assert '"turns"' in result.texts["transcripts.jsonl"]
