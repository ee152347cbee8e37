"""The battery is frozen, and its probes tell the oracle from every shortcut by the margins that they state."""

from __future__ import annotations

import numpy as np
import pytest

from maineffect.lab.evaluate import edits
from maineffect.lab.evaluate.baselines import HEADROOM, baseline_records, headroom, played_by_scripts, probe_scores
from maineffect.lab.evaluate.battery import KNOCK_OUT, Battery, build_battery
from maineffect.lab.evaluate.metrics import BATTERY_RESPONSES, REGIME_RESPONSES, RESPONSES, given_by, responses
from maineffect.lab.evaluate.probes import PAIRED, SINGLE
from maineffect.lab.evaluate.scoring import Played, play_battery, scripted_player
from maineffect.lab.in_study import InStudy
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.scripted import oracle
from maineffect.lab.world.solver import solve

SETTINGS = LabSettings.model_validate({"evaluation": {"items": 40, "pairs": 40}})


@pytest.fixture(scope="module")
def battery() -> Battery:
    return build_battery(SETTINGS, 5)


@pytest.fixture(scope="module")
def played(battery: Battery) -> dict[str, Played]:
    return played_by_scripts(battery)


@pytest.fixture(scope="module")
def scores(played: dict[str, Played]) -> dict[str, dict[str, float]]:
    return {name: probe_scores(of.rows) for name, of in played.items()}


def test_the_battery_is_a_function_of_the_evaluation_seed_alone(battery: Battery) -> None:
    other_cell = LabSettings.model_validate(
        {
            "evaluation": {"items": 40, "pairs": 40},
            "world": {"conflict_rate": 0.5, "distractors": 4, "staleness": 0.5},
            "retriever": {"recall": 0.5, "top_k": 8},
            "episode": {"budget": 8},
        }
    )
    assert battery.digest == build_battery(other_cell, 5).digest
    assert battery.digest != build_battery(SETTINGS, 6).digest
    assert len({item.item_id for item in battery.items}) == len(battery.items)
    assert {item.probe.name for item in battery.items} == {probe.name for probe in (*SINGLE, *PAIRED, KNOCK_OUT)}


def test_truth_follows_from_the_documents_in_every_world(battery: Battery) -> None:
    for item in battery.items:
        assert solve(item.member.question) == item.member.question.answer, item.item_id


def test_members_of_a_pair_differ_in_the_thing_that_is_asked(battery: Battery) -> None:
    answers: dict[str, list[str]] = {}
    for item in battery.items:
        answers.setdefault(item.pair_id, []).append(item.member.right)
    for pair, right in answers.items():
        name = pair.rpartition("-")[0]
        if name in ("edit", "reliability_flip", "majority_trap", "hop_substitution", "ablate", "squeeze", "tie"):
            assert right[0] != right[1], pair
        if name in (
            "irrelevant_edit",
            "order",
            "distractor_swap",
            "paraphrase",
            "retriever_fault",
            "injection",
            "echo",
        ):
            assert len(set(right)) == 1, pair


def test_the_oracle_passes_every_probe(scores: dict[str, dict[str, float]], played: dict[str, Played]) -> None:
    assert set(scores["oracle"].values()) == {1.0}
    numbers = responses(played["oracle"].rows)
    assert numbers["citation_precision"] == 1.0
    assert numbers["search_regret"] == 0.0
    assert numbers["brier"] == pytest.approx(0.01, abs=0.005)
    assert numbers["abstention_recall"] == numbers["abstention_precision"] == 1.0


@pytest.mark.parametrize("probe", [*PAIRED, KNOCK_OUT], ids=lambda probe: probe.name)
def test_shortcuts_score_at_most_what_the_probe_states(probe, scores: dict[str, dict[str, float]]) -> None:
    assert probe.fails
    over = {name: scores[name][probe.name] for name, most in probe.fails.items() if scores[name][probe.name] > most}
    assert not over


def test_every_paired_probe_discriminates(scores: dict[str, dict[str, float]]) -> None:
    lead = headroom(scores)
    for probe in (*PAIRED, KNOCK_OUT):
        assert lead[probe.name][0] >= HEADROOM, (probe.name, lead[probe.name])
    assert lead["closed_book"][0] == 0.0  # declining always passes it: the flag must be able to fall


def test_the_triad_is_the_headline(scores: dict[str, dict[str, float]]) -> None:
    others = {name: own["triad"] for name, own in scores.items() if name not in ("oracle", "cite everything")}
    assert max(others.values()) <= 0.25, others
    assert sum(score == 0 for score in others.values()) >= len(others) - 4, others


def test_citing_everything_lowers_precision_only(played: dict[str, Played]) -> None:
    all_cited, oracle = (responses(played[name].rows) for name in ("cite everything", "oracle"))
    assert all_cited["citation_precision"] < oracle["citation_precision"] - 0.3
    assert all_cited["clean_accuracy"] == oracle["clean_accuracy"]


def test_an_edit_leaves_no_fingerprint(battery: Battery) -> None:
    """Which of the pair was edited cannot be told from what a document looks like: same dates, tiers, values' ranks."""
    pairs = [i for i in battery.items if i.probe.name in ("edit", "reliability_flip", "hop_substitution")]
    by_pair: dict[str, list[tuple[float, ...]]] = {}
    for item in pairs:
        documents = item.member.question.documents
        features = (
            float(len(documents)),
            float(sum(d.date for d in documents)),
            float(sum(d.tier for d in documents)),
            float(len({d.value for d in documents})),
        )
        by_pair.setdefault(item.pair_id, []).append(features)
    for a, b in by_pair.values():
        assert a == b


def test_edits_recompute_the_truth(battery: Battery) -> None:
    question = next(i.member.question for i in battery.items if i.probe.name == "edit")
    assert edits.ablated(question).answer == "none"
    assert edits.edited(question).answer not in ("none", question.answer)
    assert edits.keeping(question, []).answer == "none"


def test_responses_exist_for_every_policy(played: dict[str, Played]) -> None:
    """Also for one that never answers: it has collapsed, it has not diverged."""
    for name, of in played.items():
        numbers = responses(of.rows)
        assert set(numbers) == set(BATTERY_RESPONSES), name
        assert np.isfinite(list(numbers.values())).all(), name


def test_unstated_confidence_and_citations_have_their_share(battery: Battery, played: dict[str, Played]) -> None:
    def modest(action: str) -> str:
        words = action.split()
        return action if words[0] != "<answer>" or words[1] == "none" else f"<answer> {words[1]} </answer>"

    silent = play_battery(battery, scripted_player(lambda _: lambda e: modest(oracle(e))))
    numbers, full = responses(silent.rows), responses(played["oracle"].rows)
    assert (numbers["confidence_unstated"], numbers["citations_unstated"]) == (1.0, 1.0)
    assert (full["confidence_unstated"], full["citations_unstated"]) == (0.0, 0.0)
    assert numbers["citation_recall"] == numbers["citation_precision_all"] == 0.0
    assert numbers["brier"] == 0.0, "an assertion without a hedge, and always right"


def test_citations_have_unconditional_versions(played: dict[str, Played]) -> None:
    """Of a policy that is right on some, the measures over all answerable items are smaller by that share."""
    numbers = responses(played["first document"].rows)
    rows = [r for r in played["first document"].rows if r["probe"] in ("one_hop", "two_hop", "conflict")]
    share = float(np.mean([row["correct"] for row in rows]))
    assert 0 < share < 1
    for name in ("citation_precision", "citation_recall"):
        assert numbers[f"{name}_all"] == pytest.approx(share * numbers[name])
    full = responses(played["oracle"].rows)
    assert full["citation_recall_all"] == full["citation_recall"], "always right"


def test_garbage_is_no_abstention(battery: Battery, played: dict[str, Played]) -> None:
    """Nonsense on every turn is wrong everywhere, and worse than declining everything in each of these scores."""
    nonsense = play_battery(battery, scripted_player(lambda _: lambda _: "blah blah"))
    numbers, declined = responses(nonsense.rows), responses(played["always abstain"].rows)
    assert {row["score"] for row in nonsense.rows} == {0.0}
    assert (numbers["unparsed_share"], declined["unparsed_share"]) == (1.0, 0.0)
    assert numbers["abstention_recall"] == numbers["abstention_precision"] == 0.0
    assert declined["abstention_recall"] == 1.0
    for name in ("brier", "aurc", "augrc"):
        assert numbers[name] > declined[name] + 0.1, name
    assert numbers["answer_when_answerable"] == 0.0


def test_baselines_become_records_for_the_report() -> None:
    records = baseline_records(LabSettings.model_validate({"evaluation": {"items": 4, "pairs": 2}}), 5)
    oracle = {r["response"]: r["value"] for r in records if r["name"] == "oracle"}
    assert oracle["clean_accuracy"] == 1.0
    assert {r["response"] for r in records} == set(BATTERY_RESPONSES)
    said = {r["name"]: r["description"] for r in records}
    assert said["always abstain"] == "Never searches, never answers."
    assert len(set(said.values())) == len(said), "every scripted policy says what it does"
    assert all(text.endswith(".") for text in said.values())


def test_declared_responses_are_returned(make_context, make_request, small) -> None:
    from maineffect.lab import train_search_agent

    result = train_search_agent(make_request(small), make_context())
    assert set(result.responses) == set(RESPONSES)
    assert np.isfinite(list(result.responses.values())).all()
    assert {row["probe"] for row in result.items} == {probe.name for probe in (*SINGLE, *PAIRED, KNOCK_OUT)}
    assert '"turns"' in result.texts["transcripts.jsonl"]


def test_some_probes_are_the_same_items_and_give_what_they_alone_decide(battery: Battery, played) -> None:
    names = ("one_hop", "conflict", "ablate", "edit")
    some = build_battery(LabSettings.model_validate({"evaluation": {"items": 40, "pairs": 40, "probes": names}}), 5)
    assert [(i.item_id, i.member) for i in some.items] == [
        (i.item_id, i.member) for i in battery.items if i.probe.name in names
    ]
    for of in played.values():
        numbers = responses([row for row in of.rows if row["probe"] in names])
        assert set(numbers) == set(given_by(names))
        assert numbers == {name: value for name, value in responses(of.rows).items() if name in numbers}
    assert {"one_hop_accuracy", "conflict_accuracy", "pair_ablate", "evidence_use"} <= set(given_by(names))
    assert not {"clean_accuracy", "brier", "answer_when_answerable", "source_weighting"} & set(given_by(names))
    assert given_by(()) == BATTERY_RESPONSES
    assert set(given_by([probe.name for probe in (*SINGLE, *PAIRED, KNOCK_OUT)])) == set(BATTERY_RESPONSES)


def test_a_study_of_some_probes_names_only_what_they_give(tmp_path) -> None:
    study = InStudy(tmp_path)
    chosen = {"evaluation": {"probes": ["one_hop", "two_hop"]}}
    assert study.check_run(chosen, {}) == []
    alone = ("one_hop_accuracy", "two_hop_accuracy", "clean_accuracy")
    assert study.response_names(chosen) == (*alone, *REGIME_RESPONSES)
    (problem,) = study.check_run({"evaluation": {"probes": ["one_hop", "two_hops"]}}, {})
    assert "evaluation.probes: no probe 'two_hops'; there are one_hop, two_hop, conflict" in problem.message
