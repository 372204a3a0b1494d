"""All checks of one stream, in the order in which a reader wants to know."""

from __future__ import annotations

from collections.abc import Iterable

from catalog import Catalog
from chains.verification import frequencies, structure
from chains.verification.conservation import Conservation, read_ledger
from chains.verification.reading import Seen, read
from chains.verification.report import Report
from chains.verification.trails import trails

SIGNIFICANCE = 1e-3
"""The share of sound runs of which some figure is called wrong by chance."""


def verify(
    lines: Iterable[bytes],
    catalog: Catalog,
    *,
    ledger: Iterable[bytes] | None = None,
    significance: float = SIGNIFICANCE,
) -> Report:
    """Hold a whole run against the catalog that it was made from, and against its ledger.

    Args:
        lines: JSON events, a line each; with or without line ends.
        catalog: only chains with a weight above 0 are expected.
        ledger: lines of the run's ledger; None: there is none.
        significance: see `SIGNIFICANCE`; all tests of figures share it.

    Raises:
        InvalidLedger: the ledger is none.
    """
    book = None if ledger is None else read_ledger(ledger)
    reading = read(lines, catalog)
    first: dict[str, Seen] = {}
    for event in reading.events:
        first.setdefault(event.event_id, event)
    chains = trails(first.values(), catalog)
    structural = structure.checks(reading.events, first, chains, catalog)
    wrong = {finding.events[0] for check in structural if check.name in TIMES for finding in check.findings}
    checks = [*reading.checks(), *structural]
    report = [*checks, *frequencies.checks(chains, catalog, wrong, significance)]
    found = None
    if book is not None:
        conservation = Conservation(book, reading, checks)
        report = [*map(conservation.named, report), conservation.check()]
        found = conservation.found()
    return Report(reading.lines, len(first), len(chains), report, found)


TIMES = "clocks", "causality"
"""The checks that find events whose time is wrong."""
