"""A one-second training, and what trainings do that no store can hold. Copied beside the study of each test."""

import math
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from maineffect.contracts import RunResult
from maineffect.seeds import generator

STEPS, STEP_SECONDS = 4, 0.25


def train(request, context):
    """Train for a second; then make the trouble that the settings name for this run, if any."""
    with Path(request.settings["diary"]).open("a") as diary:
        diary.write(f"{request.run_id} {context.run_dir.name[1:]} 0\n")  # a short append is atomic
    for step in range(STEPS):
        context.check_cancelled()
        time.sleep(STEP_SECONDS)
        context.log(step, {"reward": step / STEPS})
        context.progress(step + 1, STEPS)
    trouble = request.settings["troubles"].get(request.run_id)
    if trouble is None:
        return {"skill": skill(request)}
    return TROUBLES[trouble][0](request, context)


def skill(request):
    """Known to the test as well: depends on the levels and the seed alone."""
    return float(request.levels["a"] + generator(request.seed, "noise", request.run_id).normal(0.0, 0.1))


def a_response_named_as_a_curve(request, context):
    """The run declares it: see the test."""
    return {"skill": skill(request), "train/reward": 0.5}


def its_own_folder_deleted(request, context):
    shutil.rmtree(context.run_dir)
    return {"skill": skill(request)}


def curve_values_no_store_holds(request, context):
    values = (math.inf, -math.inf, math.nan, 10**400, 1e308, None, "text", b"bytes", [1.0], np.float32("inf"))
    for step, value in enumerate(values):
        context.log(step, {"reward": value, "fine": 1.0})
    return {"skill": skill(request)}


def curve_names_no_store_holds(request, context):
    for name in ("x" * 300, "a\0b", "\ud800", "acc@1", "acc#1", "准确率", "召回率", "", "../up", "//root"):
        context.log(0, {name: 1.0})
    return {"skill": skill(request)}


def steps_that_are_no_steps(request, context):
    for step in (math.inf, -math.inf, math.nan, -1, 10**30, "three", None, np.int64(5), np.float64(6.0)):
        context.log(step, {"reward": 1.0})
    return {"skill": skill(request)}


def none_and_text_in_logs(request, context):
    context.log(5, {"reward": 1.0, "kl": None, "phase": "warmup"})
    context.log(6, None)
    return {"skill": skill(request)}


def items_parquet_cannot_hold(request, context):
    items = [
        {"meta": {}, "count": 2**70, "text": "\ud800", "mixed": 1, "score": 0.5},
        {"meta": {"a": [1]}, "count": 1, "text": "fine", "mixed": "x", "score": 1.0},
    ]
    return RunResult({"skill": skill(request)}, items=items)


def texts_too_large_and_no_texts(request, context):
    texts = {"huge.txt": "word " * 600_000, "bytes.txt": b"\xff\x00", "none.txt": None, "x" * 300: "long", "a\0b": "n"}
    return RunResult({"skill": skill(request)}, texts=texts)


def text_names_that_leave(request, context):
    planted = request.settings["planted"]
    names = [f"//{planted}/evil", f"{planted}/evil", f"../../../../{planted}/evil", "a/../../../../evil"]
    return RunResult({"skill": skill(request)}, texts=dict.fromkeys(names, "evil"))


def extras_that_are_no_numbers(request, context):
    return {"skill": skill(request), "note": "good", "best": None, "path": Path("/tmp/x"), "y" * 400: 1.0}


def a_megabyte_in_one_line(request, context):
    print("x" * 1_000_000)
    sys.stdout.buffer.write(b"\xff\xfe\0" * 1000 + b"50%\r60%\r")
    return {"skill": skill(request)}


def a_closed_standard_error(request, context):
    sys.stderr.close()
    return {"skill": skill(request)}


def a_message_no_store_holds(request, context):
    raise ValueError("\ud800\0" + "x" * 1_000_000)


def an_error_without_words(request, context):
    class SilentError(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    raise SilentError


def a_response_that_is_none(request, context):
    return {"skill": None}


def nothing_returned(request, context):
    return None


def a_response_that_is_nan(request, context):
    return {"skill": math.nan}


TROUBLES = {
    name.replace("_", " "): (globals()[name], ends)
    for name, ends in {
        "a_response_named_as_a_curve": None,
        "its_own_folder_deleted": None,
        "curve_values_no_store_holds": None,
        "curve_names_no_store_holds": None,
        "steps_that_are_no_steps": None,
        "none_and_text_in_logs": None,
        "items_parquet_cannot_hold": None,
        "texts_too_large_and_no_texts": None,
        "text_names_that_leave": None,
        "extras_that_are_no_numbers": None,
        "a_megabyte_in_one_line": None,
        "a_closed_standard_error": None,
        "a_message_no_store_holds": "user-error",
        "an_error_without_words": "user-error",
        "a_response_that_is_none": "bad-result",
        "nothing_returned": "bad-result",
        "a_response_that_is_nan": "diverged",
    }.items()
}
"""Trouble → what makes it, and the failure class that its run should end in; None: it should finish."""
