"""The fifteen checks: what each asks, what it needs, and where it is. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

__all__ = ["CHECKS", "Check"]

_MODEL = ("transformers", "accelerate", "peft")
_ENGINE = (*_MODEL, "vllm")


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        number: Its number in docs/gpu.md.
        title: What it asks, in a line.
        place: ``module:function`` in this package; the function takes a Bench and returns an Outcome.
        packages: What must be importable.
        on_gpu: Whether nothing of it can be done without a GPU.
    """

    number: int
    title: str
    place: str
    packages: tuple[str, ...] = ()
    on_gpu: bool = False

    @property
    def group(self) -> str:
        """Checks of a module run in one process, one after the other."""
        return self.place.partition(":")[0]

    def lacking(self, *, gpu: bool) -> str:
        """Why it cannot be done here; empty if it can.

        Args:
            gpu: Whether a GPU is here.
        """
        missing = [name for name in self.packages if find_spec(name) is None]
        said = [f"{', '.join(missing)} not installed"] if missing else []
        return "; ".join([*said, *(["no GPU that torch can use"] if self.on_gpu and not gpu else [])])


CHECKS = (
    Check(1, "a machine without a GPU checks a study for one", "sweeps:form_without_gpu"),
    Check(2, "runs see the GPUs that they reserved, and no other's", "sweeps:reserved_devices", on_gpu=True),
    Check(3, "the engine samples from the trainer's weights after every sync", "engine:log_probabilities", _ENGINE),
    Check(4, "sleep, update and wake five times leave no memory behind", "engine:sleep_and_wake", _ENGINE),
    Check(5, "padded, packed and shared batches have one gradient", "reading:one_gradient", _MODEL),
    Check(6, "gradient checkpointing saves memory and changes nothing", "reading:checkpointed", _MODEL),
    Check(7, "speed of GRPO, and its share of the device's peak", "training:speed", _MODEL),
    Check(8, "a run killed at step 3 goes on where it was", "sweeps:killed_run", _MODEL),
    Check(9, "want of memory gets its failure class", "engine:want_of_memory", _ENGINE, on_gpu=True),
    Check(10, "two runs of one seed end near each other", "training:two_runs", _MODEL),
    Check(11, "a checkpoint has its size, and is the training again", "training:checkpoint", _MODEL),
    Check(12, "nothing is left of a sweep 15 s after it", "sweeps:nothing_left"),
    Check(13, "an engine that dies beside a run is a lost run, and goes on", "sweeps:killed_engine", _ENGINE),
    Check(14, "the device's name tells its peak", "training:known_peak", _MODEL),
    Check(15, "packed rows need no more memory or time than padding", "reading:packed_row", _MODEL),
)
