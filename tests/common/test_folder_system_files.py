"""What macOS and Windows put into every folder that somebody looks at, also into those of claims."""

from __future__ import annotations

import signal

import pytest

from tests.support.samples import encoded
from tests.support.workplace import wait_until

CLAIMED = ".claims/*/*/a.points"


def claim_with_a_system_file(folders):
    """Waits until a worker has claimed the pair `a`, and looks at the claim with the Finder."""
    wait_until(lambda: list(folders.inputs.glob(CLAIMED)))
    for prompt in folders.inputs.glob(CLAIMED):
        prompt.with_name(".DS_Store").write_bytes(b"")


@pytest.mark.slow("starts processes")
def test_a_worker_goes_on_after_its_claim_was_looked_at(folders):
    folders.add("a.jpg", encoded(fmt="JPEG"))
    with folders.start("--continuous", "--poll_wait", "0.05", seconds=1) as worker:
        claim_with_a_system_file(folders)
        wait_until(lambda: "a.points" in folders.names())
        folders.add("b.jpg", encoded(fmt="JPEG"))
        wait_until(lambda: "b.points" in folders.names())
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0
        assert "trying again" not in worker.stderr.read()
    assert list(folders.inputs.iterdir()) == []
    assert folders.names(folders.failed) == set()


@pytest.mark.slow("starts processes")
def test_a_claim_that_was_looked_at_is_taken_over(folders):
    folders.add("a.jpg", encoded(fmt="JPEG"))
    with folders.start(seconds=30) as worker:
        claim_with_a_system_file(folders)
        worker.kill()
    code, said = folders.run_here()
    assert code == 0, said
    assert "a: taken over" in said
    assert folders.names() == {"a.jpg", "a.points", "a.png", "a.json"}
    assert list(folders.inputs.iterdir()) == []
