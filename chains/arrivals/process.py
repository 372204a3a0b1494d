"""When each chain of a run begins, in the open and in the closed workload model.

Chains are made in batches. Each batch states the time before which it is complete: no later batch has an earlier event.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

from eventbus.catalog.model import ClosedWorkload
from eventbus.chains.arrivals.rates import NEVER
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.randomness import Integers, Words, chain_keys, draw, purpose
from eventbus.chains.sampling import Sampler, sampler
from eventbus.chains.table import SECOND, EventTable

FIRST_BATCH = 16
GROWTH = 8
"""Chains in the first batch, so that the first event is available at once, and the growth of batches from there."""


class RunBounds(NamedTuple):
    """Which chains of a run are wanted, and how many at a time."""

    chains: int | None = None
    """How many chains the run has; None: no bound."""
    until: int | None = None
    """No chain begins at or after this time, nanoseconds since the Unix epoch."""
    since: int | None = None
    """Chains that are over by this time may be left out, microseconds since the Unix epoch."""
    longest: int = 0
    """No chain lasts longer, microseconds."""
    size: int = 4096
    """Maximum number of chains in a batch; does not change the events."""


class ChainBatch(NamedTuple):
    """The events of some chains."""

    events: EventTable
    """In no order."""
    complete: int
    """No later batch has an earlier event, microseconds since the Unix epoch."""


class ExpandChains(Protocol):
    """Makes all events of some chains, in no order."""

    def __call__(self, chain: Integers, begins: Integers, since: int | None = None) -> EventTable:
        """The events.

        Args:
            chain: indices of the chains.
            begins: when the chains begin, microseconds since the Unix epoch.
            since: leave out chains that are certainly over by this time.
        """
        ...


class ArrivalProcess(Protocol):
    """When the chains of a run begin."""

    def batches(self, expand: ExpandChains, bounds: RunBounds) -> Iterator[ChainBatch]:
        """All chains within bounds, roughly in the order in which they begin."""
        ...

    def arrival(self, expand: ExpandChains, index: int) -> int:
        """When a chain begins, microseconds since the Unix epoch.

        Raises:
            InvalidSetting: the arrivals end before it.
        """
        ...

    def expected(self, expand: ExpandChains, time: int) -> float:
        """The expected number of chains that begin before a time, microseconds since the Unix epoch."""
        ...


# The open model: chains begin at a rate, independently of the chains before them.


MARK_EVERY = 1 << 14
"""Chains between two positions that are remembered."""


class OpenArrivals(Protocol):
    """Positions of chains on a scale, and the times of these positions.

    Positions are integers, so that their sums do not depend on where batches begin: nanoseconds at a constant rate,
    otherwise billionths of the expected number of chains (see `rates`).
    """

    rate: float
    """Chains per second, when there are many."""
    initial_chains: int
    """Chains that begin at the start."""
    dispersion: float
    """Variance of the number of chains in a long time, relative to its mean; 1 for a Poisson process."""

    def offsets(self, position: int, first: int, keys: Words) -> Integers:
        """Offsets of consecutive chains from the position of the chain before them.

        Args:
            position: of the chain before them; 0: the start.
            first: index of the first of them.
            keys: their random keys.
        """
        ...

    def times(self, position: int, offsets: Integers) -> Integers:
        """Nanoseconds from the start to a position plus offsets; `NEVER` for chains that do not begin."""
        ...

    def expected(self, time: int) -> float:
        """The expected number of chains within a time from the start, nanoseconds."""
        ...


class OpenArrivalProcess:
    """The arrivals of a run in order; finds those of any chain without making an event.

    Args:
        root: the random key of the run (see `randomness.purpose`).
        start: nanoseconds since the Unix epoch.
    """

    def __init__(self, arrivals: OpenArrivals, *, root: int, start: int) -> None:
        self._arrivals = arrivals
        self._root = root
        self._start = start
        #: Position and arrival of the last chain before each multiple of `MARK_EVERY`.
        self._marks, self._mark_times = [0], [start]
        #: A chain and the position of the one before it: where the next call is likely to begin.
        self._latest = 0, 0

    def batches(self, expand: ExpandChains, bounds: RunBounds) -> Iterator[ChainBatch]:
        """All chains within bounds, in order."""
        first = 0 if bounds.since is None else self.first_since(bounds.since - bounds.longest, bounds)
        size, end = min(FIRST_BATCH, bounds.size), NEVER if bounds.until is None else bounds.until
        while True:
            count = size if bounds.chains is None else max(min(size, bounds.chains - first), 0)
            begins = self.arrivals(first, count + 1)  # one more, which bounds all later ones
            count = min(count, int(begins.searchsorted(end)))
            events = expand(np.arange(first, first + count), begins[:count] // 1000, bounds.since)
            if count < size:
                yield ChainBatch(events, NEVER)
                return
            yield ChainBatch(events, int(begins[count]) // 1000)
            first, size = first + count, min(size * GROWTH, bounds.size)

    def arrival(self, expand: ExpandChains, index: int) -> int:
        """When a chain begins, microseconds since the Unix epoch.

        Raises:
            InvalidSetting: the arrivals end before it.
        """
        begin = int(self.arrivals(index, 1)[0])
        if begin == NEVER:
            raise InvalidSetting(f"the arrivals end before chain {index:,} begins")
        return begin // 1000

    def expected(self, expand: ExpandChains, time: int) -> float:
        """The expected number of chains that begin before a time, microseconds since the Unix epoch."""
        return self._arrivals.expected(time * 1000 - self._start)

    def arrivals(self, first: int, count: int) -> Integers:
        """Arrivals of consecutive chains, nanoseconds since the Unix epoch."""
        previous = self._position_before(first)
        offsets = self._offsets(previous, first, count)
        if count > 1:
            self._latest = first + count - 1, previous + int(offsets[-2])
        return self._times(previous, offsets)

    def first_since(self, time: int, bounds: RunBounds) -> int:
        """Index of the first chain that begins at a time or later; an index beyond the bounds if there is none.

        Args:
            time: microseconds since the Unix epoch.
        """
        nanoseconds = min(time * 1000, NEVER if bounds.until is None else bounds.until)
        chains = NEVER if bounds.chains is None else bounds.chains
        while self._mark_times[-1] < nanoseconds and len(self._marks) * MARK_EVERY <= chains:
            self._add_mark()
        mark = max(bisect_left(self._mark_times, nanoseconds) - 1, 0)
        begins = self._times(self._marks[mark], self._offsets(self._marks[mark], mark * MARK_EVERY, MARK_EVERY))
        return mark * MARK_EVERY + int(begins.searchsorted(nanoseconds))

    def _offsets(self, position: int, first: int, count: int) -> Integers:
        keys = chain_keys(self._root, np.arange(first, first + count))
        return self._arrivals.offsets(position, first, keys)

    def _times(self, position: int, offsets: Integers) -> Integers:
        times = self._arrivals.times(position, offsets)
        np.minimum(times, NEVER - self._start, out=times)
        times += self._start
        return times

    def _position_before(self, index: int) -> int:
        """The position of the chain before an index."""
        if index == self._latest[0]:
            return self._latest[1]
        while len(self._marks) * MARK_EVERY <= index:
            self._add_mark()
        mark, count = divmod(index, MARK_EVERY)
        position = self._marks[mark]
        return position + int(self._offsets(position, mark * MARK_EVERY, count)[-1]) if count else position

    def _add_mark(self) -> None:
        position = self._marks[-1]
        offsets = self._offsets(position, (len(self._marks) - 1) * MARK_EVERY, MARK_EVERY)
        self._marks.append(position + int(offsets[-1]))
        self._mark_times.append(int(self._times(position, offsets[-1:])[0]))


# The closed model: each user begins the next chain some time after the last one has ended.
#
# The n-th chain of a user has the index n × users + user. Users are independent of each other, so the users who are
# furthest behind are advanced together; events before the earliest next arrival are complete. The state of a user
# follows only from all chains before, so a window of a run is made from its start.


THINK_PURPOSE = purpose("think")
MAX_TURNS = 256
"""Turns that are made together for one user; chains that are sampled to estimate the length of a turn."""


SAMPLED_TURNS = 4096
"""Turns that are sampled to estimate how many events users make."""


class ClosedArrivals:
    """Users who have one chain at a time, compiled."""

    def __init__(self, workload: ClosedWorkload) -> None:
        self.users = workload.users
        #: Chains per second, roughly; determines the size of batches.
        self.rate = float(workload.users)
        self.initial_chains = 0
        self.think: Sampler = sampler(workload.think)
        #: When the users begin, microseconds after the start.
        self.begins: Integers = np.arange(self.users) * round(workload.ramp_up * 1e6) // self.users


class TurnLimits(NamedTuple):
    """Where the turns of users end."""

    chain: int
    """No chain with this index or a higher one."""
    time: int = NEVER
    """No chain that begins at this time or later, microseconds since the Unix epoch."""


class UserAdvance(NamedTuple):
    """Some users after a few turns."""

    events: EventTable
    """The events of their chains, in no order."""
    turns: Integers
    """How many chains each user had."""
    begins: Integers
    """When each user begins the next chain."""


class ClosedArrivalProcess:
    """The turns of the users of a run.

    Args:
        root: the random key of the run (see `randomness.purpose`).
        start: nanoseconds since the Unix epoch.
    """

    def __init__(self, closed: ClosedArrivals, *, root: int, start: int) -> None:
        self._closed = closed
        self._root = root
        self._begins = closed.begins + start // 1000
        self._mean_turn: float | None = None

    def batches(self, expand: ExpandChains, bounds: RunBounds) -> Iterator[ChainBatch]:
        """All chains within bounds, in the turns of their users."""
        limits = TurnLimits(
            NEVER if bounds.chains is None else bounds.chains,
            NEVER if bounds.until is None else -(-bounds.until // 1000),
        )
        chain, begins = np.arange(self._closed.users), self._begins.copy()
        size, tables, count = min(FIRST_BATCH, bounds.size), [EventTable.concatenate([])], 0
        while True:
            begins[(chain >= limits.chain) | (begins >= limits.time)] = NEVER
            if begins.min() == NEVER:
                break
            if count >= size:
                yield ChainBatch(EventTable.concatenate(tables), int(begins.min()))
                size, tables, count = min(size * GROWTH, bounds.size), [], 0
            users = _furthest_behind(begins)
            advance = self._advance(expand, chain[users], begins[users], -(-size // users.size), limits)
            chain[users] += advance.turns * self._closed.users
            begins[users] = advance.begins
            tables.append(advance.events)
            count += int(advance.turns.sum())
        yield ChainBatch(EventTable.concatenate(tables), NEVER)

    def arrival(self, expand: ExpandChains, index: int) -> int:
        """When a chain begins, microseconds since the Unix epoch; makes all chains of its user before it."""
        chain = np.array([index % self._closed.users])
        begins = self._begins[chain]
        while chain[0] < index:
            advance = self._advance(expand, chain, begins, MAX_TURNS, TurnLimits(index))
            chain, begins = chain + advance.turns * self._closed.users, advance.begins
        return int(begins[0])

    def expected(self, expand: ExpandChains, time: int) -> float:
        """Estimates the number of chains that begin before a time, microseconds since the Unix epoch.

        In the long run a user begins one chain per turn. The mean length of a turn is taken from a sample of chains and
        think times. At an arbitrary moment, half a turn has passed since the last arrival.
        """
        if self._mean_turn is None:
            sample, begins = np.arange(MAX_TURNS), np.full(MAX_TURNS, self._begins[0])
            lengths = _ends(expand(sample, begins), sample, begins) - begins
            self._mean_turn = float((lengths + self._think_times(sample)).mean())
        elapsed = time - self._begins[self._begins < time]
        return float(np.maximum(elapsed / self._mean_turn + 0.5, 1).sum())

    def throughput(self, expand: ExpandChains) -> float:
        """Estimates the events per second that all users make in the long run, from a sample of turns."""
        sample, begins = np.arange(SAMPLED_TURNS), np.full(SAMPLED_TURNS, self._begins[0])
        events = expand(sample, begins)
        turns = _ends(events, sample, begins) - begins + self._think_times(sample)
        return self._closed.users * len(events) / float(turns.sum()) * SECOND

    def _advance(
        self, expand: ExpandChains, chain: Integers, begins: Integers, turns: int, limits: TurnLimits
    ) -> UserAdvance:
        """Makes the next chains of users, up to `turns` of each, within limits.

        The arrival of a chain depends on the lengths of the chains before it. The length of a chain nearly always does
        not depend on its arrival. So the lengths are measured first, as if all chains began at once; then the chains
        are made at the arrivals that follow. A chain whose length turns out different is the last one that is kept.
        """
        chains = chain + np.arange(turns)[:, None] * self._closed.users
        thinking = self._think_times(chains.ravel()).reshape(chains.shape)
        lengths = np.zeros_like(chains)
        if turns > 1:
            together = np.tile(begins, turns)
            lengths = _ends(expand(chains.ravel(), together), chains, together) - begins
        arrivals = begins + (lengths + thinking).cumsum(axis=0) - lengths - thinking
        events = expand(chains.ravel(), arrivals.ravel())
        ends = _ends(events, chains, arrivals.ravel())
        valid = np.ones(chains.shape, bool)
        valid[1:] = np.logical_and.accumulate((ends - arrivals == lengths)[:-1])
        valid &= (chains < limits.chain) & (arrivals < limits.time)
        count = valid.sum(axis=0)
        rows = np.flatnonzero(valid.ravel()[_chain_rows(events, chains)])
        return UserAdvance(events.take(rows), count, (ends + thinking)[count - 1, np.arange(chain.size)])

    def _think_times(self, chain: Integers) -> Integers:
        """Microseconds after chains; at least 1, so that time advances even if chains have no length."""
        words = draw(chain_keys(self._root, chain), THINK_PURPOSE)
        return np.maximum(self._closed.think.at(words), 1)


def _ends(events: EventTable, chains: Integers, begins: Integers) -> Integers:
    """When chains end, microseconds since the Unix epoch, in the shape of `chains`."""
    ends = begins.copy()
    np.maximum.at(ends, _chain_rows(events, chains), events.time)
    return ends.reshape(chains.shape)


def _chain_rows(events: EventTable, chains: Integers) -> Integers:
    """The position of each event's chain in `chains`."""
    order = chains.ravel().argsort()
    return order[chains.ravel().searchsorted(events.chain, sorter=order)]


def _furthest_behind(begins: Integers) -> Integers:
    """The half of the active users that begin next, so that no user gets far ahead."""
    active = np.flatnonzero(begins < NEVER)
    median = np.partition(begins[active], (active.size - 1) // 2)[(active.size - 1) // 2]
    users: Integers = active[begins[active] <= median]
    return users
