"""Rules for delays."""

from __future__ import annotations

from collections.abc import Iterator

from eventbus.catalog.model_delays import Delay, Exponential, Fixed, Uniform


def delay_problems(delay: Delay) -> Iterator[str]:
    """What is wrong with a delay."""
    if isinstance(delay, Fixed):
        if delay.value < 0:
            yield f"expected a delay of 0 ms or more, got {delay.value:g}"
        return
    low, high = delay.minimum, delay.maximum
    if low < 0:
        yield f"expected a delay of 0 ms or more, got min {low:g}"
    if high is not None and high < low:
        yield f"delay max {high:g} is below min {low:g}"
    if isinstance(delay, Uniform):
        return
    if isinstance(delay, Exponential):
        if delay.mean <= 0:
            yield f"expected a mean above 0 ms, got {delay.mean:g}"
    elif delay.median <= 0:
        yield f"expected a median above 0 ms, got {delay.median:g}"
    elif delay.p95 <= delay.median:
        yield f"p95 {delay.p95:g} must be above the median {delay.median:g}"
