"""What goes wrong on purpose, and the ledger of it."""

from eventbus.chains.faults.kinds import KINDS, Fault

__all__ = ["KINDS", "Fault"]
