"""Columns of text: identifiers and timestamps of many events at once, as rows of fixed width.

A row is a NumPy void (`V36`: 36 bytes). Digits come from tables, so that no Python runs for an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from eventbus.chains.randomness import Integers, Words

Rows = npt.NDArray[np.void]
Memory = npt.NDArray[np.uint8]

UUID_WIDTH = 36
TIMESTAMP_WIDTH = len("2026-01-01T00:00:00.000000Z")
UUID_ROW, TIMESTAMP_ROW = np.dtype(f"V{UUID_WIDTH}"), np.dtype(f"V{TIMESTAMP_WIDTH}")

DAY = 86_400


def table(texts: list[bytes]) -> Rows:
    """Texts as rows of one width, the shorter ones padded."""
    width = max(map(len, texts), default=0) or 1
    return np.frombuffer(b"".join(text.ljust(width) for text in texts), f"V{width}")


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


HEX4 = np.frombuffer(b"".join(b"%04x" % i for i in range(1 << 16)), "<u4")
"""The four digits of each 16-bit number."""
UUID_FIELDS = _fields(UUID_WIDTH, {f"at{i}": ("<u4", i) for i in (0, 4, 9, 14, 19, 24, 28, 32)})
UUID_TEMPLATE = table([b"00000000-0000-0000-0000-000000000000"])[0]

TIMESTAMP_FIELDS = _fields(
    TIMESTAMP_WIDTH,
    {"date": ("V11", 0), "minute": ("V6", 11), "second": ("V3", 17), "milli": ("V3", 20), "micro": ("V4", 23)},
)
MINUTES = table([b"%02d:%02d:" % divmod(i, 60) for i in range(1440)])
SECONDS = table([b"%02d." % i for i in range(60)])
MILLIS = table([b"%03d" % i for i in range(1000)])
MICROS = table([b"%03dZ" % i for i in range(1000)])


def uuid7(time: Integers, words: Words) -> Rows:
    """Version 7 UUIDs (RFC 9562 §5.7, sub-millisecond fraction as in its method 3) as text.

    Args:
        time: microseconds since the Unix epoch.
        words: random bits; the upper 62 are used.
    """
    ms = time // 1000
    high = (time - ms * 1000) << 12
    high //= 1000
    high |= 0x7000
    high |= ms << 16
    low = words >> np.uint64(2)
    low |= np.uint64(1 << 63)
    rows = np.empty(time.size, UUID_ROW)
    rows[:] = UUID_TEMPLATE
    fields = rows.view(UUID_FIELDS)
    for half, places in ((high, (0, 4, 9, 14)), (low, (19, 24, 28, 32))):
        digits = HEX4.take(half.view("<u2").reshape(-1, 4))
        for quarter, place in enumerate(places):
            fields[f"at{place}"] = digits[:, 3 - quarter]
    return rows


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
    minute = second // 60
    second -= minute * 60
    rows = np.empty(time.size, TIMESTAMP_ROW)
    fields = rows.view(TIMESTAMP_FIELDS)
    first = int(day.min(initial=1 << 40))
    fields["date"] = _dates(first, int(day.max(initial=first))).take(day - first)
    fields["minute"] = MINUTES.take(minute)
    fields["second"] = SECONDS.take(second)
    fields["milli"] = MILLIS.take(ms)
    fields["micro"] = MICROS.take(micro)
    return rows


def _dates(first: int, last: int) -> Rows:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return table([f"{epoch + timedelta(days=day):%Y-%m-%dT}".encode() for day in range(first, last + 1)])
