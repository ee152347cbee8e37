"""What the study file says now of resources and budget, where a sweep was submitted with other ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from maineffect.errors import MaineffectError
from maineffect.journey.plan.place import Checked

__all__ = ["with_resources_of_file"]

_FREE = ("resources", "budget")


def with_resources_of_file(checked: Checked, on_notice: Callable[[str], None] | None) -> Checked:
    """A stored study with the resources and the budget that its file has now, if the file is otherwise as it was.

    Two files of the same study, or none, leave it as it was submitted.

    Args:
        checked: As it was submitted.
        on_notice: Called with what is different now.
    """
    from maineffect.spec.load import load_study

    folder = checked.path.parent
    submitted = checked.study.model_dump(mode="json")
    found = []
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            study = load_study(path)
        except (MaineffectError, OSError, UnicodeError):
            continue
        now = study.model_dump(mode="json")
        if {**now, **{part: submitted[part] for part in _FREE}} == submitted:
            found.append((path, now, study))
    if len(found) != 1:
        return checked
    ((path, now, study),) = found
    changes = [
        f"{part}.{key}: {value} (was {submitted[part][key]})"
        for part in _FREE
        for key, value in now[part].items()
        if value != submitted[part][key]
    ]
    if changes and on_notice is not None:
        on_notice(f"{path.name} was changed since: {', '.join(changes)}; these hold from here on")
    update = {part: getattr(study, part) for part in _FREE}
    return replace(checked, study=checked.study.model_copy(update=update)) if changes else checked
