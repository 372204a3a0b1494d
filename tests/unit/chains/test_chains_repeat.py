"""A run is repeated from its ledger alone: the same lines in the same order."""

from __future__ import annotations

import asyncio
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from eventbus.bus import EventBus
from eventbus.catalog import Catalog, Phase, Scenario
from eventbus.catalog.model import ClosedWorkload, OpenWorkload, Profile, Spacing, Tenants, Uniform
from eventbus.chains import ChainGenerator, InvalidSetting
from eventbus.chains.errors import InvalidLedger
from eventbus.chains.faults import KINDS, Fault
from eventbus.chains.repeat import RepeatedRun
from tests.unit.chains.clocks import ManualClock
from tests.unit.chains.listbus import ListBus
from tests.unit.chains.shop import CATALOG
from tests.unit.chains.test_chains_verify_scenarios import able

EVERY = tuple(Fault(kind=kind, rate=0.05) for kind in KINDS)


class Recorded:
    """A run with its lines and its ledger."""

    def __init__(self, lines: Sequence[bytes], ledger: bytes) -> None:
        self.lines = list(lines)
        self.ledger = ledger.splitlines(keepends=True)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.ledger]


def generated(generator: ChainGenerator, faults: Sequence[Fault], **bounds: Any) -> Recorded:
    ledger = io.BytesIO()
    injector = generator.injector(faults, ledger)
    lines = [line for block in injector.blocks(generator.blocks(**bounds)) for line in block.lines()]
    return Recorded(lines, ledger.getvalue())


def paced(
    generator: ChainGenerator, faults: Sequence[Fault] = (), *, cancel_after: int | None = None, **settings: Any
) -> Recorded:
    """A paced run by a clock that takes no time.

    Args:
        cancel_after: records; None: to the end.
    """
    clock, ledger = ManualClock(), io.BytesIO()
    bus = ListBus(clock, settings.pop("on_publish", lambda: None))

    async def run() -> None:
        task = asyncio.ensure_future(
            generator.run(cast(EventBus, bus), clock=clock, faults=faults, ledger=ledger, **settings)
        )

        def watch() -> None:
            if cancel_after is not None and len(bus.records) >= cancel_after:
                task.cancel()

        if cancel_after is not None:
            bus.on_publish = watch
        await asyncio.wait([task])
        assert task.cancelled() == (cancel_after is not None)

    asyncio.run(run())
    return Recorded([b"null" if record.value is None else record.value for _, record in bus.records], ledger.getvalue())


def repeated(ledger: Sequence[bytes], **settings: Any) -> Recorded:
    """The run of a ledger, with a ledger of its own."""
    run, again = RepeatedRun(ledger, **settings), io.BytesIO()
    injector = run.generator.injector(run.record.faults, again)
    lines = [line for block in run.injected(injector, run.blocks()) for line in block.lines()]
    return Recorded(lines, again.getvalue())


def check_repeats(run: Recorded, **settings: Any) -> None:
    again = repeated(run.ledger, **settings)
    assert again.lines == run.lines
    assert again.records == run.records


@pytest.mark.parametrize("name", Scenario.names())
@pytest.mark.parametrize("faults", [(), EVERY], ids=["clean", "faulty"])
def test_every_scenario_repeats_from_its_ledger(name: str, faults: tuple[Fault, ...]) -> None:
    generator = ChainGenerator.from_scenario(name, seed=3)
    run = generated(generator, able(generator, faults), chains=25)
    assert len(run.lines) > 40
    check_repeats(run)


@pytest.mark.parametrize("name", Scenario.names())
@pytest.mark.parametrize("faults", [(), EVERY], ids=["clean", "faulty"])
def test_a_paced_run_of_every_scenario_repeats_in_virtual_time(name: str, faults: tuple[Fault, ...]) -> None:
    """Without a start of its own, and stopped somewhere: what was published, and no more."""
    generator = ChainGenerator.from_scenario(name, seed=3)
    run = paced(generator, able(generator, faults), cancel_after=150)
    assert len(run.lines) >= 150
    check_repeats(run)


@pytest.mark.parametrize("settings", [{}, {"rate": 20.0}, {"interval": 0.1, "initial_chains": 3}])
@pytest.mark.parametrize("speed", [1.0, math.inf])
def test_a_paced_run_that_came_to_its_end_repeats(settings: dict[str, Any], speed: float) -> None:
    """With the chains that begin at once, and those at a rate or an interval."""
    run = paced(ChainGenerator(seed=5), EVERY, duration=10, speed=speed, **settings)
    assert len(run.lines) > 40
    check_repeats(run)


@pytest.mark.parametrize("after", [1, 60, 700])
def test_a_stopped_run_ends_where_it_stopped(after: int) -> None:
    """Also where chains began at once, and with what was still held."""
    run = paced(ChainGenerator(seed=7), EVERY, initial_chains=100, rate=20, cancel_after=after)
    assert run.records[-1]["lines"] >= after
    check_repeats(run)


def test_chains_left_out_for_their_lag_are_left_out_again() -> None:
    clock_jumps = iter([0.0] * 5 + [30.0] + [0.0] * 100_000)
    clock, ledger, generator = ManualClock(), io.BytesIO(), ChainGenerator(seed=3)
    bus = ListBus(clock, lambda: clock.advance(next(clock_jumps)))
    asyncio.run(
        generator.run(cast(EventBus, bus), clock=clock, rate=20, duration=60, max_lag=1.0, faults=EVERY, ledger=ledger)
    )
    assert generator.statistics().chains_dropped > 300
    lines = [b"null" if record.value is None else record.value for _, record in bus.records]
    check_repeats(Recorded(lines, ledger.getvalue()))


@pytest.mark.parametrize(
    "settings",
    [
        {"rate": 3.5, "namespace": "staging", "tenant_id": "acme"},
        {"tenants": Tenants(count=5, exponent=1.2), "phases": [Phase(at=2, failed=4, chains=("vault-read",))]},
        {"arrivals": ClosedWorkload(users=7, think=Uniform(minimum=10, maximum=90), ramp_up=1.5)},
        {"arrivals": OpenWorkload(rate=Profile(hours=((3600.0,) * 24,), time_zone="Europe/Berlin"))},
        {"arrivals": OpenWorkload(rate=Profile(hours=((9e4,) * 24,) * 7), spacing=Spacing(name="gamma", cv=2.5))},
    ],
    ids=["envelope", "tenants", "users", "calendar", "bursts"],
)
def test_everything_a_generator_is_given_is_in_the_ledger(settings: dict[str, Any]) -> None:
    run = generated(ChainGenerator(seed=11, **settings), EVERY, duration=30)
    assert len(run.lines) > 50
    check_repeats(run)


def test_a_ledger_names_its_run() -> None:
    """For people: seed, start, arrivals, bounds, tenants, faults, catalog and version."""
    catalog = Scenario.load("incident", ["seed=4"]).catalog.only("vault-read")
    generator, ledger = ChainGenerator(catalog, seed=4, rate=2), io.BytesIO()
    generator.injector([Fault(kind="drop", rate=0.5)], ledger, chains=9, duration=60)
    run = json.loads(ledger.getvalue())
    assert run["catalog"].pop("sha256") == catalog.digest
    assert run["catalog"] == {
        "paths": [],
        "extend": True,
        "scenario": "incident",
        "settings": ["seed=4"],
        "chains": ["vault-read"],
    }
    assert (run["seed"], run["start"], run["rate"], run["chains"], run["duration"]) == (
        4,
        "2026-01-01T00:00:00Z",
        2,
        9,
        60,
    )
    assert [fault["kind"] for fault in run["faults"]] == ["drop"]
    assert {"version", "tenant_id", "namespace"} < run.keys()


def test_a_catalog_of_ones_own_is_loaded_again_and_must_be_the_same(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(CATALOG)
    run = generated(ChainGenerator(Catalog.load(file), seed=1), (), chains=20)
    check_repeats(run)
    moved = file.rename(tmp_path / "moved.yaml")
    assert repeated(run.ledger, paths=[moved]).lines == run.lines
    moved.write_text(CATALOG.replace("max: 9", "max: 8"))
    other, same = Catalog.load(moved), Catalog.load(moved)
    assert other.digest == same.digest != Catalog.default().digest
    with pytest.raises(InvalidSetting, match=rf"the catalog \w{{12}} .*--catalog {file}.*this is {other.digest[:12]}"):
        RepeatedRun(run.ledger, paths=[moved])


def test_a_catalog_that_python_changed_is_asked_for() -> None:
    """It cannot be loaded from anywhere; the ledger knows it when it comes."""
    catalog = Catalog.default().with_weights({"vault-read": 500})
    run = generated(ChainGenerator(catalog, seed=1), EVERY, chains=20)
    with pytest.raises(InvalidSetting, match="the shipped one"):
        RepeatedRun(run.ledger)
    check_repeats(run, catalog=catalog)


def test_another_version_is_told() -> None:
    run = generated(ChainGenerator(), (), chains=3)
    assert RepeatedRun(run.ledger).version_note is None
    run.ledger[0] = run.ledger[0].replace(b'"version":"', b'"version":"0.0.')
    note = RepeatedRun(run.ledger).version_note
    assert note is not None
    assert note.startswith("the ledger is of version 0.0.")


def test_a_ledger_that_was_cut_off_gives_the_whole_run_or_says_why_not() -> None:
    generator, ledger = ChainGenerator(seed=2), io.BytesIO()
    injector = generator.injector(EVERY, ledger, chains=50)
    lines = [line for block in injector.blocks(generator.blocks(chains=50)) for line in block.lines()]
    assert repeated(ledger.getvalue().splitlines()[:-10]).lines == lines
    with pytest.raises(InvalidSetting, match="has no totals, and its run has no end"):
        RepeatedRun(generated(ChainGenerator(), (), chains=3).ledger[:-1])


@pytest.mark.parametrize(
    ("ledger", "message"),
    [
        ([], "expected a ledger"),
        ([b'{"event_id":"1"}'], "expected a ledger"),
        ([b"\xff"], "expected a ledger"),
        ([b'{"record":"run","format":1,"seed":7}'], "catalog: Field required"),
        ([b'{"record":"run","format":2,"seed":7}'], "a run of format 1"),
    ],
)
def test_what_names_no_run_is_refused(ledger: list[bytes], message: str) -> None:
    with pytest.raises(InvalidLedger, match=message):
        RepeatedRun(ledger)
