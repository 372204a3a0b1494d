"""The `visitors` of a chain in a file: one node → one `Visitors`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from eventbus.catalog.reading.source import Node, text_of
from eventbus.catalog.visitors import Behaviour, Click, Journey, Page, Range, Stop, Visitors
from eventbus.catalog.words import listed

VISITORS = ("site", "referrer", "behaviour", "pages", "journeys", "sets")
PAGE = ("path", "title", "clicks")
CLICK = ("button", "link", "text", "to", "causes")
JOURNEY = ("weight", "stops", "clicks_per_page", "time_per_page")
RANGES = tuple(one.name for one in fields(Behaviour) if one.name != "human_like_delays")


def read_visitors(node: Node) -> Visitors:
    """What cannot be read is noted, and stands in as something harmless."""
    members = node.members(VISITORS, required=("pages", "journeys", "sets"))
    pages = members["pages"].mapping() if "pages" in members else {}
    sets = members["sets"].mapping() if "sets" in members else {}
    return Visitors(
        pages={name: _page(name, page) for name, page in pages.items()},
        sets={name: read_journeys(journeys) for name, journeys in sets.items()},
        journeys=text_of(members, "journeys"),
        behaviour=read_behaviour(members["behaviour"]) if "behaviour" in members else Behaviour(),
        site=text_of(members, "site"),
        referrer=text_of(members, "referrer") or None,
    )


def read_behaviour(node: Node, base: Behaviour | None = None) -> Behaviour:
    """Bounds of what visitors do.

    Args:
        base: says what the document does not; None: the defaults.
    """
    base = base or Behaviour()
    members = node.members((*RANGES, "human_like_delays"))
    given = {name: found for name, found in ((name, read_range(members, name)) for name in RANGES) if found}
    hurry = "human_like_delays" in members and members["human_like_delays"].flag() is False
    human = base.human_like_delays if "human_like_delays" not in members else not hurry
    return Behaviour(**{name: getattr(base, name) for name in RANGES} | given, human_like_delays=human)


def read_range(members: Mapping[str, Node], name: str) -> Range | None:
    """A member such as `[10, 120]`; None when there is none or, which is noted, it cannot be read."""
    if name not in members:
        return None
    bounds = [item.number() for item in members[name].items()]
    if len(bounds) == 2 and bounds[0] is not None and bounds[1] is not None:
        return Range(bounds[0], bounds[1])
    if len(bounds) != 2:
        members[name].complain(f"expected [min, max], got {len(bounds)} items")
    return None


def read_journeys(node: Node) -> tuple[Journey, ...]:
    """A set of journeys by name."""
    return tuple(_journey(name, member) for name, member in node.mapping().items())


def _journey(name: str, node: Node) -> Journey:
    members = node.members(JOURNEY, required=("weight",))
    weight = members["weight"].number() if "weight" in members else None
    return Journey(
        name=name,
        weight=1.0 if weight is None else weight,
        stops=tuple(_stop(item) for item in members["stops"].items()) if "stops" in members else (),
        clicks_per_page=read_range(members, "clicks_per_page"),
        time_per_page=read_range(members, "time_per_page"),
    )


def _stop(node: Node) -> Stop:
    """`home`, or `{product: [add_to_cart]}`."""
    if not node.is_mapping:
        return Stop(node.text() or "")
    pages = node.mapping()
    if len(pages) != 1:
        node.complain(f"expected one page and its clicks, got {listed(pages)}")
    return next((Stop(page, _texts(clicks)) for page, clicks in pages.items()), Stop(""))


def _texts(node: Node) -> tuple[str, ...]:
    return tuple(text for item in node.items() if (text := item.text()))


def _page(name: str, node: Node) -> Page:
    members = node.members(PAGE, required=("path", "title"))
    clicks = tuple(_click(item) for item in members["clicks"].items()) if "clicks" in members else ()
    return Page(name=name, path=text_of(members, "path"), title=text_of(members, "title"), clicks=clicks)


def _click(node: Node) -> Click:
    members = node.members(CLICK, required=("text",))
    if node.is_mapping and ("button" in members) == ("link" in members):
        node.complain("expected either `button: NAME` or `link: NAME`")
    return Click(
        element=text_of(members, "button") or text_of(members, "link"),
        kind="link" if "link" in members else "button",
        text=text_of(members, "text"),
        to=text_of(members, "to") or None,
        causes=text_of(members, "causes") or None,
    )
