"""Runs whose chains begin as a model says: the same bytes however they are made, and users who wait for themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.catalog import Catalog, Fixed, Uniform
from eventbus.catalog.model import (
    Arrivals,
    ClosedWorkload,
    ConstantRate,
    OpenWorkload,
    Phase,
    Profile,
    Spacing,
    Stage,
    Stages,
)
from eventbus.catalog.reading.arrivals import load_profile
from eventbus.chains import ChainGenerator, InvalidSetting
from eventbus.event import Event, microseconds
from tests.unit.chains.catalogs import catalog_of, catalogs, chain, state, two_steps, way

START = datetime(2026, 3, 29, tzinfo=UTC)
BERLIN = Profile(hours=load_profile("visitors").hours, per_day=50_000, time_zone="Europe/Berlin")
STAGES = (
    Stage(duration=30, begin=0, end=50),
    Stage(duration=60, begin=50, end=50),
    Stage(duration=30, begin=50, end=0),
)

MODELS: dict[str, Arrivals] = {
    "gamma": OpenWorkload(rate=ConstantRate(rate=100), spacing=Spacing(name="gamma", cv=3)),
    "even": OpenWorkload(rate=ConstantRate(rate=100), spacing=Spacing(name="even")),
    "stages": OpenWorkload(rate=Stages(stages=STAGES)),
    "repeated": OpenWorkload(rate=Stages(stages=STAGES, repeat=True), spacing=Spacing(name="regular")),
    "profile": OpenWorkload(rate=BERLIN),
    "users": ClosedWorkload(users=7, think=Uniform(minimum=0, maximum=500), ramp_up=3),
    "one-user": ClosedWorkload(users=1, think=Fixed(value=0)),
}


def text(model: Arrivals, *, chains: int = 600, block: int | None = None, workers: int = 1, seed: int = 3) -> bytes:
    generator = ChainGenerator(seed=seed, start=START, arrivals=model, block=block)
    return b"".join(bytes(one.buffer) for one in generator.blocks(chains=chains, workers=workers))


def by_chain(events: Sequence[Event]) -> list[list[Event]]:
    """Chains in the order in which they begin."""
    chains: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        chains[str(event.correlation_id)].append(event)
    return list(chains.values())


@pytest.mark.parametrize("name", MODELS)
def test_the_same_bytes_however_they_are_made(name: str) -> None:
    """Chains in blocks of any size, and by two workers."""
    whole = text(MODELS[name])
    assert whole == text(MODELS[name], block=1)
    assert whole == text(MODELS[name], block=97)
    assert whole == text(MODELS[name], workers=2)
    assert whole != text(MODELS[name], seed=4)


@pytest.mark.parametrize("name", MODELS)
def test_events_come_in_order(name: str) -> None:
    """Of time, as in any run."""
    generator = ChainGenerator(start=START, arrivals=MODELS[name])
    times = [event.timestamp for event in generator.events(chains=600)]
    assert times == sorted(times)


@pytest.mark.parametrize("name", MODELS)
def test_a_part_is_the_same_as_in_the_run(name: str) -> None:
    """A window, one chain by its index, and the chain of an event id."""
    generator = ChainGenerator(start=START, arrivals=MODELS[name])
    whole = list(generator.events(chains=600))
    since, until = whole[len(whole) // 3].timestamp, whole[len(whole) // 2].timestamp
    window = [line for one in generator.window(since, until, chains=600) for line in bytes(one.buffer).splitlines()]
    inside = [event for event in whole if since <= event.timestamp < until]
    assert [Event.from_bytes(line) for line in window] == inside
    explained = generator.explain(str(inside[0].event_id))
    assert inside[0] in generator.chain(index=explained.index)
    assert [step.event for step in explained.path] == [e for e in whole if e.correlation_id == inside[0].correlation_id]


def test_a_constant_rate_is_what_it_was() -> None:
    """The short form and the model give the same bytes."""
    short = ChainGenerator(rate=25, start=START).blocks(chains=50)
    long = ChainGenerator(arrivals=OpenWorkload(rate=ConstantRate(rate=25)), start=START).blocks(chains=50)
    assert [bytes(one.buffer) for one in short] == [bytes(one.buffer) for one in long]


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("gamma", "27e235e02887e093"),
        ("even", "de56ce64990c916e"),
        ("repeated", "d54b567f7dd886a1"),
        ("profile", "7aced5902b59604a"),
        ("users", "2857272c24fdad65"),
    ],
)
def test_the_bytes_of_a_seed_stay(name: str, digest: str) -> None:
    """On every machine, in every version."""
    generator = ChainGenerator(two_steps(delay=Uniform(minimum=1, maximum=900)), start=START, arrivals=MODELS[name])
    assert sha256(b"".join(bytes(one.buffer) for one in generator.blocks(chains=500))).hexdigest()[:16] == digest


def test_a_run_of_stages_ends_by_itself() -> None:
    """After the last stage, with as many chains as the rates say."""
    generator = ChainGenerator(two_steps(), start=START, arrivals=MODELS["stages"])
    chains = by_chain(list(generator.events()))
    assert len(chains) == pytest.approx(4500, abs=4 * 67)
    assert chains[-1][0].timestamp < START + timedelta(minutes=2)
    assert len(generator.chain(index=len(chains) - 1)) == 2
    with pytest.raises(InvalidSetting, match="the arrivals end before chain 9,999 begins"):
        generator.alone(9999)


def test_bad_arrivals_are_refused() -> None:
    """With the sentence that a file would get."""
    with pytest.raises(InvalidSetting, match=r"arrivals: stages\[0\].duration: expected a duration of a millisecond"):
        ChainGenerator(arrivals=OpenWorkload(rate=Stages(stages=(Stage(duration=-1, begin=1, end=1),))))
    with pytest.raises(InvalidSetting, match="arrivals: users: expected 1 to 1,000,000 users, got 0"):
        ChainGenerator(arrivals=ClosedWorkload(users=0))


class TestExpected:
    def test_chains_between_two_times(self) -> None:
        """As many as the profile says; none before the start."""
        generator = ChainGenerator(two_steps(), start=START, arrivals=OpenWorkload(rate=load_profile("visitors")))
        noon = START + timedelta(hours=12)
        assert generator.expected(noon, noon + timedelta(hours=1)) == pytest.approx(20)
        assert generator.expected(START - timedelta(days=1), START + timedelta(days=2)) == pytest.approx(2 * 221)

    def test_of_a_constant_rate(self) -> None:
        """The short form, too."""
        assert ChainGenerator(two_steps(), rate=5).expected(START, START + timedelta(seconds=10)) == pytest.approx(50)

    def test_of_users_it_is_an_estimate(self) -> None:
        """From the lengths of some chains and thoughts."""
        users = ClosedWorkload(users=20, think=Uniform(minimum=0, maximum=4000), ramp_up=10)
        generator = ChainGenerator(two_steps(), start=START, arrivals=users)
        chains = by_chain(list(generator.events(duration=300)))
        assert generator.expected(START, START + timedelta(seconds=300)) == pytest.approx(len(chains), rel=0.05)

    def test_a_time_needs_a_zone(self) -> None:
        """Else nobody knows when it is."""
        with pytest.raises(InvalidSetting, match="with a zone"):
            ChainGenerator(two_steps()).expected(datetime(2026, 1, 1), START)


class TestUsers:
    @given(catalog=catalogs(), users=st.integers(1, 9), block=st.integers(1, 50), think=st.integers(0, 3000))
    @settings(max_examples=25, deadline=None)
    def test_each_has_one_chain_at_a_time(self, catalog: Catalog, users: int, block: int, think: int) -> None:
        """Chain n of a user begins when the one before has ended and the user has thought; indices go round."""
        model = ClosedWorkload(users=users, think=Fixed(value=think), ramp_up=2)
        generator = ChainGenerator(catalog, start=START, arrivals=model, block=block)
        tables = [one.table for one in generator.blocks(chains=60)]
        spans: dict[int, list[int]] = defaultdict(list)
        for table in tables:
            for index, time in zip(table.chain.tolist(), table.time.tolist(), strict=True):
                spans[index].append(time)
        assert sorted(spans) == list(range(60))
        for index, times in spans.items():
            if index < users:
                assert times[0] == microseconds(START) + index * 2_000_000 // users
            else:
                assert times[0] == spans[index - users][-1] + max(think * 1000, 1)

    def test_a_duration_ends_the_turns(self) -> None:
        """Nobody begins after it; chains in flight run to their end."""
        generator = ChainGenerator(
            two_steps(delay=1000), start=START, arrivals=ClosedWorkload(users=3, think=Fixed(value=500))
        )
        chains = by_chain(list(generator.events(duration=10)))
        assert len(chains) == 3 * 7
        assert max(one[0].timestamp for one in chains) == START + timedelta(seconds=9)

    def test_chains_without_any_length_come_to_an_end(self) -> None:
        """A microsecond lies between two of them at least."""
        generator = ChainGenerator(
            two_steps(delay=0), start=START, arrivals=ClosedWorkload(users=1, think=Fixed(value=0))
        )
        assert len(list(generator.events(duration=0.001))) == 2 * 1000

    def test_what_takes_longer_for_a_while_delays_the_next(self) -> None:
        """A phase that begins in the middle of the run counts from when a chain really begins."""
        model = ClosedWorkload(users=2, think=Fixed(value=0))
        phases = [Phase(at=5, delay=10), Phase(at=40)]
        for block in (1, 3, 1000):  # made one by one, and many ahead
            generator = ChainGenerator(two_steps(delay=1000), start=START, arrivals=model, phases=phases, block=block)
            chains = by_chain(list(generator.events(chains=24)))
            lengths = [(one[1].timestamp - one[0].timestamp).total_seconds() for one in chains]
            assert lengths == [1.0] * 10 + [10.0] * 8 + [1.0] * 6

    def test_nobody_gets_far_ahead(self) -> None:
        """What is made and not yet complete stays small: memory is flat, however uneven the chains are."""
        slow = chain("slow", state("a", way("b", 60_000)), state("b"), weight=1)
        quick = chain("quick", state("c", way("d", 1)), state("d"), weight=9)
        generator = ChainGenerator(
            catalog_of(slow, quick), start=START, arrivals=ClosedWorkload(users=50, think=Fixed(value=10)), block=100
        )
        sizes = [len(block) for block in generator.blocks(chains=40_000)]
        assert len(sizes) > 20
        assert max(sizes) < 3000


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.07])
def test_chains_may_be_rare(rate: float) -> None:
    """One chain in 1,000 s is the lowest rate of a Poisson process."""
    generator = ChainGenerator(rate=rate, seed=3)
    begins = [event.timestamp for event in generator.events(chains=400) if event.causation_id is None]
    assert (max(begins) - generator.start).total_seconds() * rate == pytest.approx(400, rel=0.2)
