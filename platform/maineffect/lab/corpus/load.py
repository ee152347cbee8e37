"""A user's documents and questions, read and checked. Every complaint names file and line and the way out."""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from maineffect.errors import MaineffectError
from maineffect.lab.grammar.declining import declines
from maineffect.lab.grammar.values import normalise
from maineffect.lab.world.families import EVALUATION, TRAINING

__all__ = ["Corpus", "CorpusError", "SourceDocument", "SourceQuestion", "corpus_files", "load_corpus"]

_INJECTED = frozenset(name for side in (TRAINING, EVALUATION) for name in (*side.unreliable, side.unsigned))
# A byte order mark tells the encoding, and is no part of the text.
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_QUESTIONS, _DOCUMENTS = "questions.jsonl", "documents.jsonl"
_NAMED = 20
"""Of more faulty questions than these the message gives the number."""


class CorpusError(MaineffectError):
    """A corpus that cannot be used; the message begins with file and line."""

    exit_code = 3


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str = Field(min_length=1)


class SourceDocument(_Entry):
    """One document; an unreliable one may be wrong."""

    text: str = Field(min_length=1)
    title: str = ""
    source: str = ""
    date: str = ""
    reliable: bool = True


class SourceQuestion(_Entry):
    """One question, every wording of its answer (the documents' own first), and the documents that it rests on.

    Attributes:
        members: Where the answer is a set, of every member its wordings; ``answers`` may then be left out.
        tolerance: Largest difference of a number that still is right, where the question states one.
    """

    question: str = Field(min_length=1)
    answers: tuple[str, ...] = Field(min_length=1)
    gold: tuple[str, ...] = Field(min_length=1)
    as_of: str = ""
    members: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] = ()
    tolerance: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _set_has_a_wording(cls, given: Any) -> Any:
        """A set's first wording lists its members."""
        if isinstance(given, dict) and "answers" not in given and isinstance(given.get("members"), list):
            firsts = [member[0] for member in given["members"] if isinstance(member, list) and member]
            return {**given, "answers": ["; ".join(map(str, firsts))]}
        return given

    @property
    def gold_value(self) -> str:
        """The answer as it is recorded."""
        if self.members:
            return "; ".join(normalise(member[0]) for member in self.members)
        return normalise(self.answers[0])

    @property
    def wordings(self) -> tuple[str, ...]:
        """Every text that gives the answer away: of a set every member's."""
        return tuple(dict.fromkeys(word for member in self.members for word in member)) or self.answers


@dataclass(frozen=True)
class Corpus:
    """Documents and questions in the order of their ids."""

    documents: tuple[SourceDocument, ...]
    questions: tuple[SourceQuestion, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, whatever files it came in."""
        content = [[entry.model_dump() for entry in entries] for entries in (self.documents, self.questions)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def asking(self, questions: Sequence[SourceQuestion]) -> Corpus:
        """The same documents, other questions."""
        return replace(self, questions=tuple(questions))


_E = TypeVar("_E", bound=_Entry)


def corpus_files(path: Path) -> tuple[Path, ...]:
    """The files that :func:`load_corpus` reads."""
    if path.is_file():
        return (path,)
    listed = path / _DOCUMENTS
    documents = (listed,) if listed.is_file() else sorted((*path.glob("*.txt"), *path.glob("*.rst")))
    return (*documents, path / _QUESTIONS)


def load_corpus(path: Path) -> Corpus:
    """Read a corpus.

    Args:
        path: A folder with ``questions.jsonl``, and ``documents.jsonl`` or ``*.txt`` and ``*.rst`` files whose names
            are the ids; or one ``.jsonl`` file: lines with a ``question`` are questions, the others are documents.

    Raises:
        CorpusError: A file is missing, or an entry is wrong.
    """
    if not path.exists():
        raise CorpusError(f"{path}:1: no such folder or file", "put questions.jsonl and the documents there")
    documents: dict[str, SourceDocument] = {}
    questions: dict[str, tuple[str, SourceQuestion]] = {}
    for file in corpus_files(path):
        if file.suffix != ".jsonl":
            _take_document(documents, _whole(file), f"{file}:1")
            continue
        for where, line in _lines(file):
            if file.name == _QUESTIONS or (file.name != _DOCUMENTS and _is_question(line)):
                question = _entry(where, line, SourceQuestion)
                _once(questions, question.id, where)
                questions[question.id] = (where, question)
            else:
                _take_document(documents, _entry(where, line, SourceDocument), where)
    last = corpus_files(path)[-1]
    if not documents:
        raise CorpusError(f"{last}:1: no documents", f"put {_DOCUMENTS}, or *.txt or *.rst files, into {path}")
    if not questions:
        raise CorpusError(f"{last}:1: no questions", "write one JSON object a line: id, question, answers, gold")
    _check_all(questions.values(), documents)
    return Corpus(
        tuple(documents[key] for key in sorted(documents)), tuple(questions[key][1] for key in sorted(questions))
    )


def _whole(file: Path) -> SourceDocument:
    text = _text(file)
    if not text.strip():
        raise CorpusError(f"{file}:1: the document is empty", "write its text or remove the file")
    return SourceDocument(id=file.stem, text=text)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}:1: {error.strerror}", "a corpus needs this file") from None
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise CorpusError(f"{path}:{line}: not UTF-8 at byte {error.start}", "save it as UTF-8") from None


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            yield f"{path}:{number}", line


def _is_question(line: str) -> bool:
    try:
        return "question" in json.loads(line)
    except (ValueError, TypeError):
        return False


def _entry(where: str, line: str, kind: type[_E]) -> _E:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "line"
        raise CorpusError(f"{where}: {name}: {first['msg']}", "correct the entry") from None


def _take_document(documents: dict[str, SourceDocument], document: SourceDocument, where: str) -> None:
    _once(documents, document.id, where)
    documents[document.id] = document
    if document.reliable and document.source in _INJECTED:
        raise CorpusError(f"{where}: source {document.source!r} names injected documents", "rename the source")


def _once(entries: dict[str, SourceDocument] | dict[str, tuple[str, SourceQuestion]], name: str, where: str) -> None:
    if name in entries:
        raise CorpusError(f"{where}: id {name!r} is used twice", "give every entry its own")


def _check_all(questions: Iterable[tuple[str, SourceQuestion]], documents: dict[str, SourceDocument]) -> None:
    """One error for all questions that cannot be used: a large corpus is mended in one go."""
    wrong: list[CorpusError] = []
    for where, question in questions:
        try:
            _check(question, documents, where)
        except CorpusError as error:
            wrong.append(error)
    if not wrong:
        return
    more = [error.message.rpartition("/")[2] for error in wrong[1 : _NAMED + 1]]
    unnamed = len(wrong) - 1 - len(more)
    message = "; ".join([wrong[0].message, *more, *([f"and {unnamed} more"] if unnamed else [])])
    raise CorpusError(message, "; ".join(dict.fromkeys(error.hint for error in wrong if error.hint)))


def _check(question: SourceQuestion, documents: dict[str, SourceDocument], where: str) -> None:
    for name in question.gold:
        if name not in documents:
            raise CorpusError(f"{where}: gold {name!r} is no document's id", "correct it or add the document")
    for answer in question.wordings:
        if not normalise(answer):
            raise CorpusError(f"{where}: answer {answer!r} is empty without articles and punctuation", "spell it out")
        if declines(answer):
            raise CorpusError(f"{where}: answer {answer!r} means declining", "reword it or remove the question")
