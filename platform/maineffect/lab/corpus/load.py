"""A user's documents and questions, read and checked. Every complaint names file and line and the way out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from maineffect.errors import MaineffectError
from maineffect.lab.corpus.protocol import declines, normalise
from maineffect.lab.world.vocabulary import UNRELIABLE_SOURCES, UNSIGNED

__all__ = ["Corpus", "CorpusError", "SourceDocument", "SourceQuestion", "load_corpus"]


class CorpusError(MaineffectError):
    """A corpus folder that cannot be used."""


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
    """One question, every wording of its answer, and the documents that hold it."""

    question: str = Field(min_length=1)
    answers: tuple[str, ...] = Field(min_length=1)
    gold: tuple[str, ...] = Field(min_length=1)
    as_of: str = ""


@dataclass(frozen=True)
class Corpus:
    """Documents and questions in the order of their ids.

    Attributes:
        digest: SHA-256 of the content, whatever files it came in.
    """

    documents: tuple[SourceDocument, ...]
    questions: tuple[SourceQuestion, ...]
    digest: str


_E = TypeVar("_E", bound=_Entry)


def load_corpus(folder: Path) -> Corpus:
    """Read ``questions.jsonl`` and ``documents.jsonl``, or ``*.txt`` and ``*.rst`` files whose names are the ids.

    Raises:
        CorpusError: A file is missing, or an entry is wrong.
    """
    listed = folder / "documents.jsonl"
    documents: dict[str, SourceDocument] = {}
    if listed.is_file():
        for where, document in _entries(listed, SourceDocument):
            _add(documents, document, where)
            if document.reliable and document.source in (*UNRELIABLE_SOURCES, UNSIGNED):
                raise CorpusError(f"{where}: source {document.source!r} names injected documents; rename the source")
    else:
        for path in sorted((*folder.glob("*.txt"), *folder.glob("*.rst"))):
            text = _text(path)
            if not text.strip():
                raise CorpusError(f"{path}:1: the document is empty; write its text or remove the file")
            _add(documents, SourceDocument(id=path.stem, text=text), f"{path}:1")
    if not documents:
        raise CorpusError(f"{folder}: no documents; put documents.jsonl or *.txt or *.rst files there")
    questions: dict[str, SourceQuestion] = {}
    for where, question in _entries(folder / "questions.jsonl", SourceQuestion):
        _add(questions, question, where)
        _check(question, documents, where)
    if not questions:
        raise CorpusError(f"{folder / 'questions.jsonl'}:1: no questions; write one JSON object a line")
    kept = tuple(documents[key] for key in sorted(documents)), tuple(questions[key] for key in sorted(questions))
    content = json.dumps([[entry.model_dump() for entry in entries] for entries in kept], sort_keys=True)
    return Corpus(*kept, hashlib.sha256(content.encode()).hexdigest())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CorpusError(f"{path}: not found; a corpus folder needs it") from None
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None


def _entries(path: Path, kind: type[_E]) -> Iterator[tuple[str, _E]]:
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield f"{path}:{number}", kind.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"])) or "line"
            raise CorpusError(f"{path}:{number}: {name}: {first['msg']}; correct the entry") from None


def _add(entries: dict[str, _E], entry: _E, where: str) -> None:
    if entry.id in entries:
        raise CorpusError(f"{where}: id {entry.id!r} is used twice; give every entry its own")
    entries[entry.id] = entry


def _check(question: SourceQuestion, documents: dict[str, SourceDocument], where: str) -> None:
    for name in question.gold:
        if name not in documents:
            raise CorpusError(f"{where}: gold {name!r} is no document's id; correct it or add the document")
    for answer in question.answers:
        if not normalise(answer):
            raise CorpusError(f"{where}: answer {answer!r} is empty without articles and punctuation; spell it out")
        if declines(answer):
            raise CorpusError(f"{where}: answer {answer!r} means declining; reword it or remove the question")
