"""The house rules of the design, held by reading the source: who may import whom, and where heavy libraries live."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "platform" / "maineffect"

# Stage → stages it may import (besides itself and the foundations). Order: the order in which data travels.
FOUNDATIONS = {"errors", "seeds", "contracts", "__init__"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "seeds": set(),
    "contracts": set(),
    "plugins": set(),
    "conformance": set(),
    "spec": set(),
    "design": {"spec"},
    "register": {"spec", "design"},
    "analyse": {"spec", "design", "register"},
    "report": {"analyse"},
    "lab": set(),
    "command": set(),
    "execute": {"design", "plugins"},
    "ledger": {"design"},
}
COMPOSERS = {
    "study",
    "planning",
    "standing",
    "submission",
    "stopping",
    "reuse",
    "printed",
    "reporting",
    "measuring",
    "detached",
    "cli",
    "dashboards",
    "__main__",
    "__init__",
}
HOMES = {
    "ray": {"execute"},
    "optuna": {"execute"},
    "mlflow": {"ledger"},
    "torch": {"lab"},
    "vllm": {"lab"},
    "transformers": {"lab"},
    "altair": {"report"},
    "vl_convert": {"report"},
    "jinja2": {"report"},
}
FOUNDATION_FREE = {"errors", "seeds", "contracts"}


def modules() -> Iterator[tuple[str, Path]]:
    """Yield (stage, file) of every module of the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield parts[0], path


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield (absolute module name, line) of every import in a file, lazy ones included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.module or "", node.lineno


def violations_of_stages() -> list[str]:
    """Every import that goes against the direction in which data travels."""
    wrong = []
    for stage, path in modules():
        if stage in COMPOSERS:
            continue
        allowed = ALLOWED[stage] | {stage}
        if stage not in FOUNDATION_FREE:
            allowed |= FOUNDATIONS
        for name, line in imports(path):
            target = name.split(".")[1] if name.startswith("maineffect.") else None
            if target is not None and target not in allowed:
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


def test_every_stage_has_a_rule() -> None:
    assert {stage for stage, _ in modules()} - COMPOSERS - set(ALLOWED) == set()


def test_imports_follow_the_journey() -> None:
    assert violations_of_stages() == []


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
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert too_long == {}


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
