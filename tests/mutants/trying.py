"""Runs the near tests on a mutant: a process forked from one that has imported the heavy libraries already.

The mutant is never written to disk. The fork loads the one module from a string and everything else of the package from
the copy, so that two mutants can be tried at the same time on one copy.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

__all__ = ["Outcome", "Trial", "import_heavy"]

_HEAVY = (
    "numpy", "pandas", "scipy.stats", "scipy.optimize", "scipy.linalg", "scipy.special", "pydantic", "yaml", "jinja2",
    "statsmodels.api", "statsmodels.formula.api", "pytest", "_pytest.assertion.rewrite", "hypothesis", "typer.testing",
)  # fmt: skip


def import_heavy() -> None:
    """What takes a second or two to import and does not change with a mutant; linear algebra in one thread, because forks share two cores."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    for name in _HEAVY:
        importlib.import_module(name)


@dataclass(frozen=True)
class Outcome:
    """How the near tests took a mutant.

    Attributes:
        passed: All of them passed: the mutant survived.
        cpu_s: Processor time.
        said: The end of what they printed.
    """

    passed: bool
    cpu_s: float
    said: str


class _FromString(SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, path: Path, name: str, source: str) -> None:
        self._path, self._name, self._source = str(path), name, source

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        loader = _FromString(fullname, self._path, self._source)
        return importlib.util.spec_from_file_location(fullname, self._path, loader=loader)


class Trial:
    """The near tests, under way in a process of their own.

    Args:
        copy: Root of the copy of the repository.
        module: Path within ``platform/maineffect``.
        source: The mutated module; None: as it is.
        tests: Test files.
        left_out: Words in the names of tests that are not run.
        cpu_s: Processor time after which the process is ended: the mutant hangs.
    """

    def __init__(
        self, copy: Path, module: str, source: str | None, tests: Sequence[str], left_out: Sequence[str], cpu_s: float
    ) -> None:
        self._scratch = copy / ".trials" / f"{time.monotonic_ns()}"
        self._scratch.mkdir(parents=True)
        self._until = time.monotonic() + 10 * cpu_s
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os._exit(self._run(copy, module, source, tests, left_out, cpu_s))
            finally:
                os._exit(70)

    def _run(
        self,
        copy: Path,
        module: str,
        source: str | None,
        tests: Sequence[str],
        left_out: Sequence[str],
        cpu_s: float,
    ) -> int:
        log = os.open(self._scratch / "log", os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s) + 1, int(cpu_s) + 5))
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, signal.SIG_DFL)
        os.chdir(copy)
        sys.path[:] = [str(copy / "platform"), *(p for p in sys.path if Path(p) != Path(__file__).parent)]
        sys.dont_write_bytecode = source is not None
        if source is not None:
            name = ".".join(("maineffect", *Path(module).with_suffix("").parts))
            sys.meta_path.insert(0, _Finder(copy / "platform" / "maineffect" / module, name, source))
        import pytest

        unless = " and ".join(f"not {word}" for word in left_out)
        words = ["-x", "-q", "--tb=line", "-p", "no:cacheprovider", f"--basetemp={self._scratch / 'tmp'}", "-k", unless]
        code = int(pytest.main([*words, *tests]))
        sys.stdout.flush()
        return code

    def ended(self) -> Outcome | None:
        """The outcome, or None while the tests run."""
        pid, status, used = os.wait4(self.pid, os.WNOHANG)
        if pid == 0:
            if time.monotonic() < self._until:
                return None
            os.kill(self.pid, signal.SIGKILL)
            pid, status, used = os.wait4(self.pid, 0)
        said = (self._scratch / "log").read_text(errors="replace")[-3000:]
        shutil.rmtree(self._scratch, ignore_errors=True)
        return Outcome(status == 0, used.ru_utime + used.ru_stime, said if os.WIFEXITED(status) else "took too long")

    def stop(self) -> None:
        """End it before it has an outcome."""
        os.kill(self.pid, signal.SIGKILL)
        os.wait4(self.pid, 0)
        shutil.rmtree(self._scratch, ignore_errors=True)
