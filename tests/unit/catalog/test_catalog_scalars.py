"""Numbers, flags and aliases mean the same wherever they stand in a file, and no number breaks the reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventbus.catalog import Catalog, InvalidCatalog, Scenario
from eventbus.catalog.errors import Mistake
from eventbus.catalog.model import ClosedWorkload, ConstantRate, OpenWorkload, Stages
from eventbus.catalog.reading.document import YamlNode, read_document
from eventbus.durations import parse_duration

LoadText = Callable[..., Catalog]
Scenarios = Callable[[str], Scenario]


@pytest.fixture
def scenario(tmp_path: Path) -> Scenarios:
    """Load a text as a scenario."""

    def load(text: str) -> Scenario:
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return Scenario.load(path)

    return load


def read(folder: Path, text: str) -> tuple[YamlNode | None, list[Mistake]]:
    """A text as a document."""
    path, mistakes = folder / "document.yaml", list[Mistake]()
    path.write_text(text, encoding="utf-8")
    return read_document(path, mistakes), mistakes


# Integers are exact, quoted or not.


@pytest.mark.parametrize("written", ["9007199254740993", '"9007199254740993"', "'9_007_199_254_740_993'"])
def test_an_integer_beyond_the_precision_of_floats_is_exact(scenario: Scenarios, written: str) -> None:
    """2^53 + 1 is no float."""
    assert scenario(f"seed: {written}").seed == 2**53 + 1


@given(st.integers(-(2**63), 2**63 - 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_integer_of_64_bits_is_exact(tmp_path: Path, number: int) -> None:
    """Written as a number or as a text."""
    document, mistakes = read(tmp_path, f'plain: {number}\nquoted: "{number}"\n')
    assert document is not None
    assert [member.integer() for member in document.mapping().values()] == [number, number]
    assert [member.number() for member in document.mapping().values()] == [number, number]
    assert mistakes == []


# Numbers that 64 bits do not hold are mistakes with a line.

HUGE = ["9" * 19, "-" + "9" * 30, "9" * 400, "-" + "9" * 400, "9" * 5000, "1e400", "-1e999", "9" * 400 + ".5"]
SCENARIOS = [
    "seed: {}",
    "simulation: {{num_users: {}}}",
    "simulation: {{duration_seconds: {}}}",
    "arrivals: {{rate: {}}}",
    "arrivals: {{users: {}}}",
    "arrivals: {{users: 3, stagger: {}}}",
    "arrivals: {{stages: [{{rate: 1, duration: {}}}]}}",
    "arrivals: {{profile: {{name: office, per_day: {}}}}}",
    "advanced: {{stats_interval: {}}}",
    "advanced: {{max_retries: {}}}",
    "advanced: {{verbose: {}}}",
    "user_behavior: {{pages_per_session_max: {}}}",
    "event_probabilities: {{page_visit: {}}}",
    "chains: {{vault-read: {}}}",
    "faults: [{{kind: late, rate: {}}}]",
    "faults: [{{kind: late, rate: 0.1, max: {}}}]",
    "phases: [{{at: {}}}]",
    "phases: [{{at: 1, failed: {}}}]",
]


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("text", SCENARIOS)
def test_a_number_of_a_scenario_that_64_bits_do_not_hold_is_one_mistake(
    scenario: Scenarios, text: str, quote: str
) -> None:
    """Not a traceback, whatever its sign and its digits."""
    for huge in HUGE:
        with pytest.raises(InvalidCatalog) as caught:
            scenario("# a comment\n" + text.format(quote + huge + quote))
        [mistake] = caught.value.mistakes
        assert mistake.line == 2
        assert len(mistake.problem) < 150
        assert "of at most 64 bits" in mistake.problem or quote


PLACES = [
    ("min: 1, max: 9}", "min: 1, max: {}}}", "events.shop.order.placed.v1.payload.count.max"),
    ("value: lost}", "value: {{a: [{}]}}}}", "events.shop.order.lost.v1.payload.status.value.a[0]"),
    ("name: tea, price: 3}", "name: tea, price: {}}}", "lists.item[0].price"),
    ("{uniform: [1, 5]}", "{{uniform: [1, {}]}}", "chains.order.states.placed.next[0].delay.uniform[1]"),
    ("weight: 90", "weight: {}", "chains.order.states.packed.next[0].weight"),
    ("partitions: 2", "partitions: {}", "partitions"),
]


@pytest.mark.parametrize(("old", "new", "where"), PLACES)
def test_a_number_of_a_catalog_that_64_bits_do_not_hold_is_a_mistake(
    shop: str, load_text: LoadText, old: str, new: str, where: str
) -> None:
    """Also in values that the format takes as they are."""
    for huge in HUGE:
        with pytest.raises(InvalidCatalog) as caught:
            load_text(shop.replace(old, new.format(huge)))
        line = shop[: shop.index(old)].count("\n") + 1
        assert (line, where) in [
            (mistake.line, mistake.where)
            for mistake in caught.value.mistakes
            if mistake.problem.startswith("expected a number of at most 64 bits, got ")
        ]


@pytest.mark.parametrize("digits", [309, 310, 400, 5000])
def test_a_duration_without_end_is_no_duration(scenario: Scenarios, digits: int) -> None:
    """`999…s` was infinitely many seconds."""
    text = f"{'9' * digits}s"
    assert parse_duration(text) is None
    with pytest.raises(InvalidCatalog, match="duration_seconds: expected seconds, or a duration"):
        scenario(f"simulation: {{duration_seconds: {text}}}")
    with pytest.raises(InvalidCatalog, match=r"arrivals\.rate: expected chains per second, or a rate"):
        scenario(f"arrivals: {{rate: {'9' * digits}/s}}")


# One rule for flags and quoted numbers, in catalogs and in scenarios.

TRUE = ["true", "True", "TRUE", '"true"', "yes", "Yes", "on", "ON", "1", "'1'"]
FALSE = ["false", "False", "FALSE", "'False'", "no", "NO", "off", "'Off'", "0", '"0"']


def flags_of_a_scenario(scenario: Scenarios, written: str) -> list[bool | None]:
    """The same flag in every section that has one."""
    loaded = scenario(
        f"advanced: {{verbose: {written}, save_to_file: {written}, human_like_delays: {written}}}\n"
        f"arrivals: {{stages: [{{rate: 1, duration: 5}}], repeat: {written}}}\n"
    )
    profile = scenario(f"profile: {{name: office, interpolate: {written}}}\n").arrivals
    arrivals = loaded.arrivals
    assert isinstance(arrivals, OpenWorkload)
    assert isinstance(arrivals.rate, Stages)
    assert isinstance(profile, OpenWorkload)
    advanced = loaded.advanced
    interpolate = getattr(profile.rate, "interpolate", None)
    return [advanced.verbose, advanced.save_to_file, advanced.human_like_delays, arrivals.rate.repeat, interpolate]


@pytest.mark.parametrize("expected", [True, False])
def test_a_flag_of_a_scenario_may_be_written_in_every_common_way(scenario: Scenarios, expected: bool) -> None:
    """In every section alike."""
    for written in TRUE if expected else FALSE:
        assert flags_of_a_scenario(scenario, written) == [expected] * 5


@pytest.mark.parametrize("expected", [True, False])
def test_a_flag_of_a_catalog_may_be_written_in_every_common_way(shop: str, load_text: LoadText, expected: bool) -> None:
    """As in a scenario."""
    for written in TRUE if expected else FALSE:
        text = (
            shop.replace("max: 9}", f"max: 9, required: {written}}}")
            .replace("weight: 10, delay", f"weight: 10, compensate: {written}, delay")
            .replace("item: {list: item}", f"item: {{list: item}}\n      n: {{min: 1, max: 9, zipf: {written}}}")
        )
        chain, event = (catalog := load_text(text)).chain("order"), catalog.event_type("shop.order.placed.v1")
        assert event.payload[2].required is expected
        assert chain.states["packed"].next[1].compensate is expected
        assert chain.variables["n"].zipf is expected


def test_a_number_may_be_quoted_in_every_place(shop: str, load_text: LoadText, scenario: Scenarios) -> None:
    """In catalogs as in scenarios; where any value may stand, a text stays a text."""
    text = shop.replace("min: 1, max: 9", 'min: "1", max: "9.0"').replace("weight: 1\n", "weight: '1'\n")
    text = text.replace("uniform: [1, 5]", "uniform: ['1', \"5\"]").replace("partitions: 2", 'partitions: "2"')
    assert load_text(text.replace("weight: 90", "weight: '9e1'")) == load_text(shop)
    assert load_text(shop.replace("[Rome, Oslo]", "['5', \"true\"]")).lists["city"] == ("5", "true")
    assert scenario("arrivals: {users: '5', stagger: \"10\"}").arrivals == ClosedWorkload(users=5, ramp_up=10)
    assert scenario("arrivals: {rate: '5'}").arrivals == OpenWorkload(rate=ConstantRate(rate=5))


# Plain scalars by YAML 1.2.

CORE: list[tuple[str, Any]] = [
    *(("true", True), ("True", True), ("TRUE", True), ("false", False), ("False", False), ("FALSE", False)),
    *((word, None) for word in ("null", "Null", "NULL", "~")),
    *(("0", 0), ("-19", -19), ("+12", 12), ("0.", 0.0), ("-0.0", -0.0), (".5", 0.5), ("+12e03", 12000.0)),
    *(("-2E+05", -200_000.0), ("1.5e-1", 0.15)),
]
"""The examples of https://yaml.org/spec/1.2.2/#103-core-schema that are no texts here, and the other spellings."""
TEXTS = [
    "no",
    "On",
    "y",
    "tRUE",
    "nULL",
    "010",
    "0o14",
    "0x3A",
    ".inf",
    "-.INF",
    ".nan",
    "1_000",
    "12:30",
    "2026-01-01",
]


@pytest.mark.parametrize(("written", "value"), [*CORE, *((text, text) for text in TEXTS)])
def test_plain_scalars_follow_the_core_schema_with_decimal_numbers(tmp_path: Path, written: str, value: Any) -> None:
    """As the loader promises; quoted, each is a text."""
    document, mistakes = read(tmp_path, f"plain: {written}\nquoted: '{written}'\n")
    assert document is not None
    plain = document.plain()
    assert (plain, type(plain["plain"])) == ({"plain": value, "quoted": written}, type(value))
    assert mistakes == []


@pytest.mark.parametrize("written", ["!!bool yes", "!!bool True"])
def test_a_tagged_flag_is_true(tmp_path: Path, written: str) -> None:
    """`!!bool True` was false."""
    document, _ = read(tmp_path, f"flag: {written}")
    assert document is not None
    assert document.plain() == {"flag": True}


def test_a_tagged_infinity_is_a_mistake(tmp_path: Path) -> None:
    """The tag makes it a float."""
    document, mistakes = read(tmp_path, "a: !!float inf\nb: !!float nan\nc: !!int x\n")
    assert document is not None
    assert document.plain() == {"a": 0, "b": 0, "c": "x"}
    assert [mistake.line for mistake in mistakes] == [1, 2]


# Aliases are followed once.


def doubling(levels: int) -> str:
    """Each line refers to the one before twice: 2^levels values."""
    return "a0: &a0 [1, 1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, levels))


@pytest.mark.parametrize("levels", [18, 60, 99])
def test_aliases_that_multiply_are_refused_without_following_each(tmp_path: Path, levels: int) -> None:
    """One step for each path through 60 lines would take centuries."""
    document, mistakes = read(tmp_path, doubling(levels))
    assert document is None
    [mistake] = mistakes
    assert mistake.problem.startswith("expected at most 1,000,000 values, but aliases make it ")


def test_aliases_that_are_used_often_are_read(tmp_path: Path) -> None:
    """A value may stand in a thousand places."""
    document, mistakes = read(tmp_path, doubling(15) + f"many: [{', '.join(['*a0'] * 1000)}]\n")
    assert document is not None
    assert mistakes == []
    assert document.at(("many", 999)).plain() == [1, 1]


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: {c: [1, *a]}}", "&a [x, {*a : 1}]"])
def test_an_alias_that_contains_itself_is_refused(tmp_path: Path, text: str) -> None:
    """At any depth, and as a key."""
    document, mistakes = read(tmp_path, text)
    assert document is None
    assert [mistake.problem for mistake in mistakes] == ["an alias contains itself"]


@pytest.mark.parametrize("levels", [101, 900, 4000])
def test_a_document_that_is_too_deep_is_refused(tmp_path: Path, levels: int) -> None:
    """It would exceed the interpreter's stack."""
    document, mistakes = read(tmp_path, "[" * levels + "]" * levels)
    assert document is None
    assert [mistake.problem for mistake in mistakes] == [
        "expected at most 100 levels of mappings and lists, but there are more"
    ]
