"""What makes a catalog bad: every rule that needs more than one value to decide. Pure; knows no files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from eventbus.catalog.checks.causes import cause_problems
from eventbus.catalog.checks.chains import chain_problems, role_problems
from eventbus.catalog.checks.payloads import payload_problems
from eventbus.catalog.checks.variables import variable_problems
from eventbus.catalog.checks.visitors import visitor_problems
from eventbus.catalog.model import Chain, emitters
from eventbus.catalog.model_events import every_field, split
from eventbus.catalog.words import Place, shown

if TYPE_CHECKING:
    from eventbus.catalog.catalog import Catalog

Problem = tuple[Place, str]
"""Where, as a path (`("chains", "vault-read", "weight")`), and what is wrong there."""

event_name = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*){2,}\.v[1-9][0-9]*")
dashed_name = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


def problems(catalog: Catalog) -> Iterator[Problem]:
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
    place: Place = ("lists", name)
    if not dashed_name.fullmatch(name):
        yield place, f"expected a name without dots such as agent_error, got {name!r}"
    expected = _attributes(items[0]) if items else None
    for index, item in enumerate(items):
        for hole in _holes(item):
            yield (*place, index, *hole), "expected a value, got nothing"
        if item is not None and _attributes(item) != expected:
            yield (*place, index), f"expected {_kind(expected)} like the first item of the list, got {shown(item)}"


def _holes(item: Any) -> list[Place]:
    if isinstance(item, dict):
        return [(key,) for key, value in item.items() if value is None]
    return [()] if item is None else []


def _attributes(item: Any) -> frozenset[str] | None:
    return frozenset(item) if isinstance(item, dict) else None


def _kind(attributes: frozenset[str] | None) -> str:
    return "a single value" if attributes is None else f"a mapping with {', '.join(sorted(attributes))}"


def _missing_variables(chain: Chain, catalog: Catalog) -> Iterator[Problem]:
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


def _weight_problems(catalog: Catalog) -> Iterator[Problem]:
    chains = list(catalog.chains.values())
    if chains and all(chain.weight == 0 for chain in chains):
        yield ("chains", chains[0].name, "weight"), "the weight of every chain is 0: at least one must be above 0"
