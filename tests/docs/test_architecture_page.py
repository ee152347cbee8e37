"""docs/architecture.md is right: its picture, its answers, its walk from YAML to report, and every path that it names."""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import sys
import tomllib
import xml.dom.minidom
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "platform" / "maineffect"
PAGE = ROOT / "docs" / "architecture.md"
PAGES = [
    PAGE,
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
PAGES += [ROOT / "CHANGELOG.md", ROOT / "cluster" / "README.md", *sorted((ROOT / "experiments").glob("*/NOTES.md"))]
PAGES = list(dict.fromkeys(PAGES))
HELD = [page for page in PAGES if page.name in {"architecture.md", "CONTRIBUTING.md", "SECURITY.md"}]
QUESTIONS = {
    "alias chain": ("design/model/aliasing.py", "alias_chains"),
    "claimed": ("ledger/sweep/ledger.py", "MlflowLedger.claim"),
    "verdict": ("analyse/confirmatory/verdicts.py", "decide"),
    "probe": ("lab/evaluate/probes.py", "PAIRED"),
    "failure class": ("contracts.py", "FailureClass"),
    "design kind": ("design/build.py", "_BUILDERS"),
    "card": ("report/page.py", "CARDS"),
    "option": ("cli/options.py", "place_of"),
}
BY_NAME = ("by the name", "typed by the user")
OF_USERS = {"study.yaml", ".maineffect/"}
"""Paths that are written on the pages and are no part of the repository."""
_FILES = r"\.(py|md|svg|yaml|yml|json|toml|cff|sh|cfg|css|j2)$"


def module_from(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    return module_from(ROOT / "docs" / "draw_architecture.py")


@pytest.fixture(scope="module")
def picture(drawing: ModuleType) -> str:
    """Drawn anew."""
    return drawing.draw()


@pytest.fixture(scope="module")
def rules() -> ModuleType:
    return module_from(ROOT / "tests" / "test_architecture.py")


@pytest.fixture
def copied_package(tmp_path: Path) -> Path:
    """A copy of the package in which files can be moved."""
    return Path(shutil.copytree(PACKAGE, tmp_path / "maineffect", ignore=shutil.ignore_patterns("__pycache__")))


def tables(text: str) -> dict[str, list[list[str]]]:
    """Header line of every kind of table → its rows, all tables of the same header together."""
    found: dict[str, list[list[str]]] = {}
    for block in re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE):
        header, _, *rows = block.splitlines()
        cells = [[cell.strip().strip("`") for cell in row.strip("|").split(" | ")] for row in rows]
        assert {len(row) for row in cells} == {len(header.strip("|").split(" | "))}, header
        found.setdefault(header, []).extend(cells)
    return found


@cache
def parsed(text: str) -> ast.Module:
    return ast.parse(text)


def definition(path: Path, name: str) -> ast.AST | None:
    """The node that defines a function, class, method (``Class.method``) or variable at the top of a file."""
    body: list[ast.stmt] = parsed(path.read_text(encoding="utf-8")).body
    node: ast.AST | None = None
    for part in name.split("."):
        node = next((stmt for stmt in body if part in names_of(stmt)), None)
        if node is None:
            return None
        body = getattr(node, "body", [])
    return node


def names_of(stmt: ast.stmt) -> set[str]:
    if isinstance(stmt, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {stmt.name}
    targets = stmt.targets if isinstance(stmt, ast.Assign) else [stmt.target] if isinstance(stmt, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def uses(path: Path) -> set[str]:
    """Every name and attribute that a file uses; that it imports one is no use of it."""
    nodes = list(ast.walk(parsed(path.read_text(encoding="utf-8"))))
    return {node.id for node in nodes if isinstance(node, ast.Name)} | {
        node.attr for node in nodes if isinstance(node, ast.Attribute)
    }


def paths_in(text: str) -> set[str]:
    """What is written as a path: in backticks, or as the target of a link."""
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    links = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    links = [target for target in links if target and "://" not in target]
    words = [word for span in spans for word in span.split()]
    written = [w for w in words if re.fullmatch(r"[\w./*-]+", w) and (re.search(_FILES, w) or w.endswith("/"))]
    return {*written, *links} - OF_USERS


def missing(page: Path, package: Path = PACKAGE) -> list[str]:
    """Paths of a page that lead nowhere, from the repository, from the package or from the page's own folder."""
    roots = (ROOT, package, page.parent)
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lost = []
    for path in sorted(paths_in(text)):
        inside = path.removeprefix("platform/maineffect/")
        places = [package / inside] if inside != path else [root / path for root in roots]
        if not any(any(place.parent.glob(place.name)) if "*" in path else place.exists() for place in places):
            lost.append(path)
    return lost


def wrong_answers(package: Path = PACKAGE) -> list[str]:
    """Rows of the page's tables of questions and steps whose file does not define what they name."""
    found = tables(PAGE.read_text(encoding="utf-8"))
    rows = [row[-2:] for row in found["| question | folder | file | name |"] + found["| step | file | function |"]]
    return [
        f"{file}: {name}"
        for file, name in rows
        if not (package / file).is_file() or definition(package / file, name) is None
    ]


def test_the_picture_is_drawn_from_the_code(drawing: ModuleType, picture: str) -> None:
    stored = drawing.PICTURE.read_text(encoding="utf-8")
    assert stored == picture, "run: .venv/bin/python docs/draw_architecture.py"


def test_the_picture_is_a_picture(picture: str) -> None:
    svg = xml.dom.minidom.parseString(picture).documentElement
    assert svg.tagName == "svg"
    width, height = float(svg.getAttribute("width")), float(svg.getAttribute("height"))
    assert width <= 1000
    for box in svg.getElementsByTagName("rect"):
        x, y, w, h = (float(box.getAttribute(name)) for name in ("x", "y", "width", "height"))
        assert min(x, y) >= 0
        assert x + w <= width
        assert y + h <= height
    assert min(float(text.getAttribute("font-size")) for text in svg.getElementsByTagName("text")) >= 10


def test_every_stage_room_and_arrow_is_in_the_picture(drawing: ModuleType, rules: ModuleType, picture: str) -> None:
    imported = {(one.split(".")[0], to.split(".")[0]) for one, targets in rules.arrows().items() for to in targets}
    drawn = set(re.findall(r"<title>(\w+) imports (\w+)</title>", picture))
    assert drawn == {pair for pair in imported if set(pair) <= set(drawing.JOURNEY) and len(set(pair)) == 2}
    assert all(drawing.JOURNEY.index(one) > drawing.JOURNEY.index(other) for one, other in drawn), "data turns back"
    for stage, rooms in rules.ROOMS.items():
        for room in (room for room in rooms if room != "."):
            assert re.search(rf">{room}(  \d+)?<", picture), f"{stage}/{room}"


def test_a_moved_file_changes_the_picture(drawing: ModuleType, picture: str, copied_package: Path) -> None:
    (copied_package / "design/model/aliasing.py").rename(copied_package / "design/kinds/aliasing.py")
    assert drawing.draw(copied_package) != picture


def test_a_folder_without_a_place_is_named(drawing: ModuleType, copied_package: Path) -> None:
    (copied_package / "attic").mkdir()
    (copied_package / "attic" / "__init__.py").write_text('"""attic."""\n')
    with pytest.raises(ValueError, match="attic"):
        drawing.draw(copied_package)


def test_the_eight_questions_have_their_answers() -> None:
    rows = tables(PAGE.read_text(encoding="utf-8"))["| question | folder | file | name |"]
    for words, answer in QUESTIONS.items():
        question, folder, file, name = next(row for row in rows if words in row[0].lower())
        assert (file, name) == answer, question
        assert folder == "the root" or folder.split("/")[0] == file.split("/")[0] or (PACKAGE / folder).is_dir()
        assert folder == "the root" or (PACKAGE / folder).is_dir()


def test_every_answer_and_step_is_where_the_page_says() -> None:
    assert wrong_answers() == []


def test_the_walk_goes_from_step_to_step() -> None:
    """Each function is used in the file of an earlier step: nothing is left out between them."""
    steps = tables(PAGE.read_text(encoding="utf-8"))["| step | file | function |"]
    used: set[str] = set()
    lost = []
    for number, (what, file, function) in enumerate(steps):
        if number and function.split(".")[-1] not in used and not any(words in what for words in BY_NAME):
            lost.append(f"{what} {file}: {function}")
        used |= uses(PACKAGE / file)
    assert lost == []
    assert len(steps) > 50


@pytest.mark.parametrize("page", HELD, ids=lambda page: page.name)
def test_every_path_leads_somewhere(page: Path) -> None:
    assert missing(page) == []


@pytest.mark.parametrize("moved", ["design/model/aliasing.py", "ledger/sweep/ledger.py", "contracts.py"])
def test_a_moved_file_is_named(copied_package: Path, moved: str) -> None:
    (copied_package / moved).rename(copied_package / "moved.py")
    assert moved in missing(PAGE, copied_package)
    assert [line for line in wrong_answers(copied_package) if line.startswith(moved)]


def test_a_renamed_function_is_named(copied_package: Path) -> None:
    path = copied_package / "analyse/confirmatory/verdicts.py"
    path.write_text(path.read_text(encoding="utf-8").replace("def decide(", "def judge("), encoding="utf-8")
    assert "analyse/confirmatory/verdicts.py: decide" in wrong_answers(copied_package)


def test_the_tables_of_rules_are_the_rules(rules: ModuleType) -> None:
    found = tables(PAGE.read_text(encoding="utf-8"))
    allowed = {row[0]: set(re.findall(r"\w+", row[1])) for row in found["| folder | may import, besides itself |"]}
    assert allowed == {stage: may for stage, may in rules.ALLOWED.items() if stage not in rules.FOUNDATION_FREE}
    heavy = {row[0]: set(re.findall(r"\w+", row[1])) for row in found["| library | only in |"]}
    assert heavy == rules.HOMES
    assert {Path(row[0]).stem for row in found["| module | what it is |"]} == rules.ROOT_MODULES
    said = PAGE.read_text(encoding="utf-8")
    (everybody,) = re.findall(r"Everybody may import (.*?)\.", said)
    assert set(re.findall(r"`(\w+)`", everybody)) == rules.FOUNDATION_FREE
    assert f"{rules.MOST_LINES} lines a file, {rules.MOST_MODULES} modules a\nfolder" in said


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_dotted_name_exists(page: Path) -> None:
    groups = {"maineffect.trainables"}
    lost = []
    for dotted in set(re.findall(r"maineffect(?:\.\w+)+(?::\w+)?", page.read_text(encoding="utf-8"))) - groups:
        module, _, attribute = dotted.partition(":")
        parts = module.split(".")[1:]
        folder = PACKAGE
        while parts and (folder / parts[0]).is_dir():
            folder /= parts.pop(0)
        if parts and (folder / f"{parts[0]}.py").is_file():
            file = folder / f"{parts.pop(0)}.py"
        else:
            file = folder / "__init__.py"
        name = ".".join([*parts, *([attribute] if attribute else [])])
        text = file.read_text(encoding="utf-8")
        known = not name or definition(file, name) is not None or f'"{name}"' in text
        if parts[:1] != ["db"] and not known:
            lost.append(dotted)
    assert lost == []


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for page in (ROOT / "CONTRIBUTING.md", ROOT / "README.md"):
        text = page.read_text(encoding="utf-8")
        spans = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^(make .*)$", text, flags=re.MULTILINE)
        named = {target for span in spans for target in re.findall(r"^(?:\w+=\S+ )?make ([\w-]+)", span)}
        assert named - targets == set(), page.name


def test_the_readme_shows_the_tree_as_it_is(rules: ModuleType) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = text.partition("## The tree")[2].partition("```")[2].partition("```")[0]
    lines = [line for line in tree.splitlines() if line.strip()]
    inside = {line.split()[0] for line in lines if line.startswith("  ") and line.split()[0][0].isalpha()}
    folders = {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    modules = {f"{name}.py" for name in rules.ROOT_MODULES if not name.startswith("__")}
    assert inside == folders | modules
    for line in (line for line in lines if not line.startswith(" ")):
        assert (ROOT / line.split()[0]).exists(), line
    for stage, rooms in rules.ROOMS.items():
        (line,) = (line for line in lines if line.split()[0] == f"{stage}/")
        after = "\n".join(lines[lines.index(line) : lines.index(line) + 3])
        assert all(room in after for room in rooms if room != "." and (PACKAGE / stage / room).is_dir()), (
            f"rooms of {stage}"
        )


def test_the_citation_names_this_version() -> None:
    import yaml

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert (citation["title"], citation["version"]) == (project["name"], project["version"])
    assert citation["license"] == project["license"]
    assert citation["keywords"] == project["keywords"]
