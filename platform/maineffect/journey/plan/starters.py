"""A study to begin with: its file, its script and the editor's schema, written into a new folder."""

from __future__ import annotations

import json
import re
from pathlib import Path

from maineffect.errors import UsageError

__all__ = ["KINDS", "write_starter"]

KINDS = {
    "function": "your own Python function is trained; a toy of 50 lines stands in for it",
    "command": "your own script is run; a script that needs NumPy only stands in for it",
    "lab": "the built-in search lab: documents, a policy that searches them, GRPO, a battery of probes",
    "trl": "TRL's GRPOTrainer in the search world; a small model with random weights stands in for yours",
}
"""Kind of starter → what it is, for people."""

_STARTERS = Path(__file__).parents[2] / "starters"
_SUFFIX = ".tmpl"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def write_starter(kind: str, folder: Path) -> list[Path]:
    """Write a commented study that passes ``check`` as it stands, what it trains, and the schema for editors.

    Args:
        kind: One of :data:`KINDS`.
        folder: A new folder; its name becomes the study's.

    Returns:
        The files, the study first.

    Raises:
        UsageError: No such kind, the name is none for a study, or the folder holds one of the files already.
    """
    from maineffect.spec.schema import study_schema

    if kind not in KINDS:
        raise UsageError(f"no starter {kind!r}", f"there are {', '.join(KINDS)}")
    name = folder.resolve().name
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a study", "use small letters, digits, - and _")
    texts = {
        path.name.removesuffix(_SUFFIX): path.read_text(encoding="utf-8").replace("{{name}}", name)
        for path in sorted((_STARTERS / kind).glob(f"*{_SUFFIX}"))
    }
    texts["study.schema.json"] = json.dumps(study_schema(), indent=1) + "\n"
    there = [file for file in texts if (folder / file).exists()]
    if there:
        raise UsageError(f"{folder / there[0]} is there already", "name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    return sorted((folder / file for file in texts), key=lambda path: path.name != "study.yaml")
