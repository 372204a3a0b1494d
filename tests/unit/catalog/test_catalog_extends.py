"""Files that change a few values of the shipped catalog, or of another file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from eventbus.catalog import Catalog, InvalidCatalog
from eventbus.catalog.catalog import DATA
from eventbus.catalog.errors import Mistake
from eventbus.catalog.model import Fixed, LogNormal, Uniform
from eventbus.catalog.sources import Choices, ComputedNumber, FixedValue, NumberRange, Reference, TextTemplate

Changed = Callable[[str], Catalog]
SHIPPED = Catalog.default()
CAUSED = {name for chain in SHIPPED.chains.values() for name in chain.caused}
UNCAUSED = next(chain.name for chain in SHIPPED.chains.values() if chain.name not in CAUSED and not chain.caused)
ROUTED = "omninode.agent.routing.completed.v1"


@pytest.fixture
def changed(tmp_path: Path) -> Changed:
    """The shipped catalog with the changes of a text."""

    def load(text: str) -> Catalog:
        path = tmp_path / "mine.yaml"
        path.write_text(f"extends: shipped\n{text}", encoding="utf-8")
        return Catalog.load(path)

    return load


def mistakes_of(changed: Changed, text: str) -> list[Mistake]:
    """What is wrong with the changes of a text."""
    with pytest.raises(InvalidCatalog) as caught:
        changed(text)
    return list(caught.value.mistakes)


# One value.


def test_one_weight(changed: Changed) -> None:
    """Everything else of the chain, and all other chains, stay."""
    catalog = changed("chains: {vault-read: {weight: 92}}")
    assert catalog.chain("vault-read").weight == 92
    assert catalog == SHIPPED.with_weights({"vault-read": 92})


def test_one_delay(changed: Changed) -> None:
    """Another distribution stands in place of the shipped one; the same distribution merges."""
    state = "chains: {vault-read: {states: {requested: {next: {completed: {delay: %s}}}}}}"
    [transition] = changed(state % "{fixed: 7}").chain("vault-read").states["requested"].next
    assert (transition.delay, transition.weight, transition.to) == (Fixed(value=7), 100, "completed")
    [transition] = changed(state % "{uniform: [1, 2]}").chain("vault-read").states["requested"].next
    assert transition.delay == Uniform(minimum=1, maximum=2)
    text = "chains: {pattern-discovery: {states: {started: {next: {%s: {delay: {lognormal: {p95: 2500}}}}}}}}"
    first = SHIPPED.chain("pattern-discovery").states["started"].next[0]
    delay = changed(text % first.to).chain("pattern-discovery").states["started"].next[0].delay
    assert delay == LogNormal(median=400, p95=2500, minimum=20, maximum=20000)


@pytest.mark.parametrize(
    "change",
    [
        "{completed: {weight: 97}, failed: {weight: 3}}",
        "[{to: failed, weight: 3}, {to: completed, weight: 97}]",
    ],
)
def test_the_weights_of_a_state(changed: Changed, change: str) -> None:
    """By name, as a mapping or as a list; order and delays stay."""
    catalog = changed(f"chains: {{agent-execution: {{states: {{started: {{next: {change}}}}}}}}}")
    ours, shipped = (c.chain("agent-execution").states["started"].next for c in (catalog, SHIPPED))
    assert [(transition.to, transition.weight) for transition in ours] == [("completed", 97), ("failed", 3)]
    assert [transition.delay for transition in ours] == [transition.delay for transition in shipped]


def test_one_payload_field(changed: Changed) -> None:
    """Bounds merge; another source stands in place of the shipped one; nothing removes a field."""
    text = (
        f"events: {{{ROUTED}: {{payload: {{candidates: {{max: 99}}, confidence: {{value: 0.5}}, capability: null}}}}}}"
    )
    payload = {field.name: field for field in changed(text).event_type(ROUTED).payload}
    assert payload["candidates"].source == NumberRange(2, 99)
    assert payload["confidence"].source == FixedValue(0.5)
    assert list(payload) == [f.name for f in SHIPPED.event_type(ROUTED).payload if f.name != "capability"]
    other = {f.name: f for f in changed(text.replace("value: 0.5", "choices: [1, 2]")).event_type(ROUTED).payload}
    assert other["confidence"].source == Choices((1, 2))
    assert changed(text).event_type(ROUTED).source == SHIPPED.event_type(ROUTED).source


def test_one_page_and_one_click(changed: Changed) -> None:
    """The other pages and clicks stay."""
    shipped = SHIPPED.chain("visitor-session").visitors
    assert shipped is not None
    page = next(page for page in shipped.pages.values() if len(page.clicks) > 1)
    first, second = page.clicks[:2]
    change = f"{page.name}: {{title: Mine, clicks: {{{first.element}: {{text: Press}}}}}}"
    text = f"chains: {{visitor-session: {{visitors: {{pages: {{{change}, extra: {{path: /x, title: X}}}}}}}}}}"
    visitors = changed(text).chain("visitor-session").visitors
    assert visitors is not None
    ours = visitors.pages[page.name]
    assert (ours.title, ours.path, ours.clicks[0].text) == ("Mine", page.path, "Press")
    assert ours.clicks[0].kind == first.kind
    assert ours.clicks[1:] == page.clicks[1:]
    assert second in ours.clicks
    assert list(visitors.pages) == [*shipped.pages, "extra"]
    assert visitors.sets == shipped.sets


# Lists.


def test_a_list_takes_a_name(changed: Changed) -> None:
    """A text is added to a list of texts, and once only; the others stay."""
    people = changed("lists: {person: [zoe.adler, ben.okafor]}").lists["person"]
    assert people == (*SHIPPED.lists["person"], "zoe.adler")


def test_a_name_in_a_list_of_mappings_gets_the_other_members_of_a_shipped_item(changed: Changed) -> None:
    """So that events that tell them find them."""
    agents = changed("lists: {agent: [agent-mine, agent-research]}").lists["agent"]
    shipped = SHIPPED.lists["agent"]
    assert agents[:-1] == shipped
    assert agents[-1] == {**shipped[0], "name": "agent-mine"}


def test_a_list_of_mappings_may_be_plain_names(changed: Changed) -> None:
    """All of them yours; the other members are those of shipped items, in turn."""
    ours = changed("lists: {secret: {replace: [mine, yours]}}").lists["secret"]
    shipped = SHIPPED.lists["secret"]
    assert ours == ({**shipped[0], "path": "mine"}, {**shipped[1], "path": "yours"})


def test_an_item_of_a_list_is_changed_and_removed_by_name(changed: Changed) -> None:
    """In the mapping form; the name is the first member."""
    shipped = {item["path"]: item for item in SHIPPED.lists["secret"]}
    first, second, *_ = shipped
    text = f"lists: {{secret: {{{first}: {{role: me}}, {second}: null}}, person: {{ben.okafor: null}}}}"
    items = {item["path"]: item for item in changed(text).lists["secret"]}
    kept = {path: item for path, item in shipped.items() if path != second}
    assert items == {**kept, first: {**shipped[first], "role": "me"}}
    assert "ben.okafor" not in changed(text).lists["person"]


def test_a_list_is_replaced_when_the_file_says_so(changed: Changed, tmp_path: Path) -> None:
    """`{replace: […]}` works with and without `extends`, as `{extend: […]}` does."""
    assert changed("lists: {person: {replace: [zoe]}}").lists["person"] == ("zoe",)
    path = tmp_path / "alone.yaml"
    path.write_text("lists: {person: {replace: [zoe]}, repository: {extend: [x]}}")
    catalog = Catalog.load(path)
    assert catalog.lists["person"] == ("zoe",)
    assert catalog.lists["repository"] == (
        *SHIPPED.lists["repository"],
        {**SHIPPED.lists["repository"][0], "name": "x"},
    )


def test_a_list_does_not_take_the_place_of_a_shipped_one_unawares(tmp_path: Path) -> None:
    """Shipped events would draw from it: the mistake names both lists, and who draws."""
    path = tmp_path / "mine.yaml"
    path.write_text("# mine\nlists:\n  agent:\n    - {name: bond}\n")
    with pytest.raises(InvalidCatalog) as caught:
        Catalog.load(path)
    [mistake] = caught.value.mistakes
    assert (mistake.file, mistake.line, mistake.where) == (str(path), 4, "lists.agent")
    assert "the shipped catalog has a list 'agent' (" in mistake.problem
    assert "agent.yaml:" in mistake.problem
    assert "agent-execution draws: choose another name, or say `{extend: […]}` or `{replace: […]}`" in mistake.problem


def test_a_list_may_have_the_name_of_a_shipped_one_that_nothing_shipped_uses(tmp_path: Path) -> None:
    """A copy of a shipped file replaces its lists, events and chains together; a file may also stand alone."""
    shipped = DATA / "vault.yaml"
    path = tmp_path / "vault.yaml"
    path.write_text(shipped.read_text().replace("role: identity", "role: someone"))
    assert "someone" in {item["role"] for item in Catalog.load(path).lists["secret"]}


# Structure.


def test_nothing_removes_a_definition(changed: Changed) -> None:
    """A chain, and an event type that no chain emits any more."""
    chain = next(c for c in SHIPPED.chains.values() if not c.caused and c.name not in CAUSED)
    catalog = changed(f"chains: {{{chain.name}: null}}\nevents: {{{chain.root}: ~}}")
    assert catalog.chains.keys() == SHIPPED.chains.keys() - {chain.name}
    assert catalog.events.keys() == SHIPPED.events.keys() - {chain.root}


def test_what_still_needs_a_removed_definition_is_named_with_the_removal(changed: Changed) -> None:
    """The shipped sessions cause this chain."""
    [mistake] = mistakes_of(changed, "\nchains:\n  vault-read: null\n")
    assert Path(mistake.file).name == "visitor.yaml"
    assert mistake.problem.startswith("unknown chain 'vault-read'")
    assert re.search(r"; vault-read is changed by \S*mine.yaml:4$", mistake.problem)


def test_new_definitions_stand_beside_the_changed_ones(changed: Changed, shop: str) -> None:
    """A file may do both."""
    catalog = changed(shop.replace("chains:\n", "chains:\n  vault-read: {weight: 1}\n"))
    assert catalog.chains.keys() == {*SHIPPED.chains, "order"}
    assert catalog.chain("vault-read").weight == 1


def test_a_file_extends_another_file(tmp_path: Path, shop: str) -> None:
    """By a path relative to its own folder, loaded with it; and so on."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "shop.yaml").write_text(shop)
    (tmp_path / "more.yaml").write_text("extends: base/shop.yaml\nchains: {order: {weight: 5}}\n")
    last = tmp_path / "last.yaml"
    last.write_text("extends: more.yaml\nlists: {city: [Bonn]}\n")
    catalog = Catalog.load(last, extend=False)
    assert (catalog.chain("order").weight, catalog.lists["city"]) == (5, ("Rome", "Oslo", "Bonn"))
    assert catalog.chains.keys() == {"order"}


def test_the_shipped_catalog_is_loaded_for_a_file_that_extends_it(tmp_path: Path) -> None:
    """Also where only the given files are asked for."""
    path = tmp_path / "mine.yaml"
    path.write_text("extends: shipped\nchains: {vault-read: {weight: 92}}\n")
    assert Catalog.load(path, extend=False) == SHIPPED.with_weights({"vault-read": 92})


def test_a_file_without_extends_replaces_a_chain_as_a_whole(tmp_path: Path) -> None:
    """As before: what is missing is a mistake."""
    path = tmp_path / "mine.yaml"
    path.write_text("chains: {vault-read: {weight: 92}}\n")
    with pytest.raises(InvalidCatalog, match="'start' is required"):
        Catalog.load(path)


# Mistakes name the change, and what it contradicts.


def test_a_contradiction_names_the_change_and_the_shipped_value(changed: Changed) -> None:
    """The weights of a state no longer add up."""
    text = "chains:\n  agent-execution:\n    states:\n      started:\n        next: {failed: {weight: 20}}\n"
    [mistake] = mistakes_of(changed, text)
    assert (Path(mistake.file).name, mistake.line) == ("mine.yaml", 6)
    assert mistake.problem.startswith("the transition weights sum to 110, expected 100")
    file, _, line = mistake.problem.rpartition("; it changes ")[2].rpartition(":")
    assert Path(file).name == "agent.yaml"
    assert "{to: completed, weight: 90" in Path(file).read_text().splitlines()[int(line) - 1]


def test_a_shipped_state_that_a_change_cuts_off_names_the_change(changed: Changed) -> None:
    """The mistake is located in the shipped file; what caused it is named too."""
    text = "chains: {agent-execution: {states: {started: {next: {failed: null, completed: {weight: 100}}}}}}\n"
    found = mistakes_of(changed, text)
    assert found
    for mistake in found:
        assert "mine.yaml" in f"{mistake.file} {mistake.problem}"
        assert "agent.yaml" in f"{mistake.file} {mistake.problem}"


def test_an_event_that_a_changed_chain_no_longer_serves_names_the_change(tmp_path: Path, shop: str) -> None:
    """The mistake is in the event of the other file, which itself is not changed."""
    (tmp_path / "shop.yaml").write_text(shop)
    path = tmp_path / "mine.yaml"
    path.write_text("extends: shop.yaml\nchains:\n  order: {variables: {item: {min: 1, max: 9}}}\n")
    with pytest.raises(InvalidCatalog) as caught:
        Catalog.load(path, extend=False)
    assert len(caught.value.mistakes) == 2
    for mistake in caught.value.mistakes:
        assert Path(mistake.file).name == "shop.yaml"
        assert mistake.problem.endswith(f"; order is changed by {path}:3")


@pytest.mark.parametrize(
    ("text", "line", "where", "problem"),
    [
        ("chains:\n  valt-read: {weight: 1}", 3, "valt-read", "no chain 'valt-read' to change (did you mean 'vault-re"),
        ("chains:\n  valt-read: null", 3, "valt-read", "no 'valt-read' to remove (did you mean 'vault-read'?)"),
        ("chains: {vault-read: {wieght: 1}}", 2, "vault-read.wieght", "unknown field 'wieght' (did you mean"),
        ("chains: {vault-read: {states: {requested: {next: {done: null}}}}}", 2, "next.done", "no 'done' to remove"),
        ("chains: {vault-read: {states: {requested: {next: {completed: 5}}}}}", 2, "next.completed", "a mapping"),
        ("lists: {person: {extend: [x], replace: [y]}}", 2, "lists.person", "expected exactly one of extend, replace"),
        ("lists: {persn: {extend: [x]}}", 2, "lists.persn", "no list 'persn' to extend (did you mean 'person'?)"),
        ("alone: true", 1, "extends", "expected either `extends` or `alone: true`"),
        ("lists: {person: {zoe: null}}", 2, "lists.person.zoe", "no 'zoe' to remove"),
    ],
)  # fmt: skip
def test_a_change_that_fits_nothing_is_a_mistake(
    changed: Changed, text: str, line: int, where: str, problem: str
) -> None:
    """With its line, and with what there is."""
    mistake = mistakes_of(changed, text)[0]
    assert (Path(mistake.file).name, mistake.line) == ("mine.yaml", line)
    assert mistake.where.endswith(where)
    assert problem in mistake.problem


@pytest.mark.parametrize("name", ["nowhere.yaml", "mine.yaml", "shiped"])
def test_what_cannot_be_extended_is_a_mistake(tmp_path: Path, name: str) -> None:
    """A file that does not exist, and the file itself."""
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: {name}\nchains: {{}}\n")
    with pytest.raises(InvalidCatalog) as caught:
        Catalog.load(path)
    [mistake] = caught.value.mistakes
    assert (mistake.file, mistake.line, mistake.where) == (str(path), 1, "extends")


@pytest.mark.parametrize("first", ["a.yaml", "b.yaml", "."])
def test_files_that_extend_each_other_are_a_mistake(tmp_path: Path, shop: str, first: str) -> None:
    """Whichever is read first: neither could be read before the other."""
    (tmp_path / "a.yaml").write_text("extends: b.yaml\nchains: {order: {weight: 5}}\n")
    (tmp_path / "b.yaml").write_text(f"extends: a.yaml\n{shop}")
    with pytest.raises(InvalidCatalog) as caught:
        Catalog.load(tmp_path / first, extend=False)
    circles = [mistake for mistake in caught.value.mistakes if mistake.where == "extends"]
    assert [(mistake.line, mistake.problem) for mistake in circles] == [
        (1, "a file cannot extend itself, nor one that extends it")
    ]


def test_a_file_cannot_extend_the_folder_that_it_stands_in(tmp_path: Path, shop: str) -> None:
    """That is a circle, too."""
    path = tmp_path / "a.yaml"
    path.write_text(f"extends: .\n{shop}")
    with pytest.raises(InvalidCatalog, match="a file cannot extend itself"):
        Catalog.load(path, extend=False)


@pytest.mark.parametrize("base", ["a.yaml", "z.yaml"])
def test_a_folder_may_have_the_file_that_others_extend(tmp_path: Path, shop: str, base: str) -> None:
    """Whichever is first by name, also where one changes what another one has changed already."""
    (tmp_path / base).write_text(shop)
    (tmp_path / "b.yaml").write_text(
        f"domain: shop.order\nextends: {base}\npartitions: 7\nchains: {{order: {{weight: 5}}}}\n"
    )
    (tmp_path / "c.yaml").write_text("extends: b.yaml\nchains: {order: {max_steps: 9}}\nlists: {city: [Bonn]}\n")
    catalog = Catalog.load(tmp_path, extend=False)
    assert (catalog.chain("order").weight, catalog.chain("order").max_steps) == (5, 9)
    assert (catalog.lists["city"], catalog.partitions["shop.order"]) == (("Rome", "Oslo", "Bonn"), 7)


@pytest.mark.parametrize("first", ["null", "{weight: 7}"])
def test_two_files_of_a_folder_cannot_change_the_same_definition(tmp_path: Path, first: str) -> None:
    """Not even if one removes it: which of them counts would follow from their names."""
    (tmp_path / "a.yaml").write_text(f"extends: shipped\nchains:\n  {UNCAUSED}: {first}\n")
    (tmp_path / "b.yaml").write_text(f"extends: shipped\nchains:\n  {UNCAUSED}: {{weight: 8}}\n")
    with pytest.raises(InvalidCatalog) as caught:
        Catalog.load(tmp_path)
    mistake = next(mistake for mistake in caught.value.mistakes if mistake.file.endswith("b.yaml"))
    assert mistake.line == 3
    assert mistake.problem.startswith(f"duplicate name {UNCAUSED!r}: it is already defined in")
    assert mistake.problem.endswith("a.yaml, line 3")


def test_decimals_change_alone(tmp_path: Path, shop: str) -> None:
    """They belong to numbers between bounds and to computed ones, and take the place of neither."""
    (tmp_path / "shop.yaml").write_text(
        shop.replace(
            "max: 9}",
            "max: 9}\n      total: {type: number, of: count, times: 1.5}"
            "\n      share: {type: number, min: 0, max: 1, decimals: 1}",
        )
    )
    path = tmp_path / "mine.yaml"
    change = "{total: {decimals: 3}, share: {decimals: 4}, count: {type: number, of: share, decimals: 2}}"
    path.write_text(f"extends: shop.yaml\nevents: {{shop.order.placed.v1: {{payload: {change}}}}}\n")
    payload = {
        field.name: field for field in Catalog.load(path, extend=False).event_type("shop.order.placed.v1").payload
    }
    count = Reference("field", "count")
    assert payload["total"].source == ComputedNumber(count, 1.5, decimals=3)
    assert payload["share"].source == NumberRange(0, 1, 4)
    assert payload["count"].source == ComputedNumber(Reference("field", "share"), decimals=2)


def test_fill_goes_with_the_texts_that_it_fills(changed: Changed) -> None:
    """A number in their place is not filled; other texts are."""
    failed = "omninode.agent.execution.failed.v1"
    text = f"events: {{{failed}: {{payload: {{error_message: %s}}}}}}"
    for change, source in (
        ("{type: integer, min: 1, max: 5}", NumberRange(1, 5)),
        ("{value: 'after {duration_ms} ms'}", TextTemplate(FixedValue("after {duration_ms} ms"))),
        ("{fill: false, value: '{}'}", FixedValue("{}")),
    ):
        payload = {field.name: field for field in changed(text % change).event_type(failed).payload}
        assert payload["error_message"].source == source


def test_the_first_member_names_an_item_in_any_order(tmp_path: Path, shop: str) -> None:
    """An item of a list whose members stand in another order is the same item."""
    (tmp_path / "shop.yaml").write_text(shop)
    path = tmp_path / "mine.yaml"
    path.write_text("extends: shop.yaml\nlists: {item: [{price: 9, name: cup}, {price: 1, name: pen}]}\n")
    items = Catalog.load(path, extend=False).lists["item"]
    assert items == ({"name": "tea", "price": 3}, {"name": "cup", "price": 9}, {"name": "pen", "price": 1})
