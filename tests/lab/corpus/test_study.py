"""What ``maineffect check`` says of a study that names a corpus, and what makes a run the same run."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

import maineffect.lab.policy_settings
from maineffect.code_version import code_version
from maineffect.errors import SpecError, UsageError
from maineffect.journey.plan.place import Place
from maineffect.journey.plan.requests import plan_requests, sweep_id_of
from maineffect.journey.read.measure import baselines_of, shortcut_table
from maineffect.lab.corpus.battery import CORPUS_RESPONSES, PROBES
from maineffect.lab.corpus.load import CorpusError
from maineffect.lab.corpus.scripted import BELIEVER
from maineffect.lab.in_study import InStudy, code_files, response_names
from maineffect.lab.questions.source import open_source
from maineffect.lab.settings import LabSettings
from maineffect.spec.load import load_study
from maineffect.study import check

TRAINABLE = "maineffect.lab:train_search_agent"
STUDY = """\
schema_version: 1
name: own-documents
trainable: maineffect.lab:train_search_agent
factors:
  conflict: {levels: [0.0, 0.5], binds: world.conflict_rate}
design: {kind: full, replicates: 2}
responses:
  corpus_accuracy: {goal: maximize}
settings:
  world: {language: english, corpus: descr}
  policy: {model: some-model}
  warmstart: {learning_rate: 1.0e-3}
  train: {learning_rate: 1.0e-5}
"""


@pytest.fixture
def write(study_folder, monkeypatch):
    """Write a study; the language model's packages count as installed, because nothing here loads a model."""
    monkeypatch.setattr(maineffect.lab.policy_settings, "find_spec", lambda name: name)

    def make(old="", new=""):
        assert old in STUDY
        path = study_folder / "study.yaml"
        path.write_text(STUDY.replace(old, new), encoding="utf-8")
        return path

    return make


def refused(path):
    with pytest.raises(SpecError) as caught:
        check(path)
    return caught.value.problems


def test_a_study_that_names_a_corpus_is_valid(write):
    checked = check(write())
    assert len(checked.design.runs) == 4


def test_the_documented_study_is_valid(write):
    page = (Path(__file__).parents[3] / "docs" / "corpora.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(schema_version.*?)```", page, re.DOTALL)
    path = write()
    path.write_text(text, encoding="utf-8")
    assert len(check(path).design.runs) == 4


@pytest.mark.parametrize(
    ("old", "new", "line", "what", "hint"),
    [
        ("corpus: descr", "corpus: nowhere", 10, "nowhere:1: no such folder or file", "put questions.jsonl"),
        ("corpus: descr", "corpus: ../descr", 10, "outside the study's folder", "beside the study file"),
        ("corpus: descr", "corpus: /descr", 10, "outside the study's folder", "beside the study file"),
        ("{model: some-model}", "{width: 64}", 10, "closed list of words", "policy.model"),
        (
            "levels: [0.0, 0.5], binds: world.conflict_rate",
            "levels: [0.1, 0.5], binds: evaluation.held_out",
            5,
            "cannot be a factor",
            "two studies",
        ),
        ("english, corpus: descr", "english, corpus: descr, hops: 3", 9, "world.hops: not for an imported", ""),
        ("english, corpus: descr", "words, corpus: descr", 9, "set world.language to english", ""),
        ("english, corpus: descr", "english", 8, "no response 'corpus_accuracy'", "did you mean"),
    ],
)
def test_what_does_not_fit_is_refused_where_it_stands(write, old, new, line, what, hint):
    problems = refused(write(old, new))
    assert len(problems) == 1
    (problem,) = problems
    assert what in problem.message
    assert "{" not in problem.message
    assert hint in problem.hint
    assert (problem.file.rpartition("/")[2], problem.line) == ("study.yaml", line)


def test_a_wrong_corpus_is_refused_with_its_own_file_and_line(write, study_folder):
    with (study_folder / "descr" / "questions.jsonl").open("a") as file:
        file.write('{"id": "x", "question": "Who?", "answers": ["Ada"], "gold": ["nothing"]}\n')
    (problem,) = refused(write())
    assert "questions.jsonl:38: gold 'nothing' is no document's id" in problem.message
    assert (problem.line, problem.hint) == (10, "correct it or add the document")


def test_a_wrong_embedding_is_refused(write, study_folder):
    (study_folder / "crooked.py").write_text("def embed(texts):\n    return [1.0]\n")
    (problem,) = refused(write("warmstart:", "retriever: {index: 'crooked:embed'}\n  warmstart:"))
    assert "shape (1,)" in problem.message
    (problem,) = refused(write("warmstart:", "retriever: {index: 'missing:embed'}\n  warmstart:"))
    assert "No module named 'missing'" in problem.message


@pytest.mark.parametrize(
    ("sections", "what"),
    [
        ({"world": {"staleness": 0.1}}, r"world\.staleness: not for"),
        ({"world": {"hops": 1, "copies": 1}}, r"world\.hops, world\.copies: not for"),
        ({"world": {"source_names": "hidden"}}, r"world\.source_names"),
        ({"retriever": {"snippet": "padded"}}, r"retriever\.snippet padded"),
        ({"evaluation": {"anchors": 2}}, r"evaluation\.anchors"),
        ({"warmstart": {"world": {"hops": 1}}}, r"warmstart\.world\.hops"),
        ({"warmstart": {"world": {"corpus": "descr"}}}, r"warmstart\.world\.corpus"),
        ({"world": {"corpus": None}, "retriever": {"index": "a:b"}}, r"retriever\.index: only for"),
        ({"world": {"corpus": None, "corpus_digest": "x"}}, r"world\.corpus_digest: only for"),
        ({"world": {"corpus": None}, "evaluation": {"held_out": 0.5}}, r"evaluation\.held_out: only for"),
    ],
)
def test_settings_that_cannot_apply_are_refused(sections, what, study_folder):
    world = {"language": "english", "corpus": "descr", **sections.get("world", {})}
    settings = {**sections, "world": world}
    (problem,) = InStudy(study_folder).check_run(settings, {})
    assert re.search(what, problem.message)
    with pytest.raises(UsageError, match=what):
        open_source(LabSettings.model_validate(settings), study_folder)


def test_an_index_is_named_in_its_own_form():
    with pytest.raises(ValidationError, match="pattern"):
        LabSettings.model_validate({"retriever": {"index": "tfidf"}})


def test_a_setting_at_its_default_is_not_refused():
    world = {"language": "english", "corpus": "descr", "hops": 2, "staleness": 0.0}
    assert LabSettings.model_validate({"world": world}).world.corpus == "descr"


def test_the_corpus_is_part_of_the_codes_version(write, study_folder):
    path = write()
    settings = load_study(path).settings
    before = code_version(TRAINABLE, study_folder, settings)
    assert before != code_version(TRAINABLE, study_folder, {})
    (study_folder / "notes.md").write_text("nothing that runs")
    assert code_version(TRAINABLE, study_folder, settings) == before
    requests = plan_requests(check(path), "sweep")
    assert {request.code_version for request in requests} == {before}
    for name in ("descr/iris.rst", "descr/questions.jsonl"):
        file = study_folder / name
        file.write_text(file.read_text().replace("150", "151"))
        after = code_version(TRAINABLE, study_folder, settings)
        assert after != before
        before = after
    (study_folder / "embedder.py").write_text("one = 1\n")
    assert code_version(TRAINABLE, study_folder, settings) != before
    assert code_files({}, study_folder) == []


def test_another_corpus_is_another_plan(write, study_folder):
    """What finished on one corpus belongs to its own sweep; on the same corpus the plan stays, whatever else changes."""
    path = write()
    first = check(path)
    (request, *_) = plan_requests(first, sweep_id_of(first))
    (study_folder / "notes.md").write_text("nothing that is asked")
    assert check(path).plan_hash == first.plan_hash
    with (study_folder / "descr" / "iris.rst").open("a") as file:
        file.write("\nMore.\n")
    second = check(path)
    assert sweep_id_of(second) != sweep_id_of(first)
    (later, *_) = plan_requests(second, sweep_id_of(second))
    assert later.content() != request.content()
    settings = LabSettings.model_validate(dict(request.settings))
    with pytest.raises(CorpusError, match="the study is about"):
        open_source(settings, study_folder, 1)
    assert baselines_of(first.study, study_folder, Place(home=study_folder / "home")) == []


def test_a_plan_on_the_generated_world_names_no_corpus(write, tmp_path):
    text = write().read_text().replace("corpus_accuracy", "clean_accuracy")
    (tmp_path / "study.yaml").write_text(text[: text.index("settings:")])
    assert check(tmp_path / "study.yaml").study.settings == {}


def test_a_stale_digest_is_refused(write):
    (problem,) = refused(write("corpus: descr", "corpus: descr, corpus_digest: 0123456789abcdef"))
    assert "the study is about 0123456789ab" in problem.message


def test_baselines_of_a_corpus_are_in_the_report_and_follow_it(write, study_folder):
    place = Place(home=study_folder / "home")
    study = load_study(write())
    found = {record["name"]: record["value"] for record in baselines_of(study, study_folder, place)}
    assert found["oracle"] == 1.0
    assert found["always abstain"] == 0.0
    assert len(list((place.home / "cache" / "baselines").iterdir())) == 1
    with (study_folder / "descr" / "iris.rst").open("a") as file:
        file.write("\nMore.\n")
    baselines_of(study, study_folder, place)
    assert len(list((place.home / "cache" / "baselines").iterdir())) == 2


def test_the_shortcut_table_shows_the_corpuss_own_probes(write, study_folder):
    document = shortcut_table(load_study(write()), study_folder)
    rows = {row["probe"]: row for row in document["probes"]}
    assert set(rows) == set(PROBES)
    assert all(row["discriminating"] for row in rows.values())
    assert rows["corpus_plain"]["best_shortcut"] != BELIEVER
    assert rows["corpus_plain"]["scores"][BELIEVER] == 1


def test_responses_follow_the_settings():
    corpus = response_names({"world": {"corpus": "descr"}})
    assert set(CORPUS_RESPONSES) < set(corpus)
    assert "two_hop_accuracy" in response_names()
    assert "two_hop_accuracy" not in corpus
    assert "reward_gain" in corpus
