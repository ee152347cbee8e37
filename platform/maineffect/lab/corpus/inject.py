"""Questions of a corpus with distractors, conflicts, attacks and missing evidence, by the world's own factors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maineffect.lab.corpus.forge import Forger
from maineffect.lab.corpus.library import NEAR, Library
from maineffect.lab.corpus.load import SourceQuestion
from maineffect.lab.corpus.passages import Passage
from maineffect.lab.grammar.values import right
from maineffect.lab.settings import WorldSettings
from maineffect.lab.world.families import EVALUATION, TRAINING, attack_of
from maineffect.lab.world.vocabulary import ABSTAIN
from maineffect.seeds import derive_seed

__all__ = ["CorpusQuestion", "Injector", "skipped_conflicts"]


@dataclass(frozen=True)
class CorpusQuestion:
    """A question, and what its searches may find: every passage of the corpus but the hidden ones, and added ones.

    Attributes:
        answer: Normalised first answer, or ``none`` when its evidence was removed.
        answers: Every wording that counts.
        library: The corpus; passages are numbered as in it.
        added: Injected passages, numbered after the corpus's.
        hidden: Passages that no search finds.
        gold: Passages that the answer rests on; empty when they were removed.
        members: Of a set, every member's wordings; empty for one value.
        tolerance: Largest difference of a number that still is right.
        skipped: Why a conflict that was due could not be written, or evidence that was due to go could not be removed
            cleanly; empty otherwise.
    """

    id: str
    question: str
    answer: str
    answers: tuple[str, ...]
    library: Library
    added: tuple[Passage, ...]
    hidden: frozenset[int]
    gold: frozenset[int]
    seed: int
    conflicted: bool = False
    attacked: bool = False
    skipped: str = ""
    as_of: str = ""
    unreliable: tuple[str, ...] = ()
    members: tuple[tuple[str, ...], ...] = ()
    tolerance: float = 0.0

    def is_right(self, said: str) -> bool:
        """Whether an answer is the gold one in any wording."""
        return right(said, self.answers, self.members, self.tolerance)

    @property
    def answerable(self) -> bool:
        """Whether the passages hold the answer."""
        return self.answer != ABSTAIN

    def passage(self, index: int) -> Passage:
        """The passage of a number."""
        passages = self.library.passages
        return passages[index] if index < len(passages) else self.added[index - len(passages)]

    @property
    def found(self) -> tuple[Passage, ...]:
        """Every passage that a search may find."""
        passages = self.library.passages
        return (*(passage for i, passage in enumerate(passages) if i not in self.hidden), *self.added)


def skipped_conflicts(questions: Iterable[CorpusQuestion]) -> Counter[str]:
    """How many conflicts could not be written, and how much evidence not be removed, by reason."""
    return Counter(question.skipped for question in questions if question.skipped)


class Injector:
    """Draws questions: a pure function of (seed, index, settings), the corpus and the questions given.

    Args:
        held_out: Injected passages have sources and attack sentences that training never shows.
    """

    def __init__(
        self, library: Library, questions: Sequence[SourceQuestion], world: WorldSettings, *, held_out: bool = False
    ) -> None:
        self._library, self._questions, self._world = library, tuple(questions), world
        self._family = EVALUATION if held_out else TRAINING
        self._forger = Forger(library, self._questions)
        self._orders: dict[tuple[int, int], NDArray[np.int64]] = {}
        named = {passage.source for passage in library.passages if not passage.reliable}
        self._unreliable = (*sorted({*self._family.unreliable, *named}), self._family.unsigned)

    def question(self, seed: int, index: int) -> CorpusQuestion:
        """The question at an index; every question comes once before any comes again."""
        source = self._source(seed, index)
        question_seed, world, library = derive_seed(seed, "question", index), self._world, self._library
        evidence = library.evidence(source)
        answerable = bool(_draw(question_seed, "unanswerable").random() >= world.unanswerable_share)
        added: list[Passage] = []
        skipped, conflicted, attacked = "", False, False
        if not answerable and (skipped := library.unclean(source)):
            answerable = True
        if answerable and _draw(question_seed, "conflict").random() < world.conflict_rate:
            liar = self._family.unreliable[question_seed % len(self._family.unreliable)]
            uniform = float(_draw(question_seed, "conflict", "value").random())
            rival = self._forger.conflict(source, sorted(evidence), uniform, liar)
            if isinstance(rival, Passage):
                added, conflicted = [rival], True
            else:
                skipped = rival
        if world.adversary != "none" and _draw(question_seed, "adversary").random() < world.adversary_rate:
            added.append(self._attack(source, question_seed))
            attacked = True
        # The rest of the gold documents stays: that nothing is said about the matter would tell too much.
        removed = frozenset() if answerable else library.removed(source)
        return CorpusQuestion(
            id=source.id,
            question=source.question,
            answer=source.gold_value if answerable else ABSTAIN,
            answers=source.answers,
            library=library,
            added=tuple(added),
            hidden=removed | frozenset(library.near(source)[min(world.distractors, NEAR) :]),
            gold=evidence if answerable else frozenset(),
            seed=question_seed,
            conflicted=conflicted,
            attacked=attacked,
            skipped=skipped,
            as_of=source.as_of,
            unreliable=self._unreliable,
            members=source.members,
            tolerance=source.tolerance,
        )

    def _source(self, seed: int, index: int) -> SourceQuestion:
        count = len(self._questions)
        lap = (seed, index // count)
        if lap not in self._orders:
            self._orders = {lap: _draw(seed, "order", index // count).permutation(count)}
        return self._questions[int(self._orders[lap][index % count])]

    def _attack(self, source: SourceQuestion, question_seed: int) -> Passage:
        # Where the corpus has no other answer of this kind, the attack denies that there is one.
        other = self._forger.other(source, float(_draw(question_seed, "adversary", "value").random())) or "unknown"
        text = f"{source.question} {other}."
        if self._world.adversary == "instruction":
            text += f" {attack_of(self._family, question_seed, other)}"
        return Passage(f"{source.id}!adversary", "", text, source=self._family.unsigned, reliable=False, claim=other)


def _draw(seed: int, *names: str | int) -> np.random.Generator:
    return np.random.default_rng(derive_seed(seed, *names))
