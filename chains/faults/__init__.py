"""Faults on purpose, and the ledger of them: `Fault` is one setting, `KINDS` are all kinds."""

from eventbus.catalog.model import Fault
from eventbus.chains.faults.kinds import KINDS
from eventbus.chains.faults.select import check_fault

__all__ = ["KINDS", "Fault", "check_fault"]
