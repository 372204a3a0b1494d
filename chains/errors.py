"""The errors of this package; all of them are `ChainError`s."""

from __future__ import annotations


class ChainError(Exception):
    """Chains could not be generated, delivered, verified or learned."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class NothingToGenerate(ChainError):
    """No chain of the catalog has a weight above 0."""


class ImpossibleChain(ChainError):
    """No path through a chain ends with the outcome asked for within `max_steps` events."""


class InvalidSetting(ChainError, ValueError):
    """An argument is out of range."""


class SinkUnusable(ChainError):
    """Nothing can be written to this sink."""


class WorkerDied(ChainError):
    """A worker process ended prematurely; the events so far are incomplete."""


class UnknownEvent(ChainError, LookupError):
    """The run has no such event."""


class InvalidLedger(ChainError):
    """The file is not a ledger, or is incomplete."""


class UnreadableStream(ChainError):
    """A recording cannot be read to its end."""


class NothingToLearn(ChainError):
    """A recording has no complete chain."""


class NotResumable(ChainError):
    """A partial file is not the beginning of the run that is to complete it."""
