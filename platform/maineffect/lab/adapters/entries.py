"""Other people's environments by name: a registered Gymnasium id, or ``module:factory`` with keyword arguments.

What is named is imported and called, never evaluated. A factory may return a Gymnasium environment or a verifiers one.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym

from maineffect.errors import PluginError

__all__ = ["AnyEnv", "check_entry", "make_environment"]

AnyEnv = gym.Env[Any, Any]


def make_environment(entry: str, args: Mapping[str, Any]) -> AnyEnv:
    """Make an environment.

    Args:
        entry: A registered id (``CartPole-v1``, or ``module:Id-v0``, which imports the module first), or
            ``module:factory``.
        args: Keyword arguments; factors bind here.

    Raises:
        PluginError: There is no such environment, it refuses the arguments, or it returns something else.
    """
    factory = _factory(entry)
    try:
        made = factory(**args)
    except Exception as error:
        raise PluginError(
            f"environment {entry!r} with {dict(args)!r} raised {type(error).__name__}: {error}",
            "its arguments are settings.environment.args, and what factors bind there",
        ) from error
    if isinstance(made, gym.Env):
        return made
    if _is_verifiers(made):
        from maineffect.lab.adapters.verifiers_tasks import VerifiersTasks

        env: AnyEnv = VerifiersTasks(made)
        return env
    raise PluginError(
        f"environment {entry!r} returned a {type(made).__name__}", "return a gymnasium.Env or a verifiers environment"
    )


def check_entry(entry: str, args: Mapping[str, Any]) -> None:
    """Whether an environment could be made, as far as its signature tells: what ``maineffect check`` asks.

    Raises:
        PluginError: There is no such environment, or it takes no such arguments.
    """
    factory = _factory(entry)
    target = factory
    if isinstance(factory, _Registered):
        spec = gym.spec(entry)
        if not isinstance(spec.entry_point, str):
            return
        target, args = gym.envs.registration.load_env_creator(spec.entry_point), {**spec.kwargs, **args}
    try:
        signature = inspect.signature(target)
    except ValueError:
        return  # a compiled callable without a signature: its first call will tell
    try:
        signature.bind(**args)
    except TypeError as error:
        parameters = [name for name in signature.parameters if name != "render_mode"]
        raise PluginError(
            f"environment {entry!r}: {error}", f"it takes: {', '.join(parameters) or 'nothing'}"
        ) from None


class _Registered:
    """``gymnasium.make`` of one id."""

    def __init__(self, entry: str) -> None:
        self._entry = entry

    def __call__(self, **args: Any) -> AnyEnv:
        return gym.make(self._entry, disable_env_checker=True, **args)


def _factory(entry: str) -> Callable[..., Any]:
    module_name, colon, attribute = entry.partition(":")
    if colon and all(part.isidentifier() for part in [*module_name.split("."), *attribute.split(".")]):
        return _imported(module_name, attribute, entry)
    try:
        gym.spec(entry)
    except gym.error.Error as error:
        close = difflib.get_close_matches(entry, gym.registry, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "write a registered id, or module:factory"
        raise PluginError(f"no environment {entry!r}: {error}", hint) from None
    except ModuleNotFoundError as error:
        hint = "install it, or put it on PYTHONPATH"
        raise PluginError(f"environment {entry!r}: no module {error.name!r}", hint) from None
    return _Registered(entry)


def _imported(module_name: str, attribute: str, entry: str) -> Callable[..., Any]:
    try:
        target: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise PluginError(
            f"environment {entry!r}: no module {error.name!r}", "put it beside the study, or install the package"
        ) from None
    for part in attribute.split("."):
        try:
            target = getattr(target, part)
        except AttributeError:
            close = difflib.get_close_matches(part, dir(target), n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"define it in {module_name}"
            raise PluginError(f"environment {entry!r}: {module_name} has no {part!r}", hint) from None
    if not callable(target):
        raise PluginError(f"environment {entry!r} is a {type(target).__name__}", "name a class or a function")
    return target  # type: ignore[no-any-return]


def _is_verifiers(made: object) -> bool:
    """Whether some class of it comes from the verifiers package, which need not be installed."""
    return any(kind.__module__.partition(".")[0] == "verifiers" for kind in type(made).__mro__)
