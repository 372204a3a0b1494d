"""Columns of text: ids, timestamps and varints of many events at once, as rows of fixed width.

A row is a NumPy void (`V36`: 36 bytes). Digits come from tables, so that no Python runs for an event. An id is made of
the event's time, the chain's key and the step, so an event can name its cause without having seen its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from eventbus.chains.randomness import Integers, Words, draw, purpose
from eventbus.chains.table import EventTable

Rows = npt.NDArray[np.void]
Memory = npt.NDArray[np.uint8]

UUID_WIDTH = 36
TIMESTAMP_WIDTH = len("2026-01-01T00:00:00.000000Z")
UUID_ROW, TIMESTAMP_ROW = np.dtype(f"V{UUID_WIDTH}"), np.dtype(f"V{TIMESTAMP_WIDTH}")

DAY = 86_400


def table(texts: list[bytes]) -> Rows:
    """Texts as rows of one width, the shorter ones padded."""
    width = max(map(len, texts), default=0) or 1
    return np.array(texts, f"S{width}").view(f"V{width}")


def windows(memory: Memory, row: np.dtype[np.void]) -> Rows:
    """Every place in a memory where a row could stand, overlapping: row i starts at byte i."""
    return np.ndarray((memory.size - row.itemsize + 1,), row, memory, strides=(1,))


def _fields(width: int, places: dict[str, tuple[str, int]]) -> np.dtype[Any]:
    return np.dtype(
        {
            "names": list(places),
            "formats": [kind for kind, _ in places.values()],
            "offsets": [offset for _, offset in places.values()],
            "itemsize": width,
        }
    )


HEX2 = np.frombuffer(b"".join(b"%02x" % i for i in range(256)), "<u2").astype("<u4")
HEX4 = (HEX2[:, np.newaxis] | HEX2 << 16).reshape(-1)
"""The four digits of each 16-bit number."""
UUID_FIELDS = _fields(UUID_WIDTH, {f"at{i}": ("<u4", i) for i in (0, 4, 9, 14, 19, 24, 28, 32)})
UUID_PLACES = UUID_FIELDS.names or ()
UUID_TEMPLATE = table([b"00000000-0000-0000-0000-000000000000"])[0]
FRACTIONS = np.frombuffer(b"".join(b"7%03x" % ((i << 12) // 1000) for i in range(1000)), "<u4")
"""The version and the fraction of a millisecond in units of 1/4096, for each number of microseconds."""

TIMESTAMP_FIELDS = _fields(
    TIMESTAMP_WIDTH, {"date": ("V11", 0), "clock": ("<u8", 11), "milli": ("<u4", 19), "micro": ("<u4", 23)}
)
# numbers of 4 and 8 bytes, which are copied several times faster than texts of other lengths
MILLIS = np.frombuffer(b"".join(b".%03d" % i for i in range(1000)), "<u4")
MICROS = np.frombuffer(b"".join(b"%03dZ" % i for i in range(1000)), "<u4")


def uuid7(time: Integers, words: Words) -> Rows:
    """Version 7 UUIDs (RFC 9562 §5.7, sub-millisecond fraction as in its method 3) as text.

    Args:
        time: microseconds since the Unix epoch.
        words: random bits; the upper 62 are used.
    """
    ms = time // 1000
    low = words >> np.uint64(2)
    low |= np.uint64(1 << 63)
    rows = np.empty(time.size, UUID_ROW)
    rows[:] = UUID_TEMPLATE
    fields = rows.view(UUID_FIELDS)
    digits = (*_digits16(ms)[1:], FRACTIONS.take(time - ms * 1000), *_digits16(low))
    for place, quarter in zip(UUID_PLACES, digits, strict=True):
        fields[place] = quarter
    return rows


def _digits16(numbers: Integers | Words) -> npt.NDArray[np.uint32]:
    """The hexadecimal digits of 64-bit numbers, four in each, the highest first: shape (4, numbers)."""
    digits: npt.NDArray[np.uint32] = HEX4.take(numbers.view("<u2").reshape(-1, 4).T[::-1])
    return digits


def joined(ids: Rows, parts: Sequence[str]) -> Rows:
    """Some of the hexadecimal quarters of UUIDs, without dashes.

    Args:
        parts: names among `UUID_FIELDS`.
    """
    quarters, rows = ids.view(UUID_FIELDS), np.empty((ids.size, len(parts)), "<u4")
    for column, part in enumerate(parts):
        rows[:, column] = quarters[part]
    return rows.view(f"V{4 * len(parts)}").reshape(-1)


def timestamps(time: Integers) -> Rows:
    """ISO 8601 in UTC with microseconds and `Z`, of microseconds since the Unix epoch."""
    ms = time // 1000
    micro = time - ms * 1000
    second = ms // 1000
    ms -= second * 1000
    day = second // DAY
    second -= day * DAY
    rows = np.empty(time.size, TIMESTAMP_ROW)
    fields = rows.view(TIMESTAMP_FIELDS)
    first = int(day.min(initial=1 << 40))
    fields["date"] = _dates(first, int(day.max(initial=first))).take(day - first)
    fields["clock"] = _clock().take(second)
    fields["milli"] = MILLIS.take(ms)
    fields["micro"] = MICROS.take(micro)
    return rows


@lru_cache(maxsize=64)
def _dates(first: int, last: int) -> Rows:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return table([f"{epoch + timedelta(days=day):%Y-%m-%dT}".encode() for day in range(first, last + 1)])


@cache
def _clock() -> Words:
    """`HH:MM:SS` for each second of a day: events in order need few of them, which are close together."""
    digits = np.frombuffer(b"".join(b"%02d" % i for i in range(60)), "<u2").astype("<u8")
    colons = ord(":") << 16 | ord(":") << 40
    clock: Words = digits[:24, np.newaxis, np.newaxis] | digits[:, np.newaxis] << 24 | digits << 48 | colons
    return clock.reshape(-1)


# Varints, as in Avro and Protocol Buffers: seven bits a byte, the lowest first.


LONGEST = 10
"""Bytes of 64 bits."""
MASK = (1 << 64) - 1


def varint(number: int) -> bytes:
    """A number of at most 64 bits; a negative one as its two's complement."""
    number &= MASK
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def zigzag(number: int) -> int:
    """0, -1, 1, -2, … as 0, 1, 2, 3, …: small numbers of either sign are short."""
    return (number << 1) ^ (number >> 63)


def varints(numbers: Words) -> tuple[Rows, Integers]:
    """The texts of many numbers as rows of one width, and how long each is."""
    lengths = np.ones(numbers.size, np.int64)
    for more in range(7, 64, 7):
        lengths += numbers >= np.uint64(1 << more)
    width = int(lengths.max(initial=1))
    digits = _digits(numbers, width)
    digits |= np.where(np.arange(1, width + 1) < lengths[:, np.newaxis], 0x80, 0).astype(np.uint8)
    return digits.view(f"V{width}").reshape(-1), lengths


def padded(numbers: Integers, width: int) -> Rows:
    """Varints of numbers of at least 0, padded to one width with leading zero groups, which decoders accept."""
    digits = _digits(numbers.view(np.uint64), width)
    digits[:, :-1] |= 0x80
    return digits.view(f"V{width}").reshape(-1)


def _digits(numbers: Words, width: int) -> npt.NDArray[np.uint8]:
    """Seven bits in each, shape (numbers, width)."""
    digits = np.empty((numbers.size, width), np.uint8)
    for place in range(width):
        digits[:, place] = (numbers >> np.uint64(7 * place)) & np.uint64(0x7F)
    return digits


# Numbers as JSON.


def json_numbers(numbers: npt.NDArray[Any]) -> tuple[Memory, Integers, Integers]:
    """The JSON texts of an array of numbers, encoded at once: their memory, where each starts, and its length."""
    text = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)
    memory = np.frombuffer(text, np.uint8)
    commas = np.flatnonzero(memory == ord(","))
    starts = np.concatenate(([1], commas + 1))
    return memory, starts, np.append(commas, len(text) - 1) - starts


# Ids of events.

ID_PURPOSE = purpose("id")


class Identifiers(NamedTuple):
    """UUIDs of events, as text."""

    event: Rows
    correlation: Rows
    """The root's id."""
    causation: Rows
    """The causing event's id; on a root, without meaning."""


def identifiers(events: EventTable, keys: Words) -> Identifiers:
    """The ids of events.

    Args:
        keys: the random key of each event's chain.
    """
    own = uuid7(events.time, draw(keys, ID_PURPOSE, events.step))
    correlation = uuid7(events.began, draw(keys, ID_PURPOSE))
    causation = correlation.copy()
    later = np.flatnonzero(events.cause)  # the cause is not the root
    caused = (events.time - events.delay).take(later)
    causation[later] = uuid7(caused, draw(keys.take(later), ID_PURPOSE, events.cause.take(later)))
    return Identifiers(own, correlation, causation)
