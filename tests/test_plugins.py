"""Trainables are found by name, refused with the way out, and never mixed up between studies."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from maineffect import plugins
from maineffect.code_version import code_version
from maineffect.errors import PluginError
from maineffect.journey.plan.check import check
from maineffect.journey.plan.place import Place
from maineffect.journey.run.submit import settle_submission
from maineffect.plugins import check_responses, check_settings, hidden_beside, load_trainable


@pytest.fixture(autouse=True)
def _clean_imports() -> Iterator[None]:
    path, modules, folder = list(sys.path), set(sys.modules), list(plugins._folder)
    yield
    sys.path[:], plugins._folder[:] = path, folder
    for name in set(sys.modules) - modules:
        if name.startswith(("mine", "pkg_")):
            del sys.modules[name]


@pytest.fixture
def module(tmp_path: Path) -> Callable[..., Path]:
    """Write a module beside a study; return the study's folder."""

    def _module(source: str, name: str = "mine.py", study: str = "study") -> Path:
        path = tmp_path / study / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        return tmp_path / study

    return _module


def test_an_entry_point_and_its_target_are_the_same() -> None:
    assert load_trainable("search_agent") is load_trainable("maineffect.lab:train_search_agent")


def test_a_module_beside_the_study(module) -> None:
    folder = module(
        "def train(request, context):\n    return {'y': 1.0}\nclass Box:\n    inner = staticmethod(train)\n"
    )
    assert load_trainable("mine:train", folder)(None, None) == {"y": 1.0}
    assert load_trainable("mine:Box.inner", folder)(None, None) == {"y": 1.0}


def test_two_studies_may_each_have_a_module_of_the_same_name(module) -> None:
    source = "import mine_helper\ndef train(request, context):\n    return {{'y': {} + mine_helper.z}}\n"
    for study, y in (("one", 1.0), ("two", 2.0)):
        module(source.format(y), study=study)
        module(f"z = {y}", "mine_helper.py", study)
    root = module("", "x.py", "one").parent
    assert [load_trainable("mine:train", root / s)(None, None)["y"] for s in ("one", "two", "one")] == [2.0, 4.0, 2.0]


def test_a_study_does_not_find_the_files_of_the_one_before(module) -> None:
    load_trainable("mine:train", module("def train(request, context): ...\n", study="one"))
    other = module("", "other.py", "two")
    with pytest.raises(PluginError, match="no module 'mine'"):
        load_trainable("mine:train", other)


def test_a_file_beside_the_study_never_shadows_a_library(module) -> None:
    folder = module("raise RuntimeError('shadowed')\n", "colorsys.py")
    sys.modules.pop("colorsys", None)
    with pytest.raises(PluginError, match="colorsys has no 'train'"):
        load_trainable("colorsys:train", folder)


HIDING = {
    # what imports it, a file beside the study → what is hidden, where it is imported, and what it is hidden by
    "an installed package": ("import json\nimport yaml\n", "yaml.py", "yaml.py", "`import yaml` in mine.py", "yaml"),
    "late, through another": (
        "def f():\n    import mine_b\n",
        "yaml/__init__.py",
        "yaml/__init__.py",
        "mine_b.py",
        "yaml",
    ),
    "the standard library": ("import colorsys\n", "colorsys.py", "colorsys.py", "in mine.py", "Python's own"),
}


@pytest.mark.parametrize("case", HIDING)
def test_a_module_beside_the_study_that_a_library_hides_is_named(module, case: str) -> None:
    source, name, file, importer, by = HIDING[case]
    module("from yaml import load\n", "mine_b.py")
    module("mine = True\n", name)
    folder = module(source + GOOD)
    load_trainable("mine:train", folder)
    (problem,) = hidden_beside("mine:train", folder)
    assert problem.message.startswith(f"{file} beside the study is hidden: ")
    assert importer in problem.message
    assert by in problem.message.rpartition(" takes ")[2]
    assert "rename it" in problem.hint


def test_what_nobody_imports_hides_nothing(module) -> None:
    folder = module("import mine_b\n" + GOOD)
    module("", "mine_b.py")
    module("", "yaml.py")
    load_trainable("mine:train", folder)
    assert hidden_beside("mine:train", folder) == []
    assert hidden_beside("maineffect.lab:train_search_agent", folder) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [("yaml:train", ""), ("mine:train", "from yaml import mine\n"), ("mine:train", "import yaml.mine\n")],
)
def test_an_import_that_fails_names_what_is_hidden(module, name: str, source: str) -> None:
    module("mine = True\n" + GOOD, "yaml.py")
    with pytest.raises(PluginError) as caught:
        load_trainable(name, module(source + GOOD))
    assert "yaml.py beside the study is hidden: " in caught.value.hint
    assert "rename it if yours is meant" in caught.value.hint


STUDY = """\
schema_version: 1
name: hiding
trainable: mine:train
factors: {a: {levels: [0, 1]}}
design: {kind: full}
responses: {y: {}}
"""


def test_check_and_submission_name_it(module, tmp_path: Path) -> None:
    module("", "yaml.py")
    path = module("import yaml\n" + GOOD) / "study.yaml"
    path.write_text(STUDY)
    assert "yaml.py beside the study is hidden" in str(check(path).warnings[0])
    said: list[str] = []
    options = {"register_again": False, "reuse": None, "go_on": False, "on_notice": said.append}
    settle_submission(path, Place(home=tmp_path / "home"), **options)
    assert [line for line in said if "yaml.py beside the study is hidden: `import yaml` in mine.py takes" in line]


GOOD = "def train(request, context): ...\n"
REFUSED = {
    "no colon, near a name": ("serch_agent", GOOD, "no trainable 'serch_agent'", "did you mean 'search_agent'"),
    "no colon": ("zzz", GOOD, "no trainable 'zzz' is installed", "module:object, or one of: search_agent"),
    "nothing after it": ("mine:", GOOD, "is not module:object", "maineffect.lab:train_search_agent"),
    "not a name": ("mine:train()", GOOD, "is not module:object", ""),
    "a path": ("./mine.py:train", GOOD, "is not module:object", ""),
    "no module": ("mimne:train", GOOD, "no module 'mimne'", "beside the study"),
    "no submodule": ("mine.deep:train", GOOD, "mine.deep", ""),
    "no attribute": ("mine:trian", GOOD, "mine has no 'trian'", "did you mean 'train'"),
    "missing dependency": ("mine:train", "import not_there\n" + GOOD, "mine imports 'not_there'", "install it"),
    "raises": ("mine:train", "1 / 0\n", "importing mine raised ZeroDivisionError: division by zero", "traceback"),
    "syntax": ("mine:train", "def train(:\n", "importing mine raised SyntaxError", ""),
    "exits": ("mine:train", "import sys; sys.exit(3)\n", "importing mine raised SystemExit: 3", "__main__"),
    "not callable": ("mine:train", "train = 3\n", "is a int, not callable", "function"),
    "a class": ("mine:Train", "class Train:\n    def __init__(self, a, b): ...\n", "is a class", "instance"),
    "one parameter": (
        "mine:train",
        "def train(request): ...\n",
        "too many positional arguments",
        "contracts.Trainable",
    ),
    "three": ("mine:train", "def train(a, b, c): ...\n", "missing a required argument: 'c'", "contracts.Trainable"),
    "keyword only": ("mine:train", "def train(*, request, context): ...\n", "cannot be called", "contracts.Trainable"),
    "coroutine": ("mine:train", "async def train(request, context): ...\n", "coroutine", "plain function"),
    "generator": ("mine:train", "def train(request, context):\n    yield 1\n", "generator", "plain function"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_trainable_is_refused_with_the_way_out(module, case: str) -> None:
    name, source, message, hint = REFUSED[case]
    with pytest.raises(PluginError) as caught:
        load_trainable(name, module(source))
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 3
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_module_that_was_repaired_can_be_loaded(module) -> None:
    folder = module("1 / 0\n")
    with pytest.raises(PluginError):
        load_trainable("mine:train", folder)
    (folder / "mine.py").write_text("def train(request, context):\n    return {'y': 2.0}\n")
    assert load_trainable("mine:train", folder)(None, None) == {"y": 2.0}


class World(BaseModel):
    model_config = ConfigDict(extra="forbid")
    hops: int = Field(default=1, le=3)


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    world: World = World()
    steps: int


def trainable(**attributes: Any) -> Any:
    def train(request: object, context: object) -> dict[str, float]:
        return {}

    train.__dict__.update(attributes)
    return train


@pytest.mark.parametrize("model", [Settings, lambda: Settings])
@pytest.mark.parametrize(
    ("settings", "path", "message", "hint"),
    [
        ({"steps": 1, "world": {"hop": 1}}, "settings.world.hop", "no setting 'world.hop'", "'hops'"),
        ({"steps": 1, "wrld": {}}, "settings.wrld", "no setting 'wrld'", "'world'"),
        ({"steps": 1, "world": {"hops": 4}}, "settings.world.hops", "less than or equal to 3, got 4", ""),
        ({"steps": "x"}, "settings.steps", "got 'x'", ""),
        ({}, "settings.steps", "needs the setting 'steps'", "bind a factor"),
    ],
)
def test_settings_are_held_to_the_trainables_model(
    model: Any, settings: dict[str, Any], path: str, message: str, hint: str
) -> None:
    (problem,) = check_settings(trainable(settings_model=model), settings)
    assert problem.path == path
    assert message in problem.message
    assert hint in problem.hint


def test_valid_settings_and_trainables_without_a_model_pass() -> None:
    assert check_settings(trainable(settings_model=Settings), {"steps": 1, "world": {"hops": 3}}) == []
    assert check_settings(trainable(), {"anything": 1}) == []


def test_a_settings_model_that_is_none_is_refused() -> None:
    with pytest.raises(PluginError, match="not a pydantic model"):
        check_settings(trainable(settings_model=dict), {})
    with pytest.raises(PluginError, match="settings_model raised KeyError"):
        check_settings(trainable(settings_model=lambda: {}["x"]), {})


@pytest.mark.parametrize("names", [("skill", "cost"), lambda: ["skill", "cost"]])
def test_declared_responses_must_be_known(names: Any) -> None:
    given = trainable(response_names=names)
    assert check_responses(given, ("cost", "skill")) == []
    (problem,) = check_responses(given, ("skil", "cost"))
    assert (problem.path, problem.hint) == ("responses.skil", "did you mean 'skill'?")
    assert check_responses(trainable(), ("whatever",)) == []


def test_code_version_depends_on_content_alone(module) -> None:
    one, two = (module(GOOD, study=study) for study in ("one", "two"))
    assert code_version("mine:train", one) == code_version("mine:train", two)
    before = code_version("mine:train", one)
    (one / "mine.py").write_text(GOOD + "# changed\n")
    assert code_version("mine:train", one) != before


def test_code_version_of_a_package_covers_its_modules(module) -> None:
    folder = module("", "pkg_a/__init__.py")
    module(GOOD, "pkg_a/train.py")
    before = code_version("pkg_a.train:train", folder)
    module("x = 1\n", "pkg_a/deep/other.py")
    assert code_version("pkg_a.train:train", folder) != before


def test_code_version_tells_contents_from_names(module) -> None:
    """The same bytes split otherwise between files are another version."""
    folder = module(GOOD, "pkg_b/__init__.py")
    module("a", "pkg_b/x.py"), module("b", "pkg_b/y.py")
    before = code_version("pkg_b:train", folder)
    module("b", "pkg_b/x.py"), module("a", "pkg_b/y.py")
    assert code_version("pkg_b:train", folder) != before


def test_code_version_without_a_source_file_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mine_built_in", SimpleNamespace(__file__=None))
    assert code_version("mine_built_in:train") == "unknown"
