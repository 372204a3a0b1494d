"""What makes a catalog bad: every rule that needs more than one value to decide. Pure; knows no files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from eventbus.catalog.errors import Location, did_you_mean, format_value, join_names
from eventbus.catalog.graph.conformance import types_of
from eventbus.catalog.model import CausedChain, Chain, Sections, Variable, emitters, every_field, split
from eventbus.catalog.validation.chains import chain_problems, role_problems
from eventbus.catalog.validation.payloads import payload_problems
from eventbus.catalog.validation.visitors import visitor_problems
from eventbus.catalog.validation.workload import delay_problems

# Rules for variables that follow another one, or favour their first numbers.


Problem = tuple[Location, str]

MOST_NUMBERS = 1_000_000
"""Of a range that others follow, or whose first numbers are favoured."""


def variable_problems(chain: Chain) -> Iterator[Problem]:
    """What is wrong with `per` and `zipf` of a chain's variables."""
    for variable in chain.variables.values():
        place: Location = ("chains", chain.name, "variables", variable.name)
        if variable.zipf:
            yield from ((place, problem) for problem in _range_problems(variable))
        if variable.per is not None:
            yield from (((*place, "per"), problem) for problem in _owner_problems(variable, chain))


def _range_problems(variable: Variable) -> Iterator[str]:
    if variable.minimum is None or variable.maximum is None:
        yield "zipf belongs to a whole number, with `min` and `max`"
    elif variable.maximum - variable.minimum >= MOST_NUMBERS:
        yield f"expected at most {MOST_NUMBERS:,} numbers, got {variable.maximum - variable.minimum + 1:,}"


def _owner_problems(variable: Variable, chain: Chain) -> Iterator[str]:
    owner = chain.variables.get(variable.per or "")
    if owner is None:
        near = did_you_mean(variable.per or "", chain.variables)
        yield f"no variable {variable.per!r}{near}; the chain has {join_names(chain.variables)}"
    elif owner.per is not None or owner is variable:
        yield f"expected a variable that follows no other one, got {owner.name!r}"
    elif variable.list is None:
        yield "expected `list` too: each value of the other variable has an item of it"


# Rules for chains that cause others: they exist, they go no deeper, and both can be told apart.


def cause_problems(chains: Mapping[str, Chain]) -> Iterator[Problem]:
    """What is wrong with the chains that events of others cause."""
    for chain in chains.values():
        for state in chain.states.values():
            for index, one in enumerate(state.causes):
                place: Location = ("chains", chain.name, "states", state.name, "causes", index)
                yield from _problems(place, chain, one, chains)
                if one.chain in [other.chain for other in state.causes[:index]]:
                    yield (*place, "chain"), f"{one.chain} stands here twice: an event causes a chain once or not"


def _problems(place: Location, chain: Chain, one: CausedChain, chains: Mapping[str, Chain]) -> Iterator[Problem]:
    if not 0 <= one.weight <= 100:
        yield (*place, "weight"), f"expected a share between 0 and 100 percent, got {one.weight:g}"
    for problem in delay_problems(one.delay):
        yield (*place, "delay"), problem
    if one.chain in chains:
        yield from ((((*place, "chain"), text)) for text in _kinship_problems(chain, chains[one.chain]))
    elif one.chain:
        near = did_you_mean(one.chain, chains)
        yield (*place, "chain"), f"unknown chain {one.chain!r}{near}; there are {join_names(sorted(chains), 40)}"


def _kinship_problems(parent: Chain, child: Chain) -> Iterator[str]:
    if child.caused:
        yield f"{child.name} causes {join_names(sorted(child.caused))}: a chain that is caused may not cause others"
        return
    if common := [name for name in types_of(parent) if name in types_of(child)]:
        yield f"{child.name} has {join_names(common)} too: a chain and those that it causes share no event types"


event_name = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*){2,}\.v[1-9][0-9]*")
dashed_name = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


def validate(catalog: Sections) -> Iterator[Problem]:
    """Everything wrong with the catalog as a whole, section by section."""
    for name, items in catalog.lists.items():
        yield from _list_problems(name, items)
    emitting = emitters(catalog.chains)
    for event in catalog.events.values():
        if not event_name.fullmatch(event.name):
            yield (
                ("events", event.name),
                (
                    f"expected a name such as omninode.agent.execution.started.v1 (lower-case words joined by dots: "
                    f"organisation, domain, …, action, version), got {event.name!r}"
                ),
            )
        yield from payload_problems(event, catalog.lists, emitting.get(event.name, []))
    for chain in catalog.chains.values():
        if not dashed_name.fullmatch(chain.name):
            yield ("chains", chain.name), f"expected a name such as agent-execution, got {chain.name!r}"
        yield from chain_problems(chain, catalog.events, catalog.lists)
        yield from variable_problems(chain)
        yield from visitor_problems(chain, catalog.events, catalog.lists)
        yield from _missing_variables(chain, catalog)
    yield from role_problems(catalog.chains)
    yield from cause_problems(catalog.chains)
    yield from _weight_problems(catalog)


def _list_problems(name: str, items: tuple[Any, ...]) -> Iterator[Problem]:
    place: Location = ("lists", name)
    if not dashed_name.fullmatch(name):
        yield place, f"expected a name without dots such as agent_error, got {name!r}"
    expected = _attributes(items[0]) if items else None
    for index, item in enumerate(items):
        for hole in _holes(item):
            yield (*place, index, *hole), "expected a value, got nothing"
        if item is not None and _attributes(item) != expected:
            yield (
                (*place, index),
                f"expected {_kind(expected)} like the first item of the list, got {format_value(item)}",
            )


def _holes(item: Any) -> list[Location]:
    if isinstance(item, dict):
        return [(key,) for key, value in item.items() if value is None]
    return [()] if item is None else []


def _attributes(item: Any) -> frozenset[str] | None:
    return frozenset(item) if isinstance(item, dict) else None


def _kind(attributes: frozenset[str] | None) -> str:
    return "a single value" if attributes is None else f"a mapping with {', '.join(sorted(attributes))}"


def _missing_variables(chain: Chain, catalog: Sections) -> Iterator[Problem]:
    seen: set[str] = set()
    for state in chain.states.values():
        event = catalog.events.get(state.emits)
        if event is None or event.name in seen:
            continue
        seen.add(event.name)
        for path, one in every_field(event.payload):
            if one.var is not None and split(one.var)[0] not in chain.variables:
                yield (
                    ("chains", chain.name, "states", state.name, "emits"),
                    (
                        f"the payload field {'.'.join(p for p in path if p != 'fields')!r} of {event.name} takes the "
                        f"variable {split(one.var)[0]!r}, which this chain does not define"
                    ),
                )


def _weight_problems(catalog: Sections) -> Iterator[Problem]:
    chains = list(catalog.chains.values())
    if chains and all(chain.weight == 0 for chain in chains):
        yield ("chains", chains[0].name, "weight"), "the weight of every chain is 0: at least one must be above 0"
