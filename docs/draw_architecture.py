"""Draw docs/architecture.svg from the code: stages, their rooms, and which stage imports which.

Usage: .venv/bin/python docs/draw_architecture.py

Nothing in the picture is written by hand but where things stand. Stages, rooms and their order are those of
tests/test_architecture.py, counts and arrows are read from the sources, sentences from the docstrings.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import textwrap
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

__all__ = ["JOURNEY", "PICTURE", "House", "draw", "look_at"]

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"
JOURNEY = ("spec", "design", "register", "execute", "ledger", "analyse", "report")
"""Stages from left to right: the order in which data travels."""
TRAINABLES = ("lab", "command")
COMPOSERS = ("gpu_check", "cli", "dashboards", "api", "study", "journey")
"""From top to bottom."""

WIDTH, MARGIN, COLUMN, GAP = 1000, 16, 122, 19
INK, MUTED, LINE, PAPER, CARD, ROOM = "#1b2733", "#52616f", "#c3ccd5", "#fbfaf7", "#ffffff", "#e8eef4"
DATA, IMPORT, TOP, TRAINED = "#b4480f", "#2563a8", "#f1ecf7", "#e6f2ea"
FONT = "font-family=\"'DejaVu Sans', 'Segoe UI', Helvetica, Arial, sans-serif\""


@dataclass
class House:
    """What is drawn, as it is read from the sources.

    Attributes:
        modules: Stage → room → its modules, without ``__init__``; a room that is one module holds it; "." is the rest.
        says: Stage, or stage/room → first paragraph of its docstring.
        arrows: (importer, imported) of stages.
        heavy: Stage → heavy libraries that it is the home of, and imports.
        root: Modules at the package's root.
        order: Stage → its rooms, lowest first.
    """

    modules: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    says: dict[str, str] = field(default_factory=dict)
    arrows: set[tuple[str, str]] = field(default_factory=set)
    heavy: dict[str, list[str]] = field(default_factory=dict)
    root: list[str] = field(default_factory=list)
    order: dict[str, tuple[str, ...]] = field(default_factory=dict)


def _rules() -> Any:
    """The module that holds the house's rules: its readers of imports are used here as well."""
    spec = importlib.util.spec_from_file_location("rules", ROOT / "tests" / "test_architecture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def look_at(package: Path) -> House:
    """Read a package's folders, docstrings and imports.

    Raises:
        ValueError: A folder of the package has no place in the picture.
    """
    rules = _rules()
    house = House(order=dict(rules.ROOMS))
    sources = rules.sources(package)
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    if strangers := folders - {*JOURNEY, *TRAINABLES, *COMPOSERS}:
        raise ValueError(f"docs/draw_architecture.py has no place for {sorted(strangers)}: add it to JOURNEY or so")
    for name, path in sources.items():
        stage, *rest = name.split(".")
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        house.says[name.replace(".", "/")] = " ".join(text.split("\n\n")[0].split())
        if stage not in folders:
            house.root.append(stage)
        elif rest and path.name != "__init__.py":
            room = rules.room_of(name, stage) if stage in rules.ROOMS else "."
            house.modules.setdefault(stage, {}).setdefault(room, []).append(rest[-1])
        libraries = {target.split(".")[0] for target, _ in rules.imports(path)}
        at_home = {library for library in libraries if stage in rules.HOMES.get(library, ())}
        house.heavy[stage] = sorted({*house.heavy.get(stage, ()), *at_home})
    for name, targets in rules.arrows(package).items():
        pairs = {(name.split(".")[0], target.split(".")[0]) for target in targets}
        house.arrows |= {pair for pair in pairs if pair[0] != pair[1]}
    return house


# ---------------------------------------------------------------- shapes


def _box(x: float, y: float, w: float, h: float, fill: str, stroke: str = "none", title: str = "") -> str:
    hover = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="5" fill="{fill}" stroke="{stroke}">{hover}</rect>'
    )


def _say(x: float, y: float, text: str, size: float, fill: str = INK, weight: int = 400, anchor: str = "start") -> str:
    look = f'font-size="{size:g}" fill="{fill}" font-weight="{weight}" text-anchor="{anchor}"'
    return f'<text x="{x:g}" y="{y:g}" {look}>{escape(text)}</text>'


def _wide(text: str, size: float) -> float:
    """About how wide a text is drawn."""
    return len(text) * size * 0.6


def _wrapped(text: str, width: float, size: float) -> list[str]:
    return textwrap.wrap(text, max(8, int(width / (size * 0.585))), break_long_words=False)


def _goes_out(sentence: str) -> str:
    """What a stage gives, from ``… → a Design (cells, …) goes out → …``."""
    found = re.search(r"→ (?:an? )?([^→]*?)(?:,[^,→]*)? goe?s? out\b", re.sub(r" \(.*?\)", "", sentence))
    return found.group(1) if found else ""


# ---------------------------------------------------------------- parts of the picture


def _composers(house: House, y: float) -> tuple[list[str], float]:
    """Rows above the stages; the highest imports all below it."""
    out, height = [], 32.0
    for name in COMPOSERS:
        label = f"{name}/" if name in house.modules else f"{name}.py"
        out.append(_box(MARGIN, y, WIDTH - 2 * MARGIN, height, TOP, "#d3c6e4", house.says[name]))
        out.append(_say(MARGIN + 12, y + 21, label, 14, INK, 700))
        sentence = re.split(r"(?<=[a-z])\.(?: |$)", house.says[name])[0].removeprefix(f"{name}: ")
        sentence = sentence.partition(":")[0] if name in house.order else sentence
        right: float = WIDTH - MARGIN - 10
        for room in reversed(house.order.get(name, ())):
            members = house.modules[name][room]
            text, wide = f"{room}  {len(members)}", _wide(f"{room}  {len(members)}", 11.5) + 14
            out.append(_box(right - wide, y + 6, wide, 20, CARD, "#d3c6e4", house.says[f"{name}/{room}"]))
            out.append(_say(right - wide / 2, y + 20, text, 11.5, INK, 400, "middle"))
            right -= wide + 6
        out.append(_say(138, y + 20.5, sentence, 11.5, MUTED))
        y += height + 6
    return out, y


def _column(stage: str) -> float:
    return MARGIN + JOURNEY.index(stage) * (COLUMN + GAP)


def _import_arcs(house: House, y: float) -> list[str]:
    """One arc an arrow between stages; all point to the left, and a test holds the code to that."""
    pairs = sorted((a, b) for a, b in house.arrows if a in JOURNEY and b in JOURNEY)
    out = []
    for a, b in pairs:
        leaving = sorted((other for one, other in pairs if one == a), key=JOURNEY.index, reverse=True)
        coming = sorted((one for one, other in pairs if other == b), key=JOURNEY.index, reverse=True)
        start = _column(a) + 18 + 16 * (len(leaving) - 1 - leaving.index(b))
        end = _column(b) + COLUMN - 14 - 18 * coming.index(a)
        span = abs(JOURNEY.index(a) - JOURNEY.index(b))
        top = y - 16 - 21 * span
        path = f"M{start:g},{y:g} C{start:g},{top:g} {end:g},{top:g} {end:g},{y - 7:g}"
        out.append(
            f'<path d="{path}" fill="none" stroke="{IMPORT}" stroke-width="1.6" marker-end="url(#import)">'
            f"<title>{a} imports {b}</title></path>"
        )
    return out


def _stage_rows(house: House, stage: str) -> list[tuple[str, str, str]]:
    """(label, count, hover) of each row of a card, highest room first; without a count it is a list of modules."""
    rows = []
    for room in reversed(house.order.get(stage, (".",))):
        members = house.modules[stage].get(room, [])
        if room == ".":
            rows.append((", ".join(members), "", "modules of the stage itself"))
        else:
            rows.append((room, str(len(members)), house.says.get(f"{stage}/{room}", "")))
    return rows


def _card_height(house: House, stage: str) -> float:
    rows = (
        22.0 if count else 13.0 * len(_wrapped(label, COLUMN - 14, 10)) + 6
        for label, count, _ in _stage_rows(house, stage)
    )
    return 88 + sum(row + 4 for row in rows) + 34


def _card(house: House, stage: str, y: float, height: float) -> list[str]:
    x, total = _column(stage), sum(len(members) for members in house.modules[stage].values())
    out = [_box(x, y, COLUMN, height, CARD, LINE, house.says[stage])]
    out.append(_say(x + 9, y + 22, f"{stage}/", 15.5, INK, 700))
    out.append(_say(x + COLUMN - 8, y + 22, str(total), 11, MUTED, 400, "end"))
    given = _wrapped(f"→ {_goes_out(house.says[stage])}", COLUMN - 14, 11)
    out += [_say(x + 9, y + 40 + 14 * i, line, 11, DATA, 600) for i, line in enumerate(given[:3])]
    rooms = len(house.order.get(stage, ()))
    row_y = y + height - (_card_height(house, stage) - 84) if rooms else y + 84
    for label, count, hover in _stage_rows(house, stage):
        if count:
            out.append(_box(x + 6, row_y, COLUMN - 12, 22, ROOM, "none", hover))
            out.append(_say(x + 13, row_y + 15, label, 12))
            out.append(_say(x + COLUMN - 12, row_y + 15, count, 10.5, MUTED, 400, "end"))
            row_y += 26
        else:
            lines = _wrapped(label, COLUMN - 14, 10)
            out += [_say(x + 9, row_y + 10 + 13 * i, line, 10, MUTED) for i, line in enumerate(lines)]
            row_y += 13 * len(lines) + 10
    if house.heavy.get(stage):
        words = _wrapped(", ".join(house.heavy[stage]), COLUMN - 14, 10.5)
        out += [
            _say(x + 9, y + height - 10 - 13 * i, line, 10.5, IMPORT, 600) for i, line in enumerate(reversed(words))
        ]
    return out


def _data_arrows(y: float) -> list[str]:
    """Between neighbours: what the left one gives is what the right one takes."""
    edges = (_column(stage) + COLUMN for stage in JOURNEY[:-1])
    return [f'<path d="M{x + 3:g},{y - 8:g} l13,8 l-13,8 z" fill="{DATA}"/>' for x in edges]


def _chips(
    house: House, stage: str, rooms: list[str], x: float, y: float, most: float, fill: str
) -> tuple[list[str], float]:
    """Rooms beside each other, lowest at the left."""
    out = []
    for room in rooms:
        members = house.modules[stage].get(room, [])
        label = ", ".join(members) if room == "." else room
        count = f"  {len(members)}" if room != "." and members != [room] else ""
        wide = min(most, _wide(label + count, 11.5) + 12)
        hover = house.says.get(f"{stage}/{room}", "")
        out.append(_box(x, y, wide, 22, "none" if room == "." else fill, "#bcd8c6" if room == "." else "none", hover))
        out.append(_say(x + wide / 2, y + 15, label + count, 11.5, INK, 400, "middle"))
        x += wide + 6
    return out, x


def _trainables(house: House, y: float) -> tuple[list[str], float]:
    """The lab and the command below the stages, called by execute through plugins.py."""
    out, height, lab_wide = [], 92, 742
    call = _column("execute") + COLUMN / 2
    out.append(
        f'<path d="M{call:g},{y - 40:g} L{call:g},{y - 5:g}" stroke="{DATA}" stroke-width="2" stroke-dasharray="5 4" '
        'fill="none" marker-end="url(#data)" marker-start="url(#data)"/>'
    )
    out.append(_say(call + 14, y - 24, "RunRequest down, RunResult up: called by the name", 11, DATA, 600))
    out.append(_say(call + 14, y - 10, "that the study gives it, through plugins.py", 11, DATA, 600))
    out.append(_box(MARGIN, y, lab_wide, height, TRAINED, "#bcd8c6", house.says["lab"]))
    total = sum(len(members) for members in house.modules["lab"].values())
    out.append(_say(MARGIN + 10, y + 22, "lab/", 15.5, INK, 700))
    out.append(_say(MARGIN + 52, y + 22, str(total), 11, MUTED))
    out.append(
        _say(MARGIN + 84, y + 21.5, "the built-in trainable: a search agent, its world, its battery", 11.5, MUTED)
    )
    out.append(_say(MARGIN + lab_wide - 10, y + 21.5, ", ".join(house.heavy.get("lab", [])), 10.5, IMPORT, 600, "end"))
    rooms = list(house.order["lab"])
    half = (len(rooms) + 1) // 2
    for row, chosen in enumerate((rooms[half:], rooms[:half])):
        parts, _ = _chips(house, "lab", chosen, MARGIN + 10, y + 34 + 28 * row, lab_wide, "#ffffff")
        out += parts
    x, wide = MARGIN + lab_wide + 12, WIDTH - 2 * MARGIN - lab_wide - 12
    out.append(_box(x, y, wide, height, TRAINED, "#bcd8c6", house.says["command"]))
    members = house.modules["command"]["."]
    out.append(_say(x + 10, y + 22, "command/", 15.5, INK, 700))
    out.append(_say(x + wide - 10, y + 22, str(len(members)), 11, MUTED, 400, "end"))
    lines = _wrapped(", ".join(members), wide - 16, 10)
    out += [_say(x + 10, y + 40 + 13 * i, line, 10, MUTED) for i, line in enumerate(lines)]
    return out, y + height


def _foundations(house: House, y: float) -> tuple[list[str], float]:
    """The root's modules that know no stage, most imported first."""
    names = [name for name in house.root if name not in {*COMPOSERS, "__init__", "__main__"}]
    uses = Counter(target for _, target in house.arrows)
    names.sort(key=lambda name: (-uses[name], name))
    out = [_say(MARGIN + 10, y + 21, "What all stand on: the modules of the root that know no stage", 11.5, MUTED)]
    x, row_y = MARGIN + 10.0, y + 31
    for name in names:
        wide = _wide(f"{name}.py", 11.5) + 14
        if x + wide > WIDTH - MARGIN - 10:
            x, row_y = MARGIN + 10.0, row_y + 28
        out.append(_box(x, row_y, wide, 22, CARD, LINE, house.says[name]))
        out.append(_say(x + wide / 2, row_y + 15, f"{name}.py", 11.5, INK, 400, "middle"))
        x += wide + 7
    height = row_y + 31 - y
    return [_box(MARGIN, y, WIDTH - 2 * MARGIN, height, "#efeee9", LINE), *out], y + height


def draw(package: Path = ROOT / "platform" / "maineffect") -> str:
    """The picture of a package, as SVG; the same sources give the same bytes."""
    house = look_at(package)
    out = [
        _say(MARGIN, 30, "Data travels to the right", 15, DATA, 700),
        _say(MARGIN + 222, 30, "·", 15, MUTED),
        _say(MARGIN + 238, 30, "imports point down, or to the left", 15, IMPORT, 700),
        _say(WIDTH - MARGIN, 30, "numbers count modules; a room imports only rooms below it", 11.5, MUTED, 400, "end"),
    ]
    parts, y = _composers(house, 46)
    out += parts
    cards = y + 136
    out.append(
        _say(MARGIN, y + 16, "The four above put the stages together, and may import each of them.", 11.5, MUTED)
    )
    out.append(_say(MARGIN, y + 32, "Arcs: every import between stages.", 11.5, IMPORT))
    out += _import_arcs(house, cards)
    height = max(_card_height(house, stage) for stage in JOURNEY)
    for stage in JOURNEY:
        out += _card(house, stage, cards, height)
    out += _data_arrows(cards + 42)
    parts, y = _trainables(house, cards + height + 46)
    out += parts
    parts, y = _foundations(house, y + 14)
    out += parts
    tips = "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="6" markerHeight="6" '
        f'orient="auto-start-reverse"><path d="M0,0 L8,4 L0,8 z" fill="{colour}"/></marker>'
        for name, colour in (("import", IMPORT), ("data", DATA))
    )
    height = y + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}"'
    )
    label = 'role="img" aria-label="Stages of maineffect from left to right, their rooms, and who imports whom"'
    body = "\n".join([_box(0, 0, WIDTH, height, PAPER), *out])
    return f"{head} {FONT} {label}>\n<defs>{tips}</defs>\n{body}\n</svg>\n"


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
