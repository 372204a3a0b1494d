"""The ledger held against the stream: everything in it is found, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from eventbus.chains.errors import InvalidLedger
from eventbus.chains.faults.ledger import FORMAT
from eventbus.chains.verification.report import Check, Finding
from eventbus.chains.verification.streams import EventSummary, Reading
from eventbus.event import EPOCH, format_timestamp

UNREADABLE = {"tombstone", "poison", "corrupt"}
TWICE = ("duplicate", "changed-duplicate")
GONE = {"drop", "missing-started", *UNREADABLE}


@dataclass
class LedgerIndex:
    """A ledger, read."""

    times: dict[str, str] = field(default_factory=dict)
    """The intended time of each event, by id."""
    faults: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """By event id."""
    unsent: set[str] = field(default_factory=set)
    """Ids of events that were held back when the run was cut off, and never came, or not again."""
    cut: set[str] = field(default_factory=set)
    """Ids of the events of chains that were cut off."""
    totals: Mapping[str, Any] | None = None
    start: datetime | None = None
    """Of the run."""


def read_ledger(lines: Iterable[bytes]) -> LedgerIndex:
    """Read a ledger.

    Raises:
        InvalidLedger: a line is none of a ledger, or the first one does not begin one.
    """
    book = LedgerIndex()
    for number, line in enumerate(lines, 1):
        try:
            _enter(book, number, orjson.loads(line))
        except KeyError as error:
            raise InvalidLedger(f"line {number} is not one of a ledger: it has no field {error}") from error
        except (TypeError, ValueError) as error:  # the latter also where it is no JSON
            raise InvalidLedger(f"line {number} is not one of a ledger: {error}") from error
    if book.totals is None:
        raise InvalidLedger("the ledger is cut off: its last line does not have the totals")
    return book


def _enter(book: LedgerIndex, number: int, record: Mapping[str, Any]) -> None:
    kind = record["record"]
    if (kind == "run") != (number == 1) or (kind == "run" and record["format"] != FORMAT):
        raise ValueError(f"expected it to begin with a run of format {FORMAT}, got {kind!r}")
    if kind == "run" and "start" in record:
        book.start = datetime.fromisoformat(record["start"])
    if kind == "chain":
        book.times.update(zip(record["event_ids"], record["times"], strict=True))
        if record["outcome"] is None:
            book.cut.update(record["event_ids"])
    elif kind == "fault":
        book.faults[record["event_id"]] = record
    elif kind == "unsent":
        book.unsent.add(record["event_id"])
    elif kind == "totals":
        book.totals = record


class LedgerCheck:
    """Compares.

    Args:
        others: what the other checks found; each finding must come from a fault of the ledger.
    """

    def __init__(self, book: LedgerIndex, reading: Reading, others: Sequence[Check]) -> None:
        self._book = book
        self._reading = reading
        self._others = list(map(self._excused, others))
        self._copies: dict[str, list[EventSummary]] = {}
        for event in reading.events:
            self._copies.setdefault(event.event_id, []).append(event)
        self._unfit = Counter(known for finding in reading.unfit for known in finding.events)
        self._gone = {
            fault["correlation_id"]: str(fault["fault"])
            for known, fault in book.faults.items()
            if fault["fault"] in GONE or known in book.unsent
        }
        self._listed = {str(fault["fault"]) for fault in book.faults.values()}
        self._missed: Counter[str] = Counter()

    def check(self) -> Check:
        """The comparison as a check."""
        findings = [
            *self._expected(), *self._repeated(), *self._unreadable(), *self._unexpected(), *self._unexplained(),
        ]  # fmt: skip
        rule = "what the ledger says is in the stream, and nothing else is"
        return Check("ledger", rule, len(self._book.times) + len(self._book.faults), findings)

    def found(self) -> dict[str, tuple[int, int]]:
        """For each kind of fault how many are in the ledger, and how many of them in the stream; after `check`."""
        listed = Counter(fault["fault"] for fault in self._book.faults.values())
        return {kind: (count, count - self._missed[kind]) for kind, count in listed.items()}

    def named(self, check: Check) -> Check:
        """The same check with its findings named after the faults of the ledger that they come from."""
        findings = self._excused(check).findings
        return replace(check, findings=[finding._replace(fault=self._kind(finding)) for finding in findings])

    def _excused(self, check: Check) -> Check:
        """The same check without the chains that ended with the run, wherever they were."""
        if check.name != "paths" or not self._book.cut:
            return check
        kept = [finding for finding in check.findings if self._book.cut.isdisjoint(finding.events)]
        return replace(check, findings=kept)

    def _kind(self, finding: Finding) -> str | None:
        struck = [self._book.faults[known]["fault"] for known in finding.events if known in self._book.faults]
        gone = [self._gone[known] for known in finding.events if known in self._gone]
        if finding.fault in ("drop", "missing-started") and gone:
            return gone[0]
        if finding.fault == "duplicate" and not finding.events:  # counted only, whatever they were
            return next((kind for kind in TWICE if kind in self._listed), finding.fault)
        return str(struck[0]) if struck else finding.fault

    def _expected(self) -> Iterator[Finding]:
        for event_id, time in self._book.times.items():
            fault = self._book.faults.get(event_id)
            problem = self._problem(event_id, time, fault)
            if problem is None:
                continue
            kind = None if fault is None else fault["fault"]
            if kind:
                self._missed[kind] += 1
            line = self._copies[event_id][0].line if event_id in self._copies else None
            yield Finding(kind, line, (event_id,), f"{event_id}{f' ({kind})' if kind else ''}: {problem}")

    def _problem(self, event_id: str, time: str, fault: Mapping[str, Any] | None) -> str | None:
        """What is wrong with the lines of an event; None if all is as the ledger says."""
        kind = None if fault is None else str(fault["fault"])
        copies = self._copies.get(event_id, [])
        if kind == "schema" and not self._unfit[event_id]:
            return "it should not fit the catalog, but does"
        wanted = 0 if kind in GONE else 2 if kind in TWICE else 1
        wanted -= event_id in self._book.unsent
        if self._reading.repeated is not None:
            wanted = min(wanted, 1)
        if len(copies) != wanted:
            return f"it should be there {wanted} times, and is {len(copies)} times"
        expected = {"time": time, **(fault or {})}
        expected["time"] = expected.get("timestamp", time)
        for event in copies:
            if format_time(event) != expected["time"]:
                return f"its time should be {expected['time']}, and is {format_time(event)}"
            for name in ("tenant_id", "causation_id"):
                if name in expected and getattr(event, name) != expected[name]:
                    return f"its {name} should be {expected[name]}, and is {getattr(event, name)}"
        same = len({event.digest for event in copies}) == 1
        if wanted == 2 and same != (kind == "duplicate"):
            return "it should come again unchanged" if kind == "duplicate" else "it should come again changed"
        return None

    def _repeated(self) -> Iterator[Finding]:
        """Where every event is kept once, those that came again are only counted."""
        if self._reading.repeated is None:
            return
        listed = [fault["fault"] for known, fault in self._book.faults.items() if known not in self._book.unsent]
        again = [kind for kind in listed if kind in TWICE]
        missing = len(again) - self._reading.repeated
        self._missed.update(again[: max(missing, 0)])
        if missing:
            sentence = f"{self._reading.repeated:,} event(s) came again, of {len(again):,} in the ledger"
            yield Finding(again[0] if missing > 0 else "duplicate", None, (), sentence)

    def _unreadable(self) -> Iterator[Finding]:
        """Lines without an id are told apart by what is left of them."""
        for kind in sorted(UNREADABLE):
            listed = Counter(_trace(fault) for fault in self._book.faults.values() if fault["fault"] == kind)
            there = Counter(_remains(kind, text) for found, text in self._reading.unreadable if found == kind)
            self._missed[kind] += (listed - there).total()
            for what, count in (("missing", listed - there), ("not in the ledger", there - listed)):
                if count:
                    yield Finding(kind, None, (), f"{kind}: {count.total():,} line(s) {what}")

    def _unexpected(self) -> Iterator[Finding]:
        for event_id in self._copies.keys() - self._book.times.keys():
            line = self._copies[event_id][0].line
            yield Finding(None, line, (event_id,), f"{event_id} is not in the ledger")
        lines = (self._book.totals or {})["lines"]
        if lines != self._reading.lines:
            yield Finding(None, None, (), f"the stream should have {lines:,} lines, and has {self._reading.lines:,}")

    def _unexplained(self) -> Iterator[Finding]:
        """What looks like a fault without being one."""
        chains = {fault["correlation_id"] for fault in self._book.faults.values()}
        for check in self._others:
            for finding in check.findings:
                if finding.events and not any(
                    known in self._book.faults or known in chains for known in finding.events
                ):
                    yield Finding(finding.fault, finding.line, finding.events, f"no fault explains: {finding.sentence}")


def format_time(event: EventSummary) -> str:
    """As the event has it."""
    return format_timestamp(EPOCH + timedelta(microseconds=event.time))


def _trace(fault: Mapping[str, Any]) -> object:
    """What the ledger knows of the line of an unreadable event."""
    return fault.get("bytes", fault.get("kept_bytes"))


def _remains(kind: str, text: bytes) -> object:
    """The same, from the line."""
    return {"poison": text.hex(), "corrupt": len(text)}.get(kind)
