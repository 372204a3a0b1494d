"""The options that say when chains begin, as a user gives them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eventbus.catalog import Fixed, Uniform
from eventbus.catalog.model import Arrivals, ClosedWorkload, ConstantRate, OpenWorkload, Spacing, Stage, Stages
from eventbus.catalog.reading.arrivals import load_profile
from eventbus.chains import ChainGenerator
from eventbus.cli import cli
from eventbus.event import Event


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def roots(*arguments: str) -> list[Event]:
    """The first events of the chains that `generate` makes."""
    result = run("generate", *arguments)
    assert result.exit_code == 0, result.output
    events = [Event.from_bytes(line) for line in result.stdout_bytes.splitlines()]
    return [event for event in events if event.causation_id is None]


STAGES = Stages(stages=(Stage(duration=5, begin=10, end=10), Stage(duration=60, begin=10, end=50)))

OPTIONS: dict[str, Arrivals] = {
    "--rate 20 --spacing even": OpenWorkload(rate=ConstantRate(rate=20), spacing=Spacing(name="even")),
    "--spacing gamma:2.5": OpenWorkload(rate=ConstantRate(rate=10), spacing=Spacing(name="gamma", cv=2.5)),
    "--stages 10/s:5s,600-3000/min:1m": OpenWorkload(rate=STAGES),
    "--stages 1:1s,repeat": OpenWorkload(rate=Stages(stages=(Stage(duration=1, begin=1, end=1),), repeat=True)),
    "--profile visitors --spacing regular": OpenWorkload(
        rate=load_profile("visitors"), spacing=Spacing(name="regular")
    ),
    "--users 4 --think 500ms --stagger 1m": ClosedWorkload(users=4, think=Fixed(value=500), ramp_up=60),
    "--users 4 --think 2s..15s": ClosedWorkload(users=4, think=Uniform(minimum=2000, maximum=15_000)),
    "--users 4": ClosedWorkload(users=4),
}


@pytest.mark.parametrize("options", OPTIONS)
def test_options_mean_what_the_section_means(options: str) -> None:
    """The same bytes as with the model, from Python."""
    model = ChainGenerator(arrivals=OPTIONS[options])
    expected = b"".join(bytes(block.buffer) for block in model.blocks(chains=40))
    assert run("generate", "--chains", "40", *options.split()).stdout_bytes == expected


def test_a_day_of_visitors() -> None:
    """By their own clock, with as many in an hour as the profile says."""
    begins = roots(*["--profile", "visitors", "--time-zone", "Asia/Tokyo", "--spacing", "even", "--duration", "24h"])
    hours = Counter((event.timestamp.hour + 9) % 24 for event in begins)
    assert tuple(hours[hour] for hour in range(24)) == load_profile("visitors").hours[0]


def test_a_profile_of_ones_own(tmp_path: Path) -> None:
    """A file; `--per-day` gives the total."""
    file = tmp_path / "mine.yaml"
    file.write_text(f"hours: {[0] * 12 + [1] * 12}\n", encoding="utf-8")
    begins = roots("--profile", str(file), "--per-day", "500", "--spacing", "even", "--duration", "1d")
    assert len(begins) == 500
    assert begins[0].timestamp >= datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_stages_end_a_run() -> None:
    """Without another bound it is as long as they are."""
    begins = roots(*["--stages", "10/s:30s,10-0/s:10s", "--spacing", "regular"])
    assert len(begins) in (349, 350)


def test_an_event_is_explained_with_the_arguments_of_its_run() -> None:
    """And only with them."""
    options = ["--profile", "office", "--per-day", "100000", "--spacing", "gamma:2"]
    event = roots(*options)[50]
    assert "in chain 50," in run("explain", str(event.event_id), *options).output
    assert run("explain", str(event.event_id)).exit_code == 1


BAD = {
    "--users 10 --profile visitors": "expected one of --rate, --stages, --profile, --users, got --profile, --users",
    "--rate 5 --users 10": "expected one of --rate, --stages, --profile, --users, got --rate, --users",
    "--think 1s": "--think needs --users",
    "--time-zone UTC": "--time-zone needs --profile",
    "--users 3 --spacing even": "--spacing cannot be combined with --users",
    "--users 3 --think 2": "expected a number with a unit",
    "--stages 10": "expected stages such as 10/s:5m",
    "--stages repeat": "expected at least one stage with a rate above 0",
    "--stages 0/s:5m": "expected at least one stage with a rate above 0",
    "--stages 10/year:5m": "expected stages such as 10/s:5m",
    "--spacing gamma": "expected poisson, regular, even or gamma:CV such as gamma:3, got 'gamma'",
    "--spacing gamma:99": "expected a coefficient of variation of 0.1 to 10, got 99",
    "--profile visitors --time-zone Mars/Base": "expected a time zone such as Europe/Berlin, got 'Mars/Base'",
}


@pytest.mark.parametrize("options", BAD)
def test_what_makes_no_sense_is_wrong_usage(options: str) -> None:
    """One sentence; exit code 2."""
    result = run("generate", *options.split())
    assert result.exit_code == 2
    assert BAD[options] in " ".join(result.output.split())


def test_an_unknown_profile() -> None:
    """The known ones are listed."""
    result = run("generate", "--profile", "nobody")
    assert result.exit_code == 2
    assert "expected a profile (office, visitors) or a file, got 'nobody'" in result.output
