"""Users are persons: no user is in two sessions at once, and the users of a scenario are as many as it says."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.catalog import Catalog, InvalidCatalog, Uniform
from eventbus.catalog.model import Behaviour, ClosedWorkload, OpenWorkload, Range, Spacing, Tenants, short_name
from eventbus.catalog.model.workload import Arrivals, ConstantRate, Phase, Stage, Stages
from eventbus.chains import ChainGenerator

VISITORS = Catalog.default().only("visitor-session")
BRIEF = VISITORS.with_visitors(behaviour=Behaviour(session_duration=Range(5, 60), time_per_page=Range(1, 20)))
SPACINGS = [Spacing(name="poisson"), Spacing(name="regular"), Spacing(name="even"), Spacing(name="gamma", cv=3)]
ARRIVALS = st.one_of(
    st.builds(
        lambda rate, spacing: OpenWorkload(rate=ConstantRate(rate=rate), spacing=spacing),
        st.sampled_from([0.01, 0.9, 7, 30]),
        st.sampled_from(SPACINGS),
    ),
    st.builds(
        lambda peak, spacing: OpenWorkload(
            rate=Stages(stages=(Stage(duration=20, begin=0.1, end=peak), Stage(duration=30, begin=peak, end=peak))),
            spacing=spacing,
        ),
        st.sampled_from([2, 12, 40]),
        st.sampled_from(SPACINGS),
    ),
    st.builds(
        lambda users, think: ClosedWorkload(users=users, think=Uniform(minimum=0, maximum=think)),
        st.integers(1, 60),
        st.sampled_from([1, 5000]),
    ),
)


def visits(generator: ChainGenerator, **bounds: float) -> dict[str, list[tuple[datetime, datetime]]]:
    """When each user's sessions begin and end, in order."""
    spans: dict[str, dict[str, list[datetime]]] = defaultdict(lambda: defaultdict(list))
    for event in generator.events(**bounds):  # type: ignore[arg-type]
        if short_name(event.event_type) in {"session_created", "session_ended"}:
            spans[event.payload["user_id"]][event.correlation_id].append(event.timestamp)
    return {user: sorted((min(span), max(span)) for span in of_user.values()) for user, of_user in spans.items()}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), arrivals=ARRIVALS, tenants=st.sampled_from([None, Tenants(count=5)]))
def test_no_user_is_in_two_sessions_at_once(seed: int, arrivals: Arrivals, tenants: Tenants | None) -> None:
    """At any rate, in the open model and in the closed one, in bursts, and whoever they belong to."""
    generator = ChainGenerator(BRIEF, seed=seed, arrivals=arrivals, tenants=tenants)
    users = visits(generator, chains=300)
    assert 0 < sum(map(len, users.values())) <= 300
    for user, spans in users.items():
        for (_, ended), (created, _) in pairwise(spans):
            assert ended < created, user


def test_sessions_that_a_phase_slows_down_do_not_overlap_either() -> None:
    """A session may then last several times as long."""
    phases = [Phase(at=0, delay=5)]
    arrivals = OpenWorkload(rate=ConstantRate(rate=5))
    users = visits(ChainGenerator(BRIEF, seed=4, arrivals=arrivals, phases=phases), chains=3000)
    assert max(map(len, users.values())) > 1
    assert all(ended < created for spans in users.values() for (_, ended), (created, _) in pairwise(spans))


@pytest.mark.parametrize("count", [1, 10, 100])
def test_as_many_users_are_as_many_persons(count: int) -> None:
    """`num_users: 10` means ten persons, who come back, each with one device."""
    generator = ChainGenerator.from_scenario("normal", seed=3, arrivals=ClosedWorkload(users=count))
    devices = defaultdict(set)
    for event in generator.events(chains=count * 5):
        if "user_agent" in event.payload:
            devices[event.payload["user_id"]].add(event.payload["user_agent"])
    assert set(devices) == {f"user-{number}" for number in range(1, count + 1)}
    assert {len(agents) for agents in devices.values()} == {1}


def test_the_pool_of_users_grows_with_the_rate_and_some_return_more_often() -> None:
    """There are about 2,000 users, or as many as the sessions that may be open need; the first of them come most."""
    few = visits(ChainGenerator(BRIEF, seed=3, arrivals=OpenWorkload(rate=ConstantRate(rate=0.1))), chains=4000)
    counts = Counter({user: len(spans) for user, spans in few.items()})
    assert all(1 <= int(user.removeprefix("user-")) <= 2000 for user in counts)
    assert sum(count for _, count in counts.most_common(40)) > 4000 * 0.15
    many = visits(ChainGenerator(BRIEF, seed=3, arrivals=OpenWorkload(rate=ConstantRate(rate=100))), chains=12_000)
    assert 6000 < len(many) < 8000  # 60 s × 100 sessions a second, and some


def test_a_person_is_known_from_the_event_alone() -> None:
    """Whether a session is made in its run or by itself, its user is the same."""
    generator = ChainGenerator(BRIEF, seed=9, arrivals=OpenWorkload(rate=ConstantRate(rate=5)))
    roots = [event for event in generator.events(chains=300) if short_name(event.event_type) == "session_created"]
    for index in (0, 17, 299):
        assert generator.chain(index=index)[0] == roots[index]
    since = generator.start + timedelta(seconds=30)
    part = [block.lines() for block in generator.window(since, since + timedelta(seconds=5), chains=300)]
    assert part
    whole = {line for lines in generator.lines(chains=300) for line in lines}
    assert {line for lines in part for texts in lines for line in texts} <= whole


@pytest.mark.parametrize(
    ("variable", "problem"),
    [
        ("user: {list: device, exclusive: true}", "exclusive requires a range"),
        ("user: {min: 1, max: 9, exclusive: true}", "expected a chain with `visitors`"),
    ],
)
def test_only_numbers_of_sessions_are_exclusive(variable: str, problem: str, tmp_path: object) -> None:
    """Other chains have no longest duration, and items of lists are no persons."""
    text = f"""
domain: omninode.mine
lists: {{device: [a, b]}}
events:
  omninode.mine.thing.done.v1: {{source: mine, payload: {{x: {{type: string, value: y}}}}}}
chains:
  things:
    weight: 1
    variables:
      {variable}
    start: done
    states:
      done: {{emits: omninode.mine.thing.done.v1, outcome: completed}}
"""
    path = tmp_path / "mine.yaml"  # type: ignore[operator]
    path.write_text(text)
    with pytest.raises(InvalidCatalog, match=problem):
        Catalog.load(path)
