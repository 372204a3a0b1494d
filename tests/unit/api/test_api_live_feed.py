"""Every subscriber of the live feed gets each event, or the number of those it missed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from eventbus.api.live.feed import LiveFeed, Subscriber
from eventbus.api.live.frames import SSE, TEXT, Filter
from eventbus.api.problems import FeedFailed
from eventbus.event import Event
from eventbus.inprocess import InProcessBus
from eventbus.record import ProducerRecord
from tests.api.waiting import until

TOPIC = "omninode.agent"


def numbered(numbers: Sequence[int] | range, tenant: str = "t") -> list[Event]:
    return [Event.new("omninode.agent.step.done.v1", {"n": number}, tenant_id=tenant) for number in numbers]


def feed_of(bus: InProcessBus, **options: Any) -> LiveFeed:
    """A feed that closes a frame after each event, independent of time."""
    return LiveFeed(bus, [TOPIC], **{"max_events": 1, "linger": 0.0, **options})


async def frame_from(subscriber: Subscriber[str]) -> dict[str, Any]:
    frame: dict[str, Any] = orjson.loads(await anext(subscriber))
    return frame


def numbers_in(frame: dict[str, Any]) -> list[int]:
    return [event["payload"]["n"] for event in frame["events"]]


async def until_read(feed: LiveFeed, events: int) -> None:
    await until(lambda: feed.statistics().events >= events)


async def test_a_subscriber_gets_events_published_after_it_joined(bus: InProcessBus) -> None:
    """A subscriber gets new events in order, numbered from 1."""
    await bus.publish_many(numbered([0]))
    async with feed_of(bus).subscribe(TEXT) as subscriber:
        await bus.publish_many(numbered([1, 2]))
        first, second = await frame_from(subscriber), await frame_from(subscriber)
    assert (numbers_in(first), numbers_in(second)) == ([1], [2])
    assert (first["seq_from"], first["seq_to"], second["seq_from"]) == (1, 1, 2)


async def test_events_that_come_together_share_a_frame(bus: InProcessBus) -> None:
    """A frame contains the events of one interval."""
    async with feed_of(bus, max_events=500, interval=0.01).subscribe(TEXT) as subscriber:
        await bus.publish_many(numbered(range(20)))
        seen: list[int] = []
        while len(seen) < 20:
            seen += numbers_in(await frame_from(subscriber))
    assert seen == list(range(20))


async def test_a_slow_subscriber_gets_the_number_missed_and_continues_with_the_latest(bus: InProcessBus) -> None:
    """Delivered and skipped events add up to those published; a fast subscriber skips none."""
    size = len(numbered([0])[0].to_bytes())
    feed = feed_of(bus, ring_bytes=4 * size)
    async with feed.subscribe(TEXT) as slow, feed.subscribe(TEXT) as quick:
        seen_by_quick: list[int] = []
        for number in range(10):
            await bus.publish_many(numbered([number]))
            seen_by_quick += numbers_in(await frame_from(quick))
        frame = await frame_from(slow)
    assert seen_by_quick == list(range(10))
    assert (numbers_in(frame), frame["skipped"]) == ([9], 9)
    assert feed.statistics().skipped == 9


async def test_filtered_events_do_not_count_as_skipped(bus: InProcessBus) -> None:
    """Events that a filter leaves out do not count as skipped."""
    async with feed_of(bus).subscribe(TEXT, Filter(tenant_id="wanted")) as subscriber:
        await bus.publish_many([*numbered([1], "other"), *numbered([2], "wanted")])
        frame = await frame_from(subscriber)
    assert (numbers_in(frame), frame["skipped"], frame["seq_from"]) == ([2], 0, 2)


async def test_records_that_are_not_events_are_left_out_and_counted(bus: InProcessBus) -> None:
    """A record that is not an event does not affect the others."""
    feed = feed_of(bus)
    async with feed.subscribe(TEXT) as subscriber:
        await bus.publish_many([ProducerRecord(TOPIC, None, b'{"half":', 0), *numbered([1])])
        assert numbers_in(await frame_from(subscriber)) == [1]
    assert feed.statistics().poison == 1


async def test_a_returning_subscriber_continues_where_it_was(bus: InProcessBus) -> None:
    """The id of the last frame suffices to continue."""
    feed = feed_of(bus, linger=60.0)
    async with feed.subscribe(SSE) as subscriber:
        await bus.publish_many(numbered([1, 2]))
        identity = (await anext(subscriber)).split(b"\n")[0].removeprefix(b"id: ").decode()
    await bus.publish_many(numbered([3]))
    await until_read(feed, 3)
    async with feed.subscribe(TEXT, after=identity) as subscriber:
        assert [numbers_in(await frame_from(subscriber)) for _ in range(2)] == [[2], [3]]
    await feed.close()


async def test_a_subscriber_away_for_too_long_gets_a_gap(bus: InProcessBus) -> None:
    """Lost and delivered events add up."""
    feed = feed_of(bus, linger=60.0, ring_bytes=2 * len(numbered([0])[0].to_bytes()), new_name=lambda: "run")
    async with feed.subscribe(TEXT):
        await bus.publish_many(numbered(range(1, 8)))
        await until_read(feed, 7)
    async with feed.subscribe(TEXT, after="run-2") as subscriber:
        assert orjson.loads(await anext(subscriber)) == {"gap": {"after": "run-2", "lost": 3}}
        assert [numbers_in(await frame_from(subscriber)) for _ in range(2)] == [[6], [7]]
    await feed.close()


async def test_events_dropped_unread_are_counted() -> None:
    """Events that the bus dropped unread are reported as missed."""
    bus = InProcessBus(partitions=1, retention_bytes=20_000)
    feed = feed_of(bus, max_events=500)
    async with feed.subscribe(TEXT) as subscriber:
        await bus.publish_many(numbered(range(300)))
        seen, skipped = [-1], 0
        while seen[-1] < 299:
            frame = await frame_from(subscriber)
            seen, skipped = seen + numbers_in(frame), skipped + frame["skipped"]
    assert frame["seq_to"] == 300
    assert skipped > 0
    assert len(seen) - 1 + skipped == 300
    assert feed.statistics().skipped == skipped
    await bus.close()


@pytest.mark.parametrize("after", ["other-3", "3", "run-99", "run--1", "nonsense", "", "run-²", "run-" + "9" * 5000])
async def test_an_id_of_another_ring_is_a_gap_of_unknown_size(bus: InProcessBus, after: str) -> None:
    """After a restart, the number of missed events is unknown, and the gap says so."""
    feed = feed_of(bus, new_name=lambda: "run")
    async with feed.subscribe(TEXT) as subscriber:
        await bus.publish_many(numbered([1, 2, 3]))
        await frame_from(subscriber)
        async with feed.subscribe(TEXT, after=after) as returning:
            assert orjson.loads(await anext(returning)) == {"gap": {"after": after, "lost": None}}


async def test_heartbeats_advance_the_id(bus: InProcessBus) -> None:
    """Heartbeats advance the position of a client whose filter matches nothing."""
    feed = feed_of(bus, new_name=lambda: "run")
    async with feed.subscribe(SSE, Filter(tenant_id="nobody"), heartbeat=0.01) as subscriber:
        await bus.publish_many(numbered([1, 2]))
        await until_read(feed, 2)
        assert await anext(subscriber) == b": heartbeat\nid: run-2\n\n"


async def test_closing_ends_every_stream_with_a_last_message(bus: InProcessBus) -> None:
    """Subscribers get the rest of the ring, then the reason, then the end; later ones get the reason at once."""
    feed = feed_of(bus)

    async def watch() -> list[Any]:
        async with feed.subscribe(TEXT) as subscriber:
            return [orjson.loads(message) async for message in subscriber]

    watching = [asyncio.create_task(watch()) for _ in range(3)]
    await until(lambda: feed.statistics().clients == 3)
    async with asyncio.timeout(3):
        await feed.close("closing time")
        for messages in [await task for task in watching] + [await watch()]:
            assert messages == [{"end": {"reason": "closing time"}}]
    assert feed.statistics().clients == 0


async def test_the_bus_is_read_only_while_there_are_subscribers(bus: InProcessBus) -> None:
    """Reading stops `linger` after the last subscriber has left; the next one starts a new ring."""
    feed = feed_of(bus)
    async with feed.subscribe(TEXT) as subscriber:
        await bus.publish_many(numbered([1]))
        await anext(subscriber)
        old = subscriber
    async with asyncio.timeout(3):  # the stream of an old subscriber ends when the reading does
        assert [orjson.loads(message) async for message in old] == [{"end": {"reason": "the last subscriber has left"}}]
    await bus.publish_many(numbered([2]))
    async with feed.subscribe(TEXT) as subscriber:
        await bus.publish_many(numbered([3]))
        assert numbers_in(await frame_from(subscriber)) == [3]
    assert feed.statistics().events == 2


async def test_a_bus_that_cannot_be_read_is_an_error_for_the_subscriber() -> None:
    """A subscriber to a bus that cannot be read gets an error."""
    async with InProcessBus() as bus:
        feed = feed_of(bus)
    with pytest.raises(FeedFailed, match="the bus cannot be read"):
        await feed.subscribe(TEXT).__aenter__()
    assert feed.statistics().clients == 0
