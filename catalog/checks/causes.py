"""Rules for chains that cause others: they exist, they go no deeper, and both can be told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from eventbus.catalog.checks.delays import delay_problems
from eventbus.catalog.graphs.paths import types_of
from eventbus.catalog.model import Causes, Chain
from eventbus.catalog.words import Place, listed, suggestion

Problem = tuple[Place, str]


def cause_problems(chains: Mapping[str, Chain]) -> Iterator[Problem]:
    """What is wrong with the chains that events of others cause."""
    for chain in chains.values():
        for state in chain.states.values():
            for index, one in enumerate(state.causes):
                place: Place = ("chains", chain.name, "states", state.name, "causes", index)
                yield from _problems(place, chain, one, chains)
                if one.chain in [other.chain for other in state.causes[:index]]:
                    yield (*place, "chain"), f"{one.chain} stands here twice: an event causes a chain once or not"


def _problems(place: Place, chain: Chain, one: Causes, chains: Mapping[str, Chain]) -> Iterator[Problem]:
    if not 0 <= one.weight <= 100:
        yield (*place, "weight"), f"expected a share between 0 and 100 percent, got {one.weight:g}"
    for problem in delay_problems(one.delay):
        yield (*place, "delay"), problem
    if one.chain in chains:
        yield from ((((*place, "chain"), text)) for text in _kinship_problems(chain, chains[one.chain]))
    elif one.chain:
        near = suggestion(one.chain, chains)
        yield (*place, "chain"), f"unknown chain {one.chain!r}{near}; there are {listed(sorted(chains), 40)}"


def _kinship_problems(parent: Chain, child: Chain) -> Iterator[str]:
    if child.caused:
        yield f"{child.name} causes {listed(sorted(child.caused))}: a chain that is caused may not cause others"
        return
    if common := [name for name in types_of(parent) if name in types_of(child)]:
        yield f"{child.name} has {listed(common)} too: a chain and those that it causes share no event types"
