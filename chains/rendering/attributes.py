"""What an event of a session tells of it: some small numbers, side by side in the table's column `item`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from eventbus.catalog.model.visitors import Visitors
from eventbus.chains.randomness import Integers
from eventbus.chains.rendering.draws import Item

Numbers = TypeVar("Numbers", Integers, int)


class Part(NamedTuple):
    """Some bits of an item."""

    shift: int
    bits: int

    def put(self, numbers: Numbers) -> Numbers:
        """Numbers, moved to their place."""
        return numbers << self.shift

    def get(self, items: Integers) -> Integers:
        """The numbers again."""
        return items >> self.shift & (1 << self.bits) - 1

    def item(self, count: int) -> Item:
        """The numbers as the source of a payload field.

        Args:
            count: they are smaller.
        """
        return Item(count, self.shift, self.bits)


PAGE, PREVIOUS, CLICK, NUMBER, CLICKS = Part(0, 12), Part(12, 12), Part(24, 12), Part(36, 11), Part(47, 16)
DURATION = Part(12, 24)
"""Of the event that ends a session, which has no page before and no click."""

PARTS: Mapping[str, Part] = {
    "page.path": PAGE,
    "page.title": PAGE,
    "referrer": PREVIOUS,
    "click.element": CLICK,
    "click.text": CLICK,
    "click.href": CLICK,
    "number": NUMBER,
    "pages": NUMBER,
    "clicks": CLICKS,
    "duration_ms": DURATION,
}
"""Where each of `visitors.VISITS` stands."""


def most(visit: str, visitors: Visitors) -> int:
    """The largest number that one of `visitors.COUNTED` can be."""
    match visit:
        case "number" | "pages":
            return visitors.most_pages
        case "clicks":
            return visitors.most_pages * visitors.most_clicks
        case _:
            return (1 << DURATION.bits) - 1
