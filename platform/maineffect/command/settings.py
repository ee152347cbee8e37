"""What a study that trains by a command may set."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["SECRET_REFERENCE", "CommandSettings"]

SECRET_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*)\}")
"""``${NAME}``: a value that is looked up where the run runs, and is never written down."""
_VARIABLE = re.compile(r"[A-Za-z_]\w*")


class CommandSettings(BaseModel):
    """Settings of ``trainable: command``; whatever else is set, or driven by a factor, is a placeholder's value."""

    model_config = ConfigDict(extra="allow", frozen=True)

    command: str = Field(description="Program and arguments; {lr} is the level of factor lr. There is no shell.")
    results: str = Field(default="results.json", description="JSON file in the run's folder that the command writes.")
    metrics: str | None = Field(
        default="metrics.jsonl", description="File of JSON lines in the run's folder, read while it grows."
    )
    checkpoints: str | None = Field(
        default="checkpoint-*",
        description="Folders in the run's folder that are checkpoints; the last number in the name is the step.",
    )
    settle: float = Field(
        default=2.0, gt=0, le=600, description="Seconds without a change after which a checkpoint counts as complete."
    )
    env: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Environment variables; ${NAME} is taken from where the run runs."
    )
    files: tuple[str, ...] = Field(
        default=(), description="Further files of the study's folder that are part of the code, such as conf/*.json."
    )
    grace: float = Field(
        default=10.0, gt=0, le=25, description="Seconds to stop by itself after SIGTERM, before SIGKILL."
    )

    @field_validator("command")
    @classmethod
    def _check_command(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("the command is empty")
        return value

    @field_validator("results", "metrics", "checkpoints")
    @classmethod
    def _check_inside(cls, value: str | None) -> str | None:
        if value is not None and (PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts):
            raise ValueError("it is a path inside the run's folder: relative, without '..'")
        if value is not None and PurePosixPath(value).parts[:1] in ((), ("checkpoints",)):
            raise ValueError("it must name something other than the platform's own folder `checkpoints`")
        return value

    @field_validator("files")
    @classmethod
    def _check_files(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            if not pattern or PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
                raise ValueError("patterns are relative to the study's folder, without '..'")
        return value

    @field_validator("env")
    @classmethod
    def _check_env(cls, value: dict[str, str | int | float | bool]) -> dict[str, str | int | float | bool]:
        for name in value:
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"{name!r} cannot be an environment variable's name")
        return value
