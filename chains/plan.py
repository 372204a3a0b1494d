"""A catalog, compiled: which chain each index is, and the emitters of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import count

import numpy as np

from eventbus.bus import TopicStrategy, topic_namer
from eventbus.catalog import Catalog, Chain
from eventbus.catalog.model.chains import Outcome
from eventbus.catalog.model.workload import Phase
from eventbus.chains.errors import NothingToGenerate
from eventbus.chains.formats import JSON, Layout
from eventbus.chains.formats.layout import Envelope
from eventbus.chains.randomness import Integers, Words, draw, fraction, purpose, shares
from eventbus.chains.tenants import Tenancy
from eventbus.chains.walking.crossing import Kinds
from eventbus.chains.walking.factors import factors
from eventbus.chains.walking.sessions import Sessions, longest_session
from eventbus.chains.walking.walk import Walk
from eventbus.chains.walking.walker import Walker
from eventbus.chains.walking.waves import Waves
from eventbus.chains.writing.emitter import Emitter, compile_emitter

CHAIN_PURPOSE = purpose("chain")
LONGEST_SPAN = 1 << 62
"""Microseconds; what 63 bits can still be compared with."""
SECOND = 1_000_000


class Plan:
    """All that is worked out before the first event; immutable.

    Args:
        catalog: its chains of a weight above 0 take part.
        envelope: what all events have in common.
        outcome: walk the chains so that they end like this, not as their weights say.
        phases: what is different for chains that begin at or after a moment, in the order of their moments.
        layout: the form of the events.

    Raises:
        NothingToGenerate: no chain has a weight above 0.
        ImpossibleChain: a chain cannot end as it should within its `max_steps`.
    """

    def __init__(
        self,
        catalog: Catalog,
        envelope: Envelope,
        *,
        outcome: Outcome | None = None,
        phases: Sequence[Phase] = (),
        layout: Layout = JSON,
    ) -> None:
        self._catalog = catalog
        self._envelope = envelope
        self._layout = layout
        weighted = catalog.weighted
        if not weighted:
            raise NothingToGenerate
        self.emitters: list[Emitter] = []
        self.walkers: list[Walker] = []
        self._edges = np.array(shares([chain.weight for chain in weighted]), np.uint64)
        self._phases = np.array([round(phase.at * SECOND) for phase in phases], np.int64)
        if outcome:  # whether they fail is settled
            phases = [replace(phase, failed=1) for phase in phases]
        #: Shape (phases + 1, chains): the place in `walkers`; the first row is for chains before all phases.
        self._numbers = np.array([self._walkers(chain, outcome, phases) for chain in weighted]).T

    @property
    def tenancy(self) -> Tenancy | None:
        """Where there are several tenants."""
        return self._envelope.tenancy

    @property
    def widest(self) -> int:
        """Bytes of the longest event."""
        return max(emitter.width for emitter in self.emitters)

    @cached_property
    def spans(self) -> Integers:
        """The longest time that chains of each of `walkers` can last, microseconds."""
        return np.array([min(walker.span, LONGEST_SPAN) for walker in self.walkers], np.int64)

    def choose(self, keys: Words, elapsed: Integers) -> Integers:
        """The place in `walkers` for each chain.

        Args:
            keys: of the chains.
            elapsed: when they begin, microseconds since the beginning of the run.
        """
        chosen = self._edges.searchsorted(fraction(draw(keys, CHAIN_PURPOSE)), side="right")
        if not self._phases.size:
            return chosen
        numbers: Integers = self._numbers[self._phases.searchsorted(elapsed, side="right"), chosen]
        return numbers

    def topics(self, strategy: TopicStrategy) -> list[str]:
        """The topic of each emitter."""
        name = topic_namer(strategy)
        return [name(emitter.event_type) for emitter in self.emitters]

    def _walkers(self, chain: Chain, outcome: Outcome | None, phases: Sequence[Phase]) -> list[int]:
        """Makes what walks a chain as it is, and in each phase that changes it or what it causes; their numbers."""
        family = [chain, *(self._catalog.chain(name) for name in sorted(chain.caused))]
        variants = [family, *([phase.of(one) for one in family] for phase in phases)]
        distinct = {tuple(map(id, variant)): variant for variant in variants}
        walks = [self._walks(variant, outcome) for variant in distinct.values()]
        parents = [parent for parent, *_ in walks]
        kinds = [self._kinds(list(same), parents) for same in zip(*walks, strict=True)]
        numbers = dict(zip(distinct, count(len(self.walkers)), strict=False))
        for parent, *caused in walks:
            children = {walk.chain.name: Waves(walk, kind) for walk, kind in zip(caused, kinds[1:], strict=True)}
            walker = Sessions if chain.visitors else Waves
            self.walkers.append(walker(parent, kinds[0], children))
        return [numbers[tuple(map(id, variant))] for variant in variants]

    def _walks(self, family: Sequence[Chain], outcome: Outcome | None) -> list[Walk]:
        """Of a chain and those that it causes: these end as they like."""
        outcomes = [outcome, *[None] * (len(family) - 1)]
        return [Walk(one, end, factors(self._catalog, one)) for one, end in zip(family, outcomes, strict=True)]

    def _kinds(self, walks: list[Walk], parents: list[Walk]) -> Kinds:
        """Makes the emitters that the walks of a chain share: of its first event, and of the states that it leads to.

        Args:
            parents: walks that may cause it, unless they are the same.
        """
        chain = walks[0].chain
        caused = 0 if walks[0] is parents[0] else max(walk.longest_before_child(chain.name) for walk in parents)
        root = self._emitter(walks, chain.start, is_root=walks[0] is parents[0], longest=caused)
        return Kinds(root, {state: self._emitter(walks, state) for state in walks[0].targets()})

    def _emitter(self, walks: list[Walk], state: str, *, is_root: bool = False, longest: int = 0) -> int:
        chain = walks[0].chain
        longest = max(longest, *(walk.longest_before(state) for walk in walks))
        emitter = compile_emitter(
            self._catalog,
            self._envelope,
            self._layout,
            chain,
            state,
            is_root=is_root,
            longest=longest_session(chain) if chain.visitors else longest,
        )
        self.emitters.append(emitter)
        return len(self.emitters) - 1
