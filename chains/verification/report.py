"""The report of a verification: checks and their findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

BY_LINE = "line {:,}".format
"""The place of a line in a file."""


class Finding(NamedTuple):
    """A deviation from what a check expects."""

    fault: str | None
    """The kind of fault that looks like this; None: no fault does."""
    line: int | None
    """Counted from 1; None: the finding is about no single line."""
    events: tuple[str, ...]
    """Ids of the events that it is about."""
    sentence: str


@dataclass(frozen=True)
class Check:
    """One property of a stream."""

    name: str
    rule: str
    """What has to hold."""
    tested: int
    """How many things were tested; 0: none, or too few for a result."""
    findings: Sequence[Finding]

    @property
    def passed(self) -> bool:
        return not self.findings


@dataclass(frozen=True)
class Report:
    """All checks of one stream."""

    lines: int
    events: int
    chains: int
    checks: Sequence[Check]
    ledger: Mapping[str, tuple[int, int]] | None = field(default=None)
    """By kind of fault: how many are in the ledger, and how many of those were found. None: there is no ledger."""
    place: Callable[[int], str | None] = BY_LINE
    """Describes where a line is. None: it has no name."""

    @property
    def passed(self) -> bool:
        """Whether no check has a finding; nothing at all passes only beside a ledger, which says that it is right."""
        return all(check.passed for check in self.checks) and (self.lines > 0 or self.ledger is not None)

    @property
    def faults(self) -> Mapping[str, int]:
        """How often each kind of fault was seen: as the ledger names it, or else by what it looks like."""
        if self.ledger is not None:
            return {kind: detected for kind, (_, detected) in self.ledger.items()}
        return Counter(finding.fault for check in self.checks for finding in check.findings if finding.fault)

    def place_of(self, finding: Finding) -> str | None:
        """For display: `line 12`, `omninode.agent[3]@1234`; None if it has no place."""
        return None if finding.line is None else self.place(finding.line)

    def to_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        return {
            "passed": self.passed,
            "lines": self.lines,
            "events": self.events,
            "chains": self.chains,
            "faults": dict(self.faults),
            "checks": [
                {
                    "name": check.name,
                    "rule": check.rule,
                    "passed": check.passed,
                    "tested": check.tested,
                    "findings": [{**finding._asdict(), "place": self.place_of(finding)} for finding in check.findings],
                }
                for check in self.checks
            ],
        }
