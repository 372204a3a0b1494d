"""Verifies streams: against the catalog, and against the ledger of the run."""

from eventbus.chains.verification.report import Check, Finding, Report
from eventbus.chains.verification.verify import SIGNIFICANCE, verify

__all__ = ["SIGNIFICANCE", "Check", "Finding", "Report", "verify"]
