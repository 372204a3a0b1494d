"""The table of `make bench` marks what misses its bar."""

from __future__ import annotations

import pytest

from tests.bench.table import Row


@pytest.mark.parametrize(
    ("ours", "baseline", "target", "misses"),
    [
        (85, 100, "≥ 0.85", False),
        (84, 100, "≥ 0.85", True),
        (84, 100, "", False),
        (90_000, 10_000, "≥ 80,000, ≥ 5", False),
        (70_000, 10_000, "≥ 80,000, ≥ 5", True),
        (90_000, 20_000, "≥ 80,000, ≥ 5", True),
        (59.9, None, "< 60", False),
        (60, None, "< 60", True),
        (105, 100, "≤ 1.05", False),
        (106, 100, "≤ 1.05", True),
    ],
)
def test_a_figure_is_compared_with_its_bar(ours: float, baseline: float | None, target: str, misses: bool) -> None:
    """By its ratio where there is a baseline, unless the bar is a large number; every bar has to be reached."""
    assert Row("name", ours, baseline, target=target).misses is misses
