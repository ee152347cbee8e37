"""Which mutants are tried: a sample with a fixed seed, an equal share of each module.

The mutations are Cosmic Ray's (https://cosmic-ray.readthedocs.io): operators, comparisons, numbers, conditions, loops,
decorators, exceptions. One is added: a function with an opposite, such as ``argmax``, becomes that. At each place at
most one is drawn, so that a ``+``, which Cosmic Ray can replace by eleven others, does not count eleven times. Left out
is what any test at all would see, such as ``<<`` between numbers that are no integers or ``is`` for ``<``, and what
leaves every result as it is: types in annotations, caches, whether a dataclass is frozen, whether ``zip`` checks
lengths, and which arguments are by keyword only (lines "without life", Petrović and Ivanković (2018) ICSE-SEIP).
"""

from __future__ import annotations

import ast
import hashlib
import random
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.ast.ast_query import ASTQuery
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.work_item import MutationSpec
from parso.python.tree import Name

__all__ = ["Identity", "Mutant", "draw"]

Place = tuple[int, int]
Identity = tuple[str, str, str, str]
_OPPOSITES = (
    ("argmax", "argmin"), ("max", "min"), ("maximum", "minimum"), ("nanmax", "nanmin"), ("any", "all"),
    ("sf", "cdf"), ("isf", "ppf"), ("floor", "ceil"),
)  # fmt: skip
_ARITHMETIC = {"Add", "Sub", "Mul", "Div", "Mod", "FloorDiv", "Pow"}
_BITS = {"BitOr", "BitAnd", "BitXor"}
_ORDER = {"Lt", "LtE", "Gt", "GtE", "Eq", "NotEq"}
_KINDS = (_ARITHMETIC, _BITS, _ORDER, {"Mul", "MatMul"}, {"Is", "IsNot"}, {"In", "NotIn"})
_SWAPPED = {a: b for pair in _OPPOSITES for a, b in (pair, pair[::-1])}


class SwapOpposite(Operator):
    """A call of a function that has an opposite becomes a call of the opposite."""

    def mutation_positions(self, node):
        if isinstance(node, Name) and node.value in _SWAPPED and str(getattr(node.get_next_leaf(), "value", "")) == "(":
            yield (node.start_pos, node.end_pos)

    def mutate(self, node, index):
        node.value = _SWAPPED[node.value]
        return node

    @classmethod
    def examples(cls):
        return (Example("x.argmax()", "x.argmin()"),)


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    Attributes:
        key: Digest of module, source and change: the same mutant has the same key in another session.
        module: Path within ``platform/maineffect``.
        change: As Cosmic Ray's session keeps it.
        source: The module with the change.
        was: The lines that differ, without indentation.
        becomes: What they are instead.
    """

    key: str
    module: str
    change: MutationSpec
    source: str
    was: str
    becomes: str

    @property
    def identity(self) -> Identity:
        """By which a mutant is known however the lines around it move."""
        return self.module, str(self.change.definition_name), self.was, self.becomes


def draw(package: Path, modules: Sequence[str], number: int, seed: int, known: Container[Identity]) -> list[Mutant]:
    """Mutants in random order, so that any first part of them is itself a fair sample.

    Those that are known to change no result are drawn and tried as well, but do not count.

    Args:
        package: Folder ``platform/maineffect``.
        modules: Paths within it.
        number: How many mutants; modules with too few places give what they have.
        seed: Of the draw.
        known: What no test can tell from the program.
    """
    pools = {module: _shuffled(package, module, seed) for module in modules}
    drawn: list[Mutant] = []
    count = 0
    while pools and count < number:
        for module in list(pools)[: number - count]:
            while (mutant := next(pools[module], None)) is not None:
                drawn.append(mutant)
                if mutant.identity not in known:
                    count += 1
                    break
            else:
                del pools[module]
    random.Random(f"{seed}").shuffle(drawn)
    return drawn


def _shuffled(package: Path, module: str, seed: int) -> Iterator[Mutant]:
    """The module's mutants in random order, one a place."""
    source = (package / module).read_text(encoding="utf-8")
    rng = random.Random(f"{seed}:{module}")
    places: dict[tuple[Place, str], list[MutationSpec]] = {}
    for change in _changes(source, module):
        family = change.operator_name.removeprefix("core/").split("_")[0]
        places.setdefault((change.start_pos, family), []).append(change)
    order = sorted(places)
    rng.shuffle(order)
    whole, lifeless = ast.dump(ast.parse(source)), _lifeless(source)
    for place in order:
        change = rng.choice(places[place])
        if place[0] in lifeless:
            continue
        mutated = mutate_code(source, _operator(change.operator_name), change.occurrence)
        if mutated is None or not _differs(mutated, whole):
            continue
        was, becomes = _changed_lines(source, mutated)
        named = f"{module}\n{source}\n{change.operator_name}\n{change.occurrence}"
        key = hashlib.sha256(named.encode()).hexdigest()[:32]
        yield Mutant(key, module, change, mutated, was, becomes)


def _changes(source: str, module: str) -> Iterator[MutationSpec]:
    tree = get_ast(source)
    nodes = list(ast_nodes(tree))
    annotations = _annotations(source)
    names = [
        name for name in sorted(cosmic_ray.plugins.operator_names())
        if not cosmic_ray.plugins.get_operator(name).arguments() and _of_a_kind(name)
    ]  # fmt: skip
    for name in [*names, SwapOpposite.__name__]:
        operator = _operator(name)
        positions = ((node, start, end) for node in nodes for start, end in operator.mutation_positions(node))
        for occurrence, (node, start, end) in enumerate(positions):
            if any(first <= start < last for first, last in annotations):
                continue
            yield MutationSpec(
                module_path=Path(module), operator_name=name, occurrence=occurrence, start_pos=start, end_pos=end,
                definition_name=ASTQuery(node).get_definition_name(),
            )  # fmt: skip


def _of_a_kind(name: str) -> bool:
    """Whether the operator that is put in takes what the other takes."""
    family, *pair = name.removeprefix("core/").split("_")
    return not family.startswith(("ReplaceBinary", "ReplaceComparison")) or any(set(pair) <= kind for kind in _KINDS)


def _operator(name: str) -> Operator:
    return SwapOpposite() if name == SwapOpposite.__name__ else cosmic_ray.plugins.get_operator(name)()


def _annotations(source: str) -> list[tuple[Place, Place]]:
    """Where annotations begin and end."""
    found: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        found += [getattr(node, "annotation", None), getattr(node, "returns", None)]
    return [
        ((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0))
        for node in found
        if node is not None
    ]


def _lifeless(source: str) -> set[Place]:
    """Places at which a change is none of what the program computes."""
    places = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg in ("frozen", "strict", "maxsize"):
            places.add((node.value.lineno, node.value.col_offset))
        for decorator in getattr(node, "decorator_list", []):
            if "lru_cache" in ast.dump(decorator):
                places.add((decorator.lineno, decorator.col_offset - 1))
    lines = enumerate(source.splitlines(), start=1)
    stars = ((row, found.start()) for row, line in lines for found in re.finditer(r"(?<=[ (])\*(?=,)", line))
    return places | set(stars)


def _differs(mutated: str, whole: str) -> bool:
    """Whether it is Python, and other Python than before."""
    try:
        return ast.dump(ast.parse(mutated)) != whole
    except SyntaxError:
        return False


def _changed_lines(source: str, mutated: str) -> tuple[str, str]:
    before, after = source.splitlines(), mutated.splitlines()
    while before and after and before[0] == after[0]:
        before, after = before[1:], after[1:]
    while before and after and before[-1] == after[-1]:
        before, after = before[:-1], after[:-1]
    one, other = (" ".join(" ".join(lines).split()) for lines in (before, after))
    return one, other
