"""The house rules of the design, held by reading the source: who may import whom, and where heavy libraries live."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "platform" / "maineffect"

# Stage → stages it may import (besides itself and the foundations). Order: the order in which data travels.
FOUNDATIONS = {"errors", "seeds", "contracts", "preparation", "process_family", "record", "local_modules", "__init__"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "seeds": set(),
    "contracts": set(),
    "preparation": {"contracts"},
    "process_family": set(),
    "record": set(),
    "local_modules": set(),
    "plugins": set(),
    "code_version": {"plugins"},
    "conformance": {"execute", "ledger"},
    "spec": set(),
    "design": {"spec"},
    "register": {"spec", "design"},
    "analyse": {"spec", "design", "register"},
    "report": {"analyse"},
    "lab": set(),
    "command": set(),
    "execute": {"design", "plugins", "code_version"},
    "ledger": {"design"},
}
# Who puts the stages together, lowest first: each may import every stage and the composers before it.
COMPOSERS = ["journey", "study", "api", "dashboards", "cli", "gpu_check", "__main__"]

# Folder → its rooms from the lowest to the highest; a room imports itself and what stands before it. A name that is a
# module and no folder is a module that its whole stage stands on. "." is every other module at the folder's root: they
# put the rooms together, so no room below may import them.
ROOMS: dict[str, tuple[str, ...]] = {
    "spec": ("factors", "responses", "phases", "questions", "."),
    "design": ("algebra", "model", "search", "kinds", "power", "."),
    "analyse": ("record", "table", "inference", "fit", "confirmatory", "exploratory", "follow_up", ".", "simulation"),
    "report": ("content", "charts", "cards", "."),
    "lab": (
        "policy_settings",
        "settings",
        "applicable",
        "grammar",
        "world",
        "evaluate",
        "corpus",
        "policy",
        "sampling",
        "questions",
        "start",
        "train",
        "examine",
        ".",
        "adapters",
    ),
    "execute": ("cluster", "attempt", "phases", "drive"),
    "ledger": ("store", "attempt", "sweep"),
    "journey": ("plan", "run", "read"),
}
FLAT = {"register", "command", "api", "cli", "dashboards", "gpu_check"}
ROOT_MODULES = {
    "study",
    "contracts",
    "preparation",
    "plugins",
    "code_version",
    "conformance",
    "process_family",
    "record",
    "local_modules",
    "seeds",
    "errors",
    "__main__",
    "__init__",
}
MOST_MODULES = 15
MOST_LINES = 400
HOMES = {
    "ray": {"execute"},
    "optuna": {"execute"},
    "mlflow": {"ledger"},
    "torch": {"lab", "gpu_check"},
    "vllm": {"lab"},
    "transformers": {"lab", "gpu_check"},
    "altair": {"report"},
    "vl_convert": {"report"},
    "jinja2": {"report"},
}
FOUNDATION_FREE = {"errors", "seeds", "contracts", "preparation", "process_family", "record", "local_modules"}


def sources(package: Path = PACKAGE) -> dict[str, Path]:
    """Dotted name without the package's → file of every module; a folder's ``__init__`` has the folder's name."""
    named = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return named


def modules() -> Iterator[tuple[str, Path]]:
    """Yield (stage, file) of every module of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield parts[0], path


@cache
def statements(text: str) -> list[ast.Import | ast.ImportFrom]:
    """Every import in a source text; most files are asked for many times."""
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield (absolute module name, line) of every import in a file, lazy and TYPE_CHECKING ones included."""
    for node in statements(path.read_text(encoding="utf-8")):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        else:
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.module or "", node.lineno
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def arrows(package: Path = PACKAGE) -> dict[str, dict[str, int]]:
    """Module → the package's modules that it imports → the line. ``from folder import module`` means the module."""
    files = sources(package)
    drawn: dict[str, dict[str, int]] = {name: {} for name in files}
    for name, path in files.items():
        by_line: dict[int, set[str]] = {}
        for target, line in imports(path):
            inside = "__init__" if target == "maineffect" else target.removeprefix("maineffect.")
            if inside in files and (inside != target or target == "maineffect"):
                by_line.setdefault(line, set()).add(inside)
        for line, targets in by_line.items():
            for target in targets:
                # The folder was only the way to a module of it.
                if not any(other.startswith(f"{target}.") for other in targets) and target != "__init__":
                    drawn[name].setdefault(target, line)
    return drawn


def circles(drawn: dict[str, dict[str, int]]) -> list[str]:
    """Every set of modules that import each other around (Tarjan 1972, strongly connected components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    rings: list[str] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for target in drawn[name]:
            if target not in order:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], order[target])
        if low[name] == order[name]:
            ring = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(ring) > 1 or name in drawn[name]:
                inside = [
                    f"{one} → {to} (line {line})" for one in ring for to, line in drawn[one].items() if to in ring
                ]
                rings.append("; ".join(inside))

    for name in drawn:
        if name not in order:
            visit(name)
    return rings


def room_of(name: str, stage: str) -> str:
    """The room of a module: a folder of its stage, a module that the stage stands on, or "."."""
    parts = name.split(".")
    below = parts[1] if len(parts) > 1 else "."
    return below if below in ROOMS[stage] else "."


def upward(drawn: dict[str, dict[str, int]]) -> list[str]:
    """Every import from a room into one that stands above it; a stage's own ``__init__`` stands on top."""
    wrong = []
    for name, targets in drawn.items():
        stage = name.split(".")[0]
        if stage not in ROOMS or name == stage:
            continue
        rooms = ROOMS[stage]
        own_place = rooms.index(room_of(name, stage))
        for target, line in targets.items():
            if target.split(".")[0] == stage and (target == stage or rooms.index(room_of(target, stage)) > own_place):
                wrong.append(f"{name} → {target} (line {line})")
    return wrong


def violations_of_stages() -> list[str]:
    """Every import that goes against the direction in which data travels."""
    wrong = []
    for stage, path in modules():
        if stage == "__init__":
            continue
        if stage in COMPOSERS:
            allowed = {*ALLOWED, *COMPOSERS[: COMPOSERS.index(stage) + 1], *FOUNDATIONS}
        else:
            allowed = ALLOWED[stage] | {stage}
        if stage not in FOUNDATION_FREE:
            allowed |= FOUNDATIONS
        for name, line in imports(path):
            target = name.split(".")[1] if name.startswith("maineffect.") else None
            if target is not None and target not in allowed and target[0] != "_":
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {stage} imports {name}")
    return wrong


def violations_of_homes() -> list[str]:
    """Every heavy import outside its home."""
    wrong = []
    for stage, path in modules():
        for name, line in imports(path):
            homes = HOMES.get(name.split(".")[0])
            if homes is not None and stage not in homes:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {name} outside {sorted(homes)}")
    return wrong


def test_every_stage_and_room_has_a_rule() -> None:
    assert {stage for stage, _ in modules()} - {*COMPOSERS, "__init__"} - set(ALLOWED) == set()
    folders = {path.name: path for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert set(folders) == {*ROOMS, *FLAT}
    for stage, folder in folders.items():
        rooms = {path.name for path in folder.iterdir() if (path / "__init__.py").exists()}
        assert rooms - set(ROOMS.get(stage, ())) == set(), f"{stage}: rooms without a rule"


def test_imports_follow_the_journey() -> None:
    assert violations_of_stages() == []


def test_no_circles() -> None:
    assert circles(arrows()) == []


def test_rooms_import_downwards_only() -> None:
    assert upward(arrows()) == []


@pytest.fixture
def copied_package(tmp_path: Path) -> Path:
    """A copy of the package in which arrows can be planted."""
    return Path(shutil.copytree(PACKAGE, tmp_path / "maineffect", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.mark.parametrize(
    ("module", "line", "arrow"),
    [
        (
            "design/algebra/galois.py",
            "from maineffect.design.build import build_design",
            "algebra.galois → design.build",
        ),
        ("ledger/store/records.py", "def f():\n    from maineffect.ledger.sweep import looks", "→ ledger.sweep.looks"),
        (
            "execute/cluster/connect.py",
            "if TYPE_CHECKING:\n    from maineffect.execute.drive.driver import Driver",
            "→ execute.drive.driver",
        ),
        ("journey/plan/check.py", "import maineffect.journey.run.submit", "plan.check → journey.run.submit"),
    ],
)
def test_an_arrow_upwards_is_named(copied_package: Path, module: str, line: str, arrow: str) -> None:
    path = copied_package / module
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
    assert [one for one in upward(arrows(copied_package)) if arrow in one], "the planted arrow is not named"


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("spec/names.py", "from maineffect.spec.load import load_study"),
        ("lab/settings.py", "def f():\n    from maineffect.lab import applicable"),
        ("errors.py", "if TYPE_CHECKING:\n    from maineffect.plugins import load_trainable"),
    ],
)
def test_a_circle_is_named(copied_package: Path, module: str, line: str) -> None:
    path = copied_package / module
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
    name = module.removesuffix(".py").replace("/", ".")
    assert [ring for ring in circles(arrows(copied_package)) if f"{name} → " in ring], "the planted circle is not named"


def test_heavy_libraries_stay_at_home() -> None:
    assert violations_of_homes() == []


def test_platform_folder_does_not_shadow_the_standard_library() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    code = "import platform, maineffect; print(platform.python_version())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().startswith("3.")


def test_typed_marker_and_package_docstrings() -> None:
    assert (PACKAGE / "py.typed").exists()
    for init in PACKAGE.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))), f"{init} has no docstring"


def test_files_have_one_job() -> None:
    too_long = {
        str(path.relative_to(ROOT)): count
        for _, path in modules()
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert too_long == {}


def test_folders_are_small_and_the_root_is_the_face() -> None:
    crowded = {
        str(folder.relative_to(ROOT)): count
        for folder in [PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir())]
        if (count := len([path for path in folder.glob("*.py") if path.name != "__init__.py"])) > MOST_MODULES
    }
    assert crowded == {}
    assert {path.stem for path in PACKAGE.glob("*.py")} == ROOT_MODULES


def test_no_drawers() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [str(path) for _, path in modules() if path.stem in drawers] == []


@pytest.mark.parametrize(
    ("statement", "banned"),
    [
        ("import maineffect.cli.app", ("ray", "torch", "mlflow", "pandas", "numpy", "altair", "optuna", "scipy")),
        ("import maineffect.spec.load", ("ray", "torch", "mlflow", "pandas", "altair", "optuna")),
        ("import maineffect.design.build", ("ray", "torch", "mlflow", "pandas", "altair", "optuna")),
        ("import maineffect.analyse.run", ("ray", "torch", "mlflow", "altair", "optuna")),
        ("import maineffect.lab", ("torch", "ray", "mlflow", "pandas")),
        ("import maineffect.report.page", ("ray", "torch", "mlflow")),
    ],
)
def test_importing_a_stage_loads_no_foreign_weight(statement: str, banned: tuple[str, ...]) -> None:
    code = f"import sys\n{statement}\nprint([m for m in {banned!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
