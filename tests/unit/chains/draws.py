"""Random numbers and delays again, slow and obvious: what the package `chains` has to draw.

Written from the specification in `eventbus.chains.randomness`, with no part of its code.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist

from eventbus.catalog import Delay, Exponential, Fixed, LogNormal, Uniform

GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


def purpose(kind: str, *names: str) -> int:
    text = bytearray()
    for name in (kind, *names):
        utf8 = name.encode("utf-8")
        text += str(len(utf8)).encode("ascii") + b":" + utf8 + b","
    first, *_ = struct.unpack("<Q", hashlib.blake2b(text, digest_size=8).digest())
    return int(first)


def mix(z: int) -> int:
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def below(word: int, count: int) -> int:
    return word % count if count > 1 << 32 else (word >> 32) * count >> 32


@dataclass(frozen=True)
class Randomness:
    """All random words of one chain."""

    key: int
    root: int
    """Of the run."""
    index: int = 0
    """Of the chain in the run."""

    def word(self, kind: str, *names: str, step: int = 0) -> int:
        return mix(self.key ^ (purpose(kind, *names) + step * GOLDEN) & MASK)

    def among(self, weights: list[float], kind: str, *names: str, step: int = 0) -> int:
        point = self.word(kind, *names, step=step) >> 32
        *reached, total = accumulate(weights)
        edges = (round(weight / total * 2**32) for weight in reached)
        return next((number for number, edge in enumerate(edges) if point < edge), len(weights) - 1)


def drawn_delay(delay: Delay, word: int, unit: int = 1000) -> int:
    """4096 cells of the quantile function, linear inside; the last cell of an open tail has 4096 of its own."""
    if isinstance(delay, Fixed):
        return round(delay.value * unit)
    if isinstance(delay, Uniform):
        low, high = round(delay.minimum * unit), round(delay.maximum * unit)
        bits = 63 - (high - low).bit_length()
        return low + ((word >> 64 - bits) * (high - low) >> bits)
    q = quantile(delay)

    def edge(p: float) -> int:
        return round(q(min(p, 1 - 2.0**-25)) * unit)

    cell, inside = word >> 52, word >> 32 & 0xFFFFF
    if cell == 4095:
        cell, inside = inside >> 8, inside & 0xFF
        low, high = (edge(1 - (1 - c / 4096) / 4096) for c in (cell, cell + 1))
        return low + ((high - low) * inside >> 8)
    low, high = edge(cell / 4096), edge((cell + 1) / 4096)
    return low + ((high - low) * inside >> 20)


def quantile(delay: Delay) -> Callable[[float], float]:
    if isinstance(delay, Uniform):
        return lambda p: delay.minimum + (delay.maximum - delay.minimum) * p
    if isinstance(delay, Exponential):
        return truncated(delay, lambda p: -delay.mean * math.log1p(-p), lambda x: -math.expm1(-x / delay.mean))
    assert isinstance(delay, LogNormal)
    sigma = math.log(delay.p95 / delay.median) / NormalDist().inv_cdf(0.95)
    normal = NormalDist(math.log(delay.median), sigma)
    return truncated(
        delay,
        lambda p: math.exp(normal.inv_cdf(p)) if p else 0.0,
        lambda x: normal.cdf(math.log(x)) if x else 0.0,
    )


def truncated(
    delay: Exponential | LogNormal, q: Callable[[float], float], cdf: Callable[[float], float]
) -> Callable[[float], float]:
    low, high = cdf(delay.minimum), 1.0 if delay.maximum is None else cdf(delay.maximum)
    return lambda p: q(low + (high - low) * p)
