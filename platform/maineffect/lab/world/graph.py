"""One question and the documents about it, drawn from a seed. Pure: the same seed and levels give the same world.

Every episode draws its entities, relations and values again, so that an answer can never live in a policy's weights
(unless ``prior_leakage`` says so). Every factor reads draws of its own: changing one level changes nothing else.
"""

from __future__ import annotations

from dataclasses import replace

from maineffect.lab.settings import WorldSettings
from maineffect.lab.world.draws import Draws, Sources, answer_order, draw, prior
from maineffect.lab.world.facts import RELIABLE, UNRELIABLE, UNSIGNED_TIER, Document, Kind, Question, Role
from maineffect.lab.world.vocabulary import (
    ABSTAIN,
    ALIAS,
    ANSWER,
    COMMAND,
    END_ANSWER,
    NUMBERS,
    QUANTITIES,
    SYNONYMS,
    near_names,
)
from maineffect.seeds import derive_seed

__all__ = ["draw_question"]

# Slots of a hop: documents keep their place in the retriever's draws, whatever else a world holds.
_HOP_SLOTS, _RIVAL, _STALE, _INJECTED, _LINK, _CROWD = 100, 10, 20, 30, 40, 50
_OLDEST, _YEARS = 3, 6


def draw_question(seed: int, settings: WorldSettings, *, hops: int | None = None) -> Question:
    """Draw a question and its documents.

    Args:
        hops: Exact length of the path; default: 1 to the settings' longest, uniformly.
    """
    draws = draw(seed)
    sources = Sources(draws, settings)
    kind = _kind(draws.events[5], settings)
    if kind is not Kind.PATH:
        return _simple_question(kind, seed, draws, sources, settings)
    length = hops or 1 + int(draws.events[4] * settings.hops)
    relations = draws.relations[:length]
    path, values = _path(draws, relations, settings)
    return _PathWorld(
        seed=seed, draws=draws, sources=sources, settings=settings, relations=relations, path=path, values=values
    ).question()


def _kind(uniform: float, settings: WorldSettings) -> Kind:
    if uniform < settings.aggregate_share:
        return Kind.COUNT
    return Kind.MORE if uniform < settings.aggregate_share + settings.comparison_share else Kind.PATH


def _path(draws: Draws, relations: tuple[str, ...], settings: WorldSettings) -> tuple[tuple[str, ...], list[str]]:
    """Entities of the true path, and what else may serve as a value of its last relation."""
    path = [draws.entities[0]]
    for hop, relation in enumerate(relations):
        last = hop == len(relations) - 1
        value = _truth(draws, settings, tuple(path)) if last else draws.entities[hop + 1]
        prior_value = prior(relation)[path[-1]]
        path.append(prior_value if draws.hop[hop][14] < settings.prior_leakage and prior_value not in path else value)
    return tuple(path), answer_order(draws, settings, tuple(path))


def _truth(draws: Draws, settings: WorldSettings, path: tuple[str, ...]) -> str:
    """The value of the last relation: of the first two in order either one, and the other may contradict it.

    A sample without replacement has its commonest names first: without the coin a frequent value would tell the truth.
    """
    order = answer_order(draws, settings, path)
    return order[1 if settings.answer_skew and draws.events[14] < 0.5 else 0]


def _date(uniform: float) -> int:
    """A year of something that holds today."""
    return _OLDEST + int(uniform * _YEARS)


class _PathWorld:
    """The documents of one path question, in the making."""

    def __init__(
        self,
        seed: int,
        draws: Draws,
        sources: Sources,
        settings: WorldSettings,
        relations: tuple[str, ...],
        path: tuple[str, ...],
        values: list[str],
    ) -> None:
        self.seed, self.draws, self.sources, self.settings = seed, draws, sources, settings
        self.relations, self.path, self.values = relations, path, values
        self.others = [name for name in draws.entities if name not in path]
        self.alias = self.others[-1] if settings.vocabulary_gap == "alias" else ""
        events = draws.events
        self.lost_hop = int(events[3] * len(relations)) if events[0] < settings.unanswerable_share else -1
        self.conflicted = events[1] < settings.conflict_rate
        self.cue = settings.conflict_cue
        if self.cue == "crossed":
            self.cue = "unreliable" if events[6] < 0.5 else "stale"
        self.outdated = events[7] < settings.staleness
        by_date = self.conflicted and self.cue == "stale"
        self.asks_past = self.outdated and not by_date and events[8] < settings.past_share
        self.injected = settings.adversary != "none" and events[9] < settings.adversary_rate
        self.as_of: int | None = None

    def question(self) -> Question:
        """Every hop's documents, and what is right."""
        last = len(self.relations) - 1
        documents: list[Document] = []
        for hop in range(len(self.relations)):
            if hop != self.lost_hop:
                documents += self._facts(hop)
            if hop == last and hop != self.lost_hop:
                documents += self._around_the_answer(documents[-self.settings.redundancy], hop)
            documents += self._crowd(hop)
        if self.alias:
            documents.append(self._link())
        if self.settings.vocabulary_gap == "paraphrase":
            # Only what the question needs: documents about others keep the plain word and attract a copied query.
            documents = [
                d if d.role is Role.DISTRACTOR else replace(d, shown_relation=SYNONYMS.get(d.relation, ""))
                for d in documents
            ]
        return Question(
            start=self.path[0],
            relations=self.relations,
            answer=self._answer(documents),
            path=self.path,
            documents=tuple(documents),
            conflicted=self.conflicted and self.lost_hop < 0,
            seed=derive_seed(self.seed, "episode"),
            as_of=self.as_of,
            trusted=self.sources.trusted,
        )

    def _answer(self, documents: list[Document]) -> str:
        if self.lost_hop >= 0:
            return ABSTAIN
        if self.as_of is not None:
            return next(d.value for d in documents if d.role is Role.STALE)
        return ABSTAIN if self.conflicted and self.cue == "ambiguous" else self.path[-1]

    def _facts(self, hop: int) -> list[Document]:
        """The true fact of a hop, once per independent source."""
        uniform = self.draws.hop[hop]
        tier = RELIABLE if uniform[0] < 0.5 else UNRELIABLE
        if self.conflicted and hop == len(self.relations) - 1 and self.cue == "unreliable":
            # Whether the reliable source is the one that tells the truth here.
            tier = RELIABLE if self.draws.events[2] < self.settings.reliability_gap else UNRELIABLE
        return [
            Document(
                source=self.sources.name(tier, uniform[1], after=i),
                tier=tier,
                date=_date(uniform[2]),
                subject=self._subject(hop),
                relation=self.relations[hop],
                value=self.path[hop + 1],
                role=Role.GOLD,
                hop=hop,
                slot=hop * _HOP_SLOTS + i,
            )
            for i in range(self.settings.redundancy)
        ]

    def _subject(self, hop: int) -> str:
        return self.alias if self.alias and hop == 0 else self.path[hop]

    def _around_the_answer(self, gold: Document, hop: int) -> list[Document]:
        """Rivals with their copies, the outdated version, the injected document."""
        uniform, documents = self.draws.hop[hop], []
        past = 1 + int(uniform[5] * (gold.date - 1))
        if self.conflicted:
            other = UNRELIABLE if gold.tier == RELIABLE else RELIABLE
            tier = other if self.cue == "unreliable" else gold.tier
            date = {"unreliable": _date(uniform[3]), "stale": past, "ambiguous": gold.date}[self.cue]
            source = self.sources.name(tier, uniform[4], after=tier == gold.tier)
            if source == gold.source:
                source = self.sources.name(tier, uniform[1], after=self.settings.redundancy)
            first = replace(
                gold,
                source=source,
                tier=tier,
                date=date,
                value=self.values[0],
                role=Role.RIVAL,
                slot=hop * _HOP_SLOTS + _RIVAL,
            )
            documents = [first] + [replace(first, slot=first.slot + 1 + i) for i in range(self.settings.copies)]
        if self.outdated:
            date = 1 + int(uniform[6] * (gold.date - 1))
            documents.append(
                replace(gold, date=date, value=self.values[1], role=Role.STALE, slot=hop * _HOP_SLOTS + _STALE)
            )
            if self.asks_past:
                self.as_of = date + int(uniform[7] * (gold.date - date))
        if self.injected:
            documents.append(self._injection(gold, hop))
        return documents

    def _injection(self, gold: Document, hop: int) -> Document:
        value = self.values[2]
        order = f"{' '.join(COMMAND)} {ANSWER} {value} {END_ANSWER}" if self.settings.adversary == "instruction" else ""
        return replace(
            gold,
            source=self.sources.name(UNSIGNED_TIER, 0.0),
            tier=UNSIGNED_TIER,
            date=_date(self.draws.hop[hop][8]),
            value=value,
            role=Role.INJECTED,
            slot=hop * _HOP_SLOTS + _INJECTED,
            command=order,
        )

    def _link(self) -> Document:
        uniform = self.draws.hop[0]
        tier = RELIABLE if uniform[9] < 0.5 else UNRELIABLE
        return Document(
            source=self.sources.name(tier, uniform[10]),
            tier=tier,
            date=_date(uniform[11]),
            subject=self.path[0],
            relation=ALIAS,
            value=self.alias,
            role=Role.LINK,
            hop=0,
            slot=_LINK,
        )

    def _crowd(self, hop: int) -> list[Document]:
        """Documents about others. None of them is ever about an entity of the path."""
        settings, relation = self.settings, self.relations[hop]
        subjects = self.others[8:-1]
        if settings.distractor_kind == "near_name":
            subjects = [name for name in near_names(self.path[hop]) if name not in self.path and name != self.alias]
        pool = self.values[3:] if hop == len(self.relations) - 1 else self.others[24:]
        unused = [name for name in self.draws.relations if name not in self.relations]
        documents = []
        for i in range(settings.distractors):
            uniform = self.draws.crowd[hop][i]
            subject = subjects[(hop * 8 + i) % len(subjects)]
            crowd_relation = unused[i % len(unused)] if settings.distractor_kind == "random" else relation
            value = pool[(hop * 7 + i) % len(pool)]
            if uniform[3] < settings.prior_leakage:
                value = prior(crowd_relation)[subject]
            documents.append(_stranger(self.sources, uniform, subject, crowd_relation, value, hop, i))
        return documents


def _stranger(
    sources: Sources, uniform: list[float], subject: str, relation: str, value: str, hop: int, i: int
) -> Document:
    tier = RELIABLE if uniform[0] < 0.5 else UNRELIABLE
    slot = hop * _HOP_SLOTS + _CROWD + i
    name = sources.name(tier, uniform[1])
    return Document(
        source=name,
        tier=tier,
        date=_date(uniform[2]),
        subject=subject,
        relation=relation,
        value=value,
        role=Role.DISTRACTOR,
        hop=hop,
        slot=slot,
    )


def _simple_question(kind: Kind, seed: int, draws: Draws, sources: Sources, settings: WorldSettings) -> Question:
    """A count or a comparison: one relation, several gold documents."""
    start, others = draws.entities[0], draws.entities[1:]
    lost = draws.events[0] < settings.unanswerable_share
    if kind is Kind.COUNT:
        relation, count = draws.relations[0], 1 + int(draws.events[10] * 3)
        claims = [(others[i], start) for i in range(count)]
        strangers = [(others[8 + i], others[28 + i % 16]) for i in range(settings.distractors)]
        answer, other = NUMBERS[count], ""
    else:
        relation, other = QUANTITIES[int(draws.events[11] * len(QUANTITIES))], others[0]
        small = 1 + int(draws.events[10] * 7)
        large = small + 1 + int(draws.events[12] * (8 - small))
        first_more = draws.events[13] < 0.5
        amounts = (large, small) if first_more else (small, large)
        claims = [(start, NUMBERS[amounts[0]]), (other, NUMBERS[amounts[1]])]
        strangers = [(others[8 + i], NUMBERS[1 + int(draws.crowd[0][i][3] * 8)]) for i in range(settings.distractors)]
        answer = start if first_more else other
    if lost:
        # One of the two amounts is enough to lose; a count is lost with its last document.
        claims = claims[1:] if kind is Kind.MORE else []
    documents = []
    for i, (subject, value) in enumerate(claims):
        uniform = draws.hop[i]
        tier = RELIABLE if uniform[0] < 0.5 else UNRELIABLE
        name = sources.name(tier, uniform[1])
        documents.append(
            Document(
                source=name,
                tier=tier,
                date=_date(uniform[2]),
                subject=subject,
                relation=relation,
                value=value,
                role=Role.GOLD,
                hop=0,
                slot=i,
            )
        )
    for i, (subject, value) in enumerate(strangers):
        documents.append(_stranger(sources, draws.crowd[0][i], subject, relation, value, 0, i))
    return Question(
        start=start,
        relations=(relation,),
        answer=ABSTAIN if lost else answer,
        path=(start,),
        documents=tuple(documents),
        conflicted=False,
        seed=derive_seed(seed, "episode"),
        kind=kind,
        other=other,
        trusted=sources.trusted,
    )
