"""Compares a stream with the ledger of its run: everything in the ledger is found, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from eventbus.catalog.errors import plural
from eventbus.chains.errors import InvalidLedger
from eventbus.chains.faults import KINDS
from eventbus.chains.faults.record import FORMAT
from eventbus.chains.verification.report import Check, Finding
from eventbus.chains.verification.spool import EventSummary, Spool, bucket_of
from eventbus.chains.verification.streams import Reading
from eventbus.chains.verification.structure import Bucket
from eventbus.event import EPOCH, format_timestamp

COPIED = ("record", "event_id", "event_type", "name", "chain")
"""Fields of a fault that repeat what the chain's record says."""


@dataclass
class LedgerIndex:
    """The records of a ledger."""

    times: Spool
    """By bucket of the chain: the number of the ledger's line, ids of events, and their intended timestamps."""
    events: int = 0
    """How many those are."""
    faults: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """By event id."""
    unsent: set[str] = field(default_factory=set)
    """Ids of events that were held back when the run was cut off, and were never sent, or not a second time."""
    cut: set[str] = field(default_factory=set)
    """Ids of the events of chains that were cut off."""
    totals: Mapping[str, Any] | None = None
    start: datetime | None = None
    """Of the run."""


def read_ledger(lines: Iterable[bytes]) -> LedgerIndex:
    """Read a ledger.

    Raises:
        InvalidLedger: a line is not a record of a ledger, or the first or the last record is missing.
    """
    index = LedgerIndex(Spool())
    for number, line in enumerate(lines, 1):
        try:
            _add(index, number, orjson.loads(line))
        except KeyError as error:
            raise InvalidLedger(f"line {number} is not one of a ledger: it has no field {error}") from error
        except (TypeError, ValueError) as error:  # the latter also where it is not JSON
            raise InvalidLedger(f"line {number} is not one of a ledger: {error}") from error
    if index.totals is None:
        raise InvalidLedger("the ledger is cut off: its last line does not have the totals")
    return index


def _add(index: LedgerIndex, number: int, record: dict[str, Any]) -> None:
    kind = record["record"]
    if (kind == "run") != (number == 1) or (kind == "run" and record["format"] != FORMAT):
        raise ValueError(f"expected it to begin with a run of format {FORMAT}, got {kind!r}")
    if kind == "run" and "start" in record:
        index.start = datetime.fromisoformat(record["start"])
    if kind == "chain":
        event_ids, times = record["event_ids"], record["times"]
        if len(event_ids) != len(times):
            raise ValueError(f"{len(event_ids)} event ids and {len(times)} times")
        index.times.add(bucket_of(record["correlation_id"] or event_ids[0]), (number, event_ids, times))
        index.events += len(event_ids)
        if record["outcome"] is None:
            index.cut.update(event_ids)
    elif kind == "fault":
        if record["fault"] not in KINDS:
            raise ValueError(f"unknown fault {record['fault']!r}")
        event_id = record["event_id"]
        for name in COPIED:
            record.pop(name, None)
        index.faults[event_id] = record
    elif kind == "unsent":
        index.unsent.add(record["event_id"])
    elif kind == "totals":
        index.totals = record


class LedgerCheck:
    """Compares a stream with its ledger: bucket by bucket, then as a whole.

    Args:
        reading: the stream.
    """

    def __init__(self, index: LedgerIndex, reading: Reading) -> None:
        self._index = index
        self._reading = reading
        self._refused = Counter(event_id for finding in reading.unfit for event_id in finding.events)
        self._gone = {
            fault["correlation_id"]: str(fault["fault"])
            for event_id, fault in index.faults.items()
            if not KINDS[fault["fault"]].copies or event_id in index.unsent
        }
        self._repeating = [
            str(fault["fault"])
            for event_id, fault in index.faults.items()
            if KINDS[fault["fault"]].delivery == "duplicate" and event_id not in index.unsent
        ]
        self._missed: Counter[str] = Counter()
        #: The kind of fault that an unreadable line comes from, by its number.
        self._kind_of_line: dict[int, str] = {}
        self._unreadable = list(self._match_unreadable())
        #: About intended events, each with the line of the ledger.
        self._intended: list[tuple[int, Finding]] = []
        #: By id: the first line of events that the ledger's bucket does not have.
        self._extra: dict[str, int] = {}
        #: Ids of intended events that are in another bucket than that of their chain.
        self._moved: set[str] = set()

    def add(self, bucket: Bucket) -> None:
        """Compare the events of a bucket."""
        copies: dict[str, list[EventSummary]] = {}
        for event in bucket.events:
            copies.setdefault(event.event_id, []).append(event)
        extra = {event_id: events[0].line for event_id, events in copies.items()}
        for number, event_ids, times in self._index.times.bucket(bucket.number):
            for event_id, time in zip(event_ids, times, strict=True):
                extra.pop(event_id, None)
                events = copies.get(event_id, [])
                if not events or self._reading.events.is_elsewhere(event_id):
                    moved = self._reading.events.elsewhere(event_id, bucket.number)
                    if moved:
                        self._moved.add(event_id)
                        events = sorted([*events, *moved], key=lambda event: self._reading.events.rank(event.line))
                finding = self._compare(event_id, time, events)
                if finding is not None:
                    self._intended.append((number, finding))
        for event_id, line in extra.items():
            self._extra[event_id] = min(line, self._extra.get(event_id, line))

    def check(self, checks: Sequence[Check]) -> Check:
        """The comparison as a check, after all buckets.

        Args:
            checks: the other checks; each of their findings must come from a fault of the ledger.
        """
        findings = [
            *(finding for _, finding in sorted(self._intended, key=lambda pair: pair[0])),
            *self._repeats(),
            *self._unreadable,
            *self._extra_events(),
            *self._unexplained_findings(map(self._without_cut_chains, checks)),
        ]
        rule = "what the ledger says is in the stream, and nothing else is"
        return Check("ledger", rule, self._index.events + len(self._index.faults), findings)

    def counts(self) -> dict[str, tuple[int, int]]:
        """By kind of fault: how many are in the ledger, and how many of those in the stream; call after `check`."""
        listed = Counter(fault["fault"] for fault in self._index.faults.values())
        return {kind: (count, count - self._missed[kind]) for kind, count in listed.items()}

    def named(self, check: Check) -> Check:
        """The check with its findings named after the faults of the ledger that they come from."""
        findings = self._without_cut_chains(check).findings
        return replace(check, findings=[finding._replace(fault=self._kind(finding)) for finding in findings])

    def _without_cut_chains(self, check: Check) -> Check:
        """The check without findings about chains that were under way when the run ended."""
        if check.name != "paths" or not self._index.cut:
            return check
        findings = [finding for finding in check.findings if self._index.cut.isdisjoint(finding.events)]
        return replace(check, findings=findings)

    def _kind(self, finding: Finding) -> str | None:
        """The kind of fault that a finding comes from, or what it looks like."""
        if finding.fault and finding.line in self._kind_of_line:
            return self._kind_of_line[finding.line]
        faults = self._index.faults
        kinds = [str(faults[event_id]["fault"]) for event_id in finding.events if event_id in faults]
        gone = [self._gone[event_id] for event_id in finding.events if event_id in self._gone]
        if finding.fault in ("drop", "missing-started") and gone:
            return gone[0]
        if finding.fault == "duplicate" and not finding.events:  # a count only, whatever came again
            listed = {fault["fault"] for fault in faults.values()}
            return next((kind for kind in REPEATING if kind in listed), finding.fault)
        return kinds[0] if kinds else finding.fault

    def _compare(self, event_id: str, time: str, copies: Sequence[EventSummary]) -> Finding | None:
        """A finding if the lines of an event differ from what the ledger says."""
        fault = self._index.faults.get(event_id)
        problem = self._problem(event_id, time, fault, copies)
        if problem is None:
            return None
        kind = None if fault is None else fault["fault"]
        if kind:
            self._missed[kind] += 1
        line = copies[0].line if copies else None
        return Finding(kind, line, (event_id,), f"{event_id}{f' ({kind})' if kind else ''}: {problem}")

    def _problem(
        self, event_id: str, time: str, fault: Mapping[str, Any] | None, copies: Sequence[EventSummary]
    ) -> str | None:
        """How the lines of an event differ from what the ledger says; None if they do not."""
        kind = None if fault is None else KINDS[fault["fault"]]
        if kind and kind.breaks_schema and not self._refused[event_id]:
            return "it should not fit the catalog, but does"
        expected = (1 if kind is None else kind.copies) - (event_id in self._index.unsent)
        if self._reading.repeated is not None:
            expected = min(expected, 1)
        if len(copies) != expected:
            return f"it should be there {expected} times, and is {len(copies)} times"
        fields = {"time": time, **(fault or {})}
        fields["time"] = fields.get("timestamp", time)
        for event in copies:
            if format_time(event) != fields["time"]:
                return f"its time should be {fields['time']}, and is {format_time(event)}"
            for name in ("tenant_id", "causation_id"):
                if name in fields and getattr(event, name) != fields[name]:
                    return f"its {name} should be {fields[name]}, and is {getattr(event, name)}"
        differ = len({event.digest for event in copies}) > 1
        if kind and expected == 2 and differ != kind.changes_copy:
            return f"it should come again {'changed' if kind.changes_copy else 'unchanged'}"
        return None

    def _repeats(self) -> Iterator[Finding]:
        """Compares counts where every event is kept once, and those that came again are only counted."""
        if self._reading.repeated is None:
            return
        missing = len(self._repeating) - self._reading.repeated
        self._missed.update(self._repeating[: max(missing, 0)])
        if missing:
            sentence = (
                f"{plural(self._reading.repeated, 'event')} came again, of {len(self._repeating):,} in the ledger"
            )
            yield Finding(self._repeating[0] if missing > 0 else "duplicate", None, (), sentence)

    def _match_unreadable(self) -> Iterator[Finding]:
        """Matches lines without an id with faults of the ledger, by what identifies them of each kind.

        Kinds that look alike are tried by name, and take the first lines that fit.
        """
        for looks in sorted({kind.looks_like for kind in UNREADABLE}):
            lines = [line for line in self._reading.unreadable if line.looks_like == looks]
            for kind in UNREADABLE:
                if kind.looks_like != looks:
                    continue
                faults = self._index.faults.values()
                listed = Counter(kind.recorded(fault) for fault in faults if fault["fault"] == kind.name)
                unmatched = []
                for line in lines:
                    fingerprint = kind.fingerprint(line.text)
                    if listed[fingerprint] > 0:
                        listed[fingerprint] -= 1
                        self._kind_of_line[line.number] = kind.name
                    else:
                        unmatched.append(line)
                lines = unmatched
                if missing := listed.total():
                    self._missed[kind.name] += missing
                    yield Finding(kind.name, None, (), f"{kind.name}: {plural(missing, 'line')} missing")
            if lines:
                yield Finding(looks, None, (), f"{looks}: {plural(len(lines), 'line')} not in the ledger")

    def _extra_events(self) -> Iterator[Finding]:
        for event_id, line in sorted(self._extra.items(), key=lambda pair: pair[1]):
            if event_id in self._moved:
                continue
            yield Finding(None, line, (event_id,), f"{event_id} is not in the ledger")
        lines = (self._index.totals or {})["lines"]
        if lines != self._reading.lines:
            yield Finding(None, None, (), f"the stream should have {lines:,} lines, and has {self._reading.lines:,}")

    def _unexplained_findings(self, checks: Iterable[Check]) -> Iterator[Finding]:
        """Findings of other checks that look like a fault of an event or chain without one."""
        chains = {fault["correlation_id"] for fault in self._index.faults.values()}
        for check in checks:
            for finding in check.findings:
                if finding.events and not any(
                    event_id in self._index.faults or event_id in chains for event_id in finding.events
                ):
                    yield Finding(finding.fault, finding.line, finding.events, f"no fault explains: {finding.sentence}")


UNREADABLE = sorted((kind for kind in KINDS.values() if not kind.is_readable), key=lambda kind: kind.name)
REPEATING = sorted((kind.name for kind in KINDS.values() if kind.delivery == "duplicate"), reverse=True)
"""The plain `duplicate` first."""


def format_time(event: EventSummary) -> str:
    """The timestamp as in the event."""
    return format_timestamp(EPOCH + timedelta(microseconds=event.time))
