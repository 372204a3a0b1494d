"""`verify` of a long stream: in a temporary file what fits no memory, and the same report."""

from __future__ import annotations

import io
import random
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest

from eventbus.catalog import Catalog, Scenario
from eventbus.chains import ChainGenerator
from eventbus.chains.faults import KINDS, Fault
from eventbus.chains.verification import Report, verify
from eventbus.chains.verification import spool as module
from eventbus.chains.verification.spool import BUCKETS, EventSummary, SpooledEvents

EVERY = [Fault(kind=kind, rate=0.03) for kind in KINDS]


def made(generator: ChainGenerator, chains: int) -> tuple[list[bytes], list[bytes]]:
    """The lines of a run with all faults, and those of its ledger."""
    ledger = io.BytesIO()
    injector = generator.injector(EVERY, ledger)
    lines = [line for block in injector.blocks(generator.blocks(chains=chains)) for line in block.lines()]
    return lines, ledger.getvalue().splitlines()


def mangled(lines: Sequence[bytes], seed: int) -> list[bytes]:
    """The lines with ids, chains and causes exchanged between chains, which no fault does."""
    chance, events = random.Random(seed), [line for line in lines if line.endswith(b"}}")]
    fields = ("event_id", "correlation_id", "causation_id")

    def changed(line: bytes) -> bytes:
        if chance.random() > 0.1 or not line.endswith(b"}}"):
            return line
        event, other, field = orjson.loads(line), orjson.loads(chance.choice(events)), chance.choice(fields)
        return orjson.dumps({**event, field: other[chance.choice(fields[:2])]})

    return [changed(line) for line in lines]


def spilled(monkeypatch: pytest.MonkeyPatch, values: int, *arguments: Any, **settings: Any) -> Report:
    """The report if no more than this many events, and chains of a ledger, wait in memory."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "MAX_IN_MEMORY", values)
        return verify(*arguments, **settings)


@pytest.mark.parametrize("name", ["incident", "quick-visitors"])
@pytest.mark.parametrize("with_ledger", [False, True], ids=["alone", "ledger"])
@pytest.mark.parametrize("is_mangled", [False, True], ids=["faulty", "mangled"])
def test_a_stream_in_a_file_has_the_report_of_one_in_memory(
    name: str, with_ledger: bool, is_mangled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every check, every finding, in the same order."""
    scenario = Scenario.load(name)
    lines, ledger = made(ChainGenerator.from_scenario(scenario, seed=3), 200 if name == "incident" else 25)
    lines = mangled(lines, seed=8) if is_mangled else lines
    settings: dict[str, Any] = {
        "phases": scenario.phases,
        "significance": 1e-9,
        "ledger": ledger if with_ledger else None,
    }
    report = verify(lines, scenario.catalog, **settings)
    assert sum(len(check.findings) for check in report.checks) > 50
    again = spilled(monkeypatch, 70, lines, scenario.catalog, **settings)
    assert again.to_dict() == report.to_dict()


def test_an_id_of_two_chains_is_found_in_both() -> None:
    """Chains are checked in parts; what they share is told all the same, whichever part comes first."""
    lines = [line for lines in ChainGenerator(seed=4).lines(chains=60) for line in lines]
    events = [orjson.loads(line) for line in lines]
    roots = [event for event in events if event["causation_id"] is None]
    assert len(roots) > 30
    for other in roots[1:20]:
        clash = orjson.dumps({**other, "event_id": roots[0]["event_id"]})
        report = verify([*lines, clash], Catalog.default(), significance=1e-9)
        (identity,) = [check for check in report.checks if check.name == "identity"]
        (finding,) = identity.findings
        assert finding.line == len(lines) + 1
        assert finding.fault == "changed-duplicate"
        assert "first in line 1" in finding.sentence


def numbered(count: int) -> Iterator[EventSummary]:
    for line in range(1, count + 1):
        event_id = f"019b76da-c7e6-7000-8000-{line:012x}"
        yield EventSummary(line, event_id, "a.b.c.v1", line, event_id, None, "tenant", line)


def test_every_event_is_in_the_bucket_of_its_chain_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_IN_MEMORY", 64)
    events = SpooledEvents()
    for event in numbered(5000):
        events.add(event)
    events.complete()
    read = [event for number in range(BUCKETS) for event in events.bucket(number)]
    assert len(events) == len(read) == 5000
    assert sorted(read) == list(numbered(5000))
    assert events.with_lines([7, 4999]) == {event.line: event for event in numbered(5000) if event.line in (7, 4999)}


def memory_for(count: int) -> int:
    """Bytes that are allocated, at most, while this many events are collected and read back."""
    tracemalloc.start()
    events = SpooledEvents()
    for event in numbered(count):
        events.add(event)
    events.complete()
    assert sum(len(events.bucket(number)) for number in range(BUCKETS)) == count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_an_event_more_needs_few_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time and its key stay in memory (16 bytes, which growing arrays may need twice), and no object."""
    monkeypatch.setattr(module, "MAX_IN_MEMORY", 3_000)
    few, many = memory_for(6_000), memory_for(26_000)
    assert (many - few) / 20_000 < 50


def test_the_progress_of_the_checks_is_told() -> None:
    shares: list[float] = []
    lines = [line for lines in ChainGenerator().lines(chains=5) for line in lines]
    verify(lines, Catalog.default(), on_progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
