"""Delays of a document, wherever one is written."""

from __future__ import annotations

from collections.abc import Mapping

from eventbus.catalog.model_delays import Delay, Exponential, Fixed, LogNormal, Uniform
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
