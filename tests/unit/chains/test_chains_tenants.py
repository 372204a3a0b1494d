"""Several tenants: sizes by Zipf's law, hours of their own, one for each chain, in every format."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from io import BytesIO
from typing import Any

import fastavro
import numpy as np
import pytest
from click.testing import CliRunner

from eventbus.catalog.export.typed import message
from eventbus.catalog.model import Tenants
from eventbus.chains import ChainGenerator, InvalidSetting
from eventbus.chains.randomness import chain_keys, purpose
from eventbus.chains.rendering import CLOUDEVENTS, CLOUDEVENTS_BINARY, Format
from eventbus.chains.rendering.avro import AvroFile, AvroFormat
from eventbus.chains.rendering.fixed import HOUR, HOURS, Tenancy
from eventbus.chains.rendering.json import CONVERSIONS
from eventbus.cli import cli
from eventbus.event import Event
from tests.unit.chains.catalogs import two_steps


def drawn(tenants: Tenants, count: int, hour: int) -> Counter[int]:
    """How many of so many chains of an hour are of each tenant, by its number from 1."""
    keys = chain_keys(purpose("seed", str(hour)), np.arange(count))
    names = Tenancy(tenants).rows(keys, np.full(count, hour * HOUR))
    return Counter(int(name[-4:]) for name in names.tolist())


def test_a_chain_has_one_tenant() -> None:
    """All its events name it, also those of a later hour than the first."""
    slow = two_steps(delay=7_200_000)
    generator = ChainGenerator(slow, rate=1, tenants=Tenants(count=9, swing=0.9))
    tenants: dict[object, set[str]] = defaultdict(set)
    for event in generator.events(chains=500):
        tenants[event.correlation_id].add(event.tenant_id)
    assert {len(names) for names in tenants.values()} == {1}
    assert len(set.union(*tenants.values())) == 9


def test_sizes_follow_zipf_over_the_day() -> None:
    """The n-th tenant has 1/n of the chains of the first; with an exponent of 0 all have as many."""
    for exponent in (0.0, 1.0, 1.5):
        tenants = Tenants(count=12, exponent=exponent, swing=0.8)
        found: Counter[int] = Counter()
        for hour in range(HOURS):
            found += drawn(tenants, 20_000, hour)
        whole = sum(number**-exponent for number in range(1, 13))
        for number in range(1, 13):
            expected = HOURS * 20_000 * number**-exponent / whole
            assert abs(found[number] - expected) < 5 * expected**0.5


def test_each_tenant_has_hours_of_its_own() -> None:
    """Its share changes with the hour, and different tenants have their peaks at different hours; or none has any."""
    tenants = Tenants(count=6, exponent=0.5, swing=0.5)
    shares = np.array([[drawn(tenants, 20_000, hour)[number] for hour in range(HOURS)] for number in range(1, 7)])
    assert (shares.max(axis=1) > 1.4 * shares.min(axis=1)).all()
    assert len(set(shares.argmax(axis=1))) > 2
    steady = Tenants(count=6, exponent=0.5, swing=0)
    some = np.array([drawn(steady, 20_000, hour)[1] for hour in range(HOURS)])
    assert some.max() - some.min() < 0.1 * some.mean()


def test_one_tenant_changes_no_byte() -> None:
    """Times, ids and payloads are those of the run with a single tenant."""
    one, many = ChainGenerator(seed=3), ChainGenerator(seed=3, tenants=Tenants(count=5))
    plain, spread = list(one.events(chains=200)), list(many.events(chains=200))
    assert {event.tenant_id for event in spread} == {f"tenant-000{number}" for number in range(1, 6)}
    assert [{**event.to_dict(), "tenant_id": "default-tenant"} for event in spread] == [
        event.to_dict() for event in plain
    ]


def test_any_part_and_any_number_of_workers() -> None:
    """The same tenants."""
    generator = ChainGenerator(rate=100, tenants=Tenants(count=50))
    whole = b"".join(bytes(block.buffer) for block in generator.blocks(chains=3000))
    assert whole == b"".join(bytes(block.buffer) for block in generator.blocks(chains=3000, workers=2))
    events = [Event.from_bytes(line) for line in whole.splitlines()]
    since = generator.start + timedelta(seconds=10)
    window = b"".join(bytes(block.buffer) for block in generator.window(since, chains=3000))
    assert [Event.from_bytes(line) for line in window.splitlines()] == [e for e in events if e.timestamp >= since]
    explained = generator.explain(str(events[100].event_id))
    assert explained.path[explained.step].event == events[100]


def test_cloudevents_name_the_tenant() -> None:
    """Written at once, or converted: the same text; in the binary form, a header."""
    generator = ChainGenerator(seed=3, tenants=Tenants(count=5))
    plain = [record for records in generator.records(chains=50) for record in records]
    assert len(plain) >= 100
    forms: dict[str, Format] = {"cloudevents": CLOUDEVENTS, "cloudevents-binary": CLOUDEVENTS_BINARY}
    for form, format in forms.items():
        convert = CONVERSIONS[form]
        at_once = [record for records in generator.records(chains=50, format=format) for record in records]
        for one, other in zip(at_once, map(convert, plain), strict=True):
            assert one.value == other.value
            assert sorted(one.headers or ()) == sorted(other.headers or ())


def test_avro_names_the_tenant() -> None:
    """As the JSON event does."""
    generator = ChainGenerator(seed=3, tenants=Tenants(count=5))
    every = message(generator.catalog, list(generator.catalog.events))
    format, file = AvroFormat(dict.fromkeys(generator.catalog.events, every)), AvroFile(every)
    blocks = generator.blocks(chains=50, format=format)
    written = file.head + b"".join(file.framed(len(block), block.buffer) for block in blocks)
    events: Any = fastavro.reader(BytesIO(written))
    found = [event["tenant_id"] for event in events]
    assert found == [event.tenant_id for event in generator.events(chains=50)]


@pytest.mark.parametrize(
    "tenants",
    [Tenants(count=0), Tenants(count=10_000), Tenants(count=2, exponent=-1), Tenants(count=2, swing=1)],
    ids=str,
)
def test_what_makes_no_sense_is_refused(tenants: Tenants) -> None:
    """With what was expected."""
    with pytest.raises(InvalidSetting, match="expected"):
        ChainGenerator(tenants=tenants)


def test_the_option() -> None:
    """The same bytes as from Python; `explain` takes it, too."""
    expected = ChainGenerator(tenants=Tenants(count=20, exponent=1.5))
    run = CliRunner().invoke(cli, ["generate", "--chains", "50", "--tenants", "20:1.5"])
    assert run.stdout_bytes == b"".join(bytes(block.buffer) for block in expected.blocks(chains=50))
    event = Event.from_bytes(run.stdout_bytes.splitlines()[30])
    explained = CliRunner().invoke(cli, ["explain", str(event.event_id), "--tenants", "20:1.5", "--json"])
    assert f'"tenant_id":"{event.tenant_id}"' in explained.output


@pytest.mark.parametrize("text", ["many", "5:x", "0", "3:-1"])
def test_an_option_that_makes_no_sense(text: str) -> None:
    """Wrong usage, in one sentence."""
    run = CliRunner().invoke(cli, ["generate", "--tenants", text])
    assert run.exit_code == 2
    assert "expected" in run.output
