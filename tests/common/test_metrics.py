"""Counts of what a worker did."""

import re

import pytest

from maskworks.errors import BadImage, BadPrompt, Internal
from maskworks.metrics import Metrics
from maskworks.types import Outcome


def counted(*outcomes):
    metrics = Metrics()
    for outcome in outcomes:
        metrics.count(outcome)
    return metrics


def test_results_and_errors_are_counted_apart():
    metrics = counted(
        Outcome(objects=2),
        Outcome(error=BadImage("broken")),
        Outcome(objects=0),
        Outcome(error=BadPrompt("points", "missing", "points")),
        Outcome(error=BadImage("broken"), objects=0),
        Outcome(objects=5),
    )
    assert (metrics.done, metrics.failed, metrics.objects) == (3, 3, 7)
    assert metrics.errors == {"bad_image": 2, "bad_prompt": 1}


def test_times_add_up_by_stage_also_those_of_errors():
    metrics = counted(
        Outcome(timing_ms={"decode": 1.5, "predict": 10.0}),
        Outcome(timing_ms={"decode": 2.5}, error=Internal("fault")),
    )
    assert metrics.stages_ms == {"decode": 4.0, "predict": 10.0}


@pytest.mark.parametrize(
    ("outcomes", "text"),
    [
        ([], r"0 images done \(0 objects\) in "),
        ([Outcome(objects=1)], r"1 image done \(1 object\) in "),
        ([Outcome(objects=2), Outcome(objects=2)], r"2 images done \(4 objects\) in "),
        (
            [Outcome(error=Internal("x")), Outcome(error=BadImage("x")), Outcome(error=BadImage("x"))],
            r"0 images done \(0 objects\), 3 failed \(bad_image: 2, internal: 1\) in ",
        ),
    ],
)
def test_the_summary_counts_outcomes(outcomes, text):
    assert re.fullmatch(text + r"\d+\.\d s, \d+\.\d images/s", counted(*outcomes).summary())
