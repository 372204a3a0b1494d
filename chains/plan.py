"""A catalog, compiled: which chain each index is, and the emitters of all of them."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from catalog import Catalog
from catalog.model import Outcome
from chains.emitter import Emitter, Envelope, compile_emitter
from chains.errors import NothingToGenerate
from chains.randomness import Integers, Words, draw, fraction, purpose, shares
from chains.walk import Walk
from chains.walker import Walker
from chains.waves import Waves
from eventbus.bus import TopicStrategy, topic_namer

CHAIN_PURPOSE = purpose("chain")
LONGEST_SPAN = 1 << 62
"""Microseconds; what 63 bits can still be compared with."""


class Plan:
    """All that is worked out before the first event; immutable.

    Args:
        catalog: its chains of a weight above 0 take part.
        envelope: what all events have in common.
        outcome: walk the chains so that they end like this, not as their weights say.

    Raises:
        NothingToGenerate: no chain has a weight above 0.
        ImpossibleChain: a chain cannot end as it should within its `max_steps`.
    """

    def __init__(self, catalog: Catalog, envelope: Envelope, *, outcome: Outcome | None = None) -> None:
        self._catalog = catalog
        self._envelope = envelope
        weighted = [chain for chain in catalog.chains.values() if chain.weight > 0]
        if not weighted:
            raise NothingToGenerate
        self.emitters: list[Emitter] = []
        self.walkers = [self._walker(Walk(chain, outcome)) for chain in weighted]
        self._edges = np.array(shares([chain.weight for chain in weighted]), np.uint64)

    @property
    def widest(self) -> int:
        """Bytes of the longest event."""
        return max(emitter.width for emitter in self.emitters)

    @cached_property
    def spans(self) -> Integers:
        """The longest time that chains of each of `walkers` can last, microseconds."""
        return np.array([min(walker.span, LONGEST_SPAN) for walker in self.walkers], np.int64)

    def choose(self, keys: Words) -> Integers:
        """The place in `walkers` for each chain key."""
        return self._edges.searchsorted(fraction(draw(keys, CHAIN_PURPOSE)), side="right")

    def topics(self, strategy: TopicStrategy) -> list[str]:
        """The topic of each emitter."""
        name = topic_namer(strategy)
        return [name(emitter.event_type) for emitter in self.emitters]

    def _walker(self, walk: Walk) -> Walker:
        root = self._emitter(walk, walk.chain.start, is_root=True)
        return Waves(walk, root, {state: self._emitter(walk, state, is_root=False) for state in walk.targets()})

    def _emitter(self, walk: Walk, state: str, *, is_root: bool) -> int:
        emitter = compile_emitter(
            self._catalog, self._envelope, walk.chain, state, is_root=is_root, longest=walk.longest_before(state)
        )
        self.emitters.append(emitter)
        return len(self.emitters) - 1
