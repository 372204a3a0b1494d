"""Records whose values are parts of one text: the log has the same ones as when they come as objects."""

from __future__ import annotations

import random

import numpy as np
import pytest

from eventbus import InProcessBus
from eventbus.event import Event
from eventbus.record import ConsumerRecord, PackedColumns, RecordColumns

KEY_WIDTH = 36


def values(count: int, seed: int) -> list[bytes]:
    """Events with payloads of many lengths."""
    lengths = random.Random(seed)
    return [
        Event.new("omninode.shop.order.paid.v1", {"text": "x" * lengths.randrange(900)}).to_bytes()
        for _ in range(count)
    ]


def key_of(value: bytes) -> bytes:
    return Event.from_bytes(value).correlation_id.encode()


def packed(rows: list[bytes]) -> tuple[PackedColumns, bytearray]:
    """The rows in one text that may be changed, with other bytes between them."""
    text, places = bytearray(b"before"), []
    for number, value in enumerate(rows):
        start = len(text)
        places.append((start + value.index(key_of(value)), start, start + len(value), 1_000_000 + number))
        text += value + b"between"
    return PackedColumns(memoryview(text), np.array(places, np.int64).T, KEY_WIDTH), text


def unpacked(rows: list[bytes]) -> RecordColumns:
    timestamps = [1_000_000 + number for number in range(len(rows))]
    return RecordColumns([key_of(value) for value in rows], [*rows], timestamps, [None] * len(rows))


def test_packed_rows_are_the_same_rows() -> None:
    """Whole, some in another order, and a part of these: with the size and the latest time of the objects."""
    rows = values(50, seed=1)
    columns, objects = packed(rows)[0], unpacked(rows)
    order = [7, 3, 49, 0, 21]
    taken = columns.take(np.array(order))
    pairs = [
        (columns, objects),
        (taken, objects.take(order)),
        (taken.slice(1, 4), objects.take(order[1:4])),
        (taken.slice(1, 4).slice(2, 3), objects.take(order[3:4])),
    ]
    for ours, expected in pairs:
        assert ours.unpacked() == expected
        assert ours.keys() == expected.keys
        assert ours.size_bytes() == expected.size_bytes()
        assert ours.max_timestamp == expected.max_timestamp
        assert len(ours) == len(expected)


@pytest.mark.parametrize("reads_between", [False, True])
async def test_the_log_is_that_of_objects(reads_between: bool) -> None:
    """Runs of any length, each in a text that is overwritten afterwards: long ones become batches of their own."""
    async with InProcessBus(partitions=3) as ours, InProcessBus(partitions=3) as expected:
        for seed, count in enumerate([1, 2, 400, 1, 1, 300, 3, 100, 1]):
            rows = values(count, seed)
            columns, text = packed(rows)
            assert await ours.publish_columns({"orders": columns}) == count
            text[:] = bytes(len(text))
            await expected.publish_columns({"orders": unpacked(rows)})
            if reads_between:
                assert ours.records() == expected.records()
        assert ours.records() == expected.records()
        assert len(ours.records()) == 809
        assert ours.broker_statistics() == expected.broker_statistics()
        assert await read(ours, 500) == await read(expected, 500)


async def test_old_runs_are_dropped_as_objects_are() -> None:
    """The limit of a partition counts the objects that its rows become when they are read."""
    published: list[bytes] = []
    limit = 200_000
    async with InProcessBus(partitions=1, retention_bytes=limit, on_full="drop_oldest") as bus:
        for seed in range(10):
            rows = values(100, seed)
            await bus.publish_columns({"orders": packed(rows)[0]})
            published += rows
        kept = [record.value for record in bus.records()]
        assert limit / 2 < unpacked(published[-len(kept) :]).size_bytes() == bus.broker_statistics().bytes <= limit
        assert kept == published[-len(kept) :]


async def read(bus: InProcessBus, count: int) -> list[ConsumerRecord]:
    """The next records of a new group, one after the other."""
    async with bus.subscribe("orders") as subscription:
        return [await anext(subscription) for _ in range(count)]
