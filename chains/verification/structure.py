"""Checks of what holds in every stream: identity, order, clocks, causality, tenants and paths."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from eventbus.catalog import Catalog
from eventbus.catalog.errors import plural
from eventbus.catalog.graph.conformance import types_of
from eventbus.catalog.model import FAULT_KINDS
from eventbus.chains.verification.report import Check, Finding
from eventbus.chains.verification.streams import TOLERANCE, EventSummary, id_time
from eventbus.chains.verification.traces import Trace

REORDERED = FAULT_KINDS["reorder"].bounds[1]
"""Later events that may precede an event which looks reordered rather than late."""


def checks(
    events: Sequence[EventSummary], first: Mapping[str, EventSummary], traces: Sequence[Trace], catalog: Catalog
) -> list[Check]:
    """All structural checks.

    Args:
        events: in the order of the stream, copies included.
        first: the first event of each id.
        traces: the chains.
    """
    causes, clocks = list(_causality(first, traces, catalog)), list(_clocks(first))
    early = {finding.events[0] for finding in causes if finding.fault == "completed-before-started"}
    clocks = [finding for finding in clocks if finding.events[0] not in early]
    wrong = early | {finding.events[0] for finding in clocks}
    effects = sum(event.causation_id is not None for event in first.values())
    return [
        Check("identity", "event ids are unique", len(events), list(_identity(events, first))),
        Check("order", "events come by time", len(first), list(_order(first.values(), wrong))),
        Check("clocks", "an event's time is the one in its id", len(first), clocks),
        Check("causality", "causation is a tree, and causes come before effects", effects, causes),
        Check("tenants", "a chain has one tenant", len(traces), list(_tenants(traces))),
        Check("paths", "every chain is a complete walk of the catalog", len(traces), list(_paths(traces, catalog))),
    ]


def _identity(events: Sequence[EventSummary], first: Mapping[str, EventSummary]) -> Iterator[Finding]:
    for event in events:
        original = first[event.event_id]
        if event is not original:
            differs = event.digest != original.digest
            fault, verb = ("changed-duplicate", "comes again and differs") if differs else ("duplicate", "comes again")
            sentence = f"{event.event_id} {verb}: first in line {original.line}"
            yield Finding(fault, event.line, (event.event_id,), sentence)


def _order(events: Collection[EventSummary], wrong: Collection[str]) -> Iterator[Finding]:
    """Events with a wrong timestamp are skipped."""
    times: list[int] = []  # of those in order: never falls
    for event in events:
        if event.event_id in wrong:
            continue
        if not times or event.time >= times[-1]:
            times.append(event.time)
            continue
        places = len(times) - bisect_right(times, event.time)
        fault = "reorder" if places <= REORDERED else "late"
        late = (times[-1] - event.time) / 1e6
        sentence = f"{event.event_id} comes after {plural(places, 'later event')}, the latest by {late:,.6g} s"
        yield Finding(fault, event.line, (event.event_id,), sentence)


def _clocks(first: Mapping[str, EventSummary]) -> Iterator[Finding]:
    for event in first.values():
        off = event.time - id_time(event.event_id)
        if event.event_id[14] == "7" and abs(off) > TOLERANCE:
            sentence = f"{event.event_id} has a time that is {off / 1e6:+,.6g} s off the one in its id"
            yield Finding("clock-skew", event.line, (event.event_id,), sentence)


def _causality(first: Mapping[str, EventSummary], traces: Sequence[Trace], catalog: Catalog) -> Iterator[Finding]:
    ends = {state.emits for chain in catalog.chains.values() for state in chain.states.values() if state.outcome}
    for trace in traces:
        if not trace.whole:
            yield from _broken(trace, first)
        for event in trace.events:
            cause = first.get(event.causation_id or "")
            if cause is not None and event.time < cause.time:
                is_wrong = abs(event.time - id_time(event.event_id)) > TOLERANCE
                fault = "completed-before-started" if is_wrong and event.event_type in ends else "clock-skew"
                sentence = f"{event.event_id} is {(cause.time - event.time) / 1e6:,.6g} s earlier than its cause"
                yield Finding(fault, event.line, (event.event_id, cause.event_id), sentence)


def _broken(trace: Trace, first: Mapping[str, EventSummary]) -> Iterator[Finding]:
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
        elif cause not in first:
            fault = "orphan-causation" if trace.walks else None  # else the check of paths says what is missing
            yield Finding(fault, event.line, (event_id, cause), f"{event_id} has a cause that is not here: {cause}")
            rooted.add(event_id)
        elif first[cause].correlation_id != event.correlation_id:
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


def _tenants(traces: Sequence[Trace]) -> Iterator[Finding]:
    for trace in traces:
        counts = Counter(event.tenant_id for event in trace.events)
        if len(counts) == 1:
            continue
        ((usual, _),) = counts.most_common(1)
        for event in trace.events:
            if event.tenant_id != usual:
                sentence = f"{event.event_id} is of {event.tenant_id!r}, its chain of {usual!r}"
                yield Finding("wrong-tenant", event.line, tuple(e.event_id for e in trace.events), sentence)


def _paths(traces: Sequence[Trace], catalog: Catalog) -> Iterator[Finding]:
    differences: dict[tuple[str, ...], tuple[str | None, str]] = {}
    for trace in traces:
        if trace.walks:
            continue
        if trace.types not in differences:
            differences[trace.types] = _difference(trace, catalog)
        fault, difference = differences[trace.types]
        chain = trace.events[0].correlation_id
        involved = (chain, *(event.event_id for event in trace.events))
        yield Finding(fault, trace.events[0].line, involved, f"chain {chain}: {difference}")


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
