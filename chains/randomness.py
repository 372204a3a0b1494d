"""Random numbers by identity: each is a function of (seed, chain index, purpose, step), not of the order of draws.

So a chain can be generated alone, in any batch, by any worker, and a new purpose (such as another payload field) does
not change other numbers. This is the specification of the draws: it determines every random number of a run, and
`purpose` is the only place that makes purposes.

Words. All arithmetic is modulo 2^64. `mix` is SplitMix64's finaliser (Steele, Lea, Flood: "Fast splittable
pseudorandom number generators", OOPSLA 2014), G is 0x9E3779B97F4A7C15.

    purpose of a kind and names   the first 8 bytes, little-endian, of BLAKE2b with a digest of 8 bytes over the
                                  netstrings of the kind and of each name: the length of the text in bytes of UTF-8 in
                                  decimal, a colon, the text, a comma: `5:delay,4:shop,4:paid,7:shipped,`
    root of a run                 the purpose `seed`
    key of a chain                mix(root + index × G), with the index of the chain in the run, from 0
    word of a draw                mix(key ^ (purpose + step × G))

Each kind has a fixed number of names before those whose number varies, and the length before a text tells where it
ends; so no name in a catalog, whatever its characters, makes the purpose of another draw.

Draws. The key is that of the chain unless the table says otherwise; a chain that another one triggers draws with the
key of that one. The step "event" is the step of the event (see `table.StepIds`), "cause" that of the event before it.

    kind          names                     step      decides
    seed          seed, in decimal          -         the root of the run; not a draw
    arrival       -                         0         the gap before the chain, or its place in its stratum
    think         -                         0         how long a user of a closed workload waits after the chain
    chain         -                         0         which chain: a share, by the weights
    tenant        -                         0         the tenant: a share, in the hour in which the chain begins. With
                                                      the number of a tenant, from 0, as the key: its peak hour, mod 24
    id            -                         event     the event's UUID: the upper 62 bits
    next          chain, state              event     the transition, or the plan of a fork: a share
    delay         chain, state, next state  cause     the delay of a transition
    cause         chain, state, caused      event     whether an event causes a chain: a share of 2^32
    cause-delay   chain, state, caused      cause     the delay before the first event of the caused chain
    field         chain, state, path...     event     a payload field: a number below its count. The path is the names
                                                      of the objects around it, then its own, and then, of a
                                                      number computed from another, `times` or `plus`
    pick          chain, state, list        event     the item of all picks of the list in one event
    order         chain, list, quantity     trigger   the `start` and the `stride` of the order in which distinct items
                                                      of the list are picked, each a number below its count
    variable      chain, variable           trigger   a variable: the step is 0, and in a triggered chain the number of
                                                      its trigger, which is (step of an event >> `StepIds.bits`)
    per           owner, variable           -         a variable `per` another, the owner: mix(purpose + n × G), where
                                                      n is the owner's number. The same in all chains and runs
    counter       variable, quantity        -         the `period` and the `phase` of a counter, in the same way
    factor        list                      item      the speed factor of an item. The key is the root of the run
    visit         chain, quantity           page      what visitors do (see `simulation.pages` and `.timing`): the
                                                      step is the number of the page, from 0; of an action (`click`,
                                                      `kind`), its place on the page + 1024 × that number; of what is
                                                      drawn once for the session, 0
    fault         -                         event     the word whose upper 32 bits, made odd, select events for faults
    fault-factor  kind, scope..., place     -         the upper 32 bits, made odd: multiply these bits, modulo 2^32; the
                                                      event is selected if the product is at most rate × 2^32 - 1. The
                                                      scope: `chain` and a name for each chain in alphabetical order,
                                                      then `event-type` and a name, then `field` and a name; the place
                                                      counts the earlier faults of this kind and scope, in decimal
    fault-amount  kind                      event     how far a fault goes: modulo the width of its bounds
    fault-word    kind                      event     everything else that a fault decides
    clock-skew    root, in decimal; source  -         the clock error of a source

Numbers from words.

    below n       (word >> 32) × n >> 32; for n above 2^32: word mod n
    share         the first alternative whose edge is above (word >> 32); the edge of an alternative is the sum of its
                  weight and those before it, divided by the sum of all weights, × 2^32, rounded. Of a `zipf` range, the
                  weights are 1, 1/2, 1/3, ...
    one of n      where n depends on the event: (word >> 32) × n >> 32, of the items that match, or from the lower bound
    delay         see `sampling`
"""

from __future__ import annotations

import hashlib
from itertools import accumulate
from typing import Literal

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


Kind = Literal[
    "seed",
    "arrival",
    "think",
    "chain",
    "tenant",
    "id",
    "next",
    "delay",
    "cause",
    "cause-delay",
    "field",
    "pick",
    "variable",
    "per",
    "order",
    "counter",
    "factor",
    "visit",
    "fault",
    "fault-factor",
    "fault-amount",
    "fault-word",
    "clock-skew",
]
"""What a draw decides; the specification above has the names that belong to each."""


def purpose(kind: Kind, *names: str) -> int:
    """The 64-bit purpose of a draw; computed when a catalog is compiled, not for each event."""
    netstrings = [b"%d:%b," % (len(text), text) for text in (name.encode() for name in (kind, *names))]
    return int.from_bytes(hashlib.blake2b(b"".join(netstrings), digest_size=8).digest(), "little")


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


def among(choices: Integers, counts: Integers) -> Integers:
    """Integers from 0 to `counts` - 1, a part of each count.

    Args:
        choices: the parts, in units of 2^-32.
    """
    if np.max(counts, initial=0) < 1 << 31:
        return choices * counts >> 32
    high, low = counts >> 32, counts & (1 << 32) - 1
    part: Integers = (choices.view(np.uint64) * low.view(np.uint64) >> HALF).view(np.int64)
    return part + choices * high


def fraction(words: Words) -> Words:
    """The upper 32 bits, to be compared with the edges of `shares`."""
    return words >> HALF


def shares(weights: list[float]) -> list[int]:
    """Cumulative probabilities (× 2^32) of weights."""
    cumulative = list(accumulate(weights))  # `sum` rounds otherwise from Python 3.12 on
    return [round(weight / cumulative[-1] * (1 << 32)) for weight in cumulative]


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
