"""One run of a command, start to end."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from maineffect.command.checking import problems_of, setting_values
from maineffect.command.checkpoints import SavedFolders
from maineffect.command.exit_codes import CommandError, failure_of
from maineffect.command.metrics import MetricsFile
from maineffect.command.process import Child, oom_kills
from maineffect.command.results import read_results
from maineffect.command.settings import SECRET_REFERENCE, CommandSettings
from maineffect.command.sources import code_files
from maineffect.command.template import TemplateError, parse, spelled
from maineffect.contracts import Level, RunContext, RunRequest, RunResult
from maineffect.errors import Problem
from maineffect.seeds import derive_seed

__all__ = ["CommandTrainable", "run_command"]

_POLL_SECONDS = 0.1
_SEEDS = 2**31  # NumPy's and most libraries' seeds are smaller than 2**32, some smaller than 2**31
_SAVED_IN_ORDER = {0, 128 + 15}


@dataclass(frozen=True)
class CommandTrainable:
    """Runs ``settings.command`` in the study's folder; implements :class:`maineffect.contracts.Trainable`.

    Attributes:
        folder: The study's folder; by default the current one.
    """

    folder: Path | None = None
    settings_model: ClassVar[type[CommandSettings]] = CommandSettings

    def in_study(self, folder: Path) -> CommandTrainable:
        """The trainable whose working directory is that study's folder."""
        return CommandTrainable(folder)

    def check_run(self, settings: Mapping[str, Any], drives: Mapping[str, str]) -> list[Problem]:
        """What is wrong for one cell, before anything runs."""
        return problems_of(settings, drives, self._folder)

    def code_files(self, settings: Mapping[str, Any]) -> list[Path]:
        """Files of the study's folder that decide what the command does.

        Raises:
            PluginError: The folder holds too much to be a study's.
        """
        given = settings.get("files", ())
        return code_files(Path(self.folder), given) if self.folder is not None else []

    def __call__(self, request: RunRequest, context: RunContext, /) -> RunResult:
        """Run the command with this run's levels and seed.

        Raises:
            CommandError: It cannot be started, or ended with an error of its own.
            RunLost: It was killed from outside.
            MemoryError: It ran out of host memory.
            RunCancelled: The sweep was cancelled; everything that the command started is ended.
            BadResultError: Its results file is not one.
        """
        settings = CommandSettings.model_validate(dict(request.settings))
        run = _Run(settings, request, context, self._folder)
        run.execute()
        result, notes = read_results(run.results, request.responses)
        for sentence in [*run.metrics.unread, *notes]:
            _say(sentence)
        return result

    @property
    def _folder(self) -> Path:
        return (self.folder or Path.cwd()).resolve()


class _Run:
    """What one run of a command consists of."""

    def __init__(self, settings: CommandSettings, request: RunRequest, context: RunContext, folder: Path) -> None:
        self._settings, self._request, self._context, self._folder = settings, request, context, folder
        run_dir = context.run_dir.resolve()
        self.results = run_dir / settings.results
        metrics = run_dir / settings.metrics if settings.metrics is not None else run_dir / ".no-metrics"
        for path in (self.results, metrics):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # what an earlier process left must not be taken for this one's
        latest = context.latest_checkpoint()
        self._values: dict[str, Level] = {
            **setting_values(request.settings),
            **request.levels,
            "seed": derive_seed(request.seed, "command") % _SEEDS,
            "base_seed": derive_seed(request.base_seed or request.seed, "base command") % _SEEDS,
            "evaluation_seed": derive_seed(request.evaluation_seed, "command") % _SEEDS,
            "replicate": request.replicate,
            "run_id": request.run_id,
            "run_dir": str(run_dir),
            "results": str(self.results),
            "metrics": str(metrics) if settings.metrics is not None else "",
            "checkpoint": str(latest[1].resolve()) if latest is not None else "",
            "study_dir": str(folder),
            "python": sys.executable,
        }
        self.metrics = MetricsFile(metrics, context.log, context.progress, _steps(self._values))
        self._saved = SavedFolders(run_dir, settings.checkpoints, settings.settle, context.save_checkpoint)

    def execute(self) -> None:
        """Start the command, follow it to its end, and leave nothing of it running."""
        arguments, variables, secrets = self._prepared()
        _say("$ " + shlex.join(arguments))
        kills = oom_kills()
        try:
            child = Child(arguments, self._folder, variables, secrets)
        except OSError as error:
            what = f"{arguments[0]} cannot be started on {socket.gethostname()}: {error.strerror}"
            hint = "give its path from the study's folder, or install it where the runs run; {python} is this Python"
            raise CommandError(what, hint) from None
        code = self._follow(child)
        if code != 0:
            raise failure_of(_short(arguments), code, child.errors, out_of_memory=oom_kills() > kills)

    def _follow(self, child: Child) -> int:
        try:
            while child.wait(_POLL_SECONDS) is None:
                self.metrics.look()
                self._saved.look()
                self._context.check_cancelled()
        except BaseException:
            self._last_look(child.end(self._settings.grace))
            raise
        code = child.close()
        self._last_look(code)
        return code

    def _last_look(self, code: int) -> None:
        self.metrics.look(last=True)
        # Killed in the middle, it may have left half a checkpoint: only one that had settled counts then.
        self._saved.look(last=code in _SAVED_IN_ORDER)

    def _prepared(self) -> tuple[list[str], dict[str, str], list[str]]:
        """Arguments, environment, and the texts in it that nothing may print."""
        secrets: list[str] = []
        try:
            arguments = parse(self._settings.command).fill(self._values)
            variables = {name: self._variable(name, value, secrets) for name, value in self._settings.env.items()}
        except TemplateError as error:
            raise CommandError(str(error), error.hint) from None
        except KeyError as error:
            raise CommandError(f"nothing fills the placeholder {{{error.args[0]}}}", "see `maineffect check`") from None
        here = str(Path(sys.executable).parent)
        told = {
            f"MAINEFFECT_{name.upper()}": spelled(self._values[name])
            for name in ("run_dir", "results", "metrics", "checkpoint", "seed", "run_id")
        }
        path = os.pathsep.join([*os.environ.get("PATH", os.defpath).split(os.pathsep), here])
        return arguments, {"PYTHONUNBUFFERED": "1", **os.environ, "PATH": path, **told, **variables}, secrets

    def _variable(self, name: str, value: Level, secrets: list[str]) -> str:
        reference = SECRET_REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if reference is None:
            return parse(value, split=False).fill(self._values)[0] if isinstance(value, str) else spelled(value)
        if (secret := os.environ.get(reference[1])) is None:
            raise CommandError(
                f"env.{name} is ${{{reference[1]}}}, which is not set on {socket.gethostname()}",
                "set it where the workers are started",
            )
        secrets.append(secret)
        return secret


def _steps(values: Mapping[str, Level]) -> int | None:
    """Steps in all, if a setting or factor called ``steps`` says so."""
    steps = values.get("steps")
    return int(steps) if isinstance(steps, int | float) and not isinstance(steps, bool) and 1 <= steps < 2**53 else None


def _short(arguments: list[str]) -> str:
    """Program and script, the same for every run, so that equal failures look equal."""
    script = arguments[1:2] if not arguments[1:2] or not arguments[1].startswith("-") else []
    return " ".join(Path(word).name for word in (arguments[0], *script))


def _say(sentence: str) -> None:
    """Into the run's log."""
    sys.stdout.write(sentence + "\n")
    sys.stdout.flush()


run_command = CommandTrainable()
"""The trainable called ``command``."""
