"""Correlated event chains from a catalog and a seed, in virtual time or paced into a bus."""

from chains.block import Block
from chains.errors import ChainError, ImpossibleChain, InvalidSetting, NothingToGenerate, UnknownEvent, WorkerDied
from chains.generator import ChainGenerator
from chains.statistics import RunStatistics

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
