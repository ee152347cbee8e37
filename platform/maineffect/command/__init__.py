"""Any command line as a trainable: one run's levels and seed in → a process → its results file → a RunResult.

``trainable: command`` with ``settings.command: python train.py --lr {lr} --seed {seed}`` sweeps a training script that
knows nothing of this platform. Next is whoever runs trainables: ``execute``.

    settings     what a study may set
    template     placeholders → arguments; no level can add an argument or shell syntax
    checking     what is wrong before anything runs
    sources      which files decide what the command does
    process      start, output, end of the whole family of processes
    exit_codes   exit code or signal → the right failure
    metrics      a growing file of JSON lines → curves and progress
    checkpoints  checkpoints that the script writes → checkpoints of the run
    results      the results file → RunResult
    trainable    one run, start to end
"""

from __future__ import annotations

from maineffect.command.trainable import CommandTrainable, run_command

__all__ = ["CommandTrainable", "run_command"]
