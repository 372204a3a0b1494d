"""Every kind of mistake is reported once, with its file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from eventbus.catalog import Catalog, InvalidCatalog, Mistake

LoadText = Callable[..., Catalog]


class Case(NamedTuple):
    """A slip in the good catalog; the line that holds `# here` is the one that must be named."""

    old: str
    new: str
    where: str
    problem: str


PACKED = "chains.order.states.packed"
PLACED = "chains.order.states.placed"
COUNT = "events.shop.order.placed.v1.payload.count"
COUNT_TEXT = "count: {type: integer, min: 1, max: 9}"
DELAY_TEXT = "delay: {uniform: [1, 5]}}]"

CASES = {
    # names that have changed
    "by of a variable": Case(
        "item: {list: item}",
        "item: {list: item, by: item}  # here",
        "chains.order.variables.item.by",
        "unknown field 'by': write 'per' instead",
    ),
    "by of a transition": Case(
        DELAY_TEXT,
        "delay: {uniform: [1, 5]}, by: item}]  # here",
        f"{PLACED}.next[0].by",
        "unknown field 'by': write 'scaled_by' instead",
    ),
    # names that lead nowhere
    "unknown event type": Case(
        "emits: shop.order.packed.v1",
        "emits: shop.order.paked.v1  # here",
        f"{PACKED}.emits",
        "unknown event type 'shop.order.paked.v1' (did you mean 'shop.order.packed.v1'?)",
    ),
    "unknown state": Case(
        "[{to: packed, ",
        "[{to: paked, ",
        f"{PLACED}.next[0].to",
        "unknown state 'paked' (did you mean 'packed'?); the chain has placed, packed, shipped, lost",
    ),
    "unknown start": Case("start: placed", "start: placd  # here", "chains.order.start", "unknown state 'placd'"),
    "unknown list of a pick": Case(
        "pick: city}", "pick: town}  # here", "events.shop.order.placed.v1.payload.city.pick", "unknown list 'town'"
    ),
    "unknown list of a variable": Case(
        "item: {list: item}", "item: {list: itm}  # here", "chains.order.variables.item.list", "unknown list 'itm'"
    ),
    "unknown attribute": Case(
        "item: {type: string, var: item.name}\n      city",
        "item: {type: string, var: item.nam}  # here\n      city",
        "events.shop.order.placed.v1.payload.item.var",
        "list 'item', of chain order, has no attribute 'nam' (did you mean 'name'?); it has name, price",
    ),
    "attribute of a plain list": Case(
        "pick: city}",
        "pick: city.name}  # here",
        "events.shop.order.placed.v1.payload.city.pick",
        "list 'city' has no attribute 'name'; it has none",
    ),
    "variable that the chain lacks": Case(
        "var: item.name}\n  shop.order.shipped.v1",
        "var: box}\n  shop.order.shipped.v1",
        f"{PACKED}.emits",
        "the payload field 'item' of shop.order.packed.v1 takes the variable 'box', which this chain does not define",
    ),
    # weights
    "weight below 0": Case("weight: 1\n", "weight: -1  # here\n", "chains.order.weight", "0 or more, got -1"),
    "all weights 0": Case(
        "weight: 1\n", "weight: 0  # here\n", "chains.order.weight", "expected at least one chain with a weight above 0"
    ),
    "weight missing": Case("    weight: 1\n", "", "chains.order", "'weight' is required, but missing"),
    "weight of a wrong type": Case(
        "weight: 1\n", "weight: much  # here\n", "chains.order.weight", "expected a number, got 'much'"
    ),
    "transition weights that do not sum": Case(
        "next:\n          - {to: shipped, weight: 90",
        "next:\n          - {to: shipped, weight: 85",  # the list begins on this line
        f"{PACKED}.next",
        "the transition weights sum to 95, expected 100 (declare `total: 95` if that is intended)",
    ),
    "a single weight that does not sum": Case(
        "next: [{to: packed, ", "next: [{weight: 90, to: packed, ", f"{PLACED}.next", "sum to 90, expected 100"
    ),
    "total of 0": Case(
        "        emits: shop.order.packed.v1\n",
        "        emits: shop.order.packed.v1\n        total: 0  # here\n",
        f"{PACKED}.total",
        "expected a total above 0, got 0",
    ),
    "transition weight below 0": Case(
        "{to: shipped, weight: 90, delay: {fixed: 3}}\n          - {to: lost, weight: 10",
        "{to: shipped, weight: 110, delay: {fixed: 3}}\n          - {to: lost, weight: -10",
        f"{PACKED}.next[1].weight",
        "expected a weight of 0 or more, got -10",
    ),
    "transition weight missing": Case(
        "{to: lost, weight: 10, delay: {fixed: 3}}",
        "{to: lost, delay: {fixed: 3}}  # here",
        f"{PACKED}.next[1]",
        "'weight' is required where a state has several transitions",
    ),
    # shape
    "unreachable state": Case(
        "      lost:\n",
        "      found:  # its value begins on the next line\n        emits: shop.order.shipped.v1  # here\n"
        "        outcome: completed\n      lost:\n",
        "chains.order.states.found",
        "unreachable: no transitions lead from 'placed' to 'found'",
    ),
    "no terminal state": Case(
        "        outcome: completed\n      lost:\n        emits: shop.order.lost.v1\n        outcome: failed\n",
        "        next: [{to: lost, delay: {fixed: 1}}]\n      lost:\n        emits: shop.order.lost.v1\n"
        "        next: [{to: shipped, delay: {fixed: 1}}]\n",
        "chains.order",
        "no terminal state",
    ),
    "cycle without exit": Case(
        "        emits: shop.order.lost.v1\n        outcome: failed\n",
        "        emits: shop.order.lost.v1  # here\n        next: [{to: lost, delay: {fixed: 1}}]\n",
        "chains.order.states.lost",
        "cycle without exit: lost → lost",
    ),
    "exit of weight 0": Case(
        "        emits: shop.order.lost.v1\n        outcome: failed\n",
        "        emits: shop.order.lost.v1  # here\n"
        "        next:\n          - {to: lost, weight: 100, delay: {fixed: 1}}\n"
        "          - {to: shipped, weight: 0, delay: {fixed: 1}}\n",
        "chains.order.states.lost",
        "cycle without exit: lost → lost",
    ),
    "neither next nor outcome": Case(
        "        emits: shop.order.lost.v1\n        outcome: failed\n",
        "        emits: shop.order.lost.v1  # here\n",
        "chains.order.states.lost",
        "expected `next` (transitions), or `outcome: completed | failed`",
    ),
    "outcome of a state that goes on": Case(
        "        emits: shop.order.packed.v1\n",
        "        emits: shop.order.packed.v1\n        outcome: failed  # here\n",
        f"{PACKED}.outcome",
        "an outcome belongs to a state that ends the chain",
    ),
    "unknown outcome": Case(
        "outcome: failed",
        "outcome: broken  # here",
        "chains.order.states.lost.outcome",
        "expected one of completed, failed, got 'broken'",
    ),
    "missing start": Case("    start: placed\n", "", "chains.order", "'start' is required, but missing"),
    "max_steps below the shortest walk": Case(
        "start: placed\n",
        "start: placed\n    max_steps: 2  # here\n",
        "chains.order.max_steps",
        "max_steps 2 is less than the shortest path of 3 events",
    ),
    "a type that starts and continues": Case(
        "emits: shop.order.packed.v1",
        "emits: shop.order.placed.v1  # here",
        f"{PACKED}.emits",
        "shop.order.placed.v1 continues the chain here and starts the chain in order",
    ),
    "a type that fails and completes": Case(
        "emits: shop.order.lost.v1",
        "emits: shop.order.shipped.v1  # here",
        "chains.order.states.lost.emits",
        "shop.order.shipped.v1 fails the chain here and completes the chain in order",
    ),
    # delays
    "delay max below min": Case(
        DELAY_TEXT, "delay: {uniform: [5, 1]}}]", f"{PLACED}.next[0].delay", "delay max 1 is below min 5"
    ),
    "negative delay": Case(DELAY_TEXT, "delay: {fixed: -1}}]", f"{PLACED}.next[0].delay", "0 ms or more, got -1"),
    "negative lower bound": Case(
        DELAY_TEXT, "delay: {uniform: [-5, 1]}}]", f"{PLACED}.next[0].delay", "0 ms or more, got min -5"
    ),
    "p95 not above the median": Case(
        DELAY_TEXT,
        "delay: {lognormal: {median: 40, p95: 40}}}]",
        f"{PLACED}.next[0].delay",
        "expected a p95 above the median 40, got 40",
    ),
    "median of 0": Case(
        DELAY_TEXT, "delay: {lognormal: {median: 0, p95: 4}}}]", f"{PLACED}.next[0].delay", "a median above 0 ms"
    ),
    "mean of 0": Case(
        DELAY_TEXT, "delay: {exponential: {mean: 0}}}]", f"{PLACED}.next[0].delay", "a mean above 0 ms, got 0"
    ),
    "bounds of an exponential": Case(
        DELAY_TEXT,
        "delay: {exponential: {mean: 5, min: 9, max: 3}}}]",
        f"{PLACED}.next[0].delay",
        "delay max 3 is below min 9",
    ),
    "unknown distribution": Case(
        DELAY_TEXT,
        "delay: {uniforn: [1, 5]}}]",
        f"{PLACED}.next[0].delay.uniforn",
        "unknown field 'uniforn' (did you mean 'uniform'?); allowed are uniform, fixed, exponential, lognormal",
    ),
    "delay missing": Case(
        ", delay: {uniform: [1, 5]}}]", "}]", f"{PLACED}.next[0]", "'delay' is required, but missing"
    ),
    "one bound": Case(DELAY_TEXT, "delay: {uniform: [1]}}]", f"{PLACED}.next[0].delay.uniform", "got 1 items"),
    "two distributions": Case(
        DELAY_TEXT, "delay: {fixed: 1, uniform: [1, 5]}}]", f"{PLACED}.next[0].delay", "expected exactly one of"
    ),
    # unknown fields, anywhere
    "unknown section": Case("partitions: 2", "partitons: 2  # here", "partitons", "(did you mean 'partitions'?)"),
    "unknown field of an event": Case(
        "shop.order.shipped.v1: {}",
        "shop.order.shipped.v1: {sauce: shop}  # here",
        "events.shop.order.shipped.v1.sauce",
        "unknown field 'sauce'",
    ),
    "unknown field of a chain": Case(
        "weight: 1\n", "weight: 1\n    wait: 1  # here\n", "chains.order.wait", "unknown field"
    ),
    "unknown field of a state": Case(
        "outcome: failed", "outcome: failed\n        emit: x  # here", "chains.order.states.lost.emit", "unknown field"
    ),
    "unknown field of a transition": Case("{to: packed, ", "{to: packed, too: x, ", f"{PLACED}.next[0].too", "unknown"),
    "unknown field of a payload field": Case(
        COUNT_TEXT, "count: {type: integer, min: 1, max: 9, step: 2}  # here", f"{COUNT}.step", "unknown field 'step'"
    ),
    "unknown field of a variable": Case(
        "item: {list: item}", "item: {list: item, of: x}  # here", "chains.order.variables.item.of", "unknown field"
    ),
    # duplicates and names
    "duplicate event type": Case(
        "  shop.order.shipped.v1: {}\n",
        "  shop.order.shipped.v1: {}\n  shop.order.packed.v1: {}  # here\n",
        "events.shop.order.packed.v1",
        "duplicate name 'shop.order.packed.v1': it is already defined on line",
    ),
    "duplicate key": Case(
        "start: placed\n", "start: placed\n    start: lost  # here\n", "chains.order.start", "duplicate"
    ),
    "event name without version": Case(
        "  shop.order.shipped.v1: {}\n",
        "  shop.order.shipped.v1: {}\n  shop.order.stolen: {}  # here\n",
        "events.shop.order.stolen",
        "expected a name such as omninode.agent.execution.started.v1",
    ),
    "event of another domain": Case(
        "  shop.order.shipped.v1: {}\n",
        "  shop.order.shipped.v1: {}\n  shop.stock.counted.v1: {}  # here\n",
        "events.shop.stock.counted.v1",
        "expected a name that starts with the file's domain shop.order.",
    ),
    "chain name": Case(
        "  order:\n    weight: 1\n",
        "  My Order:\n    weight: 1  # here\n",
        "chains.My Order",
        "expected a name such as",
    ),
    "list name with a dot": Case(
        "lists:\n", "lists:\n  a.b: [1]  # here\n", "lists.a.b", "expected a name without dots such as agent_error"
    ),
    "variable name with a dot": Case(
        "item: {list: item}",
        "item: {list: item}\n      a.b: {min: 1, max: 2}  # here",
        "chains.order.variables.a.b",
        "expected a name without dots",
    ),
    # lists and variables
    "empty list": Case("city: [Rome, Oslo]", "city: [Rome, Oslo]\n  empty: []  # here", "lists.empty", "at least one"),
    "list of unlike items": Case(
        "    - {name: cup, price: 7}", "    - {name: cup}  # here", "lists.item[1]", "a mapping with name, price"
    ),
    "list with a hole": Case("city: [Rome, Oslo]", "city: [Rome, ~]  # here", "lists.city[1]", "got nothing"),
    "attribute without a value": Case(
        "    - {name: cup, price: 7}", "    - {name: cup, price: }  # here", "lists.item[1].price", "got nothing"
    ),
    "list of no list": Case(
        "city: [Rome, Oslo]", "town: Rome  # here\n  city: [Rome]", "lists.town", "expected a list"
    ),
    "extension of nothing": Case(
        "city: [Rome, Oslo]", "town: {extend: [Rome]}  # here\n  city: [Rome]", "lists.town", "no list 'town' to extend"
    ),
    "variable of two sources": Case(
        "item: {list: item}",
        "item: {list: item, min: 1, max: 2}  # here",
        "chains.order.variables.item",
        "expected either `list: NAME` or `min: …` and `max: …`",
    ),
    "variable of half a source": Case(
        "item: {list: item}",
        "item: {list: item, max: 2}  # here",
        "chains.order.variables.item",
        "expected either `list: NAME` or `min: …` and `max: …`",
    ),
    "variable too large": Case(
        "item: {list: item}",
        "item: {list: item}\n      n: {min: 3, max: 9007199254740993}  # here",
        "chains.order.variables.n.max",
        "between -2^53 and 2^53",
    ),
    "variable bounds": Case(
        "item: {list: item}",
        "item: {list: item}\n      n: {min: 3, max: 2}  # here",
        "chains.order.variables.n.min",
        "min 3 is above max 2",
    ),
    # payload fields
    "min above max": Case(
        COUNT_TEXT, "count: {type: integer, min: 9, max: 1}  # here", f"{COUNT}.min", "min 9 is above max 1"
    ),
    "one bound only": Case(
        COUNT_TEXT, "count: {type: integer, min: 9}  # here", COUNT, "min and max are both required"
    ),
    "bound that is not whole": Case(
        COUNT_TEXT, "count: {type: integer, min: 0.5, max: 1}  # here", f"{COUNT}.min", "a whole number for an integer"
    ),
    "bound too large": Case(
        COUNT_TEXT, "count: {type: integer, min: 0, max: 9007199254740993}  # here", f"{COUNT}.max", "-2^53 and 2^53"
    ),
    "bounds of a text": Case(
        COUNT_TEXT, "count: {type: string, min: 1, max: 9}  # here", f"{COUNT}.min", "belong to an integer or a number"
    ),
    "no source": Case(COUNT_TEXT, "count: {type: integer}  # here", COUNT, "expected exactly one of fields, value"),
    "two sources": Case(
        COUNT_TEXT, "count: {type: integer, value: 1, choices: [1]}  # here", COUNT, "got value and choices"
    ),
    "bounds beside a choice": Case(
        COUNT_TEXT, "count: {type: integer, choices: [1, 2], min: 1}  # here", f"{COUNT}.min", "min and max stand alone"
    ),
    "type missing": Case(
        COUNT_TEXT, "count: {min: 1, max: 2}  # here", COUNT, "'type' is required; allowed are string"
    ),
    "type unknown": Case(COUNT_TEXT, "count: {type: int, min: 1, max: 2}  # here", f"{COUNT}.type", "got 'int'"),
    "value of a wrong type": Case(
        COUNT_TEXT, "count: {type: integer, value: one}  # here", f"{COUNT}.value", "an integer, got 'one'"
    ),
    "a choice of a wrong type": Case(
        COUNT_TEXT, "count: {type: integer, choices: [1, true]}  # here", f"{COUNT}.choices[1]", "an integer, got true"
    ),
    "no choices": Case(
        COUNT_TEXT, "count: {type: integer, choices: []}  # here", f"{COUNT}.choices", "at least one choice"
    ),
    "an example of a wrong type": Case(
        COUNT_TEXT,
        "count: {type: integer, min: 1, max: 2, examples: [x]}  # here",
        f"{COUNT}.examples[0]",
        "an integer",
    ),
    "elapsed of a wrong type": Case(
        COUNT_TEXT, "count: {type: string, elapsed: true}  # here", f"{COUNT}.type", "an integer, got string"
    ),
    "decimals of an integer": Case(
        COUNT_TEXT,
        "count: {type: integer, min: 1, max: 2, decimals: 2}  # here",
        f"{COUNT}.decimals",
        "decimals belong",
    ),
    "too many decimals": Case(
        COUNT_TEXT,
        "count: {type: number, min: 1, max: 2, decimals: 12}  # here",
        f"{COUNT}.decimals",
        "0 to 9 decimals",
    ),
    "a list of another type": Case(
        "city: {type: string, pick: city}",
        "city: {type: integer, pick: city}  # here",
        "events.shop.order.placed.v1.payload.city.pick",
        "expected an integer, but list 'city' holds 'Rome'",
    ),
    "a variable of another type": Case(
        "item: {type: string, var: item.name}\n      city",
        "item: {type: string, var: item.price}  # here\n      city",
        "events.shop.order.placed.v1.payload.item.var",
        "expected a string, but list 'item', of chain order, holds 3",
    ),
    "a field inside an object": Case(
        COUNT_TEXT,
        "count: {fields: {left: {type: integer, min: 2, max: 1}}}  # here",
        f"{COUNT}.fields.left.min",
        "min 2 is above max 1",
    ),
    "fields of a text": Case(
        COUNT_TEXT, "count: {type: string, fields: {}}  # here", f"{COUNT}.type", "is an object, got string"
    ),
    # documents
    "partitions without a domain": Case(
        "domain: shop.order\nsource: shop\npartitions: 2",
        "source: shop\npartitions: 2  # here",
        "partitions",
        "give `domain` too",
    ),
    "no partitions": Case("partitions: 2", "partitions: 0  # here", "partitions", "1 to 10,000 partitions, got 0"),
    "no source at all": Case("source: shop\n", "", "events.shop.order.placed.v1", "'source' is required"),
    "a list instead of a mapping": Case(
        "shop.order.shipped.v1: {}",
        "shop.order.shipped.v1: []  # here",
        "events.shop.order.shipped.v1",
        "expected a mapping, got a list",
    ),
    "a number instead of a delay": Case(
        DELAY_TEXT,
        "delay: 5}]",
        f"{PLACED}.next[0].delay",
        "expected a delay such as {fixed: 40}, in milliseconds, got 5",
    ),
    "a number instead of a mapping with required names": Case(
        DELAY_TEXT,
        "delay: {exponential: 5}}]",
        f"{PLACED}.next[0].delay.exponential",
        "expected a mapping with mean, got 5",
    ),
    "a number instead of a text": Case("source: shop\n", "source: 5  # here\n", "source", "expected a text, got 5"),
    "a tag that does not fit": Case(
        COUNT_TEXT, "count: {type: boolean, value: !!bool maybe}  # here", f"{COUNT}.value", "a boolean, got 'maybe'"
    ),
    "not YAML": Case("weight: 1\n", "weight: [1\n", "file", "is not YAML: "),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_a_mistake_is_reported_once_with_its_line(case: Case, shop: str, load_text: LoadText) -> None:
    """A slip gives exactly one mistake: the file, its line, where, what was found and what is allowed."""
    assert shop.count(case.old) == 1 or case.old == "source: shop\n"
    text = shop.replace(case.old, case.new, 1)
    found = _mistakes(load_text, text)
    assert (found[0].where, len({m.problem for m in found})) == (case.where, 1)
    assert case.problem in found[0].problem
    if "# here" in text:
        assert text.splitlines()[found[0].line - 1].endswith("# here")


def test_an_empty_list_is_the_only_mistake_where_a_bound_needs_its_items(shop: str, load_text: LoadText) -> None:
    """The size of the bound is not known, which is no reason to fail."""
    text = shop.replace("min: 1, max: 9", "min: 1, max: {var: item.price}")
    text = text.replace("    - {name: tea, price: 3}\n    - {name: cup, price: 7}\n", "    []\n")
    [mistake] = _mistakes(load_text, text)
    assert (mistake.where, mistake.problem) == ("lists.item", "a list needs at least one item")


def test_all_mistakes_come_in_one_report(shop: str, load_text: LoadText) -> None:
    """A catalog with four slips is refused once, with all four, in the order of the lines."""
    text = shop.replace("pick: city}", "pick: town}").replace("weight: 90", "weight: 80")
    text = text.replace("{uniform: [1, 5]}", "{uniform: [5, 1]}").replace("weight: 1\n", "weight: -1\n", 1)
    with pytest.raises(InvalidCatalog) as caught:
        load_text(text)
    lines = [mistake.line for mistake in caught.value.mistakes]
    assert len(lines) == 4
    assert lines == sorted(lines)
    assert str(caught.value).startswith("the catalog has 4 mistakes:\n")
    assert str(caught.value).count("0.yaml:") == 4


def test_the_line_is_right_where_the_case_cannot_mark_it(shop: str, load_text: LoadText) -> None:
    """Inside a flow list the line is that of the value."""
    text = shop.replace("weight: 90", "weight: 85")
    [mistake] = _mistakes(load_text, text)
    assert text.splitlines()[mistake.line - 1].strip() == "- {to: shipped, weight: 85, delay: {fixed: 3}}"


def test_a_chain_of_one_event_is_refused(load_text: LoadText) -> None:
    """A chain is at least a request and its end: one event alone would never be complete or be complete at once."""
    chain = "{weight: 1, start: s, states: {s: {emits: a.b.c.v1, outcome: completed}}}"
    text = f"source: s\nevents: {{a.b.c.v1: {{}}}}\nchains: {{x: {chain}}}\n"
    [mistake] = _mistakes(load_text, text)
    assert "the start state ends the chain: a chain has at least two events" in mistake.problem


def test_a_syntax_error_names_its_line(load_text: LoadText) -> None:
    """What is not YAML is refused with the line where reading stopped."""
    [mistake] = _mistakes(load_text, "events:\n  a: {\n  b: ]\n")
    assert (mistake.line, mistake.where) == (3, "file")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("- 1\n", "expected a mapping, got a list"),
        ("a: &x [*x]\n", "an alias contains itself"),
        ("a: 1\n---\nb: 2\n", "is not YAML: but found another document"),
        ("events: \x07\n", "is not YAML: "),
    ],
)
def test_a_file_that_is_no_catalog(text: str, problem: str, load_text: LoadText) -> None:
    """Empty files, other documents and control characters are refused with a sentence."""
    [mistake] = _mistakes(load_text, text)
    assert problem in mistake.problem


def test_a_missing_file(tmp_path: Path) -> None:
    """A path that does not exist is a mistake, not a stack trace."""
    with pytest.raises(InvalidCatalog, match=r"absent\.yaml:1: file: cannot be read: No such file"):
        Catalog.load(tmp_path / "absent.yaml")


def test_an_empty_folder(tmp_path: Path) -> None:
    """A folder without YAML is most likely the wrong folder."""
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InvalidCatalog, match=r"the folder has no \*\.yaml file"):
        Catalog.load(tmp_path)


def test_one_name_in_two_files_of_a_folder(tmp_path: Path, shop: str) -> None:
    """Within a folder no file overrides another: the same name twice is a mistake that names the first place."""
    (tmp_path / "a.yaml").write_text(shop)
    (tmp_path / "b.yaml").write_text("source: s\nevents:\n  shop.order.lost.v1:\n    description: again\n")
    with pytest.raises(InvalidCatalog) as caught:
        Catalog.load(tmp_path, extend=False)
    [mistake] = caught.value.mistakes
    assert (Path(mistake.file).name, mistake.line) == ("b.yaml", 4)
    assert f"it is already defined in {tmp_path / 'a.yaml'}, line 20" in mistake.problem


def _mistakes(load_text: LoadText, text: str) -> tuple[Mistake, ...]:
    with pytest.raises(InvalidCatalog) as caught:
        load_text(text)
    return caught.value.mistakes
