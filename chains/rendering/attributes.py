"""What an event of a session tells of it: some small numbers, side by side in the table's column `attributes`."""

from __future__ import annotations

from collections.abc import Mapping

from eventbus.catalog.model import Visitors
from eventbus.chains.table import CLICK, CLICKS, DURATION, NUMBER, PAGE, PREVIOUS, BitField

PARTS: Mapping[str, BitField] = {
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
"""Where each of `SESSION_ATTRIBUTES` stands."""


def max_attribute(visit: str, visitors: Visitors) -> int:
    """The largest number that one of `INTEGER_ATTRIBUTES` can be."""
    match visit:
        case "number" | "pages":
            return visitors.max_pages
        case "clicks":
            return visitors.max_pages * visitors.max_clicks
        case _:
            return (1 << DURATION.bits) - 1
