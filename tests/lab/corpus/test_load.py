import json

import pytest

from maineffect.lab.corpus.divide import divide, groups
from maineffect.lab.corpus.load import Corpus, CorpusError, SourceQuestion, load_corpus
from maineffect.lab.corpus.passages import split

DOCUMENT = {"id": "a", "text": "Ada wrote the notes."}
QUESTION = {"id": "q", "question": "Who wrote the notes?", "answers": ["Ada"], "gold": ["a"]}


def write(folder, documents, questions):
    for name, rows in (("documents", documents), ("questions", questions)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))


@pytest.mark.parametrize(
    ("documents", "questions", "where", "what"),
    [
        ([DOCUMENT, DOCUMENT], [QUESTION], "documents.jsonl:2: ", "used twice"),
        ([DOCUMENT], [QUESTION, QUESTION], "questions.jsonl:2: ", "used twice"),
        ([DOCUMENT], [QUESTION | {"gold": ["b"]}], "questions.jsonl:1: ", "no document"),
        ([DOCUMENT], [QUESTION | {"answers": []}], "questions.jsonl:1: ", "answers"),
        ([DOCUMENT], [QUESTION | {"answers": ["the"]}], "questions.jsonl:1: ", "empty"),
        ([DOCUMENT], [QUESTION | {"answers": ["None."]}], "questions.jsonl:1: ", "declining"),
        ([DOCUMENT | {"source": "rumour"}], [QUESTION], "documents.jsonl:1: ", "rename"),
        ([DOCUMENT], [], "questions.jsonl:1: ", "no questions"),
        ([], [QUESTION], "questions.jsonl:1: ", "no documents"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_line(tmp_path, documents, questions, where, what):
    write(tmp_path, documents, questions)
    with pytest.raises(CorpusError) as caught:
        load_corpus(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / where))
    assert what in str(caught.value)
    assert caught.value.hint


def test_all_questions_that_cannot_be_used_are_named_at_once(tmp_path):
    faulty = [QUESTION | {"id": f"q{i}", "answers": ["unknown"]} for i in range(30)]
    write(tmp_path, [DOCUMENT], [QUESTION, *faulty, QUESTION | {"id": "z", "gold": ["b"]}])
    with pytest.raises(CorpusError) as caught:
        load_corpus(tmp_path)
    for line in (2, 3, 22):
        assert f"questions.jsonl:{line}: answer 'unknown' means declining" in caught.value.message
    assert "jsonl:23" not in caught.value.message
    assert caught.value.message.endswith("; and 10 more")
    assert caught.value.hint == "reword it or remove the question; correct it or add the document"


def test_what_is_missing_or_no_text_is_refused_with_its_line(tmp_path):
    with pytest.raises(CorpusError, match=r"nowhere:1: no such"):
        load_corpus(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_bytes(b"one\ntwo \xff")
    with pytest.raises(CorpusError, match=r"a\.txt:2: not UTF-8 at byte 8"):
        load_corpus(tmp_path)
    (tmp_path / "a.txt").write_text("two")
    with pytest.raises(CorpusError, match=r"questions\.jsonl:1: No such file"):
        load_corpus(tmp_path)


def test_one_file_holds_documents_and_questions(tmp_path):
    write(tmp_path, [DOCUMENT], [QUESTION])
    path = tmp_path / "all.jsonl"
    path.write_text(json.dumps(QUESTION) + "\n" + json.dumps(DOCUMENT) + "\n")
    assert load_corpus(path) == load_corpus(tmp_path)
    path.write_text(json.dumps(QUESTION) + "\n" + json.dumps(DOCUMENT) + "\n[1]\n")
    with pytest.raises(CorpusError, match=r"all\.jsonl:3: "):
        load_corpus(path)


def test_the_digest_follows_the_content_not_the_order(tmp_path):
    other = DOCUMENT | {"id": "b"}
    write(tmp_path, [DOCUMENT, other], [QUESTION])
    first = load_corpus(tmp_path).digest
    write(tmp_path, [other, DOCUMENT], [QUESTION])
    assert load_corpus(tmp_path).digest == first
    write(tmp_path, [other, DOCUMENT | {"text": "Bob wrote them."}], [QUESTION])
    assert load_corpus(tmp_path).digest != first


def test_passages_hold_every_word(corpus):
    passages = split(corpus, 30, 20)
    assert len({passage.id for passage in passages}) == len(passages)
    for document in corpus.documents:
        words = {word for passage in passages if passage.document == document.id for word in passage.text.split()}
        assert words == set(document.text.split())


@pytest.mark.parametrize("share", [0.01, 0.3, 0.99])
def test_questions_are_divided_by_the_seed(corpus, share):
    def names(side):
        return {question.id for question in side.questions}

    training, evaluation = divide(corpus, share, seed=1)
    assert names(training) | names(evaluation) == names(corpus)
    assert not names(training) & names(evaluation)
    assert len(evaluation.questions) == min(max(1, round(share * len(corpus.questions))), len(corpus.questions) - 1)
    assert divide(corpus, share, seed=1) == (training, evaluation)
    assert names(divide(corpus, share, seed=2)[1]) != names(evaluation)
    assert len({corpus.digest, training.digest, evaluation.digest}) == 3


def asking(*questions):
    made = [
        SourceQuestion(id=f"q{i}", question=q, answers=("x",), gold=(f"d{i % 2}",)) for i, q in enumerate(questions)
    ]
    return Corpus((), tuple(made))


def test_what_asks_the_same_stays_together():
    """Same tokens, and near duplicates in one group; a common frame around other names is another question."""
    asked = asking(
        "Who founded Balan?",
        "who founded  BALAN",
        "Which of the two brothers founded the old town of Domir near the river?",
        "Which of the two brothers founded the old town of Domir by the river?",
        "Who founded Kelan?",
        "Who founded Dolan?",
    )
    made = [[question.id for question in group] for group in groups(asked.questions)]
    assert made == [["q0", "q1"], ["q2", "q3"], ["q4"], ["q5"]]
    for seed in range(20):
        for side in divide(asked, 0.4, seed):
            kept = {question.id for question in side.questions}
            assert all(len(kept & set(group)) in (0, len(group)) for group in made)
    assert len(groups(asked.questions, "document")) == 1
    with pytest.raises(ValueError, match="hang together"):
        divide(asked, 0.5, 1, "document")


def test_documents_may_hold_questions_together(corpus):
    training, evaluation = divide(corpus, 0.3, 1, "document")
    documents = [{name for question in side.questions for name in question.gold} for side in (training, evaluation)]
    assert not documents[0] & documents[1]
    assert evaluation.questions


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_read(tmp_path, encoding):
    write(tmp_path, [DOCUMENT], [QUESTION])
    plain = load_corpus(tmp_path)
    for path in tmp_path.iterdir():
        path.write_text(path.read_text(), encoding=encoding)
    assert load_corpus(tmp_path) == plain


def test_one_question_cannot_be_divided(tmp_path):
    write(tmp_path, [DOCUMENT], [QUESTION])
    with pytest.raises(ValueError, match="add questions"):
        divide(load_corpus(tmp_path), 0.5, 1)
