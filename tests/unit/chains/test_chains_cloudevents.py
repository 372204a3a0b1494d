"""CloudEvents against the tables of the specification: names, types, what is required, and what must not be lost."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from eventbus import InProcessBus
from eventbus.chains import ChainGenerator
from eventbus.chains.rendering.json import ConvertedBus, binary, structured, structured_json
from eventbus.cli import cli
from eventbus.event import Event
from eventbus.record import ProducerRecord, record_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
REQUIRED = {"specversion", "id", "source", "type"}
MINE = {
    "event_id": "id",
    "event_type": "type",
    "timestamp": "time",
    "correlation_id": "correlationid",
    "tenant_id": "tenantid",
    "namespace": "namespace",
    "source": "source",
    "schema_version": "schemaversion",
    "payload": "data",
}


def records(chains: int = 50) -> list[ProducerRecord]:
    made = list(chain.from_iterable(ChainGenerator(seed=7).records(chains=chains)))
    assert len(made) >= 2 * chains
    return made


def attributes(record: ProducerRecord) -> dict[str, str]:
    """The attributes of the binary mode, as the Kafka binding says to read them."""
    headers = record.headers or ()
    return {name.removeprefix("ce_"): value.decode() for name, value in headers if name.startswith("ce_")}


def check_attributes(cloud: dict[str, Any]) -> None:
    """What the specification asks of every event, and its extensions of theirs."""
    assert cloud.keys() >= REQUIRED
    assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in cloud)
    assert cloud["specversion"] == "1.0"
    assert re.fullmatch(r"([A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-F]{2})+", cloud["source"])
    assert datetime.fromisoformat(cloud["time"]).tzinfo is not None
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", cloud["traceparent"])
    assert cloud["partitionkey"] == cloud["correlationid"]
    assert cloud.get("causationid") != ""


def restored(cloud: dict[str, Any]) -> dict[str, Any]:
    """The event that a CloudEvent was made from."""
    fields = {ours: cloud[theirs] for ours, theirs in MINE.items()}
    return {**fields, "causation_id": cloud.get("causationid")}


def test_structured() -> None:
    """Every event of the catalog becomes a CloudEvent with its content type, and nothing of it is lost."""
    for record in records():
        made = structured(record)
        cloud = orjson.loads(made.value or b"")
        check_attributes({name: value for name, value in cloud.items() if name != "data"})
        assert restored(cloud) == orjson.loads(record.value or b"")
        assert cloud["datacontenttype"] == "application/json"
        assert dict(made.headers or ())["content-type"] == b"application/cloudevents+json; charset=UTF-8"
        assert (made.key, made.topic, made.timestamp) == (record.key, record.topic, record.timestamp)


def test_binary() -> None:
    """The attributes are headers, the value is the payload as the catalog describes it, and nothing is lost."""
    for record in records():
        made = binary(record)
        check_attributes(attributes(made))
        data = orjson.loads(made.value or b"")
        assert restored({**attributes(made), "data": data}) == orjson.loads(record.value or b"")
        headers = dict(made.headers or ())
        assert headers["content-type"] == b"application/json"
        assert headers["traceparent"] == headers["ce_traceparent"]
        assert made.key == headers["ce_partitionkey"]


def test_the_trace_is_that_of_the_plain_record() -> None:
    """A trace goes on whatever the format: its header is the one that the event itself has."""
    for record in records(5):
        expected = dict(Event.from_bytes(record.value or b"").headers)["traceparent"]
        for made in (structured(record), binary(record)):
            assert dict(made.headers or ())["traceparent"] == expected


def test_the_root_has_no_cause() -> None:
    """On a root the attribute is absent: CloudEvents have no null."""
    root, effect, *_ = records(1)
    assert "causationid" not in orjson.loads(structured(root).value or b"")
    assert "causationid" not in attributes(binary(root))
    assert attributes(binary(effect))["causationid"] == attributes(binary(root))["id"]


texts = st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable())


@given(texts, texts, st.dictionaries(st.text(), st.text() | st.integers(-(2**53), 2**53) | st.none(), max_size=4))
def test_any_event_survives(tenant: str, version: str, payload: dict[str, Any]) -> None:
    """Whatever characters tenants, versions and payloads have, both modes carry them."""
    event = Event.new("a.b.v1", payload, tenant_id=tenant, schema_version=version, timestamp=NOON)
    record = record_of(event, "a.b")
    cloud, made = orjson.loads(structured_json(event.to_bytes())), binary(record)
    assert restored(cloud) == event.to_dict()
    assert restored({**attributes(made), "data": orjson.loads(made.value or b"")}) == event.to_dict()


def test_a_source_becomes_a_reference() -> None:
    """What a URI reference cannot have is percent-encoded."""
    event = Event.new("a.b.v1", {}, source="Größe 7", timestamp=NOON)
    cloud = orjson.loads(structured_json(event.to_bytes()))
    check_attributes({name: value for name, value in cloud.items() if name != "data"})
    assert cloud["source"] == "Gr%C3%B6%C3%9Fe%207"


def test_fields_in_another_order_are_read() -> None:
    """An event that was written elsewhere is the same CloudEvent."""
    record = records(1)[1]
    turned = orjson.dumps(dict(reversed(orjson.loads(record.value or b"").items())))
    assert orjson.loads(structured_json(turned)) == orjson.loads(structured_json(record.value or b""))


@pytest.mark.parametrize("value", [None, b"", b"\xff{", b"[]", b'{"event_id":1}', b'{"payload":{}}'], ids=repr)
@pytest.mark.parametrize("convert", [structured, binary])
def test_what_is_no_event_stays(value: bytes | None, convert: Any) -> None:
    """Tombstones and poison go through untouched: they are there on purpose."""
    record = ProducerRecord("t", b"k", value, 0)
    assert convert(record) is record


@pytest.mark.parametrize("tail", [b',"extra":{"a":1}}', b"]}", b'"}'])
def test_a_spoilt_event_stays(tail: bytes) -> None:
    """An event with an unknown field behind its payload, or broken at its end, is not half converted."""
    record = records(1)[0]
    spoilt = record._replace(value=(record.value or b"")[:-1] + tail)
    assert binary(spoilt) is spoilt
    assert structured(spoilt) is spoilt


async def test_on_a_bus() -> None:
    """Readers of a bus find the CloudEvents as they were made."""
    async with InProcessBus() as bus:
        sent = records(3)
        assert await ConvertedBus(bus, binary).publish_many(sent) == len(sent)
        async with bus.subscribe({record.topic for record in sent}) as arrived:
            found = [await anext(arrived) for _ in sent]
    assert {dict(one.headers)["ce_id"].decode() for one in found} == {
        orjson.loads(record.value or b"")["event_id"] for record in sent
    }


def test_a_file_of_cloudevents() -> None:
    """`generate --format cloudevents` writes the same events, a CloudEvent a line, with the digest of that."""
    plain = CliRunner().invoke(cli, ["generate", "--chains", "50", "--seed", "7"])
    cloud = CliRunner().invoke(cli, ["generate", "--chains", "50", "--seed", "7", "--format", "cloudevents"])
    assert cloud.exit_code == 0
    assert [restored(orjson.loads(line)) for line in cloud.stdout_bytes.splitlines()] == [
        orjson.loads(line) for line in plain.stdout_bytes.splitlines()
    ]
    assert hashlib.sha256(cloud.stdout_bytes).hexdigest() in cloud.stderr
