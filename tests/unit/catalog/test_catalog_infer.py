"""Catalogs from schemas: whatever the document leaves open, the catalog is good, and says what was guessed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from eventbus.catalog import Catalog, CatalogError
from eventbus.catalog.export.asyncapi import asyncapi
from eventbus.catalog.export.jsonschema import catalog_schema
from eventbus.catalog.infer import infer
from eventbus.catalog.infer.chains import event_type_name
from eventbus.catalog.infer.draft import infer_document
from eventbus.catalog.infer.texts import matching_texts
from eventbus.catalog.sources import Choices, ElapsedTime, FixedValue, NumberRange, VariableValue
from eventbus.catalog.validation import event_name

ORDER = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "OrderPlaced",
    "description": "A customer placed an order.",
    "type": "object",
    "required": ["order_id", "customer"],
    "properties": {
        "order_id": {"type": "string", "format": "uuid"},
        "customer": {"$ref": "#/$defs/customer"},
        "currency": {"enum": ["EUR", "USD"]},
        "total": {"type": "number", "minimum": 1, "exclusiveMaximum": 500, "multipleOf": 0.01},
        "lines": {"type": "array", "items": {"properties": {"sku": {"pattern": r"^[A-Z]{3}-\d{4}$"}}}, "minItems": 1},
        "coupon": {"type": ["string", "null"], "examples": ["SPRING", "VIP"]},
        "nothing": {"type": "null"},
        "kind": {"const": "web"},
        "express": {"type": "boolean"},
    },
    "$defs": {"customer": {"type": "object", "properties": {"id": {"type": "integer"}, "email": {"format": "email"}}}},
}
SHOP = {
    "asyncapi": "2.6.0",
    "info": {"title": "Web Shop API", "version": "1.0.0"},
    "channels": {
        "order/created": {"subscribe": {"message": {"$ref": "#/components/messages/OrderCreated"}}},
        "order/end": {
            "subscribe": {
                "message": {
                    "oneOf": [
                        {"$ref": "#/components/messages/OrderDelivered"},
                        {"$ref": "#/components/messages/OrderCancelled"},
                    ]
                }
            }
        },
    },
    "components": {
        "messages": {
            "OrderCreated": {
                "payload": {"type": "object", "properties": {"order_id": {"type": "string"}, "note": {}}},
                "examples": [{"payload": {"order_id": "ord-1"}}, {"payload": {"order_id": "ord-2"}}],
            },
            "OrderDelivered": {
                "payload": {"properties": {"order_id": {"type": "string"}, "duration_ms": {"type": "integer"}}}
            },
            "OrderCancelled": {"payload": {"properties": {"order_id": {"type": "string"}}}},
        }
    },
}


def loaded(document: Any, folder: Path, name: str = "order.json") -> tuple[Catalog, str]:
    """The catalog of the file that is written for a document, and its text."""
    source, out = folder / name, folder / "made.yaml"
    text = orjson.dumps(document).decode() if name.endswith("json") else yaml.safe_dump(document, sort_keys=False)
    source.write_text(text, encoding="utf-8")
    text = infer(source).text()
    out.write_text(text, encoding="utf-8")
    return Catalog.load(out), text


def test_our_own_export_becomes_the_same_catalog_again(tmp_path: Path) -> None:
    """Lists, variables, states and sources included."""
    exported, text = loaded(asyncapi(Catalog.default()), tmp_path)
    assert exported == Catalog.default()
    assert "verify" not in text


@pytest.mark.parametrize("cut", ["x-source", "x-chains"])
def test_what_others_may_leave_of_our_export_is_enough_for_its_chains(cut: str) -> None:
    """`x-chains` says how chains run, and so does `x-chain` of the operations alone."""
    plain = [name for name, one in Catalog.default().chains.items() if "caused" not in name and one.visitors is None]
    document = orjson.loads(orjson.dumps(asyncapi(Catalog.default())))
    document["x-chains"] = {name: one for name, one in document["x-chains"].items() if name in plain}
    for one in document["x-chains"].values():
        del one["x-source"]
    if cut == "x-chains":
        del document["x-chains"]
    found = infer_document(document, "a", "a.json").catalog.chains["agent-execution"]
    known = Catalog.default().chains["agent-execution"]
    assert found.start == known.start
    for name, state in known.states.items():
        assert [(way.to, way.delay) for way in found.states[name].next] == [(way.to, way.delay) for way in state.next]
        shares = [way.weight / state.total for way in state.next]
        assert [way.weight for way in found.states[name].next] == pytest.approx(shares)


def test_one_schema_is_one_event_and_an_invented_one(tmp_path: Path) -> None:
    """Bounds, choices, formats and patterns become sources; what is made up says so."""
    made, text = loaded(ORDER, tmp_path)
    fields = {one.name: one for one in made.event_type("my.order.placed.v1").payload}
    assert fields["total"].source == NumberRange(1, 499.99, 2)
    assert fields["kind"].source == FixedValue("web")
    assert fields["express"].source == Choices((True, False))
    assert [len(lines) for lines in fields["lines"].source.accepted or ()] == [1, 2, 3]
    assert "nothing" not in fields
    assert [one.name for one in fields["customer"].fields or ()] == ["id", "email"]
    assert (fields["order_id"].required, fields["currency"].required) == (True, False)
    assert list(made.chains["order"].variables) == ["order_id", "currency", "coupon"]
    assert "my.order.completed.v1:  # verify: invented" in text
    assert "nothing is left out: it can only be null" in text


@pytest.mark.parametrize("name", ["shop.json", "shop.yaml"])
def test_messages_of_one_thing_are_a_chain(tmp_path: Path, name: str) -> None:
    """What begins, what ends it well and what ends it badly follow from the words; an id runs through all of it."""
    made, text = loaded(SHOP, tmp_path, name)
    order = made.chains["order"]
    assert [(s.name, s.outcome) for s in order.states.values()] == [
        ("created", None),
        ("delivered", "completed"),
        ("cancelled", "failed"),
    ]
    assert [one.to for one in order.states["created"].next] == ["delivered", "cancelled"]
    assert made.lists["order_id"] == ("ord-1", "ord-2")
    assert {event.payload[0].source for event in made.events.values()} == {VariableValue("order_id")}
    assert made.event_type("web-shop.order.delivered.v1").payload[1].source == ElapsedTime()
    assert "delay: {lognormal: {median: 400, p95: 2000, max: 30000}}}  # verify: a guess" in text


def test_several_events_in_one_schema(tmp_path: Path) -> None:
    """`oneOf`, `$defs` that nothing refers to, a list of schemas; and envelopes are unwrapped."""
    schema = {"properties": {"id": {"type": "string"}}}
    several = {name: {"title": name, **schema} for name in ("JobRequested", "JobFailed")}
    for document in ({"$defs": several}, list(several.values()), {"oneOf": list(several.values())}):
        made, _ = loaded(document, tmp_path)
        assert list(made.events) == [f"order.job.{action}.v1" for action in ("requested", "failed", "completed")]
    own, _ = loaded(catalog_schema(Catalog.default()), tmp_path)
    assert set(own.events) >= set(Catalog.default().events)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"$ref": "https://example.com/order.json"}, "refers to another document: only references within the file"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, r"leads to nothing: there is no '\$defs' among properties"),
        ({"$ref": "#"}, "leads in a circle"),
        ({"event_id": "1", "event_type": "x"}, "recorded events are for `eventbus catalog learn`"),
        ({"hello": "world"}, "expected a JSON Schema of events, or an AsyncAPI document, got an object with hello"),
        ([], "expected a JSON Schema of events, or an AsyncAPI document, got a list"),
        ({"asyncapi": "1.2.0"}, "expected AsyncAPI 2 or 3, got version '1.2.0'"),
        ({"asyncapi": "3.0.0", "channels": {}}, "describes no event"),
        (
            {"asyncapi": "3.0.0", "components": {"messages": {"A": {"payload": {"schemaFormat": "application/avro"}}}}},
            "the payload of A is application/avro: only JSON Schema is supported",
        ),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(tmp_path: Path, document: Any, sentence: str) -> None:
    """What was expected and what came."""
    with pytest.raises(CatalogError, match=sentence):
        loaded(document, tmp_path)


def test_schemas_that_contain_themselves_end(tmp_path: Path) -> None:
    """A tree is followed to some depth only."""
    tree = {"title": "TreeGrown", "properties": {"leaf": {"type": "string"}, "branch": {"$ref": "#"}}}
    made, _ = loaded(tree, tmp_path)
    assert made.chains


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("OrderCreated", "shop.order.created.v1"),
        ("user-signed-up", "shop.user.signed_up.v1"),
        ("com.acme.OrderShipped.v2", "acme.order.shipped.v2"),
        ("PaymentFailedEvent", "shop.payment.failed.v1"),
        ("order/line/added", "order.line.added.v1"),
        ("CreateOrder", "shop.order.create.v1"),
        ("Order", "shop.order.recorded.v1"),
        ("omninode.agent.routing.completed.v1", "omninode.agent.routing.completed.v1"),
    ],
)
def test_names_become_event_types(name: str, expected: str) -> None:
    """Organisation, thing, action, version."""
    assert event_type_name(name, "shop") == expected


@given(st.text(max_size=30))
def test_any_name_becomes_an_event_type(name: str) -> None:
    """Which the catalog takes."""
    assert event_name.fullmatch(event_type_name(name, "shop"))


@pytest.mark.parametrize(
    "pattern", [r"^[A-Z]{3}-\d{4}$", r"^(foo|bar)_[a-f0-9]+$", r"\w+@\w+\.com", r"^v?\d+(\.\d+){2}$", r"[^a-z]{2,5}"]
)
def test_texts_are_made_for_a_pattern(pattern: str) -> None:
    """Different ones that match."""
    found = matching_texts(pattern)
    assert len(found) > 1
    assert all(re.search(pattern, text) for text in found)


def test_patterns_that_are_too_much_give_nothing() -> None:
    """Rather than something wrong."""
    assert matching_texts(r"^(?=a)b$") == []
    assert matching_texts("(") == []


kinds: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["string", "integer", "number", "boolean", "array", "object"])}),
    st.fixed_dictionaries({"type": st.just("integer"), "minimum": st.integers(-9, 9), "maximum": st.integers(10, 99)}),
    st.fixed_dictionaries({"type": st.just("number"), "exclusiveMinimum": st.integers(-9, 9)}),
    st.fixed_dictionaries({"type": st.just("number"), "maximum": st.floats(-1e6, 1e6, allow_nan=False)}),
    st.fixed_dictionaries({"minLength": st.integers(0, 40), "maxLength": st.integers(40, 50)}),
    st.fixed_dictionaries({"enum": st.lists(st.one_of(st.integers(), st.text(), st.none()), min_size=1)}),
    st.fixed_dictionaries({"format": st.sampled_from(["uuid", "email", "date-time", "ipv4", "unheard-of"])}),
    st.fixed_dictionaries({"examples": st.lists(st.integers(), min_size=1), "type": st.just("integer")}),
)
schemas = st.recursive(
    kinds,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"properties": st.dictionaries(st.text(max_size=8), inner, max_size=3)}),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=2)}),
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=10), schemas, max_size=4))
def test_any_schema_gives_a_catalog_without_mistakes(properties: dict[str, Any]) -> None:
    """Whatever it allows."""
    assert infer_document({"title": "ThingHappened", "properties": properties}, "a", "a.json").text()
