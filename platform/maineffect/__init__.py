"""maineffect: which environment factor built which capability, and is it real?

spec → design → register → execute (→ lab) → ledger → analyse → report; :mod:`maineffect.study` is the whole
journey on one page. Importing this package imports nothing heavy: :class:`Study`, :class:`Sweep` and :class:`Result`
are loaded when they are first named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maineffect.api.result import Result
    from maineffect.api.study import Study
    from maineffect.api.sweep import Sweep

__all__ = ["Result", "Study", "Sweep", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in {"Result", "Study", "Sweep"}:
        from importlib import import_module

        return getattr(import_module(f"maineffect.api.{name.lower()}"), name)
    raise AttributeError(f"module 'maineffect' has no attribute {name!r}")
