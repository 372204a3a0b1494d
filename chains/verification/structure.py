"""Checks of what holds in every stream: identity, order, clocks, causality, tenants and paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from eventbus.catalog import Catalog
from eventbus.catalog.errors import plural
from eventbus.catalog.graph.conformance import types_of
from eventbus.catalog.model import FAULT_KINDS
from eventbus.chains.verification.report import Check, Finding
from eventbus.chains.verification.spool import EventSummary, SpooledEvents
from eventbus.chains.verification.streams import TOLERANCE, id_time
from eventbus.chains.verification.traces import Trace

REORDERED = FAULT_KINDS["reorder"].bounds[1]
"""Later events that may precede an event which looks reordered rather than late."""


RULES = {
    "identity": "event ids are unique",
    "order": "events come by time",
    "clocks": "an event's time is the one in its id",
    "causality": "causation is a tree, and causes come before effects",
    "tenants": "a chain has one tenant",
    "paths": "every chain is a complete walk of the catalog",
}


class Bucket:
    """The events of some chains, and what other buckets have of the same ids.

    Args:
        events: of the stream.
        number: of the bucket.
    """

    def __init__(self, events: SpooledEvents, number: int) -> None:
        self._stream = events
        self.number = number
        #: In the order of the stream, copies included.
        self.events = events.bucket(number)
        #: The first event of each id whose first event is here.
        self.first: dict[str, EventSummary] = {}
        #: Later events, each with the first one of its id.
        self.repeated: list[tuple[EventSummary, EventSummary]] = []
        self._firsts_elsewhere: dict[str, EventSummary] = {}
        for event in self.events:
            original = self.find(event.event_id, elsewhere=False) or self._original(event)
            if original is event:
                self.first[event.event_id] = event
            else:
                self.repeated.append((event, original))

    def find(self, event_id: str, *, elsewhere: bool = True) -> EventSummary | None:
        """The first event with an id.

        Args:
            elsewhere: whether to look for it in other buckets, if none with the id is here.
        """
        event = self.first.get(event_id) or self._firsts_elsewhere.get(event_id)
        if event is None and elsewhere:
            return next(iter(self._stream.elsewhere(event_id, self.number)), None)
        return event

    def _original(self, event: EventSummary) -> EventSummary:
        """The first event with the id of one that is the first with it here."""
        if not self._stream.is_elsewhere(event.event_id):
            return event
        copies = [event, *self._stream.elsewhere(event.event_id, self.number)]
        original = min(copies, key=lambda copy: self._stream.rank(copy.line))
        if original is not event:
            self._firsts_elsewhere[event.event_id] = original
        return original


class StructureChecks:
    """All structural checks, bucket by bucket.

    Args:
        events: of the stream.
    """

    def __init__(self, events: SpooledEvents, catalog: Catalog, *, is_ordered: bool) -> None:
        self._events = events
        self._catalog = catalog
        self._is_ordered = is_ordered
        self._ends = {
            state.emits for chain in catalog.chains.values() for state in chain.states.values() if state.outcome
        }
        #: How many events there are of which no copy came before, and how many of those have a cause.
        self.first = self._effects = 0
        self.traces = 0
        #: By check: findings, with their positions in the report.
        self._findings: dict[str, list[tuple[int, Finding]]] = {name: [] for name in RULES}
        #: By line, from 0: 1 if its event is a copy, or has a wrong timestamp.
        self._is_left_out = bytearray(events.lines)
        self._differences: dict[tuple[str, ...], tuple[str | None, str]] = {}

    def add(self, bucket: Bucket, traces: Sequence[Trace]) -> set[str]:
        """Check the events of a bucket; returns the ids of those with a wrong timestamp."""
        rank = self._events.rank
        for event, original in bucket.repeated:
            self._is_left_out[event.line - 1] = 1
            self._add("identity", rank(event.line), _repetition(event, original))
        causes: list[Finding] = []
        for trace in traces:
            position = min(rank(event.line) for event in trace.events)
            causality = list(_causality(bucket, trace, self._ends))
            causes += causality
            self._add("causality", position, *causality)
            self._add("tenants", position, *_tenants(trace))
            self._add("paths", position, *self._paths(trace))
        early = {finding.events[0] for finding in causes if finding.fault == "completed-before-started"}
        clocks = [finding for finding in _clocks(bucket.first) if finding.events[0] not in early]
        for finding in clocks:
            self._add("clocks", rank(bucket.first[finding.events[0]].line), finding)
        for event_id in early | {finding.events[0] for finding in clocks}:
            self._is_left_out[bucket.first[event_id].line - 1] = 1
        self.first += len(bucket.first)
        self._effects += sum(event.causation_id is not None for event in bucket.first.values())
        self.traces += len(traces)
        return {finding.events[0] for finding in (*causes, *clocks)}

    def checks(self) -> list[Check]:
        """The checks of everything that was added."""
        tested = dict.fromkeys(RULES, self.first)
        tested |= {"identity": len(self._events), "causality": self._effects}
        tested |= dict.fromkeys(("tenants", "paths"), self.traces)
        if self._is_ordered:
            self._findings["order"] = list(enumerate(self._order()))
        else:
            tested["order"] = 0
        return [Check(name, rule, tested[name], self._sorted(name)) for name, rule in RULES.items()]

    def _add(self, check: str, position: int, *findings: Finding) -> None:
        self._findings[check] += [(position, finding) for finding in findings]

    def _sorted(self, check: str) -> list[Finding]:
        return [finding for _, finding in sorted(self._findings[check], key=lambda pair: pair[0])]

    def _order(self) -> Iterator[Finding]:
        """Events with a wrong timestamp are skipped."""
        late = list(self._events.late(self._is_left_out))
        events = self._events.with_lines(line for line, _, _ in late)
        for line, places, microseconds in late:
            event_id, fault = events[line].event_id, "reorder" if places <= REORDERED else "late"
            seconds = microseconds / 1e6
            sentence = f"{event_id} comes after {plural(places, 'later event')}, the latest by {seconds:,.6g} s"
            yield Finding(fault, line, (event_id,), sentence)

    def _paths(self, trace: Trace) -> Iterator[Finding]:
        if trace.walks:
            return
        if trace.types not in self._differences:
            self._differences[trace.types] = _difference(trace, self._catalog)
        fault, difference = self._differences[trace.types]
        chain = trace.events[0].correlation_id
        involved = (chain, *(event.event_id for event in trace.events))
        yield Finding(fault, trace.events[0].line, involved, f"chain {chain}: {difference}")


def _repetition(event: EventSummary, original: EventSummary) -> Finding:
    differs = event.digest != original.digest
    fault, verb = ("changed-duplicate", "comes again and differs") if differs else ("duplicate", "comes again")
    sentence = f"{event.event_id} {verb}: first in line {original.line}"
    return Finding(fault, event.line, (event.event_id,), sentence)


def _clocks(first: Mapping[str, EventSummary]) -> Iterator[Finding]:
    for event in first.values():
        off = event.time - id_time(event.event_id)
        if event.event_id[14] == "7" and abs(off) > TOLERANCE:
            sentence = f"{event.event_id} has a time that is {off / 1e6:+,.6g} s off the one in its id"
            yield Finding("clock-skew", event.line, (event.event_id,), sentence)


def _causality(bucket: Bucket, trace: Trace, ends: Collection[str]) -> Iterator[Finding]:
    """Args: ends: types of events that end a chain."""
    if not trace.whole:
        yield from _broken(trace, bucket)
    for event in trace.events:
        cause = bucket.find(event.causation_id) if event.causation_id else None
        if cause is not None and event.time < cause.time:
            is_wrong = abs(event.time - id_time(event.event_id)) > TOLERANCE
            fault = "completed-before-started" if is_wrong and event.event_type in ends else "clock-skew"
            sentence = f"{event.event_id} is {(cause.time - event.time) / 1e6:,.6g} s earlier than its cause"
            yield Finding(fault, event.line, (event.event_id, cause.event_id), sentence)


def _broken(trace: Trace, bucket: Bucket) -> Iterator[Finding]:
    """Events of a trace without a cause in it."""
    rooted: set[str] = set()
    for event in trace.events:
        event_id, cause = event.event_id, event.causation_id
        if cause is None:
            if event_id != event.correlation_id:
                yield Finding(
                    None, event.line, (event_id, event.correlation_id), f"{event_id} is a second root of its chain"
                )
            rooted.add(event_id)
            continue
        causing = bucket.find(cause)
        if causing is None:
            fault = "orphan-causation" if trace.walks else None  # else the check of paths says what is missing
            yield Finding(fault, event.line, (event_id, cause), f"{event_id} has a cause that is not here: {cause}")
            rooted.add(event_id)
        elif causing.correlation_id != event.correlation_id:
            yield Finding(None, event.line, (event_id, cause), f"{event_id} has a cause in another chain: {cause}")
            rooted.add(event_id)
    yield from _loops(trace, rooted)


def _loops(trace: Trace, rooted: set[str]) -> Iterator[Finding]:
    waiting = [event for event in trace.events if event.event_id not in rooted]
    while reached := [event for event in waiting if event.causation_id in rooted]:
        rooted |= {event.event_id for event in reached}
        waiting = [event for event in waiting if event.event_id not in rooted]
    for event in waiting:
        yield Finding(None, event.line, (event.event_id,), f"{event.event_id} is among its own causes")


def _tenants(trace: Trace) -> Iterator[Finding]:
    counts = Counter(event.tenant_id for event in trace.events)
    if len(counts) == 1:
        return
    ((usual, _),) = counts.most_common(1)
    for event in trace.events:
        if event.tenant_id != usual:
            sentence = f"{event.event_id} is of {event.tenant_id!r}, its chain of {usual!r}"
            yield Finding("wrong-tenant", event.line, tuple(e.event_id for e in trace.events), sentence)


def _difference(trace: Trace, catalog: Catalog) -> tuple[str | None, str]:
    """The fault that a trace looks like, and how it differs from the nearest walk of the catalog."""
    names = {name for event_type in trace.types if (name := catalog.conformance.classify(event_type)[0])}
    caused = {name for parent in names for name in catalog.chain(parent).caused}
    if len(names - caused) != 1:
        return None, f"no chain of the catalog has {', '.join(trace.types)}"
    foreign = {event_type for name in caused for event_type in types_of(catalog.chain(name))}
    types = [event_type for event_type in trace.types if event_type not in foreign]
    sentences = catalog.differences((names - caused).pop(), types, "ended")
    missing = [sentence.split(" ", 1)[0] for sentence in sentences if " is missing" in sentence]
    if not missing:
        return None, "; ".join(sentences) or f"no walk leaves {', '.join(trace.types)}"
    started = any(name.split(".")[-2:-1] == ["started"] for name in missing)
    return "missing-started" if started else "drop", "; ".join(sentences)
