"""The end of a run: open sessions close their page and end; whether the end was known or the run was stopped."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.bus import EventBus
from eventbus.catalog import Catalog
from eventbus.catalog.model import Behaviour, ClosedWorkload, Journey, OpenWorkload, Stop, short_name
from eventbus.catalog.model.workload import AT_END, Arrivals, AtEnd, ConstantRate
from eventbus.chains import ChainGenerator, InvalidSetting, RunStatistics
from eventbus.chains.faults import Fault
from eventbus.chains.repeat import RepeatedRun
from eventbus.chains.verification import verify
from eventbus.event import Event
from tests.unit.chains.clocks import ManualClock
from tests.unit.chains.listbus import ListBus

VISITORS = Catalog.default().only("visitor-session")
SHOP = VISITORS.with_visitors(journeys="shop")
CLOSED, OPEN = ClosedWorkload(users=40, ramp_up=20), OpenWorkload(rate=ConstantRate(rate=0.5))
SOME = st.sampled_from([CLOSED, OPEN])


def sessions(events: Iterable[Event]) -> dict[str, list[Event]]:
    """The sessions' own events, without those of chains that clicks caused."""
    by_session: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.event_type.startswith("omninode.visitor."):
            by_session[event.correlation_id].append(event)
    return by_session


def broken_laws(session: list[Event]) -> Iterator[str]:
    """What is wrong with the life cycle of a session, by the specification: see the guide's page on visitors."""
    names = [short_name(event.event_type) for event in session]
    if names[0] != "session_created" or names.count("session_created") != 1:
        yield "is not created first, once"
    if names[-1] != "session_ended" or names.count("session_ended") != 1:
        yield "does not end last, once"
    if "page_visited" not in names:
        yield "has no page"
    by_id = {event.event_id: event for event in session}
    for event, name in zip(session, names, strict=True):
        cause = by_id.get(event.causation_id or "")
        if (cause is None) != (name == "session_created"):
            yield f"{name} has no cause in the session"
        if cause and cause.timestamp > event.timestamp:
            yield f"{name} is before its cause"
    yield from wrong_counts(session, names)


def wrong_counts(session: list[Event], names: list[str]) -> Iterator[str]:
    """What is wrong with the pages of a session and with what its events say about them."""
    page, clicks, all_clicks, pages = None, 0, 0, 0
    for event, name in zip(session, names, strict=True):
        said = event.payload
        if name == "page_visited":
            if page is not None:
                yield "opens a page before the other one is closed"
            page, clicks, pages = event, 0, pages + 1
            if said["page_number"] != pages:
                yield f"page {pages} is numbered {said['page_number']}"
        elif name.endswith("clicked"):
            clicks, all_clicks = clicks + 1, all_clicks + 1
            if page is None or said["path"] != page.payload["path"]:
                yield "clicks where no page is open"
        elif name == "page_closed":
            if page is None or (said["path"], said["clicks"]) != (page.payload["path"], clicks):
                yield f"closes {said} where {page} is open with {clicks} clicks"
            elif said["time_on_page_ms"] != whole_ms(page, event):
                yield f"was {said['time_on_page_ms']} ms on a page that was open for {whole_ms(page, event)} ms"
            page = None
    if page is not None:
        yield "ends with an open page"
    if names[-1] == "session_ended":
        figures = {"pages": pages, "clicks": all_clicks, "duration_ms": whole_ms(session[0], session[-1])}
        if not figures.items() <= session[-1].payload.items():
            yield f"ends as {session[-1].payload}, not {figures}"


def whole_ms(first: Event, last: Event) -> int:
    return (last.timestamp - first.timestamp) // timedelta(milliseconds=1)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), milliseconds=st.integers(0, 300_000), arrivals=SOME, human=st.booleans())
def test_each_session_is_whole_at_any_end_and_nothing_is_later(
    seed: int, milliseconds: int, arrivals: Arrivals, human: bool
) -> None:
    """Created, visited, clicked on the open page, that page closed, ended: for every moment at which a run can end."""
    catalog = SHOP if human else SHOP.with_visitors(behaviour=Behaviour(human_like_delays=False))
    generator = ChainGenerator(catalog, seed=seed, arrivals=arrivals, at_end="end")
    duration = milliseconds / 1000 if human else milliseconds / 100_000
    events = list(generator.events(duration=duration))
    end = generator.start + timedelta(seconds=duration)
    assert all(event.timestamp < end for session in sessions(events).values() for event in session)
    problems = [(key, law) for key, session in sessions(events).items() for law in broken_laws(session)]
    assert not problems
    assert len({event.event_id for event in events}) == len(events)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), duration=st.floats(0.001, 200), arrivals=SOME, block=st.integers(1, 300))
def test_the_end_does_not_depend_on_how_the_run_is_made(
    seed: int, duration: float, arrivals: Arrivals, block: int
) -> None:
    """The same bytes for any size of batches, and as any two windows that follow each other."""

    def generator(**arguments: int) -> ChainGenerator:
        return ChainGenerator(SHOP, seed=seed, arrivals=arrivals, at_end="end", **arguments)  # type: ignore[arg-type]

    whole = [event.event_id for event in generator().events(duration=duration)]
    assert [event.event_id for event in generator(block=block).events(duration=duration)] == whole
    made = generator()
    middle = made.start + timedelta(seconds=duration * 0.999)
    parts = [
        event_id
        for since, until in ((None, middle), (middle, None))
        for part in made.window(since, until, duration=duration)
        for event_id in ids(part.lines())
    ]
    assert parts == whole


def ids(texts: Iterable[list[bytes]]) -> list[str]:
    return [Event.from_bytes(line).event_id for lines in texts for line in lines]


def test_the_end_is_the_same_for_any_number_of_workers() -> None:
    """A file of a run that ends sessions is one file, whoever makes it."""
    generator = ChainGenerator(SHOP, seed=3, arrivals=ClosedWorkload(users=2000), at_end="end")
    digests = {
        hashlib.sha256(b"".join(bytes(part.buffer) for part in generator.blocks(duration=50, workers=workers))).digest()
        for workers in (1, 2)
    }
    assert len(digests) == 1


def test_what_happened_before_the_end_is_what_would_have_happened_without_it() -> None:
    """A run that ends sessions begins like the one whose sessions finish, and adds at most three events to each."""
    ended, finished, cut = (
        list(ChainGenerator(SHOP, seed=3, arrivals=CLOSED, at_end=at_end).events(duration=100))
        for at_end in ("end", "finish", "cut")
    )
    end = ChainGenerator().start + timedelta(seconds=100)
    before = [event for event in finished if event.timestamp < end]
    assert cut == before
    assert finished[-1].timestamp > end + timedelta(seconds=60)
    shared = [event for event in before if event.timestamp < end - timedelta(milliseconds=3)]
    assert ended[: len(shared)] == shared
    added = sessions(ended[len(shared) :])
    assert 30 < len(added) <= 40  # all users but those who are between two sessions
    assert set(Counter(map(len, added.values()))) <= {1, 2, 3}
    assert {event.event_type.rpartition("visitor.")[2] for session in added.values() for event in session} <= {
        *("page.visited.v1", "page.closed.v1", "session.ended.v1")
    }


def test_other_chains_run_to_their_end_and_those_of_clicks_that_never_were_do_not_begin() -> None:
    """Nothing can close a chain of the back end early; `verify` finds every chain complete."""
    catalog = Catalog.default().only("agent-execution")
    ended, finished = (
        list(ChainGenerator(catalog, seed=3, at_end=at_end).events(duration=5)) for at_end in ("end", "finish")
    )
    assert len(ended) > 50
    assert ended == [event for event in finished if event.correlation_id in {one.correlation_id for one in ended}]
    demo = Journey(name="demo", weight=1, stops=(Stop("demos", ("run_demo",)),))
    session = VISITORS.chain("visitor-session")
    assert session.visitors is not None
    visitors = replace(session.visitors, sets={"demo": (demo,)}, journeys="demo")
    demos = replace(VISITORS, chains={**VISITORS.chains, session.name: replace(session, visitors=visitors)})
    generator = ChainGenerator(demos, seed=3, arrivals=ClosedWorkload(users=1000), at_end="end")
    events = list(generator.events(duration=100))
    end = generator.start + timedelta(seconds=100)
    late = [event for event in events if event.timestamp >= end]
    assert 0 < len(late) < 200
    assert "omninode.visitor" not in {event.event_type[:16] for event in late}
    known = {event.event_id for event in events}
    assert all(event.causation_id in known for event in events if event.causation_id)
    report = verify([line for lines in generator.lines(duration=100) for line in lines], demos)
    assert {check.name for check in report.checks if check.findings} == set()


def test_an_unknown_end_is_refused() -> None:
    """The error lists the ends that there are."""
    with pytest.raises(InvalidSetting, match="one of end, finish, cut, got 'stop'"):
        ChainGenerator(at_end="stop")  # type: ignore[arg-type]
    assert set(AT_END) == {"end", "finish", "cut"}


def test_an_event_that_the_end_made_is_explained() -> None:
    """With the duration of its run; in an endless run, that event does not exist."""
    generator = ChainGenerator(SHOP, seed=3, arrivals=CLOSED, at_end="end")
    last = list(generator.events(duration=30))[-1]
    explained = generator.explain(last.event_id, duration=30)
    assert explained.path[-1].event == last
    assert explained.path[-1].state == "ended"


# Runs that are stopped.


async def stopped(generator: ChainGenerator, bus: ListBus, after: int, **arguments: object) -> None:
    """Runs until that many batches are published, and then stops."""
    batches = 0

    def on_publish() -> None:
        nonlocal batches
        batches += 1
        if batches == after:
            assert generator._pacer is not None
            generator._pacer.stop()

    bus.on_publish = on_publish
    await generator.run(cast(EventBus, bus), clock=bus.clock, start=generator.start, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("after", [1, 2, 3, 17, 171, 300])
async def test_a_run_that_is_stopped_equals_a_run_of_that_length(after: int) -> None:
    """Byte for byte, whenever it is stopped; and it ends at once."""
    bus = ListBus(ManualClock())
    generator = ChainGenerator(SHOP, seed=4, arrivals=ClosedWorkload(users=30, ramp_up=20), at_end="end")
    began = bus.clock.now
    await stopped(generator, bus, after)
    elapsed = bus.clock.now - began
    published = [record.value for _, record in bus.records]
    length = (elapsed + 1 + 3000) / 1e6  # ends everything after the microsecond of the stop, within 3 ms
    expected = [line for lines in generator.lines(duration=length) for line in lines]
    assert [value for value in published if value] == expected
    assert len(expected) > after
    assert not [law for session in sessions(bus.events).values() for law in broken_laws(session)]


@pytest.mark.parametrize("at_end", AT_END)
async def test_only_a_run_that_is_cut_leaves_its_sessions_open_when_it_is_stopped(at_end: AtEnd) -> None:
    """Those that would finish are ended as well: nobody waits for an hour."""
    bus = ListBus(ManualClock())
    await stopped(ChainGenerator(SHOP, seed=4, arrivals=CLOSED, at_end=at_end), bus, 100)
    problems = {law for session in sessions(bus.events).values() for law in broken_laws(session)}
    assert problems == (
        {"does not end last, once", "has no page", "ends with an open page"} if at_end == "cut" else set()
    )


async def reading_visitor(generator: ChainGenerator) -> tuple[asyncio.Future[RunStatistics], ListBus]:
    """A run by the system's clock whose only visitor has opened a page and is reading it."""
    opened, bus = asyncio.Event(), ListBus(ManualClock())
    batches = iter(range(10))
    bus.on_publish = lambda: opened.set() if next(batches) == 1 else None
    task = asyncio.ensure_future(generator.run(cast(EventBus, bus), speed=20))
    await opened.wait()
    await asyncio.sleep(0)
    return task, bus


async def test_a_stop_while_the_run_sleeps_is_heeded_at_once() -> None:
    """By the system's clock, and a user who reads on for longer than a stop may take."""
    generator = ChainGenerator(SHOP, seed=4, arrivals=ClosedWorkload(users=1))
    task, bus = await reading_visitor(generator)
    assert generator._pacer is not None
    generator._pacer.stop()
    statistics = await asyncio.wait_for(task, 2)
    assert len(bus.events) == 4
    assert [short_name(event.event_type) for event in bus.events][-2:] == ["page_closed", "session_ended"]
    assert statistics.chains == statistics.chains_finished == 1


async def test_a_run_that_is_cancelled_while_it_sleeps_is_cancelled() -> None:
    """Stopping is not mistaken for a cancellation, nor the other way round."""
    task, bus = await reading_visitor(ChainGenerator(SHOP, seed=4, arrivals=ClosedWorkload(users=1)))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "session_ended" not in {short_name(event.event_type) for event in bus.events}


async def test_chains_that_were_dropped_are_not_ended() -> None:
    """A session that was left out because the bus was slow has no events, so it has no end either."""
    bus = ListBus(ManualClock())
    generator = ChainGenerator(SHOP, seed=4, arrivals=OpenWorkload(rate=ConstantRate(rate=5)))
    batches = 0

    def on_publish() -> None:
        nonlocal batches
        batches += 1
        bus.clock.advance(20 if batches == 10 else 0)
        if batches == 200:
            assert generator._pacer is not None
            generator._pacer.stop()

    bus.on_publish = on_publish
    statistics = await generator.run(cast(EventBus, bus), clock=bus.clock, max_lag=1)
    assert statistics.chains_dropped > 50
    assert not [law for session in sessions(bus.events).values() for law in broken_laws(session)]
    assert len(sessions(bus.events)) == statistics.chains


def test_a_run_that_was_stopped_is_repeated_from_its_ledger() -> None:
    """With faults, and with chains of the back end that broke off: the same lines, and no others."""
    catalog = VISITORS.with_weights({"visitor-session": 50, "agent-execution": 20, "database-query": 20})
    generator = ChainGenerator(catalog, seed=5, arrivals=OpenWorkload(rate=ConstantRate(rate=20)), at_end="end")
    faults = tuple(Fault(kind=kind, rate=0.02) for kind in ("drop", "duplicate", "late", "reorder", "corrupt"))
    for after in (40, 400):
        bus, ledger = ListBus(ManualClock()), io.BytesIO()
        asyncio.run(stopped(generator, bus, after, faults=faults, ledger=ledger))
        repeated = RepeatedRun(ledger.getvalue().splitlines(keepends=True), catalog)
        injector = repeated.generator.injector(repeated.record.faults)
        lines = [line for part in repeated.injected(injector, repeated.blocks()) for line in part.lines()]
        assert lines == [record.value for _, record in bus.records]
        assert len(lines) > after
        assert sum(b"session.ended" in line for line in lines) > 10


@pytest.mark.parametrize("at_end", AT_END)
def test_a_ledger_says_how_its_run_ended(at_end: AtEnd) -> None:
    """`at_end` is one of the arguments that make a run."""
    ledger, generator = io.BytesIO(), ChainGenerator(SHOP, seed=5, arrivals=CLOSED, at_end=at_end)
    lines = [
        line
        for part in generator.injector((), ledger, duration=60).blocks(generator.blocks(duration=60))
        for line in part.lines()
    ]
    repeated = RepeatedRun(ledger.getvalue().splitlines(keepends=True), SHOP)
    assert repeated.record.at_end == at_end
    assert [line for part in repeated.blocks() for texts in part.lines() for line in texts] == lines
