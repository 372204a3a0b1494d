"""All checks of one stream, in the order in which a reader wants to know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from eventbus.catalog import Catalog
from eventbus.catalog.model import Phase
from eventbus.chains.verification import frequencies, structure
from eventbus.chains.verification.ledger import LedgerCheck, LedgerIndex, read_ledger
from eventbus.chains.verification.report import Report
from eventbus.chains.verification.streams import EventSummary, Reading, id_time, read
from eventbus.chains.verification.traces import PhasedCatalog, Trace, traces
from eventbus.event import microseconds

SIGNIFICANCE = 1e-3
"""The share of sound runs of which some figure is called wrong by chance."""


def verify(
    lines: Iterable[bytes],
    catalog: Catalog,
    *,
    ledger: Iterable[bytes] | None = None,
    significance: float = SIGNIFICANCE,
    phases: Sequence[Phase] = (),
    start: datetime | None = None,
) -> Report:
    """Hold a whole run against the catalog that it was made from, and against its ledger.

    Args:
        lines: JSON events, a line each; with or without line ends.
        catalog: only chains with a weight above 0 are expected.
        ledger: lines of the run's ledger; None: there is none.
        significance: see `SIGNIFICANCE`; all tests of figures share it.
        phases: of the run.
        start: of the run, for its phases; None: as the ledger says, or shortly before the first chain.

    Raises:
        InvalidLedger: the ledger is none.
    """
    return judged(read(lines, catalog), catalog, ledger=ledger, significance=significance, phases=phases, start=start)


def judged(
    reading: Reading,
    catalog: Catalog,
    *,
    ledger: Iterable[bytes] | None = None,
    significance: float = SIGNIFICANCE,
    phases: Sequence[Phase] = (),
    start: datetime | None = None,
) -> Report:
    """The same for what was read from somewhere else, such as topics or a store.

    Raises:
        InvalidLedger: the ledger is none.
    """
    book = None if ledger is None else read_ledger(ledger)
    first: dict[str, EventSummary] = {}
    for event in reading.events:
        first.setdefault(event.event_id, event)
    if start is None and book is not None:
        start = book.start
    begun = _begun(first.values()) if start is None else (microseconds(start), 0)
    course = PhasedCatalog(catalog, phases, *begun)
    chains = traces(first.values(), course)
    structural = structure.checks(reading.events, first, chains, catalog)
    if not reading.is_ordered:
        structural = [replace(check, tested=0, findings=()) if check.name == "order" else check for check in structural]
    wrong = {finding.events[0] for check in structural if check.name in TIMES for finding in check.findings}
    checks = [*reading.checks(), *structural]
    counted = chains if book is None else _before_the_cut(chains, book)
    report = [*checks, *frequencies.checks(counted, course, wrong, significance)]
    found = None
    if book is not None:
        conservation = LedgerCheck(book, reading, checks)
        report = [*map(conservation.named, report), conservation.check()]
        found = conservation.found()
    return Report(reading.lines, len(first), len(chains), report, found, reading.place)


def _before_the_cut(chains: Sequence[Trace], book: LedgerIndex) -> Sequence[Trace]:
    """Those of which none was still under way when the run was cut off: among later ones, the short ones prevail."""
    if not book.cut:
        return chains
    cut = min(map(id_time, book.cut))
    return [trail for trail in chains if id_time(trail.events[0].correlation_id) < cut]


def _begun(events: Iterable[EventSummary]) -> tuple[int, int]:
    """When the first chain of a run began, and how long before it the run may have, judged by the next few chains.

    By ids, because times may be wrong; microseconds.
    """
    chains = sorted({event.correlation_id for event in events})[:NEXT_FEW]
    times = [id_time(chain) for chain in chains]
    return (times[0], times[-1] - times[0]) if times else (0, 0)


NEXT_FEW = 25
TIMES = "clocks", "causality"
"""The checks that find events whose time is wrong."""
