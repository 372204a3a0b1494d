"""A number of users makes as many events per second as a scenario asks for, by scaling time."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from eventbus.catalog import Catalog, InvalidScenario, Scenario
from eventbus.catalog.model import ClosedWorkload, OpenWorkload
from eventbus.catalog.model.workload import ConstantRate
from eventbus.chains import ChainGenerator, InvalidSetting
from eventbus.chains.repeat import RepeatedRun
from eventbus.cli import cli

PROMISED = {10: 17.5, 50: 87.5, 100: 175, 500: 875}
"""Events per second by users: the middle of 15–20, 75–100, 150–200 and 750–1,000, in the guide's page on scenarios."""


def scenario(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return str(path)


def measured(generator: ChainGenerator, seconds: int) -> float:
    """Events per second after a tenth of the time, in which users begin."""
    since = generator.start + timedelta(seconds=seconds / 10)
    return sum(map(len, generator.window(since, duration=seconds))) / (seconds * 0.9)


@pytest.mark.parametrize("users", PROMISED)
def test_users_make_the_events_per_second_that_were_promised(tmp_path: Path, users: int) -> None:
    """Within a few per cent, whatever the seed."""
    path = scenario(tmp_path, f"num_users: {users}\nevents_per_second: {PROMISED[users]}\n")
    generator = ChainGenerator.from_scenario(path, seed=users)
    assert measured(generator, 200_000 // (10 * users)) == pytest.approx(PROMISED[users], rel=0.05)


@pytest.mark.parametrize("rate", [0.3, 1.3, 400])
def test_any_rate_can_be_asked_for(rate: float) -> None:
    """Slower than the behaviour of ten users makes, as fast, and much faster."""
    generator = ChainGenerator.from_scenario("normal", arrivals=ClosedWorkload(users=10), events_per_second=rate)
    assert measured(generator, round(8000 / rate)) == pytest.approx(rate, rel=0.08)
    assert generator.throughput() == pytest.approx(rate, rel=0.05)


def test_all_times_of_visitors_shrink_by_one_factor() -> None:
    """Sessions have as many pages and clicks as before, in a tenth of the time."""
    users = ClosedWorkload(users=20)
    natural = ChainGenerator.from_scenario("normal", seed=3, arrivals=users)
    factor = 10
    rate = (natural.throughput() or 0) * factor
    faster = ChainGenerator.from_scenario("normal", seed=3, arrivals=users, events_per_second=rate)
    before, after = (list(generator.events(chains=200)) for generator in (natural, faster))
    assert len(after) == pytest.approx(len(before), rel=0.06)
    lengths = [
        sum(event.payload["duration_ms"] for event in events if event.event_type.endswith("session.ended.v1"))
        for events in (before, after)
    ]
    assert lengths[0] / lengths[1] == pytest.approx(factor, rel=0.1)


def test_without_it_a_sentence_says_what_to_expect(tmp_path: Path) -> None:
    """The figure is that of the model, and the sentence says what would change it."""
    runner, path = CliRunner(), scenario(tmp_path, "num_users: 10\nduration_seconds: 5")
    said = runner.invoke(cli, ["generate", "--scenario", path]).stderr
    expected = ChainGenerator.from_scenario(path).throughput()
    assert expected == pytest.approx(measured(ChainGenerator.from_scenario(path), 20_000), rel=0.05)
    assert f"note: 10 users make about {expected:.2g} events/s; simulation.events_per_second: 18 would scale" in said
    quiet = runner.invoke(cli, ["generate", "--scenario", path, "--set", "simulation.events_per_second=18"])
    assert quiet.exit_code == 0
    assert "events/s;" not in quiet.stderr
    assert "events/s;" not in runner.invoke(cli, ["generate", "--scenario", "omninode", "--chains", "1"]).stderr


def test_a_run_with_scaled_times_is_repeated_from_its_ledger() -> None:
    """The rate is one of the arguments that make a run."""
    ledger = io.BytesIO()
    generator = ChainGenerator.from_scenario("normal", seed=3, events_per_second=40)
    lines = [
        line
        for block in generator.injector((), ledger, duration=20).blocks(generator.blocks(duration=20))
        for line in block.lines()
    ]
    assert len(lines) > 500
    repeated = RepeatedRun(ledger.getvalue().splitlines(keepends=True), generator.catalog)
    assert [line for block in repeated.blocks() for texts in block.lines() for line in texts] == lines


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("events_per_second: 20", "expected num_users as well"),
        ("profile: visitors\nevents_per_second: 20", "expected num_users as well"),
        ("num_users: 5\nevents_per_second: 0", "expected above 0"),
        ("num_users: 5\nevents_per_second: 9\nhuman_like_delays: no", "expected true where events_per_second scales"),
    ],
)
def test_a_rate_that_cannot_be_meant_is_a_mistake(tmp_path: Path, text: str, problem: str) -> None:
    """With the line, like all others."""
    with pytest.raises(InvalidScenario, match=problem):
        Scenario.load(scenario(tmp_path, text))


@pytest.mark.parametrize(
    ("rate", "problem"), [(1e9, "expected at most about"), (1e-5, "expected at least"), (-1.0, "above 0, got -1")]
)
def test_a_rate_that_no_factor_gives_is_refused(rate: float, problem: str) -> None:
    """Nothing runs at another rate than the one that was asked for."""
    with pytest.raises(InvalidSetting, match=problem):
        ChainGenerator.from_scenario("normal", arrivals=ClosedWorkload(users=10), events_per_second=rate)


def test_only_users_who_are_visitors_have_a_rate_to_scale_to() -> None:
    """In the open model the arrivals say how much happens."""
    for arrivals, catalog in (
        (OpenWorkload(rate=ConstantRate(rate=3)), Catalog.default().only("visitor-session")),
        (ClosedWorkload(users=3), Catalog.default().only("agent-execution")),
    ):
        with pytest.raises(InvalidSetting, match="expected visitors and a number of users"):
            ChainGenerator(catalog, arrivals=arrivals, events_per_second=10)
