"""Small catalogs: by hand for one rule, and drawn by hypothesis for all of them."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import strategies as st

from eventbus.catalog import (
    Catalog,
    Chain,
    Delay,
    EventType,
    Exponential,
    Fixed,
    LogNormal,
    PayloadField,
    State,
    Transition,
    Uniform,
    Variable,
)
from eventbus.catalog.model import FieldType
from eventbus.catalog.model.sources import NO_SOURCE
from eventbus.catalog.sources import FixedValue, JsonEntry, named_sources


def field(
    name: str,
    *,
    type: str = "string",
    fields: tuple[PayloadField, ...] | None = None,
    required: bool = True,
    **keys: Any,
) -> PayloadField:
    """A payload field.

    Args:
        keys: its source, as in a catalog file; `minimum` and `maximum` for `min` and `max`, null for no source.
    """
    names = {"minimum": "min", "maximum": "max"}
    entry = {names.get(key, key): list(value) if isinstance(value, tuple) else value for key, value in keys.items()}
    source = NO_SOURCE if fields is not None else next(iter(named_sources(JsonEntry(entry))), FixedValue(None))
    return PayloadField(name=name, type=cast(FieldType, type), fields=fields, required=required, source=source)


def event(action: str, *payload: PayloadField) -> EventType:
    return EventType(name=f"test.thing.{action}.v1", source="tester", payload=payload)


def way(to: str, delay: Delay | float = 100.0, weight: float = 1.0) -> Transition:
    return Transition(to=to, delay=Fixed(value=delay) if isinstance(delay, int | float) else delay, weight=weight)


def chain(
    name: str, *states: State, weight: float = 1.0, max_steps: int = 64, variables: dict[str, Variable] | None = None
) -> Chain:
    return Chain(
        name=name,
        weight=weight,
        start=states[0].name,
        states={state.name: state for state in states},
        variables=variables or {},
        max_steps=max_steps,
    )


def state(action: str, *ways: Transition, failed: bool = False) -> State:
    """A state named like the action of the event it emits."""
    outcome = None if ways else "failed" if failed else "completed"
    return State(name=action, emits=f"test.thing.{action}.v1", next=ways, outcome=outcome)  # type: ignore[arg-type]


def catalog_of(*chains: Chain, events: tuple[EventType, ...] = (), lists: dict[str, Any] | None = None) -> Catalog:
    """A catalog of chains; event types that are not given have an empty payload."""
    emitted = {s.emits for c in chains for s in c.states.values()}
    every = {name: EventType(name=name, source="tester") for name in sorted(emitted)}
    return Catalog(
        events=every | {one.name: one for one in events},
        chains={one.name: one for one in chains},
        lists=lists or {},
    )


def two_steps(*payload: PayloadField, delay: Delay | float = 100.0, lists: dict[str, Any] | None = None) -> Catalog:
    """One chain, asked → answered; the payload is the answer's."""
    asked_answered = chain("talk", state("asked", way("answered", delay)), state("answered"))
    return catalog_of(asked_answered, events=(event("answered", *payload),), lists=lists)


texts = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
values = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), texts
)
ms = st.integers(0, 5000)

delays: st.SearchStrategy[Delay] = st.one_of(
    st.builds(lambda v: Fixed(value=v), ms),
    st.builds(lambda low, wide: Uniform(minimum=low, maximum=low + wide), ms, ms),
    st.builds(lambda m, top: Exponential(mean=m, maximum=top), st.integers(1, 900), st.sampled_from([None, 5000.0])),
    st.builds(lambda m, times: LogNormal(median=m, p95=m * times, maximum=9e6), st.integers(1, 900), st.floats(1.1, 9)),
)


@st.composite
def numbers(draw: st.DrawFn, name: str) -> PayloadField:
    decimals = draw(st.integers(0, 4))
    low = draw(st.integers(-(10**6), 10**6))
    high = low + draw(st.sampled_from([0, 1, 9, 1000, 20_000, 10**7, 2**33]))
    kind = draw(st.sampled_from(["integer", "number"]))
    return field(name, type=kind, minimum=low, maximum=high, decimals=decimals if kind == "number" else 0)


@st.composite
def payloads(draw: st.DrawFn, depth: int = 1) -> tuple[PayloadField, ...]:
    fields = []
    for number in range(draw(st.integers(0, 5))):
        name = f"{draw(texts)}{number}"
        sources = [
            st.builds(lambda v, name=name: field(name, value=v), values),
            st.builds(lambda c, name=name: field(name, choices=tuple(c)), st.lists(values, min_size=1, max_size=5)),
            st.sampled_from(
                [field(name, pick="things.left"), field(name, pick="things.right"), field(name, pick="words")]
            ),
            st.sampled_from(
                [
                    field(name, var="thing.left"),
                    field(name, var="thing.right"),
                    field(name, var="count"),
                    field(name, var="rank"),
                    field(name, var="rank", template="no. {}!"),
                    field(name, var="owned"),
                    field(name, var="lent.right"),
                ]
            ),
            st.just(field(name, elapsed=True, type="integer")),
            numbers(name),
        ]
        if depth:
            sources.append(st.builds(lambda f, name=name: field(name, fields=f, type="object"), payloads(depth - 1)))
        fields.append(draw(st.one_of(sources)))
    return tuple(fields)


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """One to three chains, each with loops, dead-end detours and a step limit, over payloads of every source."""
    chains, events = [], []
    for number in range(draw(st.integers(1, 3))):
        count = draw(st.integers(1, 4))
        names = [f"c{number}s{i}" for i in range(count)]
        states = []
        for i, name in enumerate(names):
            onward = [way(names[i + 1], draw(delays), draw(st.integers(1, 9)))] if i + 1 < count else []
            detours = draw(st.lists(st.sampled_from(names), max_size=2)) if onward else []
            states.append(state(name, *onward, *(way(to, draw(delays), draw(st.integers(0, 9))) for to in detours)))
            events.append(event(name, *draw(payloads())))
        variables = {
            "thing": Variable(name="thing", list="things"),
            "count": Variable(name="count", minimum=-3, maximum=99),
            "rank": Variable(name="rank", minimum=5, maximum=draw(st.sampled_from([5, 6, 300])), zipf=True),
            "owned": Variable(name="owned", list="words", per="rank"),
            "lent": Variable(name="lent", list="things", per="owned"),
        }
        limit = draw(st.integers(count, count + 5))
        chains.append(
            chain(f"chain-{number}", *states, weight=draw(st.integers(1, 9)), max_steps=limit, variables=variables)
        )
    things = draw(st.lists(st.fixed_dictionaries({"left": values, "right": texts}), min_size=1, max_size=6))
    words = draw(st.lists(st.one_of(texts, texts.map(lambda t: t * 60)), min_size=1, max_size=4))
    return catalog_of(*chains, events=tuple(events), lists={"things": tuple(things), "words": tuple(words)})
