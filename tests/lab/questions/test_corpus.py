"""A study's view of a corpus: what is trained on, what is evaluated, what shortcuts score, what other tools get."""

import json

import numpy as np
import pytest

from maineffect.lab.adapters.gym_world import SearchWorld
from maineffect.lab.adapters.trl import environment_factory
from maineffect.lab.corpus.battery import CORPUS_RESPONSES, PROBES
from maineffect.lab.corpus.load import CorpusError
from maineffect.lab.corpus.scripted import careful, scripted
from maineffect.lab.evaluate.metrics import REGIME_RESPONSES
from maineffect.lab.examine.regimes import regime_scores
from maineffect.lab.questions.generated import Generated
from maineffect.lab.questions.source import open_source
from maineffect.lab.settings import LabSettings
from maineffect.lab.train.demonstrations import demonstration_settings
from maineffect.seeds import generator

HELD_OUT = 11


def lab(**sections):
    world = {"language": "english", "corpus": "descr", **sections.pop("world", {})}
    return LabSettings.model_validate({"world": world, **sections})


def player(make):
    def play(episodes):
        for i, episode in enumerate(episodes):
            policy = make(generator(0, i))
            episode.reset()
            while not any(episode.step(policy(episode))[2:4]):
                pass
        return [1] * len(episodes)

    return play


def oracle(_):
    return careful


def asked(questions, count=150):
    return {questions.question(i).id for i in range(count)}


def test_evaluation_asks_nothing_that_training_asks(study_folder):
    settings = lab(world={"conflict_rate": 0.5})
    source = open_source(settings, study_folder, 5)
    training, held_out = (asked(side(settings, 1)) for side in (source.training, source.held_out))
    assert not training & held_out
    assert len(held_out) == HELD_OUT
    assert len(training | held_out) == 37
    shown = demonstration_settings(settings, 2)
    assert asked(source.training(shown, 9)) == training
    other = open_source(settings, study_folder, 6)
    assert asked(other.held_out(settings, 1)) != held_out
    assert other.digest != source.digest
    rows = source.examine(settings, 5, player(oracle)).rows
    assert {row["question"] for row in rows} == held_out


def test_items_are_the_same_for_every_cell(study_folder):
    def exam(settings, seed=5):
        return open_source(settings, study_folder, seed).examine(settings, seed, player(oracle))

    first = exam(lab())
    cell = lab(
        world={"conflict_rate": 0.9, "distractors": 0, "unanswerable_share": 0.5, "adversary": "wrong"},
        retriever={"recall": 0.5, "top_k": 1},
        episode={"budget": 1},
    )
    assert (exam(cell).digest, exam(cell).rows) == (first.digest, first.rows)
    assert exam(lab(), 6).digest != first.digest
    assert exam(lab(evaluation={"difficulty": 2})).digest != first.digest
    facts = json.loads(first.texts["corpus.json"])
    assert len(facts["evaluated"]) == HELD_OUT
    assert first.measures["corpus"] == int(facts["digest"][:8], 16)


def test_a_changed_corpus_is_another_one(study_folder):
    before = open_source(lab(), study_folder, 5)
    assert open_source(lab(), study_folder, 5) is before
    with (study_folder / "descr" / "iris.rst").open("a") as file:
        file.write("\nOne more sentence.\n")
    after = open_source(lab(), study_folder, 5)
    assert after.digest != before.digest
    exams = [source.examine(lab(), 5, player(oracle)) for source in (before, after)]
    assert exams[0].digest != exams[1].digest


def test_every_probe_tells_the_oracle_from_every_shortcut(study_folder):
    """On average over the held-out questions the oracle leads every shortcut by 0.3; readers only where they fail."""
    settings = lab()
    source = open_source(settings, study_folder, 5)
    scores = {}
    for name, make in scripted(source._corpus.questions).items():
        exam = source.examine(settings, 5, player(make))
        assert set(exam.responses) == set(CORPUS_RESPONSES)
        by_probe = {probe: [r["pair_score"] for r in exam.rows if r["probe"] == probe] for probe in PROBES}
        scores[name] = {probe: float(np.mean(of)) for probe, of in by_probe.items()}
        print(f"{name:22}", {probe: round(score, 2) for probe, score in scores[name].items()})
    best = scores.pop("oracle")
    assert min(best.values()) > 0.9
    assert scores.pop("cite everything") == best
    believer = scores.pop("takes injected claims")
    assert believer["corpus_plain"] == best["corpus_plain"]
    assert believer["corpus_conflict"] < best["corpus_conflict"] - 0.6
    assert believer["corpus_attack"] < best["corpus_attack"] - 0.6
    scores.pop("naive")
    for name, of in scores.items():
        for probe, score in of.items():
            assert score < best[probe] - 0.3, (name, probe)


def test_responses_of_a_shortcut_are_what_it_does(study_folder):
    records = open_source(lab(), study_folder, 5).baselines(lab(), 5)
    value = {(record["name"], record["response"]): record["value"] for record in records}
    assert {response for _, response in value} == set(CORPUS_RESPONSES)
    assert value["always abstain", "corpus_missing_abstention"] == 1
    assert value["always abstain", "answer_when_answerable"] == 0
    assert value["always abstain", "pair_corpus_missing"] == 0
    assert value["takes injected claims", "corpus_believed_claims"] > 0.8
    assert value["oracle", "corpus_believed_claims"] == 0
    assert value["oracle", "citation_precision"] == 1
    assert value["cite everything", "citation_precision"] < 0.6
    assert value["oracle", "aurc"] < value["closed book", "aurc"]
    assert value["oracle", "brier"] < value["takes injected claims", "brier"]


def test_regimes_are_played_on_held_out_questions(study_folder):
    settings = lab(world={"conflict_rate": 1.0}, evaluation={"regime_episodes": 16})
    source, seen = open_source(settings, study_folder, 5), set()

    def play(episodes):
        seen.update(episode.question.id for episode in episodes)
        player(oracle)(episodes)
        return [1.0] * len(episodes)

    scores = regime_scores(settings, 3, play, source)
    assert seen <= asked(source.held_out(settings, 1))
    assert scores.own > 0.8
    assert scores.grid > 0.8
    assert "transfer_gain" in REGIME_RESPONSES


def test_without_a_corpus_the_world_is_generated():
    assert isinstance(open_source(LabSettings()), Generated)


def test_demonstrators_differ_and_both_act_in_the_protocol(study_folder):
    said = {}
    for name in ("naive", "careful"):
        settings = lab(warmstart={"demonstrator": name})
        source = open_source(settings, study_folder, 5)
        questions = source.training(demonstration_settings(settings, 4), 7)
        right = []
        for i in range(60):
            episode = questions.episode(i)
            pieces = source.demonstration(settings, 7, i, episode)
            assert not pieces[0][1]
            assert episode.record.invalid == 0
            right.append(episode.record.answer.value == episode.question.answer)
        said[name] = np.mean(right)
    print(said)
    assert said["careful"] > 0.95
    assert 0.3 < said["naive"] < 0.85


def test_other_tools_train_on_the_training_side(study_folder, monkeypatch):
    monkeypatch.chdir(study_folder)
    held_out = asked(open_source(lab()).held_out(lab(), 1))
    world = SearchWorld({"world": {"language": "english", "corpus": "descr"}})
    for seed in range(40):
        world.reset(seed=seed)
        assert world.episode.question.id not in held_out
    tools = environment_factory({"world": {"language": "english", "corpus": "descr"}}, seed=1)()
    assert "Question: " in tools.reset(index=3)
    assert "[d1]" in tools.search("iris data Fisher")
    with pytest.raises(CorpusError, match="nowhere:1: no such"):
        environment_factory({"world": {"language": "english", "corpus": "nowhere"}}, seed=1)
