"""When chains begin in the closed model: each user's next one, some time after the last one has ended.

A user's n-th chain has the index n × users + user. Nobody's chains depend on anybody else's, so the users who are
furthest behind are advanced together, and what lies before the earliest next beginning is complete. Where somebody is
at a time follows only from all their chains before, so a part of the run is made from its start.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from catalog.arrivals import Users
from chains.batches import FIRST_BATCH, NEVER, Batch, Bounds, Expand
from chains.delays import Sampler, sampler
from chains.randomness import Integers, chain_keys, draw, purpose
from chains.table import EventTable

THINK_PURPOSE = purpose("think")
SOME = 256
"""Chains whose lengths are looked at to know how long a turn is."""


class Closed:
    """Users who have one chain at a time."""

    def __init__(self, users: Users) -> None:
        self.users = users.users
        #: Chains per second, roughly: tells how large batches should be.
        self.rate = float(users.users)
        self.at_once = 0
        self.think: Sampler = sampler(users.think)
        #: When each begins, microseconds after the start.
        self.begins: Integers = np.arange(self.users) * round(users.stagger * 1e6) // self.users


class ClosedBeginnings:
    """The turns of a run's users.

    Args:
        root: the random key of the run (see `randomness.purpose`).
        start: nanoseconds since the Unix epoch.
    """

    def __init__(self, closed: Closed, *, root: int, start: int) -> None:
        self._closed = closed
        self._root = root
        self._begins = closed.begins + start // 1000
        self._turn: float | None = None

    def batches(self, expand: Expand, bounds: Bounds) -> Iterator[Batch]:
        """All chains that bounds leave, those of the users in turn."""
        last = NEVER if bounds.chains is None else bounds.chains
        end = NEVER // 1000 if bounds.until is None else -(-bounds.until // 1000)
        chain, begins = np.arange(self._closed.users), self._begins.copy()
        wanted, made = min(FIRST_BATCH, bounds.size), Made()
        while True:
            begins[(chain >= last) | (begins >= end)] = NEVER
            if begins.min() == NEVER:
                break
            if made.chains >= wanted:
                yield Batch(made.taken(), int(begins.min()))
                wanted = min(wanted * 2, bounds.size)
            users = _behind(begins)
            begins[users] = made.include(expand, chain[users], begins[users]) + self._thinking(chain[users])
            chain[users] += self._closed.users
        yield Batch(made.taken(), NEVER)

    def one(self, expand: Expand, index: int) -> int:
        """When a chain begins, microseconds since the Unix epoch; all chains of its user before it are made."""
        user = index % self._closed.users
        begin = self._begins[user : user + 1]
        for chain in range(user, index, self._closed.users):
            one = np.array([chain])
            begin = Made().include(expand, one, begin) + self._thinking(one)
        return int(begin[0])

    def expected(self, expand: Expand, time: int) -> float:
        """How many chains begin before a time, microseconds since the Unix epoch: an estimate.

        In the long run a user begins a chain in each turn, of the average length of some chains and thoughts; when
        nothing is known about the moment, half a turn has passed since the last beginning.
        """
        if self._turn is None:
            some = np.arange(SOME)
            lengths = Made().include(expand, some, begins := np.full(SOME, self._begins[0])) - begins
            self._turn = float((lengths + self._thinking(some)).mean())
        passed = time - self._begins[self._begins < time]
        return float(np.maximum(passed / self._turn + 0.5, 1).sum())

    def _thinking(self, chain: Integers) -> Integers:
        """Microseconds after chains; never none at all, so that chains without any length come to an end."""
        words = draw(chain_keys(self._root, chain), THINK_PURPOSE)
        return np.maximum(self._closed.think.at(words), 1)


class Made:
    """Chains that are made and not yet handed out."""

    def __init__(self) -> None:
        self.chains = 0
        self._tables: list[EventTable] = []

    def include(self, expand: Expand, chain: Integers, begins: Integers) -> Integers:
        """Make chains; when they end, microseconds since the Unix epoch."""
        table = expand(chain, begins)
        order, ends = chain.argsort(), begins.copy()
        np.maximum.at(ends, order[chain.searchsorted(table.chain, sorter=order)], table.time)
        self.chains += chain.size
        self._tables.append(table)
        return ends

    def taken(self) -> EventTable:
        """All of them, once."""
        table = EventTable.concatenate(self._tables)
        self.chains, self._tables = 0, []
        return table


def _behind(begins: Integers) -> Integers:
    """The users that begin next: half of those who ever do, so that nobody gets far ahead."""
    waiting = np.flatnonzero(begins < NEVER)
    half = np.partition(begins[waiting], (waiting.size - 1) // 2)[(waiting.size - 1) // 2]
    users: Integers = waiting[begins[waiting] <= half]
    return users
