"""Sessions again, slow and obvious: one visitor at a time, one click at a time, as dicts.

It takes nothing from the package `chains`, so that equal events mean something. What clicks cause is not made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from eventbus.catalog import Catalog, Chain, PayloadField
from eventbus.catalog.model import Click, Journey, Page, Range, Stop, Visitors
from eventbus.catalog.sources import ElapsedTime, NumberRange, VariableValue, VisitAttribute
from eventbus.event import uuid7
from tests.unit.chains.draws import GOLDEN, MASK, Randomness, below, mix, purpose
from tests.unit.chains.reference import timestamp
from tests.unit.chains.variables import value as variable

LOADING, LEAVING, ENDING = Range(0.2, 1.5), Range(0.005, 0.06), Range(0.01, 0.5)


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
class Session:
    """One visit of the site."""

    chain: Chain
    visitors: Visitors
    random: Randomness
    began: int
    happened: list[Happening] = field(default_factory=list)

    def word(self, name: str, step: int = 0) -> int:
        return self.random.word("visit", self.chain.name, name, step=step)

    def between(self, bounds: Range, word: int, unit: int = 1) -> int:
        low, high = round(bounds.low * unit), round(bounds.high * unit)
        return low + ((word >> 36) * (high - low + 1) >> 28)

    def time(self, bounds: Range, word: int) -> int:
        """A millisecond at least, and exactly that where nobody waits."""
        if not self.visitors.behaviour.human_like_delays:
            return 1000
        low, high = (max(round(bound * 1_000_000), 1000) for bound in bounds)
        return low + ((word >> 36) * (high - low + 1) >> 28)

    def note(self, state: str, time: int, cause: Happening | None, **facts: Any) -> Happening:
        self.happened.append(Happening(state, time, cause, facts, step=len(self.happened)))
        return self.happened[-1]

    def walk(self) -> list[Happening]:
        behaviour, human = self.visitors.behaviour, self.visitors.behaviour.human_like_delays
        every = list(self.visitors.pages.values())
        weights = [journey.weight for journey in self.visitors.active_journeys]
        journey = self.visitors.active_journeys[self.random.among(weights, "visit", self.chain.name, "journey")]
        duration = self.between(behaviour.session_duration, self.word("duration"), 1_000_000)
        ending = min(self.time(ENDING, self.word("ending")), duration // 4)
        shortest = self.began + round(behaviour.session_duration.low * 1_000_000) - ending
        end = self.began + duration - ending if human else 1 << 62
        page = every[(self.word("page") >> 32) * len(every) >> 32]
        if journey.stops:
            page = self.visitors.pages[journey.stops[0].page]
        planned = len(journey.stops) or self.between(behaviour.pages_per_session, self.word("pages"))
        cause = self.note("created", self.began, None, page=page, before=None)
        at, clicks, before = self.began + min(self.time(LOADING, self.word("loading")), duration // 2), 0, None
        for number in range(planned):
            cause = self.note("visited", at, cause, page=page, before=before, number=number + 1)
            onward, after = self.way(journey, page, number)
            wanted = self.clicks(journey, page, onward, number, last=number + 1 == planned)
            if onward not in wanted:
                onward = None
            leave = self.word("leave", number)
            leaving, loading = self.time(LEAVING, leave), self.time(LOADING, leave << 28 & MASK)
            times, reached = [], 0
            for place in range(len(wanted) - (onward is not None)):
                reached += self.time(behaviour.action_delay, self.word("click", place + number * 1024))
                times.append(reached)
            reached += self.time(behaviour.action_delay, leave << 14 & MASK) if onward else 0
            length, goes_on = reached + leaving, number + 1 < planned
            if human:
                low, high = self.page_time(journey)
                left = end - at
                kept = max(int(behaviour.pages_per_session.low) - 1 - number, 0) * (low + 1_500_000)
                most = min(high, max(left - (0 if journey.stops else kept), low))
                length = min(max(low + ((self.word("time", number) >> 36) * (high - low + 1) >> 28), length), most)
                goes_on = goes_on and length + loading + low <= left
                if not journey.stops and not goes_on:
                    length = max(length, min(shortest - at, high))
                length = max(min(length, left), 1000)
            leaving = min(leaving, length // 2)
            made = [
                self.note("", at + time, cause, page=page, click=click, number=number + 1)
                for click, time in zip(wanted, times, strict=False)
                if time <= length - leaving - (onward is not None)
            ]
            if onward and goes_on:
                made.append(self.note("", at + length - leaving, cause, page=page, click=onward, number=number + 1))
            for one in made:
                one.state = one.facts["click"].kind
            clicks += len(made)
            closed = self.note("closed", at + length, cause, page=page, number=number + 1, clicks=len(made))
            if not goes_on:
                milliseconds = (at + length + ending - self.began) // 1000
                self.note(
                    "ended", at + length + ending, closed,
                    page=page, pages=number + 1, clicks=clicks, duration_ms=milliseconds,
                )  # fmt: skip
                return self.happened
            cause = made[-1] if onward else closed
            at, before, page = at + length + loading, page, after
        raise AssertionError("a session without an end")

    def page_time(self, journey: Journey) -> tuple[int, int]:
        general = self.visitors.behaviour.time_per_page
        bounds = (journey.time_per_page or general).capped(general.high)
        return max(round(bounds.low * 1_000_000), 1000), max(round(bounds.high * 1_000_000), 1000)

    def way(self, journey: Journey, page: Page, number: int) -> tuple[Click | None, Page]:
        word, every = self.word("way", number), list(self.visitors.pages.values())
        away = [click for click in page.clicks if click.to]
        if journey.stops:
            if number + 1 == len(journey.stops):
                return None, page
            stop, after = journey.stops[number], journey.stops[number + 1].page
            own = [click for element in stop.clicks if (click := page.click(element)) is not None]
            leading = [click for click in [*own, *away] if click.to == after]
            return (leading[0] if leading else None), self.visitors.pages[after]
        if not away:
            return None, every[(word >> 32) * len(every) >> 32]
        chosen = away[(word & (1 << 28) - 1) * len(away) >> 28]
        return chosen, self.visitors.pages[chosen.to or ""]

    def clicks(self, journey: Journey, page: Page, onward: Click | None, number: int, *, last: bool) -> list[Click]:
        """By chance, then the stop's own, then the one that leads away."""
        general = self.visitors.behaviour.clicks_per_page
        bounds = (journey.clicks_per_page or general).capped(general.high)
        stop = journey.stops[number] if journey.stops else Stop("")
        own = [click for element in stop.clicks if (click := page.click(element)) is not None]
        wanted = max(self.between(bounds, self.word("clicks", number)), len(own))
        own = [click for click in own if click is not onward or last]
        away = [onward] if onward and wanted > len(own) and not last else []
        here = [click for click in page.clicks if not click.to]
        found = []
        for place in range(wanted - len(own) - len(away) if here else 0):
            word = self.word("click", place + number * 1024)
            found.append(here[(word & (1 << 28) - 1) * len(here) >> 28])
        return [*found, *own, *away]


def session(catalog: Catalog, chain: Chain, *, seed: int, index: int, began: int) -> Iterator[dict[str, Any]]:
    """The events of a chain of the run, as they have to be, in their order.

    Args:
        began: microseconds since the Unix epoch.
    """
    assert chain.visitors is not None
    root = purpose("seed", str(seed))
    random = Randomness(mix((root + index * GOLDEN) & MASK), root)
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
