"""Tells whether a stream is what it claims to be: held against the catalog, and against the ledger of its run."""

from chains.verification.report import Check, Finding, Report
from chains.verification.verify import SIGNIFICANCE, judged, verify

__all__ = ["SIGNIFICANCE", "Check", "Finding", "Report", "judged", "verify"]
