"""Runs all checks on one stream, in the order in which a report lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from eventbus.catalog import Catalog, Phase
from eventbus.chains.verification.frequencies import FrequencyChecks
from eventbus.chains.verification.ledger import LedgerCheck, LedgerIndex, read_ledger
from eventbus.chains.verification.report import Report
from eventbus.chains.verification.spool import BUCKETS, SpooledEvents
from eventbus.chains.verification.streams import Reading, id_time, read
from eventbus.chains.verification.structure import Bucket, StructureChecks
from eventbus.chains.verification.traces import PhasedCatalog, Trace, group_traces
from eventbus.event import microseconds

SIGNIFICANCE = 1e-3
"""Default probability that a sound run fails some statistical check by chance."""


def verify(
    stream: Iterable[bytes] | Reading,
    catalog: Catalog,
    *,
    ledger: Iterable[bytes] | None = None,
    significance: float = SIGNIFICANCE,
    phases: Sequence[Phase] = (),
    start: datetime | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Report:
    """Check a whole run against the catalog that it was made from, and against its ledger.

    A long stream is kept in a temporary file, without its payloads; what stays in memory are some 25 bytes for each
    event, and every fault and finding.

    Args:
        stream: JSON events, a line each, with or without line ends; or what a reader of topics or a store has read.
        catalog: only chains with a weight above 0 are expected.
        ledger: lines of the run's ledger. None: there is none.
        significance: probability that a sound run fails some statistical check by chance; all tests share it.
        phases: of the run.
        start: of the run, for its phases. None: from the ledger, or else estimated from the first chains.
        on_progress: is called with the share of the chains that are checked, after all events are read.

    Raises:
        InvalidLedger: it is not a ledger, or it is incomplete.
        OSError: the temporary file cannot be written.
    """
    reading = stream if isinstance(stream, Reading) else read(stream, catalog)
    index = None if ledger is None else read_ledger(ledger)
    if start is None and index is not None:
        start = index.start
    begin, doubt = _estimated_start(reading.events) if start is None else (microseconds(start), 0)
    phased = PhasedCatalog(catalog, phases, begin, doubt)
    structure = StructureChecks(reading.events, catalog, is_ordered=reading.is_ordered)
    frequencies = FrequencyChecks(phased, significance)
    comparison = None if index is None else LedgerCheck(index, reading)
    cut = _cut_from(index)
    for number in range(BUCKETS):
        bucket = Bucket(reading.events, number)
        traces = group_traces(bucket.first.values(), phased)
        wrong = structure.add(bucket, traces)
        frequencies.add((trace for trace in traces if cut is None or _begin(trace) < cut), wrong)
        if comparison is not None:
            comparison.add(bucket)
        on_progress((number + 1) / BUCKETS)
    checks = [*reading.checks(), *structure.checks()]
    report = [*checks, *frequencies.checks()]
    if comparison is not None:
        report = [*map(comparison.named, report), comparison.check(checks)]
    counts = None if comparison is None else comparison.counts()
    return Report(reading.lines, structure.first, structure.traces, report, counts, reading.place)


def _begin(trace: Trace) -> int:
    """When a chain began by its id, microseconds since the Unix epoch."""
    return id_time(trace.events[0].correlation_id)


def _cut_from(index: LedgerIndex | None) -> int | None:
    """When the first chain began that the end of the run cut off: later ones are short more often.

    None: no chain was cut off.
    """
    return min(map(id_time, index.cut)) if index and index.cut else None


def _estimated_start(events: SpooledEvents) -> tuple[int, int]:
    """When the first chain began, and by how much earlier the run may have started, judged by the chains after it.

    From ids, because timestamps may be wrong; microseconds.
    """
    times = [id_time(chain) for chain in events.earliest]
    return (times[0], times[-1] - times[0]) if times else (0, 0)
