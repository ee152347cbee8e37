"""Two real corpora from Debian's registry: 136 articles on the elements (dict-elements), and WordNet's words (wordnet-base).

``apt-get install dict-elements wordnet-base``; without them the tests that need them skip.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from maineffect.lab.corpus.load import Corpus, SourceDocument, SourceQuestion
from maineffect.lab.grammar.declining import declines
from maineffect.lab.grammar.values import normalise

ELEMENTS = Path("/usr/share/dictd/elements.dict.dz")
WORDNET = Path("/usr/share/wordnet")
_NUMBERS = "Atomic number", "Atomic weight"


def elements() -> Corpus:
    """One document an article; questions about symbols, numbers, weights and years of discovery."""
    if not ELEMENTS.exists():
        pytest.skip("no dict-elements here: apt-get install dict-elements")
    with gzip.open(ELEMENTS, "rt", encoding="utf-8", errors="replace") as file:
        text = file.read()
    documents, questions = [], []
    for name, body in re.findall(r"(?<=\n\n)([A-Za-z -]+)\n(.*?)(?=\n\n|\Z)", text, re.MULTILINE | re.DOTALL):
        documents.append(SourceDocument(id=name, title=name.capitalize(), text=" ".join(body.split())))
        said = dict(re.findall(r"^(Symbol|Atomic number|Atomic weight): *\(?([\w.]+)", body, re.MULTILINE))
        for field, value in said.items():
            questions.append((f"What is the {field.lower()} of {name}?", value, name, field))
        years = set(re.findall(r"(?:[Dd]iscovered|[Ii]solated)[^.]*?\b(1[678]\d\d|19\d\d)\b", " ".join(body.split())))
        if len(years) == 1:
            questions.append((f"When was {name} discovered?", years.pop(), name, "year"))
    return Corpus(
        tuple(sorted(documents, key=lambda document: document.id)),
        tuple(
            SourceQuestion(
                id=f"{name}-{field.replace(' ', '-').lower()}", question=asked, answers=(value,), gold=(name,)
            )
            for asked, value, name, field in sorted(questions, key=lambda row: (row[2], row[3]))
        ),
    )


def wordnet(most: int | None = None) -> Corpus:
    """One document a word with its glosses; questions that give the gloss of a word that has one."""
    if not (WORDNET / "data.noun").exists():
        pytest.skip("no wordnet-base here: apt-get install wordnet-base")
    glosses: dict[str, list[str]] = {}
    for part in ("noun", "verb", "adj", "adv"):
        for line in (WORDNET / f"data.{part}").read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):
                continue
            head, _, gloss = line.partition(" | ")
            fields = head.split()
            for k in range(int(fields[3], 16)):
                word = fields[4 + 2 * k].replace("_", " ").partition("(")[0]
                if gloss.strip() not in glosses.setdefault(word.lower(), []):
                    glosses[word.lower()].append(gloss.strip())
    documents, questions = [], []
    for i, (word, said) in enumerate(sorted(glosses.items())):
        if most is not None and i >= most:
            break
        documents.append(SourceDocument(id=word, title=word, text=f"{word}: {' / '.join(said)}."))
        if len(said) == 1 and normalise(word) and not declines(word):  # such as "unavailable" and "an"
            gloss = said[0].partition(";")[0]
            asked = f"Which word means: {gloss}?"
            questions.append(SourceQuestion(id=f"q {word}", question=asked, answers=(word,), gold=(word,)))
    return Corpus(tuple(documents), tuple(questions))
