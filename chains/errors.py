"""Every error of this package, under one root, so that one `except ChainError` is enough."""

from __future__ import annotations


class ChainError(Exception):
    """The chains could not be generated."""


class NothingToGenerate(ChainError):
    """Every chain of the catalog has a weight of 0."""


class ImpossibleChain(ChainError):
    """No walk through the chain's states ends as it should: with the outcome asked for, within `max_steps`."""


class InvalidSetting(ChainError, ValueError):
    """An argument is outside what the generator can do."""


class SinkUnusable(ChainError):
    """Nothing can be written to this sink."""


class WorkerDied(ChainError):
    """A worker process ended before its work did; what came so far is incomplete."""


class UnknownEvent(ChainError, LookupError):
    """The run has no such event."""


class InvalidLedger(ChainError):
    """The file is no ledger, or not a whole one."""


class UnreadableStream(ChainError):
    """A recording cannot be read to its end."""


class NothingToLearn(ChainError):
    """A recording has no complete chain."""


class NotResumable(ChainError):
    """A partial file is not the beginning of the run that is to complete it."""
