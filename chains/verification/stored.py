"""From what a store kept to what the checks need, and what only a store can be tested for: that its counts agree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from eventbus.catalog import Catalog
from eventbus.chains.verification.reading import Reader, Reading
from eventbus.chains.verification.report import Check, Finding
from eventbus.event import Event


class Account(NamedTuple):
    """Where the records of a partition went, by the store's own count."""

    name: str
    read: int
    new: int
    duplicates: int
    dead: int


class StoreReader:
    """Reads a store, where each event is once, in no order, and what was no event is apart."""

    def __init__(self, catalog: Catalog) -> None:
        self._reader = Reader(catalog)

    def add(self, events: Iterable[Event]) -> None:
        """Take note of stored events."""
        for event in events:
            self._reader.add(event.to_bytes())

    def reading(self, dead: Iterable[tuple[str, bytes | None]], accounts: Iterable[Account]) -> Reading:
        """All that was read.

        Args:
            dead: the records that were no events, and where they were.
            accounts: of all partitions.
        """
        reading, accounts = self._reader.reading, list(accounts)
        stored, places = reading.lines, list[str]()
        for place, value in dead:
            places.append(place)
            self._reader.add(b"null" if value is None else value)
        reading.others = [_counts(accounts, stored, reading.lines - stored), _repeats(accounts)]
        reading.repeated = sum(account.duplicates for account in accounts)
        reading.lines += reading.repeated
        reading.is_ordered = False
        reading.place = lambda line: places[line - stored - 1] if line > stored else None
        return reading


def _counts(accounts: list[Account], stored: int, dead: int) -> Check:
    sums = [
        f"{name}: {read:,} read, but {new:,} new + {duplicates:,} duplicates + {lost:,} dead"
        for name, read, new, duplicates, lost in accounts
        if read != new + duplicates + lost
    ]
    for what, kept, counted in (
        ("events", stored, sum(account.new for account in accounts)),
        ("dead letters", dead, sum(account.dead for account in accounts)),
    ):
        if kept != counted:
            sums.append(f"{kept:,} {what} are stored, and {counted:,} were counted")
    rule = "what was read is stored, was stored already, or is a dead letter"
    return Check("counts", rule, len(accounts), [Finding(None, None, (), sentence) for sentence in sums])


def _repeats(accounts: list[Account]) -> Check:
    read, again = sum(account.read for account in accounts), sum(account.duplicates for account in accounts)
    sentence = f"{again:,} of {read:,} records had an event that was stored already"
    return Check("repeats", "no event came again", read, [Finding("duplicate", None, (), sentence)] if again else [])
