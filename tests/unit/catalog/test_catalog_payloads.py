"""A payload sent in by hand is judged by the catalog: types, bounds, choices, nothing missing, nothing more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.catalog import Catalog, EventType, PayloadField, Problem, UnknownName
from eventbus.catalog.export.asyncapi import example_payload
from eventbus.catalog.payload_models import payload_model, validate
from eventbus.catalog.sources import Choices, NumberRange

LoadText = Callable[..., Catalog]

SHIPPED = Catalog.default()
FAILED = "omninode.agent.execution.failed.v1"
ASKED = "omninode.agent.routing.requested.v1"
READ = "omninode.vault.secret.read.completed.v1"
ANSWERED = "omninode.intelligence.query.completed.v1"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize("name", SHIPPED.events)
def test_every_example_fits(name: str) -> None:
    """What the catalog shows as an example is what it accepts."""
    assert SHIPPED.validate(name, example_payload(SHIPPED.event_type(name))) == []


@pytest.mark.parametrize(
    ("name", "field", "value", "message"),
    [
        (FAILED, "agent", 3, "expected a valid string, got 3"),
        (FAILED, "status", "ok", "expected 'failure', got 'ok'"),
        (FAILED, "retryable", 1, "expected a valid boolean, got 1"),
        (FAILED, "duration_ms", -4, "expected greater than or equal to 0, got -4"),
        (FAILED, "duration_ms", 1.5, "expected a valid integer, got 1.5"),
        (FAILED, "duration_ms", True, "expected a valid integer, got true"),
        (FAILED, "duration_ms", "250", "expected a valid integer, got '250'"),
        (ASKED, "priority", "urgent", "expected 'low', 'normal', 'high', got 'urgent'"),
        (READ, "renewable", None, "expected a valid boolean, got nothing"),
        (READ, "version", 0, "expected greater than or equal to 1, got 0"),
        (ANSWERED, "result", "fine", "expected a valid dictionary, got 'fine'"),
    ],
)
def test_a_value_that_does_not_fit(name: str, field: str, value: Any, message: str) -> None:
    """The field is named with its path, and what was expected and what came are said."""
    payload = {**example_payload(SHIPPED.event_type(name)), field: value}
    assert SHIPPED.validate(name, payload) == [Problem(f"payload.{field}", message)]


def test_all_problems_are_told_together() -> None:
    """A missing field, an unknown one and a wrong one, nested or not, come in one answer."""
    payload = example_payload(SHIPPED.event_type(ANSWERED))
    payload["result"] = {**payload["result"], "confidence": 1.5, "extra": 1}
    del payload["duration_ms"]
    assert set(SHIPPED.validate(ANSWERED, payload)) == {
        ("payload.duration_ms", "required, but missing"),
        ("payload.result.confidence", "expected less than or equal to 0.99, got 1.5"),
        ("payload.result.extra", "unknown field"),
    }


def test_a_payload_that_is_no_object() -> None:
    """The whole payload is named when the whole is wrong."""
    assert SHIPPED.validate(FAILED, [1]) == [Problem("payload", "expected a valid dictionary, got a list")]


def test_what_is_not_required_may_be_left_out() -> None:
    """Whoever sends an event by hand gives what matters; generated events have everything."""
    payload = {"query": "optimize database", "operation_type": "code_analysis"}
    assert SHIPPED.validate("omninode.intelligence.query.requested.v1", payload) == []
    assert SHIPPED.validate(ANSWERED, {"result": {}, "duration_ms": 250}) == []


def test_lists_are_examples_not_bounds() -> None:
    """Somebody's own agent may be named; what is drawn from a list bounds the generator only."""
    payload = {**example_payload(SHIPPED.event_type(FAILED)), "agent": "agent-of-mine", "error_class": "OddError"}
    assert SHIPPED.validate(FAILED, payload) == []


def test_an_unknown_event_type_is_not_a_payload_problem() -> None:
    """It is refused by name."""
    with pytest.raises(UnknownName, match=r"no event type 'a\.b\.c\.v1'"):
        SHIPPED.validate("a.b.c.v1", {})


def test_names_that_python_would_not_like() -> None:
    """Payload fields may be called like a model's own attributes, or like nothing in Python."""
    fields = tuple(
        PayloadField(name=n, type="integer", source=NumberRange(1, 2)) for n in ("json", "class", "_x", "a-b")
    )
    event = EventType(name="a.b.c.v1", source="s", payload=fields)
    assert validate(event, {"json": 1, "class": 1, "_x": 1, "a-b": 1}) == []
    assert validate(event, {"json": 3, "class": 1, "_x": 1, "a-b": 1})[0].field == "payload.json"


def test_choices_know_true_from_one() -> None:
    """A boolean is not a number, whatever Python says."""
    one = PayloadField(name="n", type="integer", source=Choices((1, 2)))
    event = EventType(name="a.b.c.v1", source="s", payload=(one,))
    assert validate(event, {"n": 2}) == []
    assert validate(event, {"n": True})
    assert validate(event, {"n": 1.0})


def test_the_model_is_made_once() -> None:
    """An event type keeps its pydantic model."""
    event = SHIPPED.event_type(FAILED)
    assert payload_model(event) is payload_model(event)
    assert payload_model(event).__name__ == FAILED


@given(name=st.sampled_from(sorted(SHIPPED.events)), payload=json_values)
def test_any_json_gets_an_answer(name: str, payload: Any) -> None:
    """Whatever is sent in, validation answers with problems and never raises."""
    problems = SHIPPED.validate(name, payload)
    assert problems
    assert all(problem.field.startswith("payload") and problem.message for problem in problems)
