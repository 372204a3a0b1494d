"""One row of the benchmark table: a figure of ours beside a baseline measured in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Row(NamedTuple):
    """A measured line.

    `ours` and `baseline` are in `unit`; `target` is the ratio (or, without a baseline, the figure) aimed at.
    """

    name: str
    ours: float
    baseline: float | None = None
    baseline_name: str = ""
    unit: str = "events/s"
    target: str = ""


def best_rate(work: Callable[[], int], repeat: int = 5) -> float:
    """Items per second of the best of several runs; `work` returns how many items it handled."""
    best = 0.0
    for _ in range(repeat):
        begin = time.perf_counter()
        count = work()
        best = max(best, count / (time.perf_counter() - begin))
    return best
