"""Random numbers by identity: each is a function of (seed, chain index, purpose, step), not of the order of draws.

So a chain can be generated alone, in any batch, by any worker, and a new purpose (such as another payload field) does
not change other numbers. The mixer is SplitMix64's finaliser (Steele, Lea, Flood: "Fast splittable pseudorandom
number generators", OOPSLA 2014); arithmetic is modulo 2^64 throughout.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

GOLDEN = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio, odd: its multiples spread neighbouring indices over all bits."""
FACTOR_1, FACTOR_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
HALF = np.uint64(32)
MASK = (1 << 64) - 1


def purpose(name: str) -> int:
    """A 64-bit hash of a name; computed when a catalog is compiled, not for each event."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def chain_keys(root: int, indices: Integers) -> Words:
    """The random key of each chain, from the key of the run and the index of the chain."""
    words = indices.astype(np.uint64)
    words *= np.uint64(GOLDEN)
    words += np.uint64(root)
    return mix(words)


def draw(keys: Words, purpose: int, step: int | Integers = 0) -> Words:
    """64 random bits for each chain key.

    Args:
        step: of the chains: one for all of them, or one for each.
    """
    if isinstance(step, int):
        return mix(keys ^ np.uint64((purpose + step * GOLDEN) & MASK))
    return draw_each(keys, np.uint64(purpose), step.view(np.uint64))


def draw_each(keys: Words, purposes: Words | np.uint64, steps: Words) -> Words:
    """64 random bits for each chain key and each of several purposes.

    Args:
        keys: shape (keys).
        purposes: shape (purposes, 1), or a single one.
        steps: of the chains; shape (purposes, keys), or (keys) for a single purpose.
    """
    words = steps * np.uint64(GOLDEN)
    words += purposes
    words ^= keys
    return mix(words)


def below(words: Words, counts: Words) -> Integers:
    """Uniform integers from 0 to `counts` - 1.

    Args:
        words: shape (counts, keys).
        counts: shape (counts, 1).
    """
    numbers = words >> HALF
    numbers *= counts
    numbers >>= HALF
    for row in np.flatnonzero(counts > 1 << 32):  # the bias is count / 2^64, which no sample can show
        numbers[row] = words[row] % counts[row]
    return numbers.view(np.int64)


def fraction(words: Words) -> Words:
    """The upper 32 bits, to be compared with the edges of `shares`."""
    return words >> HALF


def shares(weights: list[float]) -> list[int]:
    """Cumulative probabilities (× 2^32) of weights."""
    total, cumulative, edges = sum(weights), 0.0, []
    for weight in weights:
        cumulative += weight
        edges.append(round(cumulative / total * (1 << 32)))
    edges[-1] = 1 << 32
    return edges


def mix(words: Words) -> Words:
    """SplitMix64's finaliser, in place."""
    first, second, third = SHIFTS
    shifted = words >> first
    words ^= shifted
    words *= FACTOR_1
    np.right_shift(words, second, out=shifted)
    words ^= shifted
    words *= FACTOR_2
    np.right_shift(words, third, out=shifted)
    words ^= shifted
    return words
