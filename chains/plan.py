"""A catalog, compiled: which chain each index is, and the emitters of all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import count, pairwise
from typing import NamedTuple

import numpy as np

from eventbus.bus import TopicStrategy, topic_namer
from eventbus.catalog import Catalog, Chain
from eventbus.catalog.model import Outcome, Phase
from eventbus.chains.errors import InvalidSetting, NothingToGenerate
from eventbus.chains.randomness import Integers, Words, draw, fraction, purpose, shares
from eventbus.chains.rendering import JSON, Format
from eventbus.chains.rendering.fixed import Envelope, FixedField, Tenancy
from eventbus.chains.rendering.render import Emitter, compile_emitter
from eventbus.chains.sampling import speed_factors
from eventbus.chains.simulation import Simulator
from eventbus.chains.simulation.chains import EmitterIds, StateMachineSimulator
from eventbus.chains.simulation.policy import TransitionPolicy
from eventbus.chains.simulation.sessions import SessionSimulator, longest_session

# Whether the phases of a run are ones.


def checked_phases(phases: Sequence[Phase], catalog: Catalog) -> tuple[Phase, ...]:
    """The same phases.

    Raises:
        InvalidSetting: their moments do not rise from 0 or more, or a factor is out of range.
        UnknownName: a phase names a chain that the catalog does not have.
    """
    for phase in phases:
        if not (0 <= phase.failed < math.inf and 0 < phase.delay < math.inf):
            raise InvalidSetting(f"expected factors that are finite, of 0 or more (delay: above 0), got {phase}")
        for name in phase.chains:
            catalog.chain(name)
    moments = [phase.at for phase in phases]
    if not all(0 <= moment < math.inf for moment in moments) or any(b <= a for a, b in pairwise(moments)):
        raise InvalidSetting(f"expected phases whose moments rise from 0 or more, got {moments}")
    return tuple(phases)


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
        format: the form of the events.

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
        format: Format = JSON,
    ) -> None:
        self._catalog = catalog
        self._envelope = envelope
        self._format = format
        weighted = catalog.weighted
        if not weighted:
            raise NothingToGenerate
        self.emitters: list[Emitter] = []
        self.walkers: list[Simulator] = []
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
        variants = [family, *([phase.apply(one) for one in family] for phase in phases)]
        distinct = {tuple(map(id, variant)): variant for variant in variants}
        walks = [self._walks(variant, outcome) for variant in distinct.values()]
        parents = [parent for parent, *_ in walks]
        kinds = [self._kinds(list(same), parents) for same in zip(*walks, strict=True)]
        numbers = dict(zip(distinct, count(len(self.walkers)), strict=False))
        for parent, *caused in walks:
            children = {
                walk.chain.name: StateMachineSimulator(walk, kind) for walk, kind in zip(caused, kinds[1:], strict=True)
            }
            walker = SessionSimulator if chain.visitors else StateMachineSimulator
            self.walkers.append(walker(parent, kinds[0], children))
        return [numbers[tuple(map(id, variant))] for variant in variants]

    def _walks(self, family: Sequence[Chain], outcome: Outcome | None) -> list[TransitionPolicy]:
        """Of a chain and those that it causes: these end as they like."""
        outcomes = [outcome, *[None] * (len(family) - 1)]
        return [
            TransitionPolicy(one, end, speed_factors(self._catalog, one))
            for one, end in zip(family, outcomes, strict=True)
        ]

    def _kinds(self, walks: list[TransitionPolicy], parents: list[TransitionPolicy]) -> EmitterIds:
        """Makes the emitters that the walks of a chain share: of its first event, and of the states that it leads to.

        Args:
            parents: walks that may cause it, unless they are the same.
        """
        chain = walks[0].chain
        caused = 0 if walks[0] is parents[0] else max(walk.longest_before_child(chain.name) for walk in parents)
        root = self._emitter(walks, chain.start, is_root=walks[0] is parents[0], longest=caused)
        return EmitterIds(root, {state: self._emitter(walks, state) for state in walks[0].targets()})

    def _emitter(self, walks: list[TransitionPolicy], state: str, *, is_root: bool = False, longest: int = 0) -> int:
        chain = walks[0].chain
        longest = max(longest, *(walk.longest_before(state) for walk in walks))
        emitter = compile_emitter(
            self._catalog,
            self._envelope,
            self._format,
            chain,
            state,
            is_root=is_root,
            longest=longest_session(chain) if chain.visitors else longest,
        )
        self.emitters.append(emitter)
        return len(self.emitters) - 1


# What an emitter stands for: the chain and the state that its events come from.


class EmitterInfo(NamedTuple):
    """Where in the catalog an event comes from."""

    chain: str
    state: str
    event_type: str
    is_root: bool
    ends_chain: bool
    outcome: Outcome | None
    correlation_at: int
    """Where in an event's text its correlation id begins."""
    timestamp_at: int
    causation_at: int | None
    """None on a root."""


def emitter_infos(plan: Plan) -> list[EmitterInfo]:
    """The place of each emitter of a plan."""
    return [_emitter_info(emitter) for emitter in plan.emitters]


def _emitter_info(emitter: Emitter) -> EmitterInfo:
    at = {gap.field: gap.at for gap in emitter.gaps}
    return EmitterInfo(
        chain=emitter.chain,
        state=emitter.state.name,
        event_type=emitter.event_type,
        is_root=emitter.is_root,
        ends_chain=emitter.state.outcome is not None,
        outcome=emitter.state.outcome,
        correlation_at=emitter.correlation_at,
        timestamp_at=at[FixedField.TIMESTAMP],
        causation_at=at.get(FixedField.CAUSATION_ID),
    )
