"""A changed script is another code version; what a run writes is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from maineffect.code_version import OtherCodeError, code_version, require_code
from maineffect.command.sources import code_files
from maineffect.errors import PluginError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text("x = 1\n")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "base.yaml").write_text("depth: 2\n")
    (tmp_path / "conf" / "ds.json").write_text("{}")
    (tmp_path / "study.yaml").write_text("# ours\nschema_version: 1\n")
    return tmp_path


def names(folder: Path, *patterns: str) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in code_files(folder, patterns)]


def test_sources_and_configuration_but_no_study_and_no_output(folder: Path) -> None:
    for name in (
        ".git/x.py",
        "outputs/x.py",
        "wandb/r/x.yaml",
        "__pycache__/x.py",
        ".hidden.py",
        "results.json",
        "n.txt",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    (folder / "large.py").write_text("#" * (2**20 + 1))
    assert names(folder) == ["conf/base.yaml", "train.py"]
    assert names(folder, "conf/*.json", "large.py") == ["conf/base.yaml", "conf/ds.json", "large.py", "train.py"]


def test_the_version_follows_the_script_and_named_files_only(folder: Path) -> None:
    settings = {"command": "python train.py", "files": ["conf/*.json"]}
    version = code_version("command", folder, settings)
    (folder / "results.json").write_text("{}")
    (folder / "study.yaml").write_text("schema_version: 1\nname: other\n")
    assert code_version("command", folder, settings) == version
    require_code("command", folder, version, settings)
    (folder / "conf" / "ds.json").write_text('{"zero": 1}')
    assert code_version("command", folder, settings) != version
    (folder / "conf" / "ds.json").write_text("{}")
    assert code_version("command", folder, settings) == version
    (folder / "train.py").write_text("x = 2\n")
    with pytest.raises(OtherCodeError, match=version):
        require_code("command", folder, version, settings)


def test_the_version_does_not_depend_on_the_place(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("elsewhere")
    (other / "conf").mkdir()
    for name in ("train.py", "conf/base.yaml"):
        (other / name).write_bytes((folder / name).read_bytes())
    assert code_version("command", other) == code_version("command", folder)


def test_a_folder_that_is_no_studys_is_refused(folder: Path) -> None:
    for number in range(2001):
        (folder / f"m{number}.py").touch()
    with pytest.raises(PluginError, match="too much to be one study's") as caught:
        code_files(folder)
    assert "a folder of their own" in caught.value.hint
