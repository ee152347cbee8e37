"""What is taken over is run again by the driver that took it over, even where nothing else is left to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from maineffect.contracts import FailureClass, RunState
from maineffect.execute.cluster.needs import Needs
from maineffect.execute.cluster.processes import this_process
from maineffect.execute.drive import lease

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_here")]


@pytest.mark.parametrize("takeover", [True, False])
def test_the_last_run_of_a_sweep_is_taken_over(bench, monkeypatch: pytest.MonkeyPatch, takeover: bool) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(lease, "_LOOK_EVERY", 0.1)
    (request,) = bench.requests(1)
    bench.ledger.claim("r0", 1, str(replace(this_process(), machine="another~machine~1")))
    bench.ledger.start_attempt(request, 1, bench.folder / "far")._uploader.stop()  # its heart beats no more
    runs = bench.run([request], Needs(timeout=60, retries=0), takeover=takeover, retry_failed=True)
    if takeover:
        assert (runs["r0"].state, runs["r0"].committed_attempt) == (RunState.FINISHED, 2)
        assert [end.failure for end in runs["r0"].ends] == [FailureClass.LOST]
        assert "resubmit with --takeover" not in bench.notices(), "it was"
    else:
        assert runs["r0"].state is RunState.RUNNING
        assert bench.ledger.silent_on("r0", 1) == "another"
        assert "if it is gone for good, resubmit with --takeover" in bench.notices()
