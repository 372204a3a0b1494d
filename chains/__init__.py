"""Generates correlated event chains from a catalog and a seed, in virtual time or paced into a bus."""

from eventbus.chains.errors import (
    ChainError,
    ImpossibleChain,
    InvalidSetting,
    NothingToGenerate,
    UnknownEvent,
    WorkerDied,
)
from eventbus.chains.generator import ChainGenerator, PacedRun
from eventbus.chains.pacing.statistics import RunStatistics
from eventbus.chains.rendering.block import Block

__all__ = [
    "Block",
    "ChainError",
    "ChainGenerator",
    "ImpossibleChain",
    "InvalidSetting",
    "NothingToGenerate",
    "PacedRun",
    "RunStatistics",
    "UnknownEvent",
    "WorkerDied",
]
