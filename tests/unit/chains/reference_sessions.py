"""Sessions again, slow and obvious: one visitor at a time, one click at a time, as dicts.

It takes nothing from the package `chains`, so that equal events mean something. What clicks cause is not made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from functools import cache
from itertools import accumulate, pairwise
from typing import Any

from eventbus.catalog import Catalog, Chain, PayloadField
from eventbus.catalog.model import Click, Page, Range, Stop, Visitors
from eventbus.catalog.sources import ElapsedTime, NumberRange, VariableValue, VisitAttribute
from eventbus.event import uuid7
from tests.unit.chains.draws import GOLDEN, MASK, Randomness, below, mix, purpose
from tests.unit.chains.reference import timestamp
from tests.unit.chains.variables import value as variable

GAP = 1000
"""Microseconds: the least between two events."""
LONGEST = ((1 << 24) - 1) * 1000
KINDS = ("button", "link")


@dataclass
class Happening:
    """One event, before its text."""

    state: str
    time: int
    cause: Happening | None
    facts: dict[str, Any]
    step: int = 0
    event_id: str = ""


@dataclass
class OpenPage:
    """One page of a session."""

    page: Page
    kinds: list[str]
    """Of its actions; empty texts where the visitor has no shares."""
    clicks: list[Click | None] = field(default_factory=list)
    onward: Click | None = None
    closed: bool = True
    low: int = 0
    high: int = 0
    length: int = 0
    transit: int = 0
    words: list[int] = field(default_factory=list)


def high(word: int, count: int) -> int:
    return (word >> 36) * count >> 28


def low(word: int, count: int) -> int:
    return (word & (1 << 28) - 1) * count >> 28


def edges(weights: list[float]) -> list[int]:
    reached, total = list(accumulate(weights)), sum(weights)
    return [round(one / total * 2**32) for one in reached[:-1]] + [1 << 32]


def chosen(word: int, weights: list[float]) -> int:
    return next(number for number, edge in enumerate(edges(weights)) if word >> 32 < edge)


@cache
def tilted(first: int, last: int, mean: float) -> list[float]:
    """exp(λk) for k from first to last, with λ such that the mean is right: by bisection in high precision."""
    with localcontext(prec=30):
        count, wanted, tilt = last - first + 1, Decimal(mean) - first, Decimal(0)
        if mean <= first or mean >= last:
            return [float(k == (0 if mean <= first else count - 1)) for k in range(count)]
        lower, upper = Decimal(-64), Decimal(64)
        for _ in range(80):
            tilt = (lower + upper) / 2
            weights, factor = [Decimal(1)], tilt.exp()
            for _ in range(count - 1):
                weights.append(weights[-1] * factor)
            reached = sum(k * weight for k, weight in enumerate(weights)) / sum(weights)
            lower, upper = (tilt, upper) if reached < wanted else (lower, tilt)
        return [float(weight / sum(weights)) for weight in weights]


@dataclass
class Session:
    """One visit of the site."""

    chain: Chain
    visitors: Visitors
    random: Randomness
    began: int
    happened: list[Happening] = field(default_factory=list)

    def word(self, name: str, step: int = 0) -> int:
        return self.random.word("visit", self.chain.name, name, step=step)

    def note(self, state: str, time: int, cause: Happening | None, **facts: Any) -> Happening:
        self.happened.append(Happening(state, time, cause, facts, step=len(self.happened)))
        return self.happened[-1]

    def walk(self) -> list[Happening]:
        self.behaviour, self.means = self.visitors.behaviour, self.visitors.means
        self.every = list(self.visitors.pages.values())
        weights = [journey.weight for journey in self.visitors.active_journeys]
        self.journey = self.visitors.active_journeys[chosen(self.word("journey"), weights)]
        action = self.behaviour.action_delay if self.behaviour.human_like_delays else Range(0, 0)
        self.shortest, self.longest = (max(min(round(bound * 1_000_000), LONGEST), GAP) for bound in action)
        ends = not self.means or self.word("end") >> 32 < round(self.means.ends * 2**32)
        counts = [self.actions(number) for number in range(self.planned())]
        counts = counts[: self.possible([clicks + others for clicks, others in counts])]
        pages = self.pages(counts)
        for number, page in enumerate(pages):
            page.closed = self.is_closed(number, len(pages), ends)
            acts = [*zip(page.kinds, page.clicks, page.words, strict=True)]
            acts = [(kind, click, word) for kind, click, word in acts if click or kind not in ("", *KINDS)]
            page.kinds, page.clicks = [kind for kind, _, _ in acts], [click for _, click, _ in acts]
            page.words = [word for _, _, word in acts]
        arrival = self.times(pages)
        return self.tell(pages, arrival, ends=ends)

    # Numbers of pages and of actions.

    def planned(self) -> int:
        bounds = self.behaviour.pages_per_session
        if self.means:
            return int(bounds.low) + chosen(
                self.word("pages"), tilted(int(bounds.low), int(bounds.high), self.means.pages)
            )
        if self.journey.stops:
            return len(self.journey.stops)
        return int(bounds.low) + high(self.word("pages"), int(bounds.high) - int(bounds.low) + 1)

    def actions(self, number: int) -> tuple[int, int]:
        """Clicks and other actions on a page."""
        if not self.means:
            bounds = self.behaviour.clicks_of(self.journey)
            count = int(bounds.low) + high(self.word("clicks", number), int(bounds.high) - int(bounds.low) + 1)
            return max(count, len(self.stop(number).clicks)), 0
        bounds, others = self.behaviour.clicks_per_page, 0
        shares = tilted(int(bounds.low), int(bounds.high), self.means.clicks_per_page)
        if self.means.others:
            shares_of_others = tilted(0, self.visitors.max_others, self.means.others_per_page)
            others = chosen(self.word("others", number), shares_of_others)
        return int(bounds.low) + chosen(self.word("clicks", number), shares), others

    def stop(self, number: int) -> Stop:
        return self.journey.stops[number] if number < len(self.journey.stops) else Stop("")

    def possible(self, actions: list[int]) -> int:
        """As many pages as the longest session has time for, if each takes as little as it may; but one."""
        clicks = [actions[number] for number in range(len(actions))]
        if self.means and self.means.others:
            clicks = [self.actions(number)[0] for number in range(len(actions))]
        reached, count = self.shortest, 0
        for one in clicks:
            reached += self.page_range(one)[0] + self.shortest
            if reached > self.most():
                break
            count += 1
        return max(count, min(len(actions), 1))

    def most(self) -> int:
        limit = round(self.behaviour.session_duration.high * 1_000_000)
        return min(limit, LONGEST) if self.behaviour.human_like_delays else 1 << 60

    # Pages and clicks.

    def pages(self, counts: list[tuple[int, int]]) -> list[OpenPage]:
        page = self.every[(self.word("page") >> 32) * len(self.every) >> 32]
        if self.journey.stops:
            page = self.visitors.pages[self.journey.stops[0].page]
        pages: list[OpenPage] = []
        for number, (clicks, others) in enumerate(counts):
            one = OpenPage(page, self.kinds_of(number, clicks, others))
            if number + 1 < len(counts):
                one.onward, page = self.way(one.page, number, one.kinds)
            self.click(one, number)
            pages.append(one)
        return pages

    def kinds_of(self, number: int, clicks: int, others: int) -> list[str]:
        if not self.means:
            return [""] * clicks
        words = [self.word("kind", place + number * 1024) for place in range(clicks + others)]
        by_click = [self.means.clicks.get(kind, 0.0) for kind in KINDS]
        kinds = [KINDS[chosen(word, by_click if any(by_click) else [1, 1])] for word in words[:clicks]]
        names = list(self.means.others)
        kinds += [names[chosen(word, list(self.means.others.values()))] for word in words[clicks:]]
        if not others and not self.means.others:
            return kinds
        order = sorted(range(len(words)), key=lambda place: (words[place] & (1 << 28) - 1, place))
        shuffled = list(kinds)
        for kind, place in zip(kinds, order, strict=True):
            shuffled[place] = kind
        return shuffled

    def way(self, page: Page, number: int, kinds: list[str]) -> tuple[Click | None, Page]:
        """The click that leads to the next page, and that page."""
        word = self.word("clicks", number)
        away = [click for click in page.clicks if click.to]
        click = away[low(word, len(away))] if away else None
        target = self.visitors.pages[click.to or ""] if click else self.every[low(word, len(self.every))]
        if self.means:
            own = [one for one in away if kinds and one.kind == kinds[-1]]
            click = own[low(word, len(own))] if own else None
            target = self.visitors.pages[click.to or ""] if click else target
        listed: list[Click] = []
        if number + 1 < len(self.journey.stops):
            target = self.visitors.pages[self.journey.stops[number + 1].page]
            listed = self.listed(page, number)
            leading = [one for one in [*listed, *away] if one.to == target.name]
            click = leading[0] if leading else None
        if self.means:
            return (click if click and kinds and click.kind == kinds[-1] else None), target
        staying = [one for one in listed if one is not click]
        return (click if click and len(kinds) > len(staying) else None), target

    def listed(self, page: Page, number: int) -> list[Click]:
        return [click for element in self.stop(number).clicks if (click := page.click(element)) is not None]

    def click(self, one: OpenPage, number: int) -> None:
        """By chance, then the stop's own, then the one that leads on."""
        one.words = [self.word("click", place + number * 1024) for place in range(len(one.kinds))]
        staying = [click for click in one.page.clicks if not click.to]
        for word, kind in zip(one.words, one.kinds, strict=True):
            among = staying
            if kind in KINDS:
                own = [click for click in one.page.clicks if click.kind == kind]
                among = [click for click in own if not click.to] or own or list(one.page.clicks)
            one.clicks.append(among[low(word, len(among))] if among and kind in ("", *KINDS) else None)
        target = self.stop(number + 1).page
        leading = [
            click for click in [*self.listed(one.page, number), *one.page.clicks] if click.to and click.to == target
        ]
        listed = [click for click in self.listed(one.page, number) if click not in leading[:1]]
        places = range(len(one.kinds))
        free = [*reversed(places)][one.onward is not None :]
        for place, click in zip(free, reversed(listed), strict=False):
            if one.kinds[place] in ("", click.kind):
                one.clicks[place] = click
        if one.onward:
            one.clicks[-1] = one.onward

    def is_closed(self, number: int, pages: int, ends: bool) -> bool:
        if not self.means:
            return True
        bounds, left = self.behaviour.pages_per_session, self.means.closes
        shares = tilted(int(bounds.low), int(bounds.high), self.means.pages)
        visiting = 1 - shares[0] if bounds.low == 0 else 1.0
        expected = {
            "last": visiting * self.means.ends,
            "inner": self.means.pages - visiting,
            "abandoned": visiting * (1 - self.means.ends),
        }
        probabilities = {}
        for name, mean in expected.items():
            probabilities[name] = min(left / mean, 1) if mean > 1e-12 else 1
            left -= min(left, probabilities[name] * mean)
        which = "inner" if number + 1 < pages else "last" if ends else "abandoned"
        return self.word("close", number) & (1 << 28) - 1 < round(probabilities[which] * 2**28)

    # Times.

    def page_range(self, actions: int) -> tuple[int, int]:
        gaps = actions + 1
        if not self.behaviour.human_like_delays:
            return gaps * GAP, gaps * GAP
        least, most = self.time_bounds()
        first, last = max(least, gaps * self.shortest), min(most, gaps * self.longest)
        if first > last:
            return max(least, gaps * GAP), max(most, gaps * GAP)
        return first, last

    def time_bounds(self) -> tuple[int, int]:
        least, most = (min(round(bound * 1_000_000), LONGEST) for bound in self.behaviour.time_of(self.journey))
        return least, most

    def times(self, pages: list[OpenPage]) -> int:
        """Sets the times of pages; the time until the first one is returned."""
        width = self.longest - self.shortest + 1
        arrival = self.shortest + high(self.word("arrival"), width)
        for number, page in enumerate(pages):
            page.low, page.high = self.page_range(len(page.kinds))
            page.length = page.low + high(self.word("time", number), page.high - page.low + 1)
            page.transit = self.shortest + low(self.word("leave", number), width) if page.closed else 0
        if not self.behaviour.human_like_delays:
            return arrival
        parts = [(self.shortest, arrival, self.longest)]
        for page in pages:
            parts.append((page.low, page.length, page.high))
            parts.append((self.shortest, page.transit, self.longest) if page.closed else (0, 0, 0))
        fitted = self.fitted(parts, pages)
        for page, length, transit in zip(pages, fitted[1::2], fitted[2::2], strict=True):
            page.length, page.transit = length, transit
        return fitted[0]

    def fitted(self, parts: list[tuple[int, int, int]], pages: list[OpenPage]) -> list[int]:
        """The parts of a session, moved towards one end of their ranges if it would be too short or too long."""
        least, most = round(self.behaviour.session_duration.low * 1_000_000), self.most()
        values = [value for _, value, _ in parts]
        if least <= sum(values) <= most:
            return values
        lows, highs = [first for first, _, _ in parts], [last for _, _, last in parts]
        if sum(highs) < least:
            highs[1::2] = [max(last, self.time_bounds()[1]) for last in highs[1::2]]
        first, last = max(sum(lows), least), min(sum(highs), most)
        target = first + high(self.word("duration"), last - first + 1) if first <= last else sum(values)
        if sum(lows) > most:
            for gap in (self.shortest, GAP):
                lows = [gap]
                for page in pages:
                    lows += [min(page.low, gap * (len(page.kinds) + 1)), gap if page.closed else 0]
                if sum(lows) <= most:
                    break
            target = max(most, sum(lows))
        anchors, sign = (lows, 1) if target < sum(values) else (highs, -1)
        away = [sign * (value - anchor) for value, anchor in zip(values, anchors, strict=True)]
        ratio = sign * (target - sum(anchors)) / sum(away) if sum(away) else 0.0
        reached = [0, *(int(total * ratio + 0.001) for total in accumulate(away))]
        return [anchor + sign * (b - a) for anchor, (a, b) in zip(anchors, pairwise(reached), strict=True)]

    def moments(self, page: OpenPage, number: int) -> list[int]:
        """When the actions on a page happen, since it was opened."""
        width, count = self.longest - self.shortest, len(page.kinds) + 1
        drawn = [high(word, width + 1) for word in page.words]
        total = sum(drawn) + high(self.word("leave", number), width + 1)
        spare, offset = page.length - count * self.shortest, float(self.shortest)
        scale = spare / total if total else 0.0
        if spare > total:
            missing = width * count - total
            scale = (width * count - spare) / missing if missing else 0.0
            offset = self.longest - scale * width
        if not 0 <= spare <= width * count:
            total += (self.shortest - GAP) * count
            scale = (page.length - GAP * count) / total if total else 0.0
            offset = ((self.shortest - GAP) * scale if total else (page.length - GAP * count) / count) + GAP
        return [int(scale * reached + offset * place) for place, reached in enumerate(accumulate(drawn), 1)]

    def tell(self, pages: list[OpenPage], arrival: int, *, ends: bool) -> list[Happening]:
        landing = self.every[(self.word("page") >> 32) * len(self.every) >> 32]
        if self.journey.stops:
            landing = self.visitors.pages[self.journey.stops[0].page]
        cause = self.note("created", self.began, None, page=landing, before=None)
        time, before, clicks, last = self.began + arrival, None, 0, landing
        for number, one in enumerate(pages):
            shown: dict[str, Any] = {"page": one.page, "before": before, "number": number + 1}
            visit = self.note("visited", time, cause, **shown)
            cause, here = visit, 0
            for kind, click, moment in zip(one.kinds, one.clicks, self.moments(one, number), strict=True):
                act = self.note(click.kind if click else kind, time + moment, visit, click=click, **shown)
                here += click is not None
            if one.closed:
                cause = self.note("closed", time + one.length, visit, page=one.page, number=number + 1, clicks=here)
            if one.onward:
                cause = act
            time += one.length + one.transit
            before, last, clicks = one.page, one.page, clicks + here
        if ends:
            took = (time - self.began) // 1000
            self.note("ended", time, cause, page=last, pages=len(pages), clicks=clicks, duration_ms=took)
        return self.happened


def session(catalog: Catalog, chain: Chain, *, seed: int, index: int, began: int) -> Iterator[dict[str, Any]]:
    """The events of a chain of the run, as they have to be, in their order.

    Args:
        began: microseconds since the Unix epoch.
    """
    assert chain.visitors is not None
    root = purpose("seed", str(seed))
    random = Randomness(mix((root + index * GOLDEN) & MASK), root, index)
    happened = Session(chain, chain.visitors, random, began).walk()
    for one in happened:
        one.event_id = uuid7(one.time, random.word("id", step=one.step) >> 2)
        event = catalog.events[chain.states[one.state].emits]
        yield {
            "event_id": one.event_id,
            "event_type": event.name,
            "timestamp": timestamp(one.time),
            "correlation_id": happened[0].event_id,
            "causation_id": one.cause.event_id if one.cause else None,
            "tenant_id": "default-tenant",
            "namespace": "development",
            "source": event.source,
            "schema_version": event.schema_version,
            "payload": {part.name: value(catalog, chain, random, one, part) for part in event.payload},
        }


def value(catalog: Catalog, chain: Chain, random: Randomness, one: Happening, part: PayloadField) -> Any:
    match part.source:
        case VisitAttribute(attribute):
            return visited(catalog, chain, random, one, attribute)
        case VariableValue(reference, template):
            return (template or "{}").format(variable(catalog, chain, random, reference))
        case ElapsedTime():
            assert one.cause is not None
            return (one.time - one.cause.time) // 1000
        case NumberRange(int() as minimum, int() as maximum):
            assert minimum is not None
            assert maximum is not None
            word = random.word("field", chain.name, one.state, part.name, step=one.step)
            return int(minimum) + below(word, int(maximum - minimum) + 1)
    raise AssertionError(f"the reference does not know {part.source}")


def visited(catalog: Catalog, chain: Chain, random: Randomness, one: Happening, name: str) -> Any:
    assert chain.visitors is not None
    kind, _, attribute = name.partition(".")
    if name == "click.href":
        click = one.facts["click"]
        return chain.visitors.pages[click.to].path if click.to else f"#{click.element}"
    if attribute:
        return getattr(one.facts[kind], attribute)
    if name != "referrer":
        return one.facts[name]
    before = one.facts["before"]
    if before:
        return chain.visitors.site + before.path
    return variable(catalog, chain, random, chain.visitors.referrer) if chain.visitors.referrer else ""
