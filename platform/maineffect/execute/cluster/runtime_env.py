"""What a cluster is sent along with a sweep: the study's folder, the code's version, and code that it does not have.

Ray keeps what it was sent under a hash of its content: what has not changed is not sent twice, and what has changed
is never mistaken for what was there before.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maineffect.code_version import CODE_VARIABLE
from maineffect.contracts import RunRequest
from maineffect.execute.cluster.embedded import ENVIRONMENT, NOT_SENT

__all__ = ["RuntimeEnv"]


@dataclass(frozen=True)
class RuntimeEnv:
    """What every process of a sweep finds on the cluster.

    Attributes:
        folder: The study's folder; it becomes the working directory.
        code: The trainable and its version, as ``<trainable>@<version>``.
        packages: Folders of packages, or single modules, that come before what is installed there.
    """

    folder: Path | None = None
    code: str = ""
    packages: tuple[Path, ...] = ()

    @classmethod
    def of(cls, request: RunRequest, folder: Path | None, packages: tuple[Path, ...] = ()) -> RuntimeEnv:
        """What the runs of a sweep need, by any one of them."""
        code = f"{request.trainable}@{request.code_version}" if request.code_version else ""
        return cls(folder, code, packages)

    def environment(self) -> dict[str, Any]:
        """As Ray's runtime environment."""
        variables = {**ENVIRONMENT, **({CODE_VARIABLE: self.code} if self.code else {})}
        made: dict[str, Any] = {"env_vars": variables}
        if self.folder is not None:
            made["working_dir"] = str(self.folder)
        if self.packages:
            made["py_modules"] = [str(package) for package in self.packages]
        if self.folder is not None or self.packages:
            made["excludes"] = list(NOT_SENT)
        return made
