import json

import pytest

from maineffect.lab.corpus.load import CorpusError, load_corpus
from maineffect.lab.corpus.passages import split

DOCUMENT = {"id": "a", "text": "Ada wrote the notes."}
QUESTION = {"id": "q", "question": "Who wrote the notes?", "answers": ["Ada"], "gold": ["a"]}


def write(folder, documents, questions):
    for name, rows in (("documents", documents), ("questions", questions)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))


@pytest.mark.parametrize(
    ("documents", "questions", "where", "what"),
    [
        ([DOCUMENT, DOCUMENT], [QUESTION], "documents.jsonl:2", "used twice"),
        ([DOCUMENT], [QUESTION, QUESTION], "questions.jsonl:2", "used twice"),
        ([DOCUMENT], [QUESTION | {"gold": ["b"]}], "questions.jsonl:1", "no document"),
        ([DOCUMENT], [QUESTION | {"answers": []}], "questions.jsonl:1", "answers"),
        ([DOCUMENT], [QUESTION | {"answers": ["the"]}], "questions.jsonl:1", "empty"),
        ([DOCUMENT], [QUESTION | {"answers": ["None."]}], "questions.jsonl:1", "declining"),
        ([DOCUMENT | {"source": "rumour"}], [QUESTION], "documents.jsonl:1", "rename"),
        ([DOCUMENT], [], "questions.jsonl:1", "no questions"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_line(tmp_path, documents, questions, where, what):
    write(tmp_path, documents, questions)
    with pytest.raises(CorpusError) as caught:
        load_corpus(tmp_path)
    assert where in str(caught.value)
    assert what in str(caught.value)


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
