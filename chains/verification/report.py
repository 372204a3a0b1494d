"""What a verification found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

BY_LINE = "line {:,}".format
"""Where a line of a file is."""


class Finding(NamedTuple):
    """Something that is not as it should be."""

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
    """Of how many things it was looked at; 0: there were none, or too few to say."""
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
    """For each kind of fault in the ledger: how many, and how many of them were found; None: no ledger."""
    place: Callable[[int], str | None] = BY_LINE
    """Where a line is; None: nowhere that has a name."""

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def faults(self) -> Mapping[str, int]:
        """How often each kind of fault was seen: as the ledger names it, or else by what it looks like."""
        if self.ledger is not None:
            return {kind: found for kind, (_, found) in self.ledger.items()}
        return Counter(finding.fault for check in self.checks for finding in check.findings if finding.fault)

    def place_of(self, finding: Finding) -> str | None:
        """Where it is, for a person: `line 12`, `omninode.agent[3]@1234`; None: nowhere."""
        return None if finding.line is None else self.place(finding.line)

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
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
