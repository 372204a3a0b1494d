"""Runs all checks on one stream, in the order in which a report lists them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from eventbus.catalog import Catalog, Phase
from eventbus.chains.verification import frequencies, structure
from eventbus.chains.verification.ledger import LedgerCheck, LedgerIndex, read_ledger
from eventbus.chains.verification.report import Report
from eventbus.chains.verification.streams import EventSummary, Reading, id_time, read
from eventbus.chains.verification.traces import PhasedCatalog, Trace, group_traces
from eventbus.event import microseconds

SIGNIFICANCE = 1e-3
"""Default probability that a sound run fails some statistical check by chance."""
TIME_CHECKS = "clocks", "causality"
"""The checks that find events with a wrong timestamp."""
FIRST_CHAINS = 25
"""Chains from which the start of a run is estimated."""


def verify(
    stream: Iterable[bytes] | Reading,
    catalog: Catalog,
    *,
    ledger: Iterable[bytes] | None = None,
    significance: float = SIGNIFICANCE,
    phases: Sequence[Phase] = (),
    start: datetime | None = None,
) -> Report:
    """Check a whole run against the catalog that it was made from, and against its ledger.

    All events are kept in memory, without their payloads.

    Args:
        stream: JSON events, a line each, with or without line ends; or what a reader of topics or a store has read.
        catalog: only chains with a weight above 0 are expected.
        ledger: lines of the run's ledger. None: there is none.
        significance: probability that a sound run fails some statistical check by chance; all tests share it.
        phases: of the run.
        start: of the run, for its phases. None: from the ledger, or else estimated from the first chains.

    Raises:
        InvalidLedger: it is not a ledger, or it is incomplete.
    """
    reading = stream if isinstance(stream, Reading) else read(stream, catalog)
    index = None if ledger is None else read_ledger(ledger)
    first: dict[str, EventSummary] = {}
    for event in reading.events:
        first.setdefault(event.event_id, event)
    if start is None and index is not None:
        start = index.start
    begin, doubt = _estimated_start(first.values()) if start is None else (microseconds(start), 0)
    phased = PhasedCatalog(catalog, phases, begin, doubt)
    traces = group_traces(first.values(), phased)
    structural = structure.checks(reading.events, first, traces, catalog)
    if not reading.is_ordered:
        structural = [replace(check, tested=0, findings=()) if check.name == "order" else check for check in structural]
    wrong = {finding.events[0] for check in structural if check.name in TIME_CHECKS for finding in check.findings}
    checks = [*reading.checks(), *structural]
    counted = traces if index is None else _before_the_cut(traces, index)
    report = [*checks, *frequencies.checks(counted, phased, wrong, significance)]
    ledger_counts = None
    if index is not None:
        ledger_check = LedgerCheck(index, reading, checks)
        report = [*map(ledger_check.named, report), ledger_check.check()]
        ledger_counts = ledger_check.counts()
    return Report(reading.lines, len(first), len(traces), report, ledger_counts, reading.place)


def _before_the_cut(traces: Sequence[Trace], index: LedgerIndex) -> Sequence[Trace]:
    """The traces that began before any chain that the end of the run cut off: later ones are short more often."""
    if not index.cut:
        return traces
    cut = min(map(id_time, index.cut))
    return [trace for trace in traces if id_time(trace.events[0].correlation_id) < cut]


def _estimated_start(events: Iterable[EventSummary]) -> tuple[int, int]:
    """When the first chain began, and by how much earlier the run may have started, judged by the chains after it.

    From ids, because timestamps may be wrong; microseconds.
    """
    times = [id_time(chain) for chain in sorted({event.correlation_id for event in events})[:FIRST_CHAINS]]
    return (times[0], times[-1] - times[0]) if times else (0, 0)
