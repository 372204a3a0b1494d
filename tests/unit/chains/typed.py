"""Catalogs whose values fit their types, as the loader would have them, drawn by hypothesis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from eventbus.catalog import Catalog, PayloadField, Variable
from eventbus.catalog.sources import with_allowed_values
from tests.unit.chains.catalogs import catalog_of, chain, event, field, numbers, state, texts, way

finite = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers(-(2**53), 2**53)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | integers | finite | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
of_type: dict[str, st.SearchStrategy[Any]] = {
    "string": texts,
    "integer": integers,
    "number": finite | integers,
    "boolean": st.booleans(),
    "array": st.lists(json_values, max_size=3) | st.lists(texts, max_size=3) | st.lists(integers, max_size=3),
    "object": st.dictionaries(texts, json_values, max_size=3)
    | st.fixed_dictionaries({"a_b": integers, "aB": texts, "list": st.lists(st.fixed_dictionaries({"x": finite}))}),
}
THINGS = tuple({"left": left, "right": right} for left, right in ((1, "α"), (-2, None), (3, "x" * 200)))
WORDS = ("", "word", "Größe " * 30)
PICKED = {"things.left": "integer", "things.right": "string", "words": "string", "things": "object"}


@st.composite
def typed_fields(draw: st.DrawFn, name: str) -> PayloadField:
    kind = draw(st.sampled_from(sorted(of_type)))
    picked = draw(st.sampled_from(sorted(PICKED)))
    fields = [
        st.builds(lambda v: field(name, type=kind, value=v), of_type[kind]),
        st.builds(lambda c: field(name, type=kind, choices=tuple(c)), st.lists(of_type[kind], min_size=1, max_size=4)),
        st.just(field(name, type=PICKED[picked], pick=picked)),
        st.sampled_from(
            [
                field(name, type="integer", var="thing.left"),
                field(name, type="string", var="thing.right"),
                field(name, type="integer", var="count"),
                field(name, type="number", var="count"),
                field(name, type="string", var="count", template='„{}" \\ü'),
                field(name, type="integer", elapsed=True),
            ]
        ),
        numbers(name),
    ]
    return replace(draw(st.one_of(fields)), required=draw(st.booleans()))


@st.composite
def typed_payloads(draw: st.DrawFn, depth: int = 2) -> tuple[PayloadField, ...]:
    fields = []
    for number in range(draw(st.integers(0, 4))):
        name = draw(
            st.sampled_from([f"field_{number}", f"{number} ä-b", f"Field{number}", "" if not number else f"{number}"])
        )
        if depth and draw(st.integers(0, 3)) == 0:
            inner = draw(typed_payloads(depth - 1))
            fields.append(field(name, type="object", fields=inner, required=draw(st.booleans())))
        else:
            fields.append(draw(typed_fields(name)))
    return tuple(fields)


@st.composite
def typed_catalogs(draw: st.DrawFn) -> Catalog:
    """One chain of two or three event types."""
    steps = draw(st.integers(2, 3))
    names = [f"step-{number}" for number in range(steps)]
    states = [state(name, *([way(names[i + 1])] if i + 1 < steps else [])) for i, name in enumerate(names)]
    variables = {
        "thing": Variable(name="thing", list="things"),
        "count": Variable(name="count", minimum=-3, maximum=draw(st.sampled_from([99, 10**6]))),
    }
    events = tuple(event(name, *draw(typed_payloads())) for name in names)
    catalog = catalog_of(
        chain("talk", *states, variables=variables), events=events, lists={"things": THINGS, "words": WORDS}
    )
    return replace(catalog, events=with_allowed_values(catalog))
