"""When chains begin in the closed model: each user's next one, some time after the last one has ended.

A user's n-th chain has the index n × users + user. Nobody's chains depend on anybody else's, so the users who are
furthest behind are advanced together, and what lies before the earliest next beginning is complete. Where somebody is
at a time follows only from all their chains before, so a part of the run is made from its start.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from eventbus.catalog.model import ClosedWorkload
from eventbus.chains.arrivals.batch import FIRST_BATCH, NEVER, ChainBatch, ExpandChains, RunBounds
from eventbus.chains.randomness import Integers, chain_keys, draw, purpose
from eventbus.chains.sampling import Sampler, sampler
from eventbus.chains.table import EventTable

THINK_PURPOSE = purpose("think")
AHEAD = 256
"""Turns that are made together for one user; chains whose lengths are looked at to know how long a turn is."""


class ClosedArrivals:
    """Users who have one chain at a time."""

    def __init__(self, users: ClosedWorkload) -> None:
        self.users = users.users
        #: Chains per second, roughly: tells how large batches should be.
        self.rate = float(users.users)
        self.at_once = 0
        self.think: Sampler = sampler(users.think)
        #: When each begins, microseconds after the start.
        self.begins: Integers = np.arange(self.users) * round(users.ramp_up * 1e6) // self.users


class TurnLimits(NamedTuple):
    """Where the turns end."""

    chain: int
    """No chain from this one on."""
    time: int = NEVER
    """No chain that begins at this time or later, microseconds since the Unix epoch."""


class UserAdvance(NamedTuple):
    """What became of some users."""

    made: EventTable
    """The events of their chains, in no order."""
    turns: Integers
    """How many chains each had."""
    begins: Integers
    """When each begins the next one."""


class ClosedArrivalProcess:
    """The turns of a run's users.

    Args:
        root: the random key of the run (see `randomness.purpose`).
        start: nanoseconds since the Unix epoch.
    """

    def __init__(self, closed: ClosedArrivals, *, root: int, start: int) -> None:
        self._closed = closed
        self._root = root
        self._begins = closed.begins + start // 1000
        self._turn: float | None = None

    def batches(self, expand: ExpandChains, bounds: RunBounds) -> Iterator[ChainBatch]:
        """All chains that bounds leave, those of the users in turn."""
        limits = TurnLimits(
            NEVER if bounds.chains is None else bounds.chains,
            NEVER if bounds.until is None else -(-bounds.until // 1000),
        )
        chain, begins = np.arange(self._closed.users), self._begins.copy()
        wanted, made, count = min(FIRST_BATCH, bounds.size), [EventTable.concatenate([])], 0
        while True:
            begins[(chain >= limits.chain) | (begins >= limits.time)] = NEVER
            if begins.min() == NEVER:
                break
            if count >= wanted:
                yield ChainBatch(EventTable.concatenate(made), int(begins.min()))
                wanted, made, count = min(wanted * 2, bounds.size), [], 0
            users = _behind(begins)
            done = self._advanced(expand, chain[users], begins[users], -(-wanted // users.size), limits)
            chain[users] += done.turns * self._closed.users
            begins[users] = done.begins
            made.append(done.made)
            count += int(done.turns.sum())
        yield ChainBatch(EventTable.concatenate(made), NEVER)

    def one(self, expand: ExpandChains, index: int) -> int:
        """When a chain begins, microseconds since the Unix epoch; all chains of its user before it are made."""
        chain = np.array([index % self._closed.users])
        begins = self._begins[chain]
        while chain[0] < index:
            done = self._advanced(expand, chain, begins, AHEAD, TurnLimits(index))
            chain, begins = chain + done.turns * self._closed.users, done.begins
        return int(begins[0])

    def expected(self, expand: ExpandChains, time: int) -> float:
        """How many chains begin before a time, microseconds since the Unix epoch: an estimate.

        In the long run a user begins a chain in each turn, of the average length of some chains and thoughts; when
        nothing is known about the moment, half a turn has passed since the last beginning.
        """
        if self._turn is None:
            some, begins = np.arange(AHEAD), np.full(AHEAD, self._begins[0])
            lengths = _ends(expand(some, begins), some, begins) - begins
            self._turn = float((lengths + self._thinking(some)).mean())
        passed = time - self._begins[self._begins < time]
        return float(np.maximum(passed / self._turn + 0.5, 1).sum())

    def _advanced(
        self, expand: ExpandChains, chain: Integers, begins: Integers, turns: int, limits: TurnLimits
    ) -> UserAdvance:
        """Makes the next chains of users, up to so many of each, within limits.

        When a chain begins is known only when those before it are. Nearly always, its length does not depend on when
        it begins: so the lengths are found first, as though all began at once. Then the chains are made where that
        puts them, and what turns out to be of another length is the last that counts.
        """
        chains = chain + np.arange(turns)[:, None] * self._closed.users
        thinking = self._thinking(chains.ravel()).reshape(chains.shape)
        lengths = np.zeros_like(chains)
        if turns > 1:
            together = np.tile(begins, turns)
            lengths = _ends(expand(chains.ravel(), together), chains, together) - begins
        due = begins + (lengths + thinking).cumsum(axis=0) - lengths - thinking
        made = expand(chains.ravel(), due.ravel())
        ends = _ends(made, chains, due.ravel())
        known = np.ones(chains.shape, bool)
        known[1:] = np.logical_and.accumulate((ends - due == lengths)[:-1])
        known &= (chains < limits.chain) & (due < limits.time)
        count = known.sum(axis=0)
        rows = np.flatnonzero(known.ravel()[_places(made, chains)])
        return UserAdvance(made.take(rows), count, (ends + thinking)[count - 1, np.arange(chain.size)])

    def _thinking(self, chain: Integers) -> Integers:
        """Microseconds after chains; never none at all, so that chains without any length come to an end."""
        words = draw(chain_keys(self._root, chain), THINK_PURPOSE)
        return np.maximum(self._closed.think.at(words), 1)


def _ends(made: EventTable, chains: Integers, begins: Integers) -> Integers:
    """When chains end, microseconds since the Unix epoch; of the shape of the chains."""
    ends = begins.copy()
    np.maximum.at(ends, _places(made, chains), made.time)
    return ends.reshape(chains.shape)


def _places(made: EventTable, chains: Integers) -> Integers:
    """The place of each event's chain among the chains."""
    order = chains.ravel().argsort()
    return order[chains.ravel().searchsorted(made.chain, sorter=order)]


def _behind(begins: Integers) -> Integers:
    """The users that begin next: half of those who ever do, so that nobody gets far ahead."""
    waiting = np.flatnonzero(begins < NEVER)
    half = np.partition(begins[waiting], (waiting.size - 1) // 2)[(waiting.size - 1) // 2]
    users: Integers = waiting[begins[waiting] <= half]
    return users
