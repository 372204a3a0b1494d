"""Learning is the inverse of generating: the catalog that is learned from a stream makes the same kind of stream."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cramjam
import numpy as np
import orjson
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from eventbus.catalog import Catalog, Chain, Uniform, Variable
from eventbus.catalog.sources import ListPick, VariableValue
from eventbus.chains import ChainGenerator
from eventbus.chains.errors import NothingToLearn, UnreadableStream
from eventbus.chains.learning import LearnedCatalog, batches, learn
from eventbus.chains.sampling import sampler
from eventbus.chains.verification import verify
from tests.unit.chains.catalogs import catalog_of, chain, delays, event, field, state, way


def generated(catalog: Catalog, chains: int, seed: int = 1, **settings: Any) -> list[bytes]:
    """The lines of a run."""
    return [line for lines in ChainGenerator(catalog, seed=seed, **settings).lines(chains=chains) for line in lines]


def loaded(learned: LearnedCatalog, folder: Path, *base: Path) -> Catalog:
    """The catalog of the file that was written."""
    file = folder / "learned.yaml"
    file.write_text(learned.draft.text(), encoding="utf-8")
    return Catalog.load(*base, file)


def failed(lines: Sequence[bytes], catalog: Catalog, *names: str) -> dict[str, list[str]]:
    """What `verify` says against these lines, of the checks that are named (none: all)."""
    wrong = [check for check in verify(lines, catalog).checks if not check.passed]
    return {c.name: [one.sentence for one in c.findings[:3]] for c in wrong if c.name in names or not names}


def test_what_is_learned_from_the_shipped_catalog_is_the_shipped_catalog(tmp_path: Path) -> None:
    """A run of the learned catalog is a sound run of the original, figures included, and the other way round."""
    plain = [name for name, one in Catalog.default().chains.items() if one.visitors is None]
    original = Catalog.default().only(*plain)
    recorded = generated(original, 6000, seed=2)
    learned = loaded(learn([recorded]), tmp_path)
    assert failed(generated(learned, 6000, seed=3), original) == {}
    assert failed(recorded, learned) == {}


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """One to three chains with branches and loops, variables, and every source of values."""
    chains, events = [], []
    for number in range(draw(st.integers(1, 3))):
        names = [f"c{number}s{i}" for i in range(draw(st.integers(2, 4)))]
        states = []
        for i, name in enumerate(names):
            onward = [way(names[i + 1], draw(delays), draw(st.integers(3, 9)))] if i + 1 < len(names) else []
            detours = draw(st.lists(st.sampled_from(names), max_size=2, unique=True)) if onward else []
            ways = [*onward, *(way(to, draw(delays), 2) for to in detours if onward and to != names[i + 1])]
            states.append(state(name, *ways))
            fields = draw(st.lists(st.sampled_from(FIELDS), max_size=4, unique_by=lambda one: one.name))
            events.append(event(name, *fields))
        variables = {
            "thing": Variable(name="thing", list="things"),
            "count": Variable(name="count", minimum=5, maximum=900),
        }
        chains.append(chain(f"chain-{number}", *states, weight=draw(st.integers(1, 5)), variables=variables))
    things = tuple({"name": f"thing-{i}", "size": i % 3} for i in range(12))
    return catalog_of(*chains, events=tuple(events), lists={"things": things, "words": ("a", "b", "b", "c")})


FIELDS = [
    field("thing", var="thing.name"),
    field("size", type="integer", var="thing.size"),
    field("count", type="integer", var="count"),
    field("word", pick="words"),
    field("always", value="same"),
    field("flag", type="boolean", choices=(True, True, False)),
    field("amount", type="number", minimum=1.5, maximum=80, decimals=2),
    field("took_ms", type="integer", elapsed=True),
    field("inner", type="object", fields=(field("deep", type="integer", minimum=1, maximum=9),)),
    field("items", type="array", choices=([1], [1, 2])),
]


@settings(
    max_examples=15,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to make a catalog smaller takes too long
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(catalog=catalogs())
def test_any_catalog_is_learned_from_its_stream(tmp_path: Path, catalog: Catalog) -> None:
    """Same event types and payloads, shares within the sampling error, and delays that are close to the recorded."""
    learned = loaded(learn([generated(catalog, CHAINS)]), tmp_path)
    again = generated(learned, 400, seed=2)
    assert failed(again, catalog, "readable", "schema", "identity", "order", "clocks", "causality", "tenants") == {}
    assert set(learned.events) <= set(catalog.events)
    assert {one.root for one in learned.chains.values()} == {one.root for one in catalog.chains.values()}
    _assert_same_shares(catalog, learned)


CHAINS = 1500


def _assert_same_shares(catalog: Catalog, learned: Catalog) -> None:
    by_root = {one.root: one for one in learned.chains.values()}
    total = sum(one.weight for one in catalog.chains.values())
    for one in catalog.chains.values():
        assert by_root[one.root].weight / 100 == pytest.approx(one.weight / total, abs=0.08)
        for name, ways in _ways(one).items():
            for to, (share, delay) in _ways(by_root[one.root]).get(name, {}).items():
                assert share == pytest.approx(ways[to][0], abs=0.25)
                if CHAINS * share * one.weight / total > 200:  # with fewer the sample's own median is off
                    assert _median(delay) == pytest.approx(_median(ways[to][1]), rel=0.6, abs=2)


def _ways(one: Chain) -> dict[str, dict[str, tuple[float, Any]]]:
    """Share and delay by the types before and after, of the ways that lead somewhere else."""
    found: dict[str, dict[str, tuple[float, Any]]] = {}
    for here in one.states.values():
        total = sum(t.weight for t in here.next)
        found[here.emits] = {one.states[t.to].emits: (t.weight / total, t.delay) for t in here.next}
    return found


def _median(delay: Any) -> float:
    words = np.arange(1, 1000, dtype=np.uint64) << np.uint64(54)
    return float(np.median(sampler(delay).at(words))) / 1000


def line(number: int, action: str, chain: int, *, cause: int | None, ms: int, **fields: Any) -> bytes:
    """An event by hand; ids are numbers."""
    when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    uuids = [None if one is None else f"00000000-0000-7000-8000-{one:012d}" for one in (number, chain, cause)]
    fresh: dict[str, Any] = {
        "event_id": uuids[0],
        "event_type": f"test.thing.{action}.v1",
        "timestamp": when.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "correlation_id": uuids[1],
        "causation_id": uuids[2],
        "tenant_id": "acme",
        "namespace": "live",
        "source": "tester",
        "schema_version": "1.0.0",
        "payload": {},
    }
    return orjson.dumps(fresh | fields)


def recorded(*walks: str) -> list[bytes]:
    """Chains by hand: words are actions, 10 milliseconds apart."""
    lines = []
    number = 0
    for walk in walks:
        first, cause = number + 1, None
        for step, action in enumerate(walk.split()):
            number += 1
            lines.append(line(number, action, first, cause=cause, ms=first * 1000 + step * 10))
            cause = number
    return lines


def ways_of(learned: LearnedCatalog) -> dict[str, list[tuple[str, str]]]:
    """Of each learned chain, the ways between states."""
    chains = learned.draft.catalog.chains
    return {n: [(s.name, t.to) for s in one.states.values() for t in s.next] for n, one in chains.items()}


def test_a_type_is_several_states_where_it_has_to_be() -> None:
    """What follows `polled` depends on how often it came: one state would invent chains that nobody saw."""
    learned = learn([recorded(*["asked polled polled answered"] * 60)])
    assert ways_of(learned) == {"thing": [("asked", "polled"), ("polled", "polled-2"), ("polled-2", "answered")]}


def test_states_are_told_apart_by_what_comes_later() -> None:
    """`sent` comes after another event each time, but leads to the same: what differs is how often it came."""
    learned = learn([recorded(*["asked sent heard sent heard answered"] * 60)])
    walk = [("asked", "sent"), ("sent", "heard"), ("heard", "sent-2"), ("sent-2", "heard-2"), ("heard-2", "answered")]
    assert ways_of(learned) == {"thing": walk}


def test_a_type_that_ends_a_few_chains_does_not_end_the_others() -> None:
    """A recording that stops leaves chains unfinished; they are counted."""
    learned = learn([recorded(*["asked worked answered"] * 20, *["asked worked"] * 5)])
    assert ways_of(learned) == {"thing": [("asked", "worked"), ("worked", "answered")]}
    assert "Left out: 5 chains do not end." in learned.account


def test_the_sources_of_values_are_found() -> None:
    """Constants, shares, ranges, elapsed times, what runs through a chain, and what goes together."""
    catalog = Catalog.default().only("agent-execution", "vault-read")
    learned = learn([generated(catalog, 3000)]).draft.catalog
    for kind, name in (
        ("omninode.agent.execution.started.v1", "timeout_ms"),
        ("omninode.agent.routing.completed.v1", "confidence"),
        ("omninode.agent.routing.completed.v1", "duration_ms"),
        ("omninode.agent.execution.completed.v1", "status"),
    ):
        known, found = ({f.name: f for f in one.event_type(kind).payload}[name] for one in (catalog, learned))
        assert replace(found, description="") == replace(known, description="", allowed=None)
    failed_event = {one.name: one for one in learned.event_type("omninode.agent.execution.failed.v1").payload}
    assert failed_event["agent"].source == VariableValue("selected_agent")
    for name in ("error_class", "error_message", "retryable"):
        assert failed_event[name].source == ListPick(f"error_message.{name}")
    pairs = {(one["class"], one["message"], one["retryable"]) for one in catalog.lists["agent_error"]}
    assert len(learned.lists["error_message"]) > len(pairs)
    for one in learned.lists["error_message"]:  # a message with a figure was recorded with many figures
        template = re.sub(r"\d+ ms", "{duration_ms} ms", one["error_message"])
        assert (one["error_class"], template, one["retryable"]) in pairs
    priority = {one.name: one for one in learned.event_type("omninode.agent.routing.requested.v1").payload}["priority"]
    assert sorted(priority.source.accepted or ()) == ["high", "low", "normal", "normal", "normal"]


def test_what_repeats_by_chance_is_a_loop() -> None:
    """Half of all go on after each time: one state is enough."""
    times = [1] * 128 + [2] * 64 + [3] * 32 + [4] * 16 + [5] * 8
    learned = learn([recorded(*[f"asked {'polled ' * often}answered" for often in times])])
    assert ways_of(learned) == {"thing": [("asked", "polled"), ("polled", "polled"), ("polled", "answered")]}


def test_the_way_there_makes_a_state() -> None:
    """`checked` leads on according to where its chain came from."""
    learned = learn([recorded(*["asked left checked kept", "asked right checked lost"] * 40)])
    assert set(ways_of(learned)["thing"][2:]) in (
        {("left", "checked"), ("right", "checked-2"), ("checked", "kept"), ("checked-2", "lost")},
        {("left", "checked-2"), ("right", "checked"), ("checked-2", "kept"), ("checked", "lost")},
    )
    states = learned.draft.catalog.chains["thing"].states
    assert (states["kept"].outcome, states["lost"].outcome) == ("completed", "failed")


def test_what_cannot_be_learned_is_counted() -> None:
    """Lines that are no events, copies, and chains that break or do not end."""
    sound = recorded(*["asked answered"] * 20)
    strange = [
        line(901, "asked", 901, cause=None, ms=1),  # goes nowhere
        line(911, "asked", 911, cause=None, ms=1),
        line(912, "answered", 911, cause=999, ms=2),  # of a cause that is not here
        line(921, "asked", 921, cause=None, ms=9),
        line(922, "answered", 921, cause=921, ms=2),  # earlier than its cause
        line(931, "asked", 931, cause=932, ms=1),
        line(932, "answered", 931, cause=931, ms=1),  # a circle
        line(971, "asked", 971, cause=None, ms=1),
        line(972, "asked", 971, cause=None, ms=1),  # a second beginning
        b"nonsense",
        b"null",
        b'{"event_id": "x"}',
        line(941, "asked", 941, cause=None, ms=1, timestamp="yesterday"),
        line(951, "asked", 951, cause=None, ms=1, event_type="Asked"),
        line(961, "asked", 961, cause=None, ms=1, payload=None),
    ]
    account = "\n".join(learn([[*sound, sound[0], *strange]], "a file").account)
    assert "Learned from a file: 40 events of 20 chains" in account
    for sentence in (
        "1 of 56 lines are not events: not JSON.",
        "not a JSON object",
        "no field 'event_type'",
        "a timestamp that is not ISO 8601 with a zone",
        "an event type that is not a name",
        "a field of a wrong type",
        "1 events repeated an id",
        "1 chains do not end",
        "1 chains have an event whose cause is missing",
        "1 chains have an event that is earlier than its cause",
        "1 chains have an event among its own causes",
        "1 chains have no first event, or several",
        "Tenants: acme (live) 100.0%.",
    ):
        assert sentence in account


def test_what_starts_chains_may_not_stand_inside_others() -> None:
    """A catalog asks that a type means the same everywhere: the rarer use is left out."""
    learned = learn([recorded(*["asked answered"] * 20, "begun asked answered")])
    assert set(learned.draft.catalog.chains) == {"thing"}
    assert "Left out: 1 chains have test.thing.asked.v1 where others do not." in learned.account


def test_of_a_fork_the_longest_way_is_learned() -> None:
    """An event that causes several does not stop the learning; what is left out is said."""
    lines = []
    for first in range(10, 510, 10):
        lines += [
            line(first, "asked", first, cause=None, ms=first),
            line(first + 1, "copied", first, cause=first, ms=first + 5),
            line(first + 2, "worked", first, cause=first, ms=first + 9),
            line(first + 3, "answered", first, cause=first + 2, ms=first + 20),
        ]
    learned = learn([lines])
    assert ways_of(learned) == {"thing": [("asked", "worked"), ("worked", "answered")]}
    assert "Left out: 50 events of 50 chains in which one event caused several" in learned.account[-1]
    assert "test.thing.copied.v1 50" in learned.account[-1]


def test_nothing_to_learn_is_an_error() -> None:
    """It says what was there instead."""
    with pytest.raises(NothingToLearn, match=r"a recording has no complete chain to learn from.\nIt has no event."):
        learn([])
    with pytest.raises(NothingToLearn, match="1 chains do not end"):
        learn([recorded("asked")])


def test_with_a_catalog_only_figures_are_learned() -> None:
    """Known chains keep everything but weights, shares and delays; unknown ones come on top; silent ones are off."""
    faster = Uniform(minimum=1, maximum=2)
    talk = chain("talk", state("asked", way("answered", 50, 90), way("refused", 60, 10)), state("answered"), REFUSED)
    known = catalog_of(talk, chain("quiet", state("hushed", way("silent", weight=100)), state("silent")))
    asked = state("asked", way("answered", faster, 50), way("refused", faster, 50))
    new = chain("new", state("born", way("gone")), state("gone"))
    learned = learn([generated(catalog_of(chain("talk", asked, state("answered"), REFUSED), new), 2000)], known=known)
    found = learned.draft.catalog.chains
    assert {name: one.weight > 0 for name, one in found.items()} == {"talk": True, "quiet": False, "thing": True}
    ways = found["talk"].states["asked"].next
    assert [one.weight for one in ways] == pytest.approx([50, 50], abs=5)
    assert [one.delay for one in ways] == [faster, faster]
    document = yaml.safe_load(learned.draft.text())
    assert set(document) == {"events", "chains"}
    assert set(document["events"]) == {"test.thing.born.v1", "test.thing.gone.v1"}


REFUSED = state("refused", failed=True)


def test_a_known_chain_that_occurs_only_inside_another_is_off() -> None:
    """The first event type of `inner` is in the recording, but no recorded chain begins with it."""
    outer = chain("outer", state("asked", way("inner-asked")), state("inner-asked", way("done")), state("done"))
    known = catalog_of(chain("inner", state("inner-asked", way("done")), state("done")))
    recording = generated(catalog_of(outer), 10)
    learned = learn([recording], known=catalog_of(outer, *known.chains.values()))
    assert {name: one.weight for name, one in learned.draft.catalog.chains.items()} == {"outer": 100, "inner": 0}


@pytest.mark.parametrize("packed", [bytes, gzip.compress, lambda text: bytes(cramjam.zstd.compress(text))])
def test_compressed_files_are_read_as_they_are(tmp_path: Path, packed: Any) -> None:
    """Also if they are made of several members or frames; damaged ones are an error."""
    lines = recorded(*["asked answered"] * 5)
    file = tmp_path / "events"
    file.write_bytes(b"".join(packed(one + b"\n") for one in lines))
    with file.open("rb") as opened:
        assert [one.rstrip() for many in batches(opened) for one in many] == lines
    if packed is not bytes:
        file.write_bytes(file.read_bytes()[:-5])
        with file.open("rb") as opened, pytest.raises(UnreadableStream, match="ends early or is damaged"):
            list(batches(opened))


def test_the_same_stream_gives_the_same_file() -> None:
    """Whatever the process that learned it: nothing depends on the order of hashes."""
    script = (
        "import sys; from eventbus.chains.learning import learn; from eventbus.chains import ChainGenerator;"
        "lines = [l for ls in ChainGenerator(seed=3).lines(chains=300) for l in ls];"
        "sys.stdout.write(learn([lines]).draft.text())"
    )
    texts = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"}
        run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True)
        texts.add(run.stdout)
    assert len(texts) == 1
