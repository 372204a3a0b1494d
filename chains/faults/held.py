"""Texts that come later than their place."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count

import numpy as np

from eventbus.chains.faults.cuts import Cuts
from eventbus.chains.randomness import Integers

Text = tuple[bytes, int, int]
"""With its newline; the emitter of its event, and the time in it."""
Waiting = tuple[int, int, int, Text]
"""When it is due, the number of its event in the clean stream, and the order of all, so that texts are not compared."""

FIRST = 1 << 62
"""Taken off a number: before all others of the same time."""


class Held:
    """Texts that wait: for a time to be over, or for an event of some number in the clean stream."""

    def __init__(self) -> None:
        self._by_time: list[Waiting] = []
        self._by_number: list[Waiting] = []
        self._order = count()

    def until(self, time: int, number: int, text: Text) -> None:
        """Hold what a fault made of the event of this number until a time is over."""
        heappush(self._by_time, (time, number, next(self._order), text))

    def behind(self, places: int, number: int, text: Text) -> None:
        """Hold it until so many events have passed."""
        heappush(self._by_number, (number + places + 1, number, next(self._order), text))

    @property
    def next_due(self) -> int | None:
        """The first time that a text waits for."""
        return self._by_time[0][0] if self._by_time else None

    def due(self, time: Integers, passed: int, until: int) -> Cuts:
        """The texts that come within a stretch of events or up to a time behind it; they are held no longer.

        Args:
            time: of the events.
            passed: events in the clean stream before them.
            until: a time before that of any later event.
        """
        by_number, by_time = self._pop(self._by_number, passed + time.size), self._pop(self._by_time, until)
        behind = np.array([due - passed for due, _, _, _ in by_number], np.int64)  # at least 1: behind some event
        times = np.array([due for due, _, _, _ in by_time], np.int64)
        rows = np.concatenate([behind, time.searchsorted(times, side="right")])
        dues = np.concatenate([time.take(behind - 1), times])
        held = [text for _, _, _, text in by_number + by_time]
        kinds, made = (np.array([text[column] for text in held], np.int64) for column in (1, 2))
        return Cuts(rows, np.zeros_like(rows), [text for text, _, _ in held], kinds, made, dues)

    def finish(self, last: int) -> None:
        """No further event comes: those that waited for one now wait for the time of the last one, which is over."""
        for due, number, _, text in self._by_number:
            self._by_time.append((last, due - FIRST, number, text))
        self._by_number = []
        heapify(self._by_time)

    def __iter__(self) -> Iterator[bytes]:
        return (text for _, _, _, (text, _, _) in [*self._by_number, *self._by_time])

    def _pop(self, heap: list[Waiting], due: int) -> list[Waiting]:
        found = []
        while heap and heap[0][0] <= due:
            found.append(heappop(heap))
        return found
