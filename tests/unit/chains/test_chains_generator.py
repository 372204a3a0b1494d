"""What `ChainGenerator` promises, whatever the catalog."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.bus import TopicStrategy
from eventbus.catalog import Catalog, Fixed, UnknownName
from eventbus.chains import ChainGenerator, ImpossibleChain, InvalidSetting, NothingToGenerate
from eventbus.event import Event, microseconds
from eventbus.record import record_of
from tests.unit.chains.catalogs import catalog_of, catalogs, chain, event, field, state, two_steps, way

SHIPPED = Catalog.default()


def by_chain(events: list[Event]) -> dict[str, list[Event]]:
    found = defaultdict(list)
    for one in events:
        found[one.correlation_id].append(one)
    return found


@given(catalog=catalogs(), seed=st.integers())
@settings(max_examples=40, deadline=None)
def test_every_chain_is_a_tree_in_causal_order(catalog: Catalog, seed: int) -> None:
    """A chain has one root, its id names the chain, and every other event follows its cause and ends in time."""
    chains = by_chain(list(ChainGenerator(catalog, seed=seed).events(chains=20)))
    assert len(chains) == 20
    for events in chains.values():
        root, *others = events
        assert root.causation_id is None
        assert root.event_id == root.correlation_id
        seen = {root.event_id: root}
        for one in others:
            assert one.causation_id is not None
            assert one.timestamp >= seen[one.causation_id].timestamp
            assert one.event_id not in seen
            seen[one.event_id] = one
        kinds = next(c for c in catalog.chains.values() if c.root == root.event_type)
        final = next(s for s in kinds.states.values() if s.emits == events[-1].event_type)
        assert not final.next
        assert len(events) <= kinds.max_steps


@given(catalog=catalogs(), seed=st.integers())
@settings(max_examples=40, deadline=None)
def test_lines_are_events_in_their_documented_form(catalog: Catalog, seed: int) -> None:
    """Every line is accepted as an event, and is byte for byte what that event encodes to."""
    made = [line for lines in ChainGenerator(catalog, seed=seed).lines(chains=20) for line in lines]
    assert len(made) >= 20
    assert [Event.from_bytes(line).to_bytes() for line in made] == made


def test_events_are_ordered_by_time() -> None:
    """Overlapping chains come out as one stream in the order of timestamps."""
    times = [one.timestamp for one in ChainGenerator(SHIPPED, seed=1, rate=200).events(chains=500)]
    assert times == sorted(times)


def test_ids_are_unique() -> None:
    """No two events of a run share an id, at a rate where many share a millisecond."""
    ids = [one.event_id for one in ChainGenerator(SHIPPED, rate=1e6).events(chains=5000)]
    assert len(set(ids)) == len(ids)


def test_every_form_shows_the_same_events() -> None:
    """Blocks, lines, records and objects of one generator carry the same bytes in the same order."""
    generator = ChainGenerator(SHIPPED, seed=3)
    lines = [line for some in generator.lines(chains=300) for line in some]
    assert b"".join(bytes(block.buffer) for block in generator.blocks(chains=300)) == b"".join(
        b"%b\n" % line for line in lines
    )
    assert [one.to_bytes() for one in generator.events(chains=300)] == lines
    assert [record.value for some in generator.records(chains=300) for record in some] == lines
    assert sum(map(len, generator.blocks(chains=300))) == len(lines)
    assert sum(block.chains for block in generator.blocks(chains=300)) == 300


@pytest.mark.parametrize("topics", ["domain", "event_type", "single"])
def test_records_are_those_of_the_events(topics: TopicStrategy) -> None:
    """A record has the topic of the strategy, the chain as key, and headers worked out from the event on demand."""
    from eventbus.bus import topic_namer

    generator = ChainGenerator(SHIPPED, seed=3)
    name = topic_namer(topics)
    made = [record for some in generator.records(chains=50, topic_strategy=topics) for record in some]
    assert made == [record_of(one, name(one.event_type)) for one in generator.events(chains=50)]


def test_a_block_can_be_narrowed() -> None:
    """A slice, or some rows, of a block give just those events."""
    generator = ChainGenerator(SHIPPED, seed=3)
    block = next(generator.blocks(chains=10))
    every = [line for some in block.lines() for line in some]
    assert [line for some in block[2:5].lines() for line in some] == every[2:5]
    assert bytes(block[2:5].buffer) == b"".join(b"%b\n" % line for line in every[2:5])
    rows = (block.table.emitter >= 0).nonzero()[0][1:6:2]
    assert [line for some in block.take(rows).lines() for line in some] == every[1:6:2]
    assert bytes(block[4:4].buffer) == b""


def test_the_first_events_come_at_once() -> None:
    """The first block is small, however large the blocks are later."""
    assert next(ChainGenerator(SHIPPED, rate=1e5, block=65_536).blocks()).chains <= 16


def test_without_bounds_it_never_ends() -> None:
    """Any number of events can be taken."""
    assert len(list(islice(ChainGenerator(SHIPPED).events(), 3000))) == 3000


@pytest.mark.parametrize("chains", [0, 1, 15, 16, 17, 100])
def test_as_many_chains_as_asked_for(chains: int) -> None:
    """The number of chains is exact, and each one is complete."""
    found = by_chain(list(ChainGenerator(two_steps()).events(chains=chains)))
    assert len(found) == chains
    assert all(len(events) == 2 for events in found.values())


def test_duration_bounds_the_beginnings() -> None:
    """Chains begin within the duration, as many as without a bound, and run to their end."""
    generator = ChainGenerator(two_steps(delay=5000.0), rate=50, seed=4)
    end = generator.start + timedelta(seconds=10)
    bounded = list(generator.events(duration=10))
    expected = [one for one in generator.events(chains=1000) if one.causation_id is None and one.timestamp < end]
    assert [one for one in bounded if one.causation_id is None] == expected
    assert len(bounded) == 2 * len(expected)


def test_chains_and_duration_together() -> None:
    """Whichever bound is reached first ends the run."""
    generator = ChainGenerator(two_steps(), rate=100)
    assert list(generator.events(chains=5, duration=3600)) == list(generator.events(chains=5))
    assert list(generator.events(chains=10**9, duration=2)) == list(generator.events(duration=2))


def test_a_run_repeats() -> None:
    """The same seed and arguments give the same events, again and from another generator; another seed gives others."""
    generator = ChainGenerator(SHIPPED, seed=5)
    first = list(generator.events(chains=50))
    assert list(generator.events(chains=50)) == first
    assert list(ChainGenerator(SHIPPED, seed=5).events(chains=50)) == first
    others = ChainGenerator(SHIPPED, seed=6).events(chains=50)
    assert not {one.event_id for one in others} & {one.event_id for one in first}


def test_more_chains_leave_the_first_ones_as_they_are() -> None:
    """A chain does not depend on how many follow."""
    few, many = (by_chain(list(ChainGenerator(SHIPPED, seed=5).events(chains=n))) for n in (40, 4000))
    assert {name: many[name] for name in few} == few


def test_a_new_payload_field_changes_nothing_else() -> None:
    """Draws are named, so a field more leaves every other byte as it was."""
    fields = (field("a", choices=(1, 2, 3)), field("b", type="integer", minimum=0, maximum=10**6))
    extra = field("new", choices=("x", "y"))
    before = list(ChainGenerator(two_steps(*fields), seed=9).events(chains=100))
    after = list(ChainGenerator(two_steps(fields[0], extra, fields[1]), seed=9).events(chains=100))
    assert any("new" in one.payload for one in after)
    stripped = [one.evolve(payload={k: v for k, v in one.payload.items() if k != "new"}) for one in after]
    assert stripped == before


def test_envelope_fields_are_settings() -> None:
    """Tenant, namespace and start are the caller's."""
    start = datetime(2030, 6, 1, 12, tzinfo=UTC)
    one = next(ChainGenerator(SHIPPED, tenant_id='a "b"', namespace="späť", start=start).events())
    assert (one.tenant_id, one.namespace) == ('a "b"', "späť")
    assert start <= one.timestamp < start + timedelta(seconds=5)
    assert Event.from_bytes(one.to_bytes()) == one


def test_event_ids_carry_the_time() -> None:
    """An id begins with the event's milliseconds (version 7), in the far future too."""
    events = list(ChainGenerator(SHIPPED, start=datetime(2199, 12, 31, 23, 59, 59, tzinfo=UTC)).events(chains=50))
    assert len(events) >= 100
    for one in events:
        assert int(one.event_id.replace("-", "")[:12], 16) == microseconds(one.timestamp) // 1000
        assert one.event_id[14] == "7"


class TestOneChain:
    """`chain()`: one chain for a test."""

    def test_successive_chains_are_those_of_the_run(self) -> None:
        """Without a name, call n gives chain n of the run."""
        run = by_chain(list(ChainGenerator(SHIPPED, seed=2).events(chains=60)))
        generator = ChainGenerator(SHIPPED, seed=2)
        assert [generator.chain() for _ in range(60)] == list(run.values())

    @pytest.mark.parametrize("index", [0, 777, 16_384, 40_000])
    def test_any_chain_can_be_had_alone(self, index: int) -> None:
        """Chain k by its index equals chain k in the run, far beyond the remembered arrivals too."""
        generator = ChainGenerator(two_steps(), seed=2)
        alone = generator.chain(index=index)
        roots = (one for one in generator.events() if one.causation_id is None)
        assert next(islice(roots, index, None)) == alone[0]

    def test_a_name_changes_only_the_kind(self) -> None:
        """A chain asked for by the name it has in the run is the run's chain."""
        generator = ChainGenerator(SHIPPED, seed=2)
        kinds = {c.root: c.name for c in SHIPPED.chains.values()}
        for index in range(30):
            drawn = generator.chain(index=index)
            assert generator.chain(kinds[drawn[0].event_type], index=index) == drawn

    def test_an_index_leaves_the_succession_alone(self) -> None:
        """Asking for a chain by index does not move the chains that successive calls give."""
        one, other = ChainGenerator(SHIPPED), ChainGenerator(SHIPPED)
        one.chain(index=12)
        assert one.chain() == other.chain()

    @pytest.mark.parametrize("outcome", ["completed", "failed"])
    def test_the_outcome_can_be_chosen(self, outcome: str) -> None:
        """Forty chains in a row end as asked for, whatever the weights."""
        generator = ChainGenerator(SHIPPED, seed=7)
        for _ in range(40):
            last = generator.chain("agent-execution", outcome=outcome)[-1]  # type: ignore[arg-type]
            assert last.event_type == f"omninode.agent.execution.{outcome}.v1"

    def test_an_outcome_without_a_name(self) -> None:
        """Only chains that can end like this are chosen from."""
        generator = ChainGenerator(SHIPPED, seed=7)
        assert {generator.chain(outcome="failed")[-1].event_type for _ in range(20)} == {
            "omninode.agent.execution.failed.v1"
        }

    def test_a_chain_that_is_off_can_be_asked_for(self) -> None:
        """A weight of 0 keeps a chain out of runs, not out of reach."""
        events = ChainGenerator(SHIPPED).chain("pattern-discovery")
        assert events[0].event_type == "omninode.pattern.discovery.requested.v1"

    def test_an_impossible_outcome_is_refused(self) -> None:
        """The error names the chain and the outcomes it has."""
        with pytest.raises(ImpossibleChain, match="'vault-read' never ends failed; its outcomes are: completed"):
            ChainGenerator(SHIPPED).chain("vault-read", outcome="failed")
        with pytest.raises(ImpossibleChain, match="no chain"):
            ChainGenerator(two_steps()).chain(outcome="failed")

    def test_an_unknown_name_is_refused(self) -> None:
        """The error lists what there is."""
        with pytest.raises(UnknownName, match=r"no chain 'nope'.*vault-read"):
            ChainGenerator(SHIPPED).chain("nope")


class TestLoops:
    """Chains that could go on for ever."""

    def test_a_loop_ends_in_time(self) -> None:
        """Near `max_steps` only ways that still reach the end are open, and the bound is met exactly."""
        again = chain(
            "loop", state("a", way("a", 1, weight=1e6), way("b")), state("b", way("c")), state("c"), max_steps=9
        )
        chains = by_chain(list(ChainGenerator(catalog_of(again)).events(chains=50)))
        assert len(chains) == 50
        for events in chains.values():
            assert [one.event_type.split(".")[2] for one in events] == ["a"] * 7 + ["b", "c"]

    def test_a_chosen_outcome_ends_in_time_too(self) -> None:
        """With an outcome, the bound leaves the way to that outcome open, not just to any."""
        again = chain(
            "loop",
            state("a", way("a", 1, 1e6), way("b"), way("c")),
            state("b", way("f")),
            state("c"),
            state("f", failed=True),
            max_steps=5,
        )
        generator = ChainGenerator(catalog_of(again))
        assert [one.event_type.split(".")[2] for one in generator.chain(outcome="failed")] == ["a", "a", "a", "b", "f"]

    def test_a_way_of_weight_zero_is_never_taken(self) -> None:
        """Not even when it is the only one that would end in time."""
        stuck = chain("stuck", state("a", way("a"), way("b", weight=0)), state("b"))
        with pytest.raises(ImpossibleChain, match=r"cannot get from 'a' to 'b' within 64 events"):
            ChainGenerator(catalog_of(stuck))

    def test_a_loop_back_to_the_start_is_no_root(self) -> None:
        """The start state entered again has a cause."""
        again = chain("loop", state("a", way("b")), state("b", way("a", weight=9), way("c")), state("c"), max_steps=7)
        chains = by_chain(list(ChainGenerator(catalog_of(again)).events(chains=30)))
        assert len(chains) == 30
        for events in chains.values():
            assert [one.causation_id is None for one in events] == [True] + [False] * (len(events) - 1)


def test_elapsed_is_the_time_since_the_cause() -> None:
    """`duration_ms` equals the whole milliseconds between the two timestamps, of seconds and of days."""
    for delay in (Fixed(value=0.9996), Fixed(value=1234.5678), Fixed(value=86_400_000 * 40)):
        catalog = two_steps(field("duration_ms", type="integer", elapsed=True), delay=delay)
        chains = by_chain(list(ChainGenerator(catalog, rate=100).events(chains=20)))
        assert len(chains) == 20
        for asked, answered in chains.values():
            passed = microseconds(answered.timestamp) - microseconds(asked.timestamp)
            assert answered.payload["duration_ms"] == passed // 1000


class TestRefusals:
    """Bad arguments, each with what was expected."""

    @pytest.mark.parametrize("rate", [0, -1, 1e-9, 1e9, float("nan")])
    def test_rate(self, rate: float) -> None:
        """A rate outside what the clock of nanoseconds can hold is refused."""
        with pytest.raises(InvalidSetting, match="expected a rate"):
            ChainGenerator(SHIPPED, rate=rate)

    @pytest.mark.parametrize(
        "start",
        [
            datetime(2026, 1, 1),
            datetime(1969, 12, 31, tzinfo=UTC),
            datetime(1970, 1, 1, tzinfo=timezone(timedelta(hours=2))),
            datetime(2200, 1, 1, tzinfo=UTC),
        ],
        ids=str,
    )
    def test_start(self, start: datetime) -> None:
        """A start without a zone, before 1970, or beyond what nanoseconds hold is refused."""
        with pytest.raises(InvalidSetting, match="expected a start"):
            ChainGenerator(SHIPPED, start=start)

    def test_numbers(self) -> None:
        """Negative bounds, indices and block sizes are refused."""
        generator = ChainGenerator(SHIPPED)
        with pytest.raises(InvalidSetting, match="at least 0 chains"):
            next(generator.events(chains=-1))
        with pytest.raises(InvalidSetting, match="at least 0 chains"):
            generator.blocks(duration=-1)
        with pytest.raises(InvalidSetting, match="at least 0 chains"):
            generator.blocks(duration=math.nan)
        with pytest.raises(InvalidSetting, match="index"):
            generator.chain(index=-1)
        with pytest.raises(InvalidSetting, match="block"):
            ChainGenerator(SHIPPED, block=0)

    @pytest.mark.parametrize("name", ["tenant_id", "namespace"])
    def test_empty_names(self, name: str) -> None:
        """The schema of an event refuses them, so the generator does."""
        with pytest.raises(InvalidSetting, match="at least one character"):
            ChainGenerator(SHIPPED, **{name: ""})  # type: ignore[arg-type]

    def test_nothing_to_generate(self) -> None:
        """A catalog whose weights are all 0 is refused before anything starts."""
        with pytest.raises(NothingToGenerate):
            ChainGenerator(catalog_of(chain("off", state("a"), weight=0)))

    def test_unknown_sources(self) -> None:
        """A payload that refers to a list or a variable that is not there is refused when compiled."""
        for unknown in (field("a", pick="nowhere"), field("a", var="nothing")):
            with pytest.raises(UnknownName, match=r"no (list|variable)"):
                ChainGenerator(two_steps(unknown))


def test_importing_and_making_events_needs_neither_loop_nor_client() -> None:
    """The first event does not pay for asyncio, pydantic, a Kafka client or Faust."""
    code = "import sys; from eventbus.chains import ChainGenerator; ChainGenerator().chain(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"asyncio", "pydantic", "aiokafka", "faust", "asyncpg"} & set(loaded)


def test_repr_tells_the_run() -> None:
    """The representation names seed, chains and start."""
    start = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    shown = repr(ChainGenerator(two_steps(), seed=7, start=start))
    assert shown == "<ChainGenerator seed=7 chains=1 start=2026-01-01T00:00:00Z>"


def test_constants_with_any_text() -> None:
    """Sources and constants with quotes and letters beyond ASCII are encoded as JSON."""
    catalog = two_steps(field("motto", value='naïve "Bayes" \\ 東京'))
    odd = replace(catalog.events["test.thing.answered.v1"], source='größe "9"')
    generator = ChainGenerator(replace(catalog, events={**catalog.events, odd.name: odd}))
    answered = generator.chain()[-1]
    assert (answered.source, answered.payload["motto"]) == ('größe "9"', 'naïve "Bayes" \\ 東京')


def test_event_types_without_payload() -> None:
    """An empty payload is an empty object."""
    assert [one.payload for one in ChainGenerator(two_steps(), seed=1).chain()] == [{}, {}]
    assert [
        one.payload for one in ChainGenerator(catalog_of(chain("one", state("a")), events=(event("a"),))).chain()
    ] == [{}]


def test_long_texts_are_written_in_small_portions() -> None:
    """Memory is bounded by bytes, not by events: texts of 50 kB are rendered a few at a time, and arrive whole."""
    texts = tuple(letter * 50_000 for letter in "abcdefgh")
    generator = ChainGenerator(two_steps(field("one", choices=texts), field("other", choices=texts)), rate=1000)
    sizes = [len(block.buffer) for block in generator.blocks(chains=300)]
    assert len(sizes) > 1
    assert max(sizes) <= 16 << 20
    for one in generator.events(chains=100):
        assert all(text in texts for text in one.payload.values())
