"""A registration is written once, refuses silent change, keeps its history, and cannot be edited unnoticed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from maineffect.errors import MaineffectError, PlanChangedError
from maineffect.register import freeze
from maineffect.register.freeze import load_registration
from maineffect.register.plan import plan_hash


def test_registering_writes_the_plan_beside_the_study(frozen) -> None:
    registration = frozen.register()
    assert registration.path == frozen.file
    assert registration.plan_hash == plan_hash(frozen.plan())
    assert load_registration(frozen.path) == registration
    assert [path.name for path in frozen.file.parent.iterdir() if path.name.startswith(".")] == []


def test_nothing_is_registered_before(frozen) -> None:
    assert load_registration(frozen.path) is None


def test_registering_the_same_plan_again_changes_nothing(frozen) -> None:
    first = frozen.register()
    content = frozen.file.read_bytes()
    frozen.change("cpus: 1", "cpus: 4")
    assert frozen.register() == first
    assert frozen.register(again=True) == first
    assert frozen.file.read_bytes() == content


def test_a_changed_plan_is_refused_and_says_what_changed(frozen) -> None:
    frozen.register()
    content = frozen.file.read_bytes()
    frozen.change("[1, 3]", "[1, 4]")
    frozen.change("  - {id: H2, term: b, response: cost}\n", "")
    with pytest.raises(PlanChangedError) as caught:
        frozen.register()
    for sentence in ("factor a: level 3 dropped", "factor a: level 4 added", "hypothesis 'H2' dropped", "runs: "):
        assert sentence in caught.value.message
    assert f"maineffect register {frozen.path} --anew" in caught.value.hint
    assert caught.value.exit_code == 4
    assert frozen.file.read_bytes() == content


def test_registering_anew_keeps_the_history(frozen) -> None:
    first = frozen.register()
    frozen.change("seed: 3", "seed: 4")
    frozen.register(again=True)
    frozen.change("seed: 4", "seed: 5")
    third = frozen.register(again=True)
    assert load_registration(frozen.path) == third
    assert third.earlier[0]["plan_hash"] == first.plan_hash
    assert [entry["registered_at"] for entry in third.earlier] == [
        "2026-01-01T01:00:00+00:00",
        "2026-01-01T02:00:00+00:00",
    ]
    assert "seed: 3 → 4" in third.earlier[0]["changes"]
    assert "seed: 4 → 5" in third.earlier[1]["changes"]


@pytest.mark.parametrize("key", ["plan", "plan_hash"])
def test_an_edited_registration_is_refused(frozen, key: str) -> None:
    frozen.register()
    content = json.loads(frozen.file.read_text())
    content[key] = (
        "0" * 64 if key == "plan_hash" else {**content["plan"], "study": {**content["plan"]["study"], "seed": 9}}
    )
    frozen.file.write_text(json.dumps(content))
    with pytest.raises(PlanChangedError, match="was edited"):
        load_registration(frozen.path)
    with pytest.raises(PlanChangedError, match="was edited"):
        frozen.register()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"plan_hash": 1}', "\udcff"])
def test_what_is_no_registration_is_refused(frozen, text: str) -> None:
    frozen.file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(PlanChangedError, match="is not a registration"):
        load_registration(frozen.path)


def test_replacing_an_edited_registration_leaves_a_trace(frozen) -> None:
    frozen.register()
    frozen.file.write_text(frozen.file.read_text().replace('"seed": 3', '"seed": 9'))
    registration = frozen.register(again=True)
    (trace,) = registration.earlier
    assert "was edited" in trace["changes"][0]
    assert load_registration(frozen.path) == registration


def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_left(frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen.path.parent.chmod(0o500)
    if os.access(frozen.path.parent, os.W_OK):  # root may write anywhere: let the system call refuse instead
        original = Path.write_text

        def refuse(self: Path, *args: object, **keys: object) -> int:
            if self.suffix != ".yaml":
                raise PermissionError(13, "Permission denied", str(self))
            return original(self, *args, **keys)  # type: ignore[arg-type]

        monkeypatch.setattr(Path, "write_text", refuse)
    try:
        with pytest.raises(MaineffectError) as caught:
            frozen.register()
    finally:
        frozen.path.parent.chmod(0o700)
    assert str(frozen.file) in caught.value.message
    assert "writable" in caught.value.hint
    assert [path.name for path in frozen.path.parent.iterdir()] == ["study.yaml"]


def test_a_write_that_breaks_off_leaves_the_old_registration(frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    first = frozen.register()

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    frozen.change("seed: 3", "seed: 4")
    with pytest.raises(MaineffectError, match="No space left"):
        frozen.register(again=True)
    monkeypatch.undo()
    assert load_registration(frozen.path) == first
    assert sorted(path.name for path in frozen.path.parent.iterdir()) == ["study.registration.json", "study.yaml"]


def test_the_commit_of_the_studys_repository_is_recorded(frozen) -> None:
    folder = frozen.path.parent
    assert frozen.register().git_commit is None
    frozen.file.unlink()
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(folder)]
    for words in (["init", "-q"], ["add", "study.yaml"], ["commit", "-q", "-m", "study"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert frozen.register().git_commit == head


def test_a_machine_without_git_registers_all_the_same(frozen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert frozen.register().git_commit is None


def test_two_studies_in_a_folder_have_two_registrations(frozen) -> None:
    assert freeze.registration_path(frozen.path) != freeze.registration_path(frozen.path.with_name("other.yaml"))
