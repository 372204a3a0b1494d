"""Compiles a catalog: the simulators of its chains and the emitters of their events."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import count, pairwise
from typing import NamedTuple, get_args

import numpy as np

from eventbus.bus import TopicStrategy, topic_namer
from eventbus.catalog import Catalog, Chain
from eventbus.catalog.errors import join_names
from eventbus.catalog.model import Outcome, Phase
from eventbus.catalog.validation import NOTHING_TO_GENERATE
from eventbus.catalog.validation.visitors import behaviour_problems
from eventbus.chains.arrivals.compile import concurrent_chains
from eventbus.chains.arrivals.process import ClosedArrivals, OpenArrivals
from eventbus.chains.errors import ImpossibleChain, InvalidSetting, NothingToGenerate
from eventbus.chains.randomness import Integers, Words, draw, fraction, purpose, shares
from eventbus.chains.rendering import JSON, Format
from eventbus.chains.rendering.fixed import Envelope, FixedField, Tenancy
from eventbus.chains.rendering.render import Emitter, compile_emitter
from eventbus.chains.sampling import speed_factors
from eventbus.chains.simulation import Simulator
from eventbus.chains.simulation.chains import EmitterIds, StateMachineSimulator, compile_step_ids
from eventbus.chains.simulation.ending import LONGEST_ENDING, SessionEmitters, SessionEndings
from eventbus.chains.simulation.policy import TransitionPolicy
from eventbus.chains.simulation.sessions import SessionSimulator, longest_session
from eventbus.chains.table import SECOND, StepIds

CHAIN_PURPOSE = purpose("chain")
STRATEGIES: tuple[TopicStrategy, ...] = get_args(TopicStrategy)
MAX_SPAN = 1 << 62
"""Microseconds, which 63 bits can still compare."""


def checked_phases(phases: Sequence[Phase], catalog: Catalog) -> tuple[Phase, ...]:
    """Returns valid phases.

    Raises:
        InvalidSetting: their moments do not rise from 0 or more, a factor is out of range, or sessions would be longer
            than sessions can be.
        UnknownName: a phase names a chain that the catalog does not have.
    """
    for phase in phases:
        if not (0 <= phase.failed < math.inf and 0 < phase.delay < math.inf):
            raise InvalidSetting(f"expected factors that are finite, of 0 or more (delay: above 0), got {phase}")
        for name in phase.chains:
            catalog.chain(name)
        for chain in catalog.chains.values():
            slowed = chain.visitors and phase.apply(chain).visitors
            for (setting, *_), problem in behaviour_problems((), slowed.behaviour) if slowed else ():
                raise InvalidSetting(f"{setting} of {chain.name}, {phase.delay:g} times as long in a phase: {problem}")
    moments = [phase.at for phase in phases]
    if not all(0 <= moment < math.inf for moment in moments) or any(b <= a for a, b in pairwise(moments)):
        raise InvalidSetting(f"expected phases whose moments rise from 0 or more, got {moments}")
    return tuple(phases)


class Plan:
    """All that is computed before the first event; immutable.

    Args:
        catalog: its chains of a weight above 0 take part.
        envelope: what all events have in common.
        outcome: chains end with this outcome, not as their weights say.
        phases: changes to chains that begin at or after a moment, in the order of their moments.
        format: the form of the events.

    Raises:
        NothingToGenerate: no chain has a weight above 0.
        ImpossibleChain: a chain cannot end with the outcome, or not within its `max_steps`.
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
        #: The fields that all events share.
        self.envelope = envelope
        self._format = format
        weighted = catalog.weighted
        if not weighted:
            raise NothingToGenerate(NOTHING_TO_GENERATE)
        self.emitters: list[Emitter] = []
        self.simulators: list[Simulator] = []
        self._sessions: list[SessionEmitters] = []
        self._edges = np.array(shares([chain.weight for chain in weighted]), np.uint64)
        self._phases = np.array([round(phase.at * SECOND) for phase in phases], np.int64)
        if outcome:  # the outcome is settled, so the factors of failure do not apply
            phases = [replace(phase, failed=1) for phase in phases]
        #: Indices into `simulators`, shape (phases + 1, chains); the first row is for chains before all phases.
        self._numbers = np.array([self._compile(chain, outcome, phases) for chain in weighted]).T

    @property
    def tenancy(self) -> Tenancy | None:
        """The tenants, if there are several."""
        return self.envelope.tenancy

    @property
    def widest(self) -> int:
        """Bytes of the longest event."""
        return max(emitter.width for emitter in self.emitters)

    @cached_property
    def endings(self) -> SessionEndings:
        """Ends the sessions of the plan's chains."""
        return SessionEndings(self._sessions, len(self.emitters))

    @cached_property
    def spans(self) -> Integers:
        """The longest duration of a chain, also of a session that the run ends; microseconds, by simulator."""
        return np.array([min(simulator.span + LONGEST_ENDING, MAX_SPAN) for simulator in self.simulators], np.int64)

    def choose(self, keys: Words, elapsed: Integers) -> Integers:
        """The index in `simulators` of each chain.

        Args:
            keys: of the chains.
            elapsed: when the chains begin, microseconds since the beginning of the run.
        """
        chosen = self._edges.searchsorted(fraction(draw(keys, CHAIN_PURPOSE)), side="right")
        if not self._phases.size:
            return chosen
        numbers: Integers = self._numbers[self._phases.searchsorted(elapsed, side="right"), chosen]
        return numbers

    def topics(self, strategy: TopicStrategy) -> list[str]:
        """The topic of each emitter.

        Raises:
            InvalidSetting: there is no such strategy.
        """
        if strategy not in STRATEGIES:
            raise InvalidSetting(f"expected topic_strategy to be one of {join_names(STRATEGIES)}, got {strategy!r}")
        name = topic_namer(strategy)
        return [name(emitter.event_type) for emitter in self.emitters]

    def _compile(self, chain: Chain, outcome: Outcome | None, phases: Sequence[Phase]) -> list[int]:
        """Makes the simulators of a chain: without phases, and for each phase that changes it or a chain it triggers.

        Returns the index of the simulator before all phases, and in each phase.
        """
        family = [chain, *(self._catalog.chain(name) for name in sorted(chain.caused))]
        variants = [family, *([phase.apply(member) for member in family] for phase in phases)]
        distinct = {tuple(map(id, variant)): variant for variant in variants}
        step_ids = compile_step_ids(distinct.values())
        policies = [self._policies(variant, outcome, step_ids) for variant in distinct.values()]
        parents = [parent for parent, *_ in policies]
        emitters = [self._emitter_ids(list(variants), parents, step_ids) for variants in zip(*policies, strict=True)]
        if chain.visitors:
            self._sessions.append(SessionEmitters(*emitters[0]))
        numbers = dict(zip(distinct, count(len(self.simulators)), strict=False))
        for parent, *triggered in policies:
            children = {
                policy.chain.name: StateMachineSimulator(policy, ids, step_ids)
                for policy, ids in zip(triggered, emitters[1:], strict=True)
            }
            simulator = SessionSimulator if chain.visitors else StateMachineSimulator
            self.simulators.append(simulator(parent, emitters[0], step_ids, children))
        return [numbers[tuple(map(id, variant))] for variant in variants]

    def _policies(self, family: Sequence[Chain], outcome: Outcome | None, step_ids: StepIds) -> list[TransitionPolicy]:
        """The policies of a chain and of those it triggers; only the first has to end with the outcome."""
        outcomes = [outcome, *[None] * (len(family) - 1)]
        return [
            TransitionPolicy(chain, end, speed_factors(self._catalog, chain, step_ids))
            for chain, end in zip(family, outcomes, strict=True)
        ]

    def _emitter_ids(
        self, policies: list[TransitionPolicy], parents: list[TransitionPolicy], step_ids: StepIds
    ) -> EmitterIds:
        """Makes the emitters that all variants of a chain share: of its first event and of each reachable state.

        Args:
            policies: one for each variant of the chain.
            parents: those of the chains that may trigger it, or the same policies.
        """
        chain, is_parent = policies[0].chain, policies[0] is parents[0]
        longest = 0 if is_parent else max(policy.longest_before_child(chain.name) for policy in parents)
        root = self._add_emitter(policies, chain.start, step_ids, is_root=is_parent, longest=longest)
        states = {state: self._add_emitter(policies, state, step_ids) for state in policies[0].targets()}
        return EmitterIds(root, states)

    def _add_emitter(
        self,
        policies: list[TransitionPolicy],
        state: str,
        step_ids: StepIds,
        *,
        is_root: bool = False,
        longest: int = 0,
    ) -> int:
        chain = policies[0].chain
        longest = max(longest, *(policy.longest_before(state) for policy in policies))
        if chain.visitors:
            longest = max(longest_session(policy.chain) for policy in policies) + LONGEST_ENDING
        emitter = compile_emitter(
            self._catalog,
            self.envelope,
            self._format,
            chain,
            state,
            is_root=is_root,
            longest=longest,
            step_ids=step_ids,
        )
        self.emitters.append(emitter)
        return len(self.emitters) - 1


class Plans:
    """The plans of a generator, each compiled when it is first asked for.

    Args:
        catalog, envelope, phases: as for a plan.
    """

    def __init__(self, catalog: Catalog, envelope: Envelope, phases: Sequence[Phase]) -> None:
        self._catalog = catalog
        self._envelope = envelope
        self._phases = phases
        self._plans: dict[tuple[Format, tuple[int, bool]], Plan] = {}

    def of(self, arrivals: OpenArrivals | ClosedArrivals, format: Format = JSON) -> Plan:
        """The plan for runs with these arrivals; cached."""
        slots = self._slots(self._catalog, arrivals)
        if (format, slots) not in self._plans:
            catalog = self._catalog.with_slots(*slots)
            self._plans[format, slots] = Plan(catalog, self._envelope, phases=self._phases, format=format)
        return self._plans[format, slots]

    def only(self, name: str | None, outcome: Outcome | None, arrivals: OpenArrivals | ClosedArrivals) -> Plan:
        """The plan for runs of one chain, or of the chains that can end with an outcome.

        Raises:
            UnknownName: the catalog has no such chain.
            ImpossibleChain: no chain can end like this.
        """
        if name is None and outcome is None:
            return self.of(arrivals)
        names = [name] if name is not None else self._that_end(outcome)
        if not names:
            raise ImpossibleChain(f"no chain of the catalog that has a weight ever ends {outcome!r}")
        catalog = self._catalog.only(*names)
        catalog = catalog.with_slots(*self._slots(catalog, arrivals))
        return Plan(catalog, self._envelope, outcome=outcome, phases=self._phases)

    def _that_end(self, outcome: Outcome | None) -> list[str]:
        return [
            chain.name
            for chain in self._catalog.weighted
            if outcome in {state.outcome for state in chain.states.values()}
        ]

    def _slots(self, catalog: Catalog, arrivals: OpenArrivals | ClosedArrivals) -> tuple[int, bool]:
        """The arguments of `Sections.with_slots` for exclusive variables."""
        sessions = [chain for chain in catalog.weighted if chain.visitors]
        exclusive = [chain for chain in sessions if any(variable.exclusive for variable in chain.variables.values())]
        if not exclusive:
            return 0, False
        slowest = max((phase.delay for phase in self._phases), default=1.0)
        longest = max(map(longest_session, exclusive)) / SECOND
        return concurrent_chains(arrivals, longest * max(slowest, 1.0)), isinstance(arrivals, ClosedArrivals)


class EmitterInfo(NamedTuple):
    """The chain and state whose events an emitter renders, and where their fields are."""

    chain: str
    state: str
    event_type: str
    is_root: bool
    ends_chain: bool
    outcome: Outcome | None
    correlation_at: int
    """Offset of the correlation id in an event's text."""
    timestamp_at: int
    causation_at: int | None
    """None for the first event of a chain, which has no cause."""


def emitter_infos(plan: Plan) -> list[EmitterInfo]:
    """Describes the emitters of a plan."""
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
