"""Which tenant each chain is of: by Zipf's law over the day, and in each hour as the tenants' own hours have it."""

from __future__ import annotations

import math

import numpy as np

from eventbus.catalog.model.workload import Tenants
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.randomness import Integers, Words, draw, fraction, purpose, shares
from eventbus.chains.writing.text import Rows, table

TENANT_PURPOSE = purpose("tenant")
MOST = 9999
TENANT_WIDTH = len("tenant-0001")
HOURS, HOUR = 24, 3_600_000_000
"""Of a day, and microseconds in one."""
ROUNDS = 12
"""Of fitting: shares are then as exact as anyone could count."""


class Tenancy:
    """Tenants, ready to be drawn.

    Raises:
        InvalidSetting: there are none or too many, or the numbers make no sense.
    """

    def __init__(self, tenants: Tenants) -> None:
        if not 1 <= tenants.count <= MOST:
            raise InvalidSetting(f"expected 1 to {MOST:,} tenants, got {tenants.count:,}")
        if not (0 <= tenants.exponent <= 5 and 0 <= tenants.swing < 1):
            raise InvalidSetting(f"expected an exponent of 0 to 5 and a swing of 0 to less than 1, got {tenants}")
        self._count = tenants.count
        self._names = table([b"tenant-%04d" % (number + 1) for number in range(tenants.count)])
        edges = [shares(hour) for hour in _hourly(tenants)]
        #: Of all hours one after the other, each in its own 2^32 parts.
        self._edges = (np.array(edges, np.uint64) + (np.arange(HOURS, dtype=np.uint64) << 32)[:, None]).ravel()

    def rows(self, keys: Words, began: Integers) -> Rows:
        """The names of the tenants of chains.

        Args:
            keys: of the chains.
            began: when they did, microseconds since the Unix epoch.
        """
        hour = began // HOUR % HOURS
        places = fraction(draw(keys, TENANT_PURPOSE)) + (hour.view(np.uint64) << np.uint64(32))
        return self._names.take(self._edges.searchsorted(places, side="right") - hour * self._count)


def _hourly(tenants: Tenants) -> list[list[float]]:
    """The share of each tenant in each hour of the day (UTC), such that its share of all hours is what Zipf says.

    Each share follows its tenant's hours, then the shares of each hour and of each tenant are made right in turns
    (iterative proportional fitting).
    """
    sizes = [(number + 1) ** -tenants.exponent for number in range(tenants.count)]
    peaks = (draw(np.arange(tenants.count).astype(np.uint64), TENANT_PURPOSE) % np.uint64(HOURS)).tolist()
    hours = [
        [size * (1 + tenants.swing * _height(hour - peak)) for size, peak in zip(sizes, peaks, strict=True)]
        for hour in range(HOURS)
    ]
    for _ in range(ROUNDS):
        totals = [math.fsum(column) for column in zip(*hours, strict=True)]
        hours = [[a * size / total for a, size, total in zip(row, sizes, totals, strict=True)] for row in hours]
        hours = [[a / whole for a in row] for row in hours for whole in (math.fsum(row),)]
    return hours


def _height(distance: int) -> float:
    """1 at the peak, -1 twelve hours away from it, and a straight line between the two."""
    away = abs(distance) % HOURS
    return 1 - min(away, HOURS - away) / 6
