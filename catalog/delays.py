"""Delays of a document, wherever one is written: one node → one `Delay`, and the rules for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eventbus.catalog.model import Delay, Exponential, Fixed, LogNormal, Uniform
from eventbus.catalog.reading.source import Node
from eventbus.catalog.words import listed

DELAYS: Mapping[str, tuple[str, ...]] = {  # and the members that each shape needs
    "uniform": (),
    "fixed": (),
    "exponential": ("mean",),
    "lognormal": ("median", "p95"),
}


def read_delay(node: Node) -> Delay:
    """Milliseconds; a delay that cannot be read is noted and counts as none."""
    members = node.members(DELAYS)
    if node.is_mapping and len(members) != 1:
        node.complain(f"expected exactly one of {listed(DELAYS)}, got {listed(members)}")
    for name, member in members.items():
        if name in DELAYS and (delay := _distribution(name, member)) is not None:
            return delay
    return Fixed(value=0)


def _distribution(name: str, node: Node) -> Delay | None:
    if name == "fixed":
        value = node.number()
        return None if value is None else Fixed(value=value)
    if name == "uniform":
        bounds = [item.number() for item in node.items()]
        if len(bounds) == 2 and bounds[0] is not None and bounds[1] is not None:
            return Uniform(minimum=bounds[0], maximum=bounds[1])
        if len(bounds) != 2:
            node.complain(f"expected [min, max], got {len(bounds)} items")
        return None
    return _shaped(name, node)


def _shaped(name: str, node: Node) -> Delay | None:
    needed = DELAYS[name]
    members = node.members((*needed, "min", "max"), required=needed)
    numbers = {key: number for key, member in members.items() if (number := member.number()) is not None}
    if not numbers.keys() >= set(needed):
        return None
    minimum, maximum = numbers.get("min", 0.0), numbers.get("max")
    if name == "exponential":
        return Exponential(mean=numbers["mean"], minimum=minimum, maximum=maximum)
    return LogNormal(median=numbers["median"], p95=numbers["p95"], minimum=minimum, maximum=maximum)


def delay_document(delay: Delay) -> dict[str, Any]:
    """A delay as it is written in a catalog file."""
    if isinstance(delay, Fixed):
        return {"fixed": delay.value}
    if isinstance(delay, Uniform):
        return {"uniform": [delay.minimum, delay.maximum]}
    bounds = {"min": delay.minimum} | ({} if delay.maximum is None else {"max": delay.maximum})
    if isinstance(delay, Exponential):
        return {"exponential": {"mean": delay.mean, **bounds}}
    return {"lognormal": {"median": delay.median, "p95": delay.p95, **bounds}}


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


def stretched(delay: Delay, factor: float) -> Delay:
    """The same distribution, each delay multiplied with a factor."""
    if isinstance(delay, Fixed):
        return Fixed(value=delay.value * factor)
    low, high = delay.minimum * factor, None if delay.maximum is None else delay.maximum * factor
    if isinstance(delay, Exponential):
        return Exponential(mean=delay.mean * factor, minimum=low, maximum=high)
    if isinstance(delay, LogNormal):
        return LogNormal(median=delay.median * factor, p95=delay.p95 * factor, minimum=low, maximum=high)
    return Uniform(minimum=low, maximum=delay.maximum * factor)
