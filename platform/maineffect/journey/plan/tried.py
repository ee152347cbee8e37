"""One run of a study in this process, before anything is registered: does it return what the study declares?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from maineffect.errors import SpecError, UsageError
from maineffect.journey.plan.check import check
from maineffect.journey.plan.requests import plan_requests

__all__ = ["try_study"]


def try_study(
    path: Path, *, cell: str = "", settings: Mapping[str, Any] | None = None, whole: bool = False
) -> dict[str, Any]:
    """Run one cell of a study here, with no ledger and no Ray, and hold what comes back to what is declared.

    Args:
        path: The study file.
        cell: Id of a cell or a run, or how it begins; left out, the first run in the plan's order.
        settings: Dotted setting → value that this one run takes instead.
        whole: Run it at its full length; else the trainable's own ``shortened`` makes it short, where it has one.

    Returns:
        A document: the run, its levels, whether it was ``shortened``, ``seconds``, the declared ``responses``, further
        ``measures``, training ``metrics`` with their number of values, ``checkpoints`` and how far it says it came.

    Raises:
        SpecError: The study is not valid, or names no trainable.
        BadResultError: What came back is no result, or a declared response is missing.
        RunDiverged: A declared response is not finite.
        UsageError: No such cell.
    """
    from maineffect.conformance import RecordingContext
    from maineffect.execute.attempt.outcome import valid_result
    from maineffect.plugins import load_trainable
    from maineffect.spec.binding import with_bindings

    checked = check(path)
    if checked.lacks:
        raise SpecError(list(checked.lacks), "it would run here: maineffect try is for this machine")
    requests = plan_requests(checked, "try")
    request = _chosen(requests, cell)
    trainable = load_trainable(request.trainable, path.resolve().parent)
    taken: Mapping[str, Any] = request.settings
    shorten = None if whole else getattr(trainable, "shortened", None)
    if shorten is not None:
        taken = shorten(taken)
    given = dict(settings or {})
    taken = with_bindings(taken, {name: name for name in given}, given)
    began = time.monotonic()
    with TemporaryDirectory(prefix="maineffect-try-") as folder:
        context = RecordingContext(Path(folder), request.seed)
        result = valid_result(trainable(replace(request, settings=dict(taken)), context), request.responses)
        checkpoints = context.checkpoints
    names = [name for _, metrics in context.logged for name in metrics]
    return {
        "schema_version": 1,
        "study": checked.study.name,
        "run_id": request.run_id,
        "levels": dict(request.levels),
        "shortened": shorten is not None,
        "changed": given,
        "seconds": time.monotonic() - began,
        "runs": len(requests),
        "responses": dict(result.responses),
        "measures": dict(result.measures),
        "metrics": {name: names.count(name) for name in dict.fromkeys(names)},
        "items": len(result.items),
        "texts": sorted(result.texts),
        "checkpoints": checkpoints,
        "progress": list(context.steps_seen[-1]) if context.steps_seen else None,
    }


def _chosen(requests: Sequence[Any], wanted: str) -> Any:
    for request in requests:
        if request.run_id.startswith(wanted) or request.cell_id.startswith(wanted):
            return request
    raise UsageError(f"no cell {wanted!r} in this study", f"there are {', '.join(r.run_id for r in requests[:8])}, …")
