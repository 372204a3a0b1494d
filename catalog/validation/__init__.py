"""Validates the sections of a catalog: every rule that needs more than one value to decide.

The rules know nothing of files: each problem has the location of the value in the catalog.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from eventbus.catalog.errors import LocatedProblem, Location, did_you_mean, format_value, join_names
from eventbus.catalog.graph.conformance import types_of
from eventbus.catalog.model import CausedChain, Chain, Sections, Variable, emitters
from eventbus.catalog.model.sources import split_reference
from eventbus.catalog.sources.lists import condition_problems
from eventbus.catalog.validation.chains import chain_problems, role_problems
from eventbus.catalog.validation.payloads import emission_problems, payload_problems, size_problems
from eventbus.catalog.validation.visitors import visitor_problems
from eventbus.catalog.validation.workload import delay_problems

MAX_NUMBERS = 1_000_000
"""Maximum size of a range that other variables follow, or that has a Zipf distribution."""
NOTHING_TO_GENERATE = "expected at least one chain with a weight above 0: there is nothing to generate"

event_name = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*){2,}\.v[1-9][0-9]*")
dashed_name = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


def validate(sections: Sections, *, is_complete: bool = True) -> Iterator[LocatedProblem]:
    """All problems of a catalog, section by section.

    Args:
        is_complete: whether all of the catalog could be read.
    """
    problems = [*_problems(sections)]
    yield from problems
    for chain in sections.chains.values() if is_complete and not problems else ():
        yield from size_problems(chain, sections)


def _problems(sections: Sections) -> Iterator[LocatedProblem]:
    for name, items in sections.lists.items():
        yield from _list_problems(name, items)
    emitting = emitters(sections.chains)
    for event in sections.events.values():
        if not event_name.fullmatch(event.name):
            yield (
                ("events", event.name),
                f"expected a name such as omninode.agent.execution.started.v1 (lower-case words joined by dots: "
                f"organisation, domain, …, action, version), got {event.name!r}",
            )
        yield from payload_problems(event, sections.lists, emitting.get(event.name, []))
    caused = {name for chain in sections.chains.values() for name in chain.caused}
    for chain in sections.chains.values():
        if not dashed_name.fullmatch(chain.name):
            yield ("chains", chain.name), f"expected a name such as agent-execution, got {chain.name!r}"
        yield from chain_problems(chain, sections.events, sections.lists)
        yield from _dependent_variable_problems(chain, sections.lists)
        yield from visitor_problems(chain, sections.lists)
        yield from emission_problems(chain, sections.events, is_caused=chain.name in caused)
    yield from role_problems(sections.chains)
    yield from _cause_problems(sections.chains)
    if all(chain.weight == 0 for chain in sections.chains.values()):
        first = next(iter(sections.chains), None)
        yield ("chains",) if first is None else ("chains", first, "weight"), NOTHING_TO_GENERATE


# Lists.


def _list_problems(name: str, items: tuple[Any, ...]) -> Iterator[LocatedProblem]:
    loc: Location = ("lists", name)
    if not dashed_name.fullmatch(name):
        yield loc, f"expected a name without dots such as agent_error, got {name!r}"
    expected = _attributes(items[0]) if items else None
    for index, item in enumerate(items):
        for missing in _missing_values(item):
            yield (*loc, index, *missing), "expected a value, got nothing"
        if item is not None and _attributes(item) != expected:
            yield (
                (*loc, index),
                f"expected {_describe(expected)} like the first item of the list, got {format_value(item)}",
            )


def _missing_values(item: Any) -> list[Location]:
    if isinstance(item, dict):
        return [(key,) for key, value in item.items() if value is None]
    return [()] if item is None else []


def _attributes(item: Any) -> frozenset[str] | None:
    return frozenset(item) if isinstance(item, dict) else None


def _describe(attributes: frozenset[str] | None) -> str:
    return "a single value" if attributes is None else f"a mapping with {', '.join(sorted(attributes))}"


# Variables: those that follow another one or have a Zipf distribution, and those that payloads use.


def _dependent_variable_problems(chain: Chain, lists: Mapping[str, tuple[Any, ...]]) -> Iterator[LocatedProblem]:
    for variable in chain.variables.values():
        loc: Location = ("chains", chain.name, "variables", variable.name)
        if variable.zipf:
            yield from ((loc, problem) for problem in _zipf_problems(variable))
        if variable.exclusive:
            yield from (((*loc, "exclusive"), problem) for problem in _exclusive_problems(variable, chain))
        if variable.per is not None:
            yield from (((*loc, "per"), problem) for problem in _per_problems(variable, chain))
        if variable.where:
            yield from (((*loc, "where"), problem) for problem in _where_problems(variable, chain, lists))


def _zipf_problems(variable: Variable) -> Iterator[str]:
    if variable.minimum is None or variable.maximum is None:
        yield "zipf requires a range with `min` and `max`"
    elif variable.maximum - variable.minimum >= MAX_NUMBERS:
        yield f"expected at most {MAX_NUMBERS:,} numbers, got {variable.maximum - variable.minimum + 1:,}"


def _exclusive_problems(variable: Variable, chain: Chain) -> Iterator[str]:
    if variable.minimum is None or variable.maximum is None:
        yield "exclusive requires a range with `min` and `max`"
    elif chain.visitors is None:
        yield "expected a chain with `visitors`: only their sessions have a longest duration"


def _per_problems(variable: Variable, chain: Chain) -> Iterator[str]:
    owner = chain.variables.get(variable.per or "")
    if owner is None:
        near = did_you_mean(variable.per or "", chain.variables)
        yield f"no variable {variable.per!r}{near}; the chain has {join_names(chain.variables)}"
    elif owner.per is not None or owner is variable:
        yield f"expected a variable that follows no other one, got {owner.name!r}"
    elif variable.list is None:
        yield "expected `list` too: each value of the other variable has an item of it"
    elif owner.exclusive and variable.factor is not None:
        yield f"expected no factor, as {owner.name!r} is exclusive"


def _where_problems(variable: Variable, chain: Chain, lists: Mapping[str, tuple[Any, ...]]) -> Iterator[str]:
    if variable.list is None or variable.per is not None:
        yield "where belongs to a variable with `list` and without `per`"
        return
    seen, follower = {variable.name}, variable
    while follower.where:
        name = split_reference(follower.where[0][1])[0]
        if name in seen:
            yield f"{variable.name!r} depends on itself"
            return
        if name not in chain.variables:
            break
        seen.add(name)
        follower = chain.variables[name]
    yield from condition_problems(variable.where, variable.list, lists, chain)


# Caused chains: they exist, cause no others, and share no event types with the chains that cause them.


def _cause_problems(chains: Mapping[str, Chain]) -> Iterator[LocatedProblem]:
    for chain in chains.values():
        for state in chain.states.values():
            for index, cause in enumerate(state.causes):
                loc: Location = ("chains", chain.name, "states", state.name, "causes", index)
                yield from _caused_chain_problems(loc, chain, cause, chains)
                if cause.chain in [earlier.chain for earlier in state.causes[:index]]:
                    yield (*loc, "chain"), f"{cause.chain} is listed twice: an event causes a chain at most once"


def _caused_chain_problems(
    loc: Location, chain: Chain, cause: CausedChain, chains: Mapping[str, Chain]
) -> Iterator[LocatedProblem]:
    if not 0 <= cause.weight <= 100:
        yield (*loc, "weight"), f"expected a share between 0 and 100 percent, got {cause.weight:g}"
    for problem in delay_problems(cause.delay):
        yield (*loc, "delay"), problem
    if cause.chain in chains:
        yield from (((*loc, "chain"), problem) for problem in _kinship_problems(chain, chains[cause.chain]))
    elif cause.chain:
        near = did_you_mean(cause.chain, chains)
        yield (*loc, "chain"), f"unknown chain {cause.chain!r}{near}; there are {join_names(sorted(chains), 40)}"


def _kinship_problems(parent: Chain, child: Chain) -> Iterator[str]:
    if child.caused:
        yield f"{child.name} causes {join_names(sorted(child.caused))}: a chain that is caused may not cause others"
        return
    if common := [name for name in types_of(parent) if name in types_of(child)]:
        yield f"{child.name} has {join_names(common)} too: a chain and those that it causes share no event types"
