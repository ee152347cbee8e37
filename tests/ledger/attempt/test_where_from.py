"""What a sweep says of the code that it came from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from maineffect.ledger.attempt.provenance import sweep_facts


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        ("https://user:secret@example.org/team/code.git", "kept"),
        ("git@example.org:team/code.git", "kept"),
        ("/home/somebody/code", None),
        ("../code", None),
        ("file:///home/somebody/code", None),
    ],
)
def test_an_address_is_kept_and_a_folder_of_this_machine_is_not(tmp_path: Path, origin: str, said: str | None) -> None:
    def git(*words: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    git("remote", "add", "origin", origin)
    facts = sweep_facts(tmp_path)
    kept = facts.get("mlflow.source.git.repoURL")
    assert (kept is None) == (said is None)
    if kept is not None:
        assert "secret" not in kept
        assert kept.endswith("team/code.git")
    assert len(facts["mlflow.source.git.commit"]) == 40
