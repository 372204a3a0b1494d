"""Correlated event chains from a catalog and a seed, in virtual time or paced into a bus."""

from chains.errors import ChainError, ImpossibleChain, InvalidSetting, NothingToGenerate, UnknownEvent, WorkerDied
from chains.generator import ChainGenerator
from chains.pacing.statistics import RunStatistics
from chains.writing.block import Block

__all__ = [
    "Block",
    "ChainError",
    "ChainGenerator",
    "ImpossibleChain",
    "InvalidSetting",
    "NothingToGenerate",
    "RunStatistics",
    "UnknownEvent",
    "WorkerDied",
]
