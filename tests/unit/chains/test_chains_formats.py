"""Every format writes the events of the run: what it says of them is held against the JSON event."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given, settings

from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.chains.rendering import CLOUDEVENTS, CLOUDEVENTS_BINARY, Format
from eventbus.chains.rendering.json import Convert, binary, structured
from eventbus.event import Event, headers_of
from eventbus.record import ProducerRecord
from tests.unit.chains.catalogs import catalogs, two_steps

CONVERTED = [
    pytest.param(CLOUDEVENTS, structured, id="structured"),
    pytest.param(CLOUDEVENTS_BINARY, binary, id="binary"),
]


def records(generator: ChainGenerator, format: Format, chains: int = 40) -> list[ProducerRecord]:
    return list(chain.from_iterable(generator.records(chains=chains, format=format)))


def plain(generator: ChainGenerator, chains: int = 40) -> list[ProducerRecord]:
    return list(chain.from_iterable(generator.records(chains=chains)))


def made(record: ProducerRecord) -> tuple[object, ...]:
    return (*record[:4], sorted(record.headers or ()))


@pytest.mark.parametrize(("format", "convert"), CONVERTED)
def test_cloudevents_are_those_of_the_json_events(format: Format, convert: Convert) -> None:
    """What is written at once is, record for record and byte for byte, what is made of the JSON events."""
    generator = ChainGenerator(seed=7)
    expected = [made(convert(record)) for record in plain(generator, 300)]
    assert [made(record) for record in records(generator, format, 300)] == expected


@given(catalogs())
@settings(max_examples=40)
def test_cloudevents_of_any_catalog(catalog: Catalog) -> None:
    """The same for catalogs of every shape, and any tenant."""
    generator = ChainGenerator(catalog, seed=3, tenant_id='Größe "7"', namespace="\\n")
    for format, convert in ((CLOUDEVENTS, structured), (CLOUDEVENTS_BINARY, binary)):
        expected = [made(convert(record)) for record in plain(generator)]
        assert [made(record) for record in records(generator, format)] == expected


def test_lines_of_a_layout() -> None:
    """A block of structured CloudEvents is lines, like one of JSON events; `alone` and `window` have formats too."""
    generator = ChainGenerator(seed=7)
    blocks = generator.window(chains=20, format=CLOUDEVENTS)
    text = b"".join(bytes(block.buffer) for block in blocks)
    assert text.splitlines() == [record.value for record in records(generator, CLOUDEVENTS, 20)]
    alone = bytes(generator.alone(3, format=CLOUDEVENTS).buffer).splitlines()
    assert set(alone) <= set(text.splitlines())
    assert len(alone) == len(generator.chain(index=3))


def test_headers_are_a_sequence() -> None:
    """Headers that are cut out late are like those of a tuple: counted, compared, indexed and shown."""
    record = records(ChainGenerator(two_steps()), CLOUDEVENTS_BINARY, 1)[1]
    headers, expected = record.headers, tuple(record.headers or ())
    assert headers is not None
    assert headers == expected
    assert expected == headers
    assert headers != expected[1:]
    assert (len(headers), hash(headers), repr(headers)) == (len(expected), hash(expected), repr(expected))
    assert (headers[0], headers[-2:]) == (expected[0], expected[-2:])


def test_json_records_find_their_headers_themselves() -> None:
    """Records of JSON events carry no headers of their own: those are in the event."""
    record = plain(ChainGenerator(seed=7), 1)[1]
    assert record.headers is None
    assert headers_of(record.value) == Event.from_bytes(record.value or b"").headers


@pytest.mark.parametrize("format", [CLOUDEVENTS, CLOUDEVENTS_BINARY], ids=["structured", "binary"])
def test_workers_write_layouts(format: Format) -> None:
    """Two processes write the same bytes as one, in any format."""
    generator = ChainGenerator(seed=7)
    topics = ["t"] * 1000

    def found(workers: int) -> list[ProducerRecord]:
        blocks = generator.blocks(chains=3000, workers=workers, format=format)
        return [record for block in blocks for some in block.records(topics) for record in some]

    assert found(2) == found(1)
