"""What `catalog lint` accepts, the generator runs, and its events are valid; what it refuses, the generator refuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, event, given, settings

from eventbus.catalog import Catalog, InvalidCatalog, Mistake
from eventbus.catalog.export.jsonschema import payload_schema
from eventbus.catalog.infer import DraftCatalog
from eventbus.chains import ChainGenerator, NothingToGenerate
from eventbus.cli import cli
from tests.unit.chains.written import EVERYTHING, mutated, written

BASE = yaml.safe_load(EVERYTHING)
SHIPPED = yaml.safe_load(DraftCatalog(catalog=Catalog.default()).text())
CHAINS = 200


def disagreements(schema: Mapping[str, Any], value: Any) -> Iterable[str]:
    """Why a value does not fit a JSON schema (draft 2020-12) of the keywords that payload schemas have."""
    unknown = schema.keys() - KEYWORDS
    assert not unknown, unknown
    is_of_type = TYPES[schema["type"]] if "type" in schema else None
    if is_of_type and not is_of_type(value):
        yield f"{value!r} is no {schema['type']}"
    if "const" in schema and not same(value, schema["const"]):
        yield f"{value!r} is not {schema['const']!r}"
    if "enum" in schema and not any(same(value, item) for item in schema["enum"]):
        yield f"{value!r} is none of {schema['enum']!r}"
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{value!r} is below {schema['minimum']}"
    if "maximum" in schema and value > schema["maximum"]:
        yield f"{value!r} is above {schema['maximum']}"
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{name} is missing"
    if "properties" in schema:
        for name, member in value.items():
            if name in schema["properties"]:
                yield from disagreements(schema["properties"][name], member)
            elif schema["additionalProperties"] is False:
                yield f"{name} is unknown"


KEYWORDS = {
    *("type", "const", "enum", "minimum", "maximum", "properties", "required", "additionalProperties"),
    *("description", "examples"),
}
TYPES: Mapping[str, Any] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int or (type(value) is float and value.is_integer()),
    "number": lambda value: type(value) in (int, float),
    "boolean": lambda value: type(value) is bool,
    "object": lambda value: type(value) is dict,
    "array": lambda value: type(value) is list,
}


def same(left: Any, right: Any) -> bool:
    """Equality of JSON values, in which true is not 1."""
    return bool(left == right) and (type(left) is bool) == (type(right) is bool)


def load(path: Path) -> tuple[Sequence[Mistake], Catalog | None]:
    """The mistakes of a catalog, or the catalog."""
    try:
        return (), Catalog.load(path, extend=False)
    except InvalidCatalog as error:
        return error.mistakes, None


def check(path: Path, text: str) -> bool:
    """Whether a catalog is accepted; if so, the generator has run it, and every payload is valid twice over."""
    path.write_text(text, encoding="utf-8")
    mistakes, catalog = load(path)
    for mistake in mistakes:
        assert mistake.file == str(path)
        assert 1 <= mistake.line <= text.count("\n") + 1
        assert mistake.problem
    if catalog is None:
        assert mistakes
        return False
    schemas = {name: payload_schema(event_type) for name, event_type in catalog.events.items()}
    roots = 0
    for generated in ChainGenerator(catalog, seed=7).events(chains=CHAINS):
        roots += generated.causation_id is None
        assert catalog.validate(generated.event_type, generated.payload) == []
        assert [*disagreements(schemas[generated.event_type], generated.payload)] == []
    assert roots == CHAINS
    for name in catalog.chains:
        assert ChainGenerator(catalog).chain(name)
    return True


fixture = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
quick = settings(fixture, max_examples=30, phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink])


def test_the_catalogs_that_are_mutated_are_accepted(tmp_path: Path) -> None:
    """Otherwise no mutation of them would be."""
    assert check(tmp_path / "catalog.yaml", written(BASE))
    assert check(tmp_path / "catalog.yaml", written(SHIPPED))


@quick
@given(document=mutated(BASE, 1))
def test_what_lint_accepts_the_generator_runs(tmp_path: Path, document: Any) -> None:
    """A catalog of nearly every key with one value changed, dropped, renamed or copied."""
    event("accepted" if check(tmp_path / "catalog.yaml", written(document)) else "refused")


@settings(quick, max_examples=4)
@given(document=mutated(SHIPPED, 2))
def test_what_lint_accepts_of_the_shipped_catalog_the_generator_runs(tmp_path: Path, document: Any) -> None:
    """Sites, journeys and caused chains too."""
    event("accepted" if check(tmp_path / "catalog.yaml", written(document)) else "refused")


def chain_file(payload: str = "{n: {type: integer, value: 1}}", delay: str = "{fixed: 1}", chain: str = "") -> str:
    """A catalog of one chain whose payload stands on line 5, and its delay on line 11."""
    return f"""\
alone: true
domain: my.shop
source: s
events:
  my.shop.a.requested.v1: {{payload: {payload}}}
  my.shop.a.completed.v1: {{payload: {{}}}}
lists: {{l: [a, b]}}
chains:
  a: {{weight: 1, start: r, {chain}
      states: {{r: {{emits: my.shop.a.requested.v1, next: [{{to: c,
      delay: {delay}}}]}},
      c: {{emits: my.shop.a.completed.v1, outcome: completed}}}}}}
"""


PAYLOADS = {
    "{n: {type: number, value: 1e400}}": "expected a number of at most 64 bits, got 1e400",
    "{n: {type: integer, value: 100000000000000000000}}": "at most 64 bits, got 100000000000000000000",
    "{n: {type: object, value: {a: [1e999]}}}": "expected a number of at most 64 bits, got 1e999",
    "{n: {type: number, choices: [1, -1e999]}}": "expected a number of at most 64 bits, got -1e999",
    "{n: {type: number, min: 0, max: 9000000000000000, decimals: 9}}": "numbers of at most 18 digits, 9 decimals",
    "{n: {type: number, min: 0.1, max: 0.9}}": "no number with 0 decimals is from 0.1 to 0.9",
    "{n: {type: number, min: 0, max: 1, decimals: 834660}}": "expected 0 to 9 decimals, got 834660",
}
ELAPSED = chain_file().replace(
    "{payload: {}}", "{payload: {ms: {type: integer, elapsed: true}, n: {type: integer, of: ms, times: 1e15}}}"
)
DELAYS = {
    "{fixed: 1e20}": "expected a delay of at most a century, got up to 1e+20 ms",
    "{uniform: [0, 1e13]}": "expected a delay of at most a century, got up to 1e+13 ms",
    "{lognormal: {median: 10, p95: 12, min: 100000}}": "bounds that leave some of the distribution, got min 100000",
    "{exponential: {mean: 10, max: 1e-12}}": "leave some of the distribution, got min 0 and max 1e-12",
    "{exponential: {mean: 1e12}}": "expected a delay of at most a century, got up to 1.73e+13 ms: give it a `max`",
    "{exponential: {mean: 2e10}}": "neighbouring values less than 102 days apart, got 160 days: give it a `max`",
    "{lognormal: {median: 1e-300, p95: 1e300}}": "expected a p95 above the median",
    "{lognormal: {median: 5, p95: 5}}": "expected a p95 above the median 5, got 5",
}


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        *((chain_file(payload=payload), 5, problem) for payload, problem in PAYLOADS.items()),
        *((chain_file(delay=delay), 11, problem) for delay, problem in DELAYS.items()),
        (chain_file(chain="max_steps: 1000000000,"), 9, "expected at most 10,000 events, got 1,000,000,000"),
        (chain_file(delay="{fixed: 3e12}"), 9, "expected a chain of at most 3,000 years, but max_steps 64 times"),
        (chain_file(chain="variables: {v: {list: l, factor: {p95: 1e9}}},"), 9, "a 95th percentile up to 100"),
        (
            chain_file("{}", "{fixed: 1e5}, scaled_by: v", "variables: {v: {list: l, factor: {p95: 90}}},"),
            11,
            "expected a product of delay and factor up to",
        ),
        (chain_file().replace("weight: 1,", "weight: 1e15,"), 9, "expected a weight of at most 1e+12, got 1e+15"),
        (chain_file().replace("weight: 1,", "weight: 0,"), 9, "expected at least one chain with a weight above 0"),
        (ELAPSED.replace("{fixed: 1}", "{fixed: 600000}"), 6, "expected bounds within 62 bits"),
        (
            ELAPSED.replace("{fixed: 1}", "{fixed: 9}, scaled_by: v").replace(
                "start: r,", "start: r, variables: {v: {list: l, factor: {p95: 90}}},"
            ),
            6,
            "expected bounds within 62 bits",
        ),
        ("alone: true\n", 1, "expected at least one chain with a weight above 0"),
    ],
)
def test_lint_and_the_generator_refuse_with_the_same_sentence(
    tmp_path: Path, text: str, line: int, problem: str
) -> None:
    """With the file, the line and what was expected; the generator of the command line too."""
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    lint = CliRunner().invoke(cli, ["catalog", "lint", str(file)])
    generate = CliRunner().invoke(cli, ["generate", "--catalog", str(file), "--chains", "1"])
    assert (lint.exit_code, generate.exit_code) == (1, 2)
    [sentence] = [row for row in lint.output.splitlines() if row.startswith(str(file))]
    assert sentence.startswith(f"{file}:{line}: ")
    assert problem in sentence
    assert sentence in generate.output.splitlines()


def test_a_catalog_made_in_code_is_refused_with_the_sentence_of_lint() -> None:
    """It has no file and no line."""
    with pytest.raises(NothingToGenerate, match="expected at least one chain with a weight above 0"):
        ChainGenerator(Catalog(events={}, chains={}))


def test_numbers_stay_between_bounds_of_more_digits_than_decimals(tmp_path: Path) -> None:
    """The smallest and the largest number with that many decimals are those between the bounds."""
    file = tmp_path / "mine.yaml"
    file.write_text(chain_file("{n: {type: number, min: 0.07, max: 0.2951, decimals: 2}}"), encoding="utf-8")
    numbers = {
        generated.payload["n"]
        for generated in ChainGenerator(Catalog.load(file)).events(chains=2000)
        if generated.payload
    }
    assert (min(numbers), max(numbers), len(numbers)) == (0.07, 0.29, 23)


def test_values_of_64_bits_are_written_exactly(tmp_path: Path) -> None:
    """The largest and the smallest integer, also inside of objects."""
    file = tmp_path / "mine.yaml"
    top, bottom = 2**63 - 1, -(2**63)
    payload = f"{{n: {{type: integer, value: {top}}}, o: {{type: object, value: {{a: [{bottom}]}}}}}}"
    assert check(file, chain_file(payload))
    first = ChainGenerator(Catalog.load(file)).chain()[0]
    assert first.payload == {"n": top, "o": {"a": [bottom]}}
