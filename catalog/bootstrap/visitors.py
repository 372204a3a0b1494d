"""The visitors of a chain as a file has them: the inverse of `read_visitors`."""

from __future__ import annotations

from typing import Any

from eventbus.catalog.reading.visitors import RANGES
from eventbus.catalog.visitors import Behaviour, Click, Journey, Page, Range, Stop, Visitors

Document = dict[str, Any]


def visitors_document(visitors: Visitors) -> Document:
    """A site and its visitors."""
    return {
        **({"site": visitors.site} if visitors.site else {}),
        **({"referrer": visitors.referrer} if visitors.referrer else {}),
        "behaviour": _behaviour(visitors.behaviour),
        "pages": {name: _page(page) for name, page in visitors.pages.items()},
        "journeys": visitors.journeys,
        "sets": {name: {one.name: _journey(one) for one in journeys} for name, journeys in visitors.sets.items()},
    }


def _behaviour(behaviour: Behaviour) -> Document:
    ranges = {name: _range(getattr(behaviour, name)) for name in RANGES}
    return {**ranges, "human_like_delays": behaviour.human_like_delays}


def _page(page: Page) -> Document:
    clicks = {"clicks": [_click(click) for click in page.clicks]} if page.clicks else {}
    return {"path": page.path, "title": page.title, **clicks}


def _click(click: Click) -> Document:
    leads = {"to": click.to, "causes": click.causes}
    return {click.kind: click.element, "text": click.text, **{name: value for name, value in leads.items() if value}}


def _journey(journey: Journey) -> Document:
    ranges = {"clicks_per_page": journey.clicks_per_page, "time_per_page": journey.time_per_page}
    return {
        "weight": journey.weight,
        **({"stops": [_stop(stop) for stop in journey.stops]} if journey.stops else {}),
        **{name: _range(value) for name, value in ranges.items() if value is not None},
    }


def _stop(stop: Stop) -> str | Document:
    return {stop.page: list(stop.clicks)} if stop.clicks else stop.page


def _range(bounds: Range) -> list[float]:
    return [bounds.low, bounds.high]
