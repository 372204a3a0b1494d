"""Faults behind the generator, and the ledger that says which."""

from __future__ import annotations

import io
import itertools
import json
from collections import Counter
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.catalog import Catalog
from eventbus.catalog.model import FAULT_KINDS
from eventbus.chains import ChainGenerator, InvalidSetting
from eventbus.chains.faults import KINDS, Fault
from eventbus.chains.faults.kind import FaultKind
from eventbus.chains.verification import verify
from eventbus.event import Event, microseconds
from tests.unit.chains.catalogs import catalogs, field, two_steps

CHAINS = 400
AWAY = {"drop", "missing-started"}
TWICE = {"duplicate", "changed-duplicate"}
ELSEWHERE = {"late", "reorder"}
EVERY = [Fault(kind=kind, rate=0.05) for kind in KINDS]


class Faulty:
    """A run with faults, beside the clean one."""

    def __init__(self, *faults: Fault, chains: int = CHAINS, **settings: Any) -> None:
        self.generator = ChainGenerator(**{"seed": 7, **settings})
        book = io.BytesIO()
        injector = self.generator.injector(faults, book)
        self.bytes, self.count = b"", 0
        for block in injector.blocks(self.generator.blocks(chains=chains)):
            self.bytes += block.buffer
            self.count += len(block)
        self.lines = self.bytes.split(b"\n")[:-1]
        self.clean = [line for lines in self.generator.lines(chains=chains) for line in lines]
        self.ledger = book.getvalue()
        records = [json.loads(line) for line in self.ledger.splitlines()]
        self.run, self.totals = records[0], records[-1]
        self.chains = [record for record in records if record["record"] == "chain"]
        self.faults = [record for record in records if record["record"] == "fault"]
        self.struck = {fault["event_id"]: fault for fault in self.faults}

        self._clean = {identity(line): line for line in self.clean}
        self._faulty: dict[str, list[bytes]] = {}
        for line in self.lines:
            self._faulty.setdefault(identity(line), []).append(line)

    def of(self, event_id: str) -> list[bytes]:
        """The lines that have this id."""
        return self._faulty.get(event_id, [])

    def before(self, event_id: str) -> bytes:
        """The clean line of this id."""
        return self._clean[event_id]


def identity(line: bytes) -> str:
    """The event id of a line that is whole at its beginning."""
    return line[13:49].decode(errors="replace")


def only(kind: str, **settings: Any) -> Faulty:
    run = Faulty(Fault(kind=kind, rate=settings.pop("rate", 0.05), **settings))
    assert run.faults
    assert {fault["fault"] for fault in run.faults} == {kind}
    return run


def decoded(line: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = orjson.loads(line)
    return fields


def changed_fields(old: bytes, new: bytes) -> set[str]:
    before, after = decoded(old), decoded(new)
    return {name for name in before if before[name] != after[name]}


def place_of(lines: list[bytes], event_id: str) -> int:
    return next(i for i, line in enumerate(lines) if identity(line) == event_id)


def test_without_faults_nothing_changes() -> None:
    """The stage alone leaves every byte as it was."""
    run = Faulty()
    assert run.bytes == b"".join(line + b"\n" for line in run.clean)
    assert run.faults == []


@pytest.mark.parametrize("block", [1, 7, 300])
def test_blocks_do_not_matter(block: int) -> None:
    """Stream and ledger are the same bytes however the work is cut, and in whatever order the faults are given."""
    one, other = Faulty(*EVERY), Faulty(*reversed(EVERY), block=block)
    assert one.bytes == other.bytes
    assert one.ledger == other.ledger


def test_kinds_are_independent() -> None:
    """Turning another kind on does not move a fault, unless it takes the event from it."""
    alone, together = only("late"), Faulty(*EVERY)
    late = {event_id: fault for event_id, fault in together.struck.items() if fault["fault"] == "late"}
    assert late.items() <= alone.struck.items()
    assert {together.struck[event_id]["fault"] for event_id in alone.struck.keys() - late.keys()} <= set(KINDS)


def test_another_seed_strikes_others() -> None:
    """Which events are struck follows from the seed."""
    places = [
        [place_of(run.clean, event_id) for event_id in run.struck]
        for run in (Faulty(Fault(kind="drop", rate=0.05), seed=seed) for seed in (7, 8))
    ]
    assert places[0] != places[1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_rate_is_met(kind: str) -> None:
    """Of the events that a kind can strike, the share given is struck, within five standard deviations."""
    everywhere = Faulty(Fault(kind=kind, rate=1.0), chains=2000)
    able, struck = len(everywhere.faults), len(Faulty(Fault(kind=kind, rate=0.1), chains=2000).faults)
    assert able > 50
    assert abs(struck - able * 0.1) < 5 * (able * 0.1 * 0.9) ** 0.5


@pytest.mark.parametrize("kind", sorted(AWAY))
def test_what_is_left_out(kind: str) -> None:
    """The event is nowhere."""
    run = only(kind)
    assert all(run.of(event_id) == [] for event_id in run.struck)
    assert kind == "drop" or {f["event_type"].split(".")[-2] for f in run.faults} == {"started"}


def test_tombstone() -> None:
    """`null` stands where the event was."""
    run = only("tombstone")
    for event_id in run.struck:
        assert run.lines[place_of(run.clean, event_id)] == b"null"


def test_poison() -> None:
    """Bytes that are no UTF-8 stand where the event was, those that the ledger names."""
    run = only("poison")
    for event_id, fault in run.struck.items():
        line = run.lines[place_of(run.clean, event_id)]
        assert line.hex() == fault["bytes"]
        with pytest.raises(UnicodeDecodeError):
            line.decode()


def test_corrupt() -> None:
    """A beginning of the event stands where it was, and is no JSON."""
    run = only("corrupt", rate=1.0)
    for event_id, fault in run.struck.items():
        line = run.lines[place_of(run.clean, event_id)]
        assert run.before(event_id).startswith(line)
        assert len(line) == fault["kept_bytes"]
        line.decode()
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(line)


def test_truncate() -> None:
    """The event is cut off at any byte: from one byte kept to one byte lost, also inside characters; it is no JSON."""
    run = Faulty(Fault(kind="truncate", rate=1.0), chains=1000)
    lost = set()
    for line, event in zip(run.lines, run.clean, strict=True):
        fault = run.struck[identity(event)]
        assert event.startswith(line)
        assert 1 <= len(line) == fault["kept_bytes"] < len(event)
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(line)
        lost.add(len(event) - len(line))
    assert 1 in lost
    assert 1 in {len(line) for line in run.lines}


def test_truncated_inside_a_character() -> None:
    """The cut is at a byte, not at a character, and what is left is called incomplete rather than foreign bytes."""
    text = field("text", choices=("äöü" * 100,))
    catalog = two_steps(delay=10.0)
    events = {name: replace(event, payload=(text,)) for name, event in catalog.events.items()}
    run = Faulty(Fault(kind="truncate", rate=1.0), catalog=replace(catalog, events=events))
    torn = [line for line in run.lines if line != line.decode(errors="ignore").encode()]
    assert torn
    report = verify(run.lines, run.generator.catalog)
    assert {finding.fault for check in report.checks for finding in check.findings} - {None} == {"corrupt"}


@pytest.mark.parametrize("other", ["corrupt", "drop", "late"])
def test_truncate_leaves_other_kinds_as_they_are(other: str) -> None:
    """Events that another kind strikes are struck alike beside it, unless its precedence takes them."""
    alone, beside = only(other), Faulty(*(Fault(kind=kind, rate=0.05) for kind in (other, "truncate")))
    records = [fault for fault in beside.faults if fault["fault"] == other]
    taken = {fault["event_id"] for fault in beside.faults if fault["fault"] == "truncate"}
    assert records == [fault for fault in alone.faults if fault["event_id"] not in taken]


def test_schema() -> None:
    """The payload breaks the catalog's model in the field that the ledger names, in every one of the three ways."""
    run = only("schema", rate=0.2)
    for event_id, fault in run.struck.items():
        (line,) = run.of(event_id)
        problems = run.generator.catalog.validate(fault["event_type"], decoded(line)["payload"])
        assert [problem.field for problem in problems] == [f"payload.{fault['field']}"]
        assert changed_fields(run.before(event_id), line) == {"payload"}
    assert {fault["violation"] for fault in run.faults} == {"missing", "unknown", "type"}


def test_schema_of_one_field() -> None:
    """With a field given, only that one is touched, and only events that have it."""
    run = only("schema", fields=("duration_ms",), rate=0.5)
    assert {fault["field"] for fault in run.faults} == {"duration_ms"}
    assert {fault["violation"] for fault in run.faults} == {"missing", "type"}


def test_wrong_tenant() -> None:
    """The tenant is another one, and nothing else is."""
    run = only("wrong-tenant")
    for event_id, fault in run.struck.items():
        (line,) = run.of(event_id)
        assert changed_fields(run.before(event_id), line) == {"tenant_id"}
        assert decoded(line)["tenant_id"] == fault["tenant_id"]


def test_orphan_causation() -> None:
    """The cause has an id that no event has."""
    run = only("orphan-causation")
    known = {decoded(line)["event_id"] for line in run.clean}
    for event_id, fault in run.struck.items():
        (line,) = run.of(event_id)
        assert changed_fields(run.before(event_id), line) == {"causation_id"}
        assert decoded(line)["causation_id"] == fault["causation_id"] not in known


def test_completed_before_started() -> None:
    """The last event of a chain has a time before its cause's, by no more than the bounds."""
    run = only("completed-before-started", bounds=(2000, 5000), rate=0.3)
    events = {event.event_id: event for event in map(Event.from_bytes, run.clean)}
    for event_id in run.struck:
        (line,) = run.of(event_id)
        effect = Event.from_bytes(line)
        assert effect.causation_id is not None
        early = microseconds(events[effect.causation_id].timestamp) - microseconds(effect.timestamp)
        assert 2000 <= early <= 5000
        assert changed_fields(run.before(event_id), line) == {"timestamp"}


def test_clock_skew() -> None:
    """All events of one source that are struck are off by the same time, within the bounds."""
    run = only("clock-skew", bounds=(1000, 9000), rate=0.5)
    skews: dict[str, set[int]] = {}
    for event_id in run.struck:
        old, new = Event.from_bytes(run.before(event_id)), Event.from_bytes(run.of(event_id)[0])
        skews.setdefault(old.source, set()).add(microseconds(new.timestamp) - microseconds(old.timestamp))
    assert all(len(found) == 1 for found in skews.values())
    every = [skew for (skew,) in skews.values()]
    assert all(1000 <= abs(skew) <= 9000 for skew in every)
    assert min(every) < 0 < max(every)


def test_duplicate() -> None:
    """The event comes twice, byte for byte."""
    run = only("duplicate")
    for event_id in run.struck:
        assert run.of(event_id) == [run.before(event_id)] * 2


def test_changed_duplicate() -> None:
    """The event comes twice with one id; the second has another content, which the catalog allows."""
    run = only("changed-duplicate")
    for event_id, fault in run.struck.items():
        first, second = run.of(event_id)
        assert first == run.before(event_id)
        assert changed_fields(first, second) == {fault["field"].partition(".")[0]}
        assert run.generator.catalog.validate(fault["event_type"], decoded(second)["payload"]) == []


@pytest.mark.parametrize("kind", ["late", "duplicate", "changed-duplicate"])
def test_what_comes_later_comes_in_time(kind: str) -> None:
    """It stands before the first event that is later than its due time, and behind all the others."""
    run = only(kind, bounds=(400_000, 2_000_000))
    clean = set(run.clean)
    times = [microseconds(Event.from_bytes(line).timestamp) for line in run.lines]
    once = [line in clean and decoded(line)["event_id"] not in run.struck for line in run.lines]
    for event_id, fault in run.struck.items():
        place = max(i for i, line in enumerate(run.lines) if decoded(line)["event_id"] == event_id)
        by = round((fault.get("late_ms") or fault["after_ms"]) * 1000)
        assert 400_000 <= by <= 2_000_000
        due = times[place] + by
        assert all(time <= due for time, usual in zip(times[:place], once[:place], strict=True) if usual)
        assert all(time > due for time, usual in zip(times[place:], once[place:], strict=True) if usual)


def test_what_is_late_by_nothing_still_lets_its_equals_go_first() -> None:
    """A due time is over only when a later event comes: roots stand behind effects of the same moment."""
    fault = Fault(kind="late", rate=1.0, bounds=(0, 0), event_types=("test.thing.asked.v1",))
    run = Faulty(fault, catalog=two_steps(delay=0.0), chains=20)
    types = [decoded(line)["event_type"] for line in run.lines]
    assert types == ["test.thing.answered.v1", "test.thing.asked.v1"] * 20


def test_reorder() -> None:
    """An event comes as many places later as the ledger says."""
    run = Faulty(Fault(kind="reorder", rate=0.005, bounds=(2, 6)), chains=3000)
    assert {fault["places"] for fault in run.faults} == {2, 3, 4, 5, 6}
    places = sorted((place_of(run.clean, event_id), event_id) for event_id in run.struck)
    apart = [e for (a, _), (b, e), (c, _) in zip(places, places[1:], places[2:], strict=False) if b - a > 20 < c - b]
    assert apart
    for event_id in apart:
        assert place_of(run.lines, event_id) - place_of(run.clean, event_id) == run.struck[event_id]["places"]


def test_scope() -> None:
    """A fault keeps to its chains and event types."""
    run = only("drop", chains=("agent-execution",), rate=0.5)
    assert {fault["name"] for fault in run.faults} == {"agent-execution"}
    kind = "omninode.agent.execution.started.v1"
    run = only("duplicate", event_types=(kind,), rate=0.5)
    assert {fault["event_type"] for fault in run.faults} == {kind}


def test_one_fault_for_each_event() -> None:
    """Of several that strike an event the first kind of the list is done, and it alone."""
    run = Faulty(*(Fault(kind=kind, rate=1.0) for kind in ("late", "wrong-tenant", "reorder")))
    assert len(run.faults) == len(run.clean)
    assert {fault["fault"] for fault in run.faults} == {"wrong-tenant"}


def test_the_ledger_of_a_clean_run() -> None:
    """It has every chain with its events as they are in the stream."""
    run = Faulty()
    by_chain: dict[str, list[dict[str, Any]]] = {}
    for fields in map(decoded, run.clean):
        by_chain.setdefault(fields["correlation_id"], []).append(fields)
    assert len(run.chains) == len(by_chain) == run.totals["chains"]
    assert sorted(chain["index"] for chain in run.chains) == list(range(CHAINS))
    for chain in run.chains:
        events, model = by_chain[chain["correlation_id"]], run.generator.catalog.chain(chain["chain"])
        assert chain["event_ids"] == [event["event_id"] for event in events]
        assert chain["times"] == [event["timestamp"] for event in events]
        assert [model.states[name].emits for name in chain["path"]] == [event["event_type"] for event in events]
        assert chain["outcome"] == model.states[chain["path"][-1]].outcome
    ends = [chain["event_ids"][-1] for chain in run.chains]
    assert ends == sorted(ends, key=lambda event_id: place_of(run.clean, event_id))


def test_the_ledger_frames_the_run() -> None:
    """Its first line says what the run was, its last one what came of it."""
    run = Faulty(*EVERY)
    assert run.run["seed"] == 7
    assert [fault["kind"] for fault in run.run["faults"]] == list(KINDS)
    assert run.totals["events"] == len(run.clean)
    assert run.totals["lines"] == len(run.lines) == run.count
    assert run.totals["faults"] == Counter(fault["fault"] for fault in run.faults)


def test_a_window_of_a_run_has_a_ledger_too() -> None:
    """Chains that have no end inside are written with what there is of them."""
    generator, book = ChainGenerator(seed=7), io.BytesIO()
    lines = sum(map(len, generator.injector((), book).blocks(itertools.islice(generator.blocks(), 1))))
    records = [json.loads(line) for line in book.getvalue().splitlines()]
    chains = [record for record in records if record["record"] == "chain"]
    assert sum(len(chain["event_ids"]) for chain in chains) == lines
    assert None in {chain["outcome"] for chain in chains}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "lat"}, "no fault 'lat'; there are: drop, "),
        ({"rate": 1.1}, "expected a rate of 0 to 1 for late, got 1.1"),
        ({"rate": float("nan")}, "expected a rate of 0 to 1 for late"),
        ({"bounds": (2, 1)}, "expected bounds that rise from 0 or more for late, got 2 to 1"),
        ({"kind": "drop", "bounds": (1, 2)}, "the fault drop has no bounds"),
        ({"fields": ("x",)}, "the fault late has no fields"),
        ({"chains": ("agent-exec",)}, "no chain 'agent-exec' for the fault late (did you mean 'agent-execution'?)"),
        ({"event_types": ("x.v1",)}, "no event type 'x.v1'"),
        ({"kind": "missing-started", "chains": ("vault-read",)}, "finds no event to strike"),
        ({"kind": "schema", "fields": ("x",)}, "finds no event to strike"),
    ],
)
def test_what_cannot_be(settings: dict[str, Any], message: str) -> None:
    """A fault that can never happen is refused, with what was expected."""
    with pytest.raises(InvalidSetting) as refused:
        Faulty(Fault(**{"kind": "late", "rate": 0.1, **settings}))
    assert message in str(refused.value)


def test_a_kind_needs_an_entry_in_the_catalog() -> None:
    """The table of names, units and bounds has every kind; a class that it does not name cannot be defined."""
    assert list(KINDS) == list(FAULT_KINDS)
    with pytest.raises(KeyError, match="evaporate"):
        type("Evaporate", (FaultKind,), {}, name="evaporate")
    assert "evaporate" not in FaultKind.registered


def able(catalog: Catalog, faults: list[Fault]) -> list[Fault]:
    """Those that find an event in this catalog."""
    found = []
    for fault in faults:
        try:
            ChainGenerator(catalog).injector([fault])
        except InvalidSetting:
            continue
        found.append(fault)
    return found


fault_lists = st.lists(
    st.builds(lambda kind, rate: Fault(kind=kind, rate=rate), st.sampled_from(list(KINDS)), st.floats(0, 1)), max_size=5
)


@settings(deadline=None, max_examples=40)
@given(catalog=catalogs(), wanted=fault_lists, seed=st.integers(0, 99), rate=st.sampled_from([0.1, 10, 1000]))
def test_conservation(catalog: Catalog, wanted: list[Fault], seed: int, rate: float) -> None:
    """Clean = faulty − what came again + what was left out; what has no fault comes once, unchanged and in order."""
    run = Faulty(*able(catalog, wanted), catalog=catalog, seed=seed, rate=rate, chains=20)
    kinds = Counter(fault["fault"] for fault in run.faults)
    assert len(run.struck) == len(run.faults)
    assert len(run.clean) == len(run.lines) - sum(kinds[k] for k in TWICE) + sum(kinds[k] for k in AWAY)
    assert run.totals["lines"] == len(run.lines)
    untouched = [line for line in run.clean if decoded(line)["event_id"] not in run.struck]
    found = Counter(run.lines)
    once = set(untouched)
    assert [line for line in run.lines if line in once] == untouched
    for event_id, fault in run.struck.items():
        before = run.before(event_id)
        copies = 2 if fault["fault"] == "duplicate" else int(fault["fault"] in {*ELSEWHERE, "changed-duplicate"})
        assert found[before] == copies
