"""Waits for the branches of a fork, in many chains at once."""

from __future__ import annotations

import numpy as np

from eventbus.chains.randomness import Integers
from eventbus.chains.table import ITEM, STEP, TIME, EventTable


class Gathering:
    """What is known of the branches that have ended, by row of the chain.

    Args:
        chains: how many rows there are.
        branches: of the fork.
    """

    def __init__(self, chains: int, branches: int) -> None:
        self._branches = branches
        self._ended = np.zeros(chains, np.int64)
        self._item = np.zeros(chains, np.int64)
        #: The sum of the codes of the ends.
        self.code = np.zeros(chains, np.int64)
        #: Of the end that came last.
        self.time = np.zeros(chains, np.int64)
        self.step = np.zeros(chains, np.int64)
        #: The highest step of an end.
        self.highest = np.zeros(chains, np.int64)

    def open(self, rows: Integers, forking: EventTable) -> None:
        """The fork begins in some chains."""
        for column in (self._ended, self.code, self.time, self.step, self.highest):
            column[rows] = 0
        self._item[rows] = forking.item * (1 - self._branches)

    def add(self, rows: Integers, ends: EventTable, code: int) -> Integers:
        """A branch has ended in some chains; returns the rows of those in which it was the last one."""
        self._ended[rows] += 1
        self._item[rows] += ends.item
        self.code[rows] += code
        self.highest[rows] = np.maximum(self.highest.take(rows), ends.step)
        time, step = self.time.take(rows), self.step.take(rows)
        later = (ends.time > time) | ((ends.time == time) & (ends.step > step))
        self.time[rows] = np.where(later, ends.time, time)
        self.step[rows] = np.where(later, ends.step, step)
        complete: Integers = rows[self._ended.take(rows) == self._branches]
        return complete

    def causes(self, rows: Integers, roots: EventTable) -> EventTable:
        """The ends that came last, as events; retries of all branches count."""
        events = roots.take(rows)
        for number, column in ((TIME, self.time), (STEP, self.step), (ITEM, self._item)):
            events.columns[number] = column.take(rows)
        return events
