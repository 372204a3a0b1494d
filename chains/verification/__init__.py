"""Tells whether a stream is what it claims to be: held against the catalog, and against the ledger of its run."""

from eventbus.chains.verification.report import Check, Finding, Report
from eventbus.chains.verification.verify import SIGNIFICANCE, judged, verify

__all__ = ["SIGNIFICANCE", "Check", "Finding", "Report", "judged", "verify"]
