"""Catalog files as data, and mutations of them: what people get wrong, and what nobody would write."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import yaml
from hypothesis import strategies as st

EVERYTHING = """\
alone: true
domain: shop.order
source: shop
partitions: 2
lists:
  item: [{name: tea, price: 3}, {name: cup, price: 7}]
  city: [Rome, Oslo]
events:
  shop.order.placed.v1:
    description: A customer orders.
    payload:
      item: {type: string, var: item.name}
      city: {type: string, pick: city}
      count: {type: integer, min: 1, max: 9}
      weight: {type: number, min: 0.5, max: 9.25, decimals: 2}
      number: {type: integer, sequence: run, start: 100}
      customer: {type: string, var: customer, template: "c-{}"}
      address:
        fields:
          street: {type: string, choices: [High St, Low St], examples: [Mid St]}
          zip: {type: integer, value: 12}
  shop.order.tried.v1: {payload: {attempt: {type: integer, attempt: true}}}
  shop.order.packed.v1: {payload: {item: {type: string, var: item.name}, ms: {type: integer, elapsed: true}}}
  shop.order.weighed.v1: {payload: {grams: {type: number, min: 0, max: 10}}}
  shop.order.shipped.v1: {payload: {gift: {type: boolean, choices: [true, false]}, tags: {type: array, value: [a, b]}}}
  shop.order.unpacked.v1: {}
  shop.order.lost.v1: {payload: {status: {type: string, value: lost}}}
  shop.order.late.v1: {}
  shop.order.mail.sent.v1: {payload: {n: {type: integer, sequence: run}, hint: {type: object, value: {a: [1, 0.5]}}}}
  shop.order.mail.read.v1: {}
chains:
  order:
    weight: 3
    max_steps: 20
    start: placed
    variables:
      item: {list: item, factor: {p95: 3}}
      customer: {min: 1, max: 500, zipf: true}
      town: {list: city, per: customer}
    states:
      placed:
        emits: shop.order.placed.v1
        causes: [{chain: mail, weight: 50, delay: {exponential: {mean: 100}}}]
        next: [{to: tried, delay: {uniform: [1, 5]}}]
      tried:
        emits: shop.order.tried.v1
        total: 10
        abandon: 1
        timeout: {after: 400, to: late}
        next:
          - to: tried
            weight: 2
            retry:
              limit: 3
              backoff: {initial: 10, factor: 2, max: 60, jitter: 0.2}
              else: {to: lost, delay: {fixed: 1}, compensate: true}
          - {to: split, weight: 7, delay: {lognormal: {median: 180, p95: 900, max: 5000}}}
      split:
        emits: shop.order.packed.v1
        compensation: {state: unpacked, delay: {fixed: 4}}
        fork:
          branches: [{to: weighed, delay: {fixed: 2}}, {to: wrapped, delay: {uniform: [1, 9]}}]
          join: {to: shipped, delay: {fixed: 3}, unless: [{state: torn, to: lost, compensate: true}]}
      weighed: {emits: shop.order.weighed.v1}
      wrapped:
        emits: shop.order.weighed.v1
        next:
          - {to: bound, weight: 90, delay: {fixed: 5}}
          - {to: torn, weight: 10, delay: {fixed: 5}}
      bound: {emits: shop.order.weighed.v1}
      torn: {emits: shop.order.weighed.v1}
      unpacked: {emits: shop.order.unpacked.v1}
      shipped: {emits: shop.order.shipped.v1, outcome: completed}
      lost: {emits: shop.order.lost.v1, outcome: failed}
      late: {emits: shop.order.late.v1, outcome: failed}
  mail:
    weight: 1
    start: sent
    states:
      sent: {emits: shop.order.mail.sent.v1, next: [{to: read, delay: {exponential: {mean: 400, max: 9000}}}]}
      read: {emits: shop.order.mail.read.v1, outcome: completed}
"""
"""A catalog without mistakes that has nearly every key of the format once."""

RAW = ["1e999", "-1e400", "9" * 400, "9" * 19, "9223372036854775807", "0x10", "010", ".inf", "True", "NULL", "1e308"]
"""Scalars that YAML's writers do not make; `raw` stands for each in a document until it is written."""


def raw(text: str) -> str:
    """A text that `written` writes without quotes."""
    return f"@@{text}@@"


def written(document: Any) -> str:
    """The YAML text of a document."""
    text: str = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=1000)
    for scalar in RAW:
        text = text.replace(f"'@@{scalar}@@'", scalar).replace(f"@@{scalar}@@", scalar)
    return text


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values below the top."""
    members = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in members:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


numbers: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([0, 1, -1, 2, 9, 63, 100, 10**4, 10**6, 10**9, 10**12, 10**15, 2**53, 2**53 + 1, 2**62]),
    st.sampled_from([0.5, 1e-9, 1e-300, 0.1, 1.5, 99.999, 1e16, 1e18, 1e20, 1e300, -0.0]),
    st.floats(0, 1e13),
    st.integers(-10, 10**14),
    st.sampled_from(RAW).map(raw),
)
others: st.SearchStrategy[Any] = st.one_of(
    numbers,
    st.sampled_from(["", "x", "yes", "5", "1h", "placed", "item", "item.name", "customer", "shop.order.lost.v1"]),
    st.sampled_from([None, True, False, [], {}, [1], [5, 1], [1, 1], {"fixed": 10**13}, {"list": "city"}]),
    st.text(max_size=3),
)
delays: st.SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries({"fixed": numbers}),
    st.fixed_dictionaries({"uniform": st.tuples(numbers, numbers).map(list)}),
    st.fixed_dictionaries({"uniform": st.tuples(st.floats(0, 1e9), st.floats(1e9, 1e13)).map(list)}),
    st.fixed_dictionaries(
        {"exponential": st.fixed_dictionaries({"mean": numbers}, optional={"min": numbers, "max": numbers})}
    ),
    st.fixed_dictionaries(
        {
            "lognormal": st.fixed_dictionaries(
                {"median": st.floats(0.001, 1e11) | numbers, "p95": st.floats(1, 1e12) | numbers},
                optional={"min": numbers, "max": numbers},
            )
        }
    ),
)


@st.composite
def mutated(draw: st.DrawFn, document: Any, most: int = 3) -> Any:
    """A copy with one to `most` mutations."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, most))):
        mutate(draw, document)
    return document


def mutate(draw: st.DrawFn, document: Any) -> None:
    """Replaces a value, drops or renames a key, or copies a value from elsewhere; numbers and delays most often."""
    every = list(places(document))
    of_numbers = [path for path in every if type(at(document, path)) in (int, float)]
    of_delays = [path for path in every if path[-1] == "delay"]
    match draw(st.sampled_from(["number", "number", "delay", "value", "drop", "rename", "copy"])):
        case "number" if of_numbers:
            put(document, draw(st.sampled_from(of_numbers)), draw(numbers))
        case "delay" if of_delays:
            put(document, draw(st.sampled_from(of_delays)), draw(delays))
        case "drop" if len(every) > 1:
            path = draw(st.sampled_from(every))
            del at(document, path[:-1])[path[-1]]
        case "rename":
            path = draw(st.sampled_from([path for path in every if isinstance(path[-1], str)] or every))
            owner = at(document, path[:-1])
            if isinstance(owner, dict):
                owner[draw(st.sampled_from(["x", "", "a.b", f"{path[-1]}x", str(path[-1]).upper()]))] = owner.pop(
                    path[-1]
                )
        case "copy":
            value = copy.deepcopy(at(document, draw(st.sampled_from(every))))
            put(document, draw(st.sampled_from(every)), value)
        case _ if every:
            put(document, draw(st.sampled_from(every)), draw(others))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    """The value at a path."""
    for key in path:
        document = document[key]
    return document


def put(document: Any, path: tuple[Any, ...], value: Any) -> None:
    """Replace the value at a path."""
    at(document, path[:-1])[path[-1]] = value
