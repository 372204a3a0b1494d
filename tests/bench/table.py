"""One row of the benchmark table: a figure of ours beside a baseline measured in the same run."""

from __future__ import annotations

import operator
import re
import time
from collections.abc import Callable
from typing import NamedTuple

BAR = re.compile(r"([≥≤<]) ([\d.,]*\d)")
COMPARE = {"≥": operator.ge, "≤": operator.le, "<": operator.lt}
HIGHEST_RATIO = 100
"""A bar above it is about the figure itself."""


class Row(NamedTuple):
    """A measured line.

    `ours` and `baseline` are in `unit`. `target` is the bar: `≥ 0.85` for the ratio or, without a baseline or from 100
    on, for the figure; several are separated by commas.
    """

    name: str
    ours: float
    baseline: float | None = None
    baseline_name: str = ""
    unit: str = "events/s"
    target: str = ""

    @property
    def ratio(self) -> float | None:
        """To the baseline, if there is one."""
        return self.ours / self.baseline if self.baseline else None

    @property
    def misses(self) -> bool:
        """Whether it is below (or, with `<` and `≤`, above) one of its bars."""
        bars = [(sign, float(number.replace(",", ""))) for sign, number in BAR.findall(self.target)]
        return not all(COMPARE[sign](self._compared(bar), bar) for sign, bar in bars)

    def _compared(self, bar: float) -> float:
        return self.ours if self.ratio is None or bar >= HIGHEST_RATIO else self.ratio


def best_rate(work: Callable[[], int], repeat: int = 5) -> float:
    """Items per second of the best of several runs; `work` returns how many items it handled."""
    best = 0.0
    for _ in range(repeat):
        begin = time.perf_counter()
        count = work()
        best = max(best, count / (time.perf_counter() - begin))
    return best
