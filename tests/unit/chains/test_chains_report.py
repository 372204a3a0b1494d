"""The page of `--report`: its numbers are those of the run, and it needs nothing from anywhere."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.chains import ChainGenerator, RunStatistics
from eventbus.chains.pacing.observers import PublishedBatch
from eventbus.chains.pacing.statistics import QUARTER
from eventbus.chains.report.chart import Bar, Chart, duration, number, share, ticks, time_ticks
from eventbus.chains.report.charts import events_over_time
from eventbus.chains.report.page import draw, page
from eventbus.chains.report.run import HOUR, Pace, RunReport, hours_of_day
from eventbus.cli.reporting import expected_chains
from eventbus.event import microseconds
from tests.unit.chains.pages import Page, rows


def report_of(generator: ChainGenerator, hours: float, **more: object) -> RunReport:
    """Of a run in virtual time."""
    summary = generator.summary()
    for block in generator.blocks(duration=hours * 3600):
        summary.add(block.table)
    since = microseconds(generator.start)
    settings: dict[str, object] = {
        "command": "eventbus generate",
        "seed": generator.seed,
        "digest": "d" * 64,
        "summary": summary,
        "seconds": 2.0,
        "since": since,
        "until": since + round(hours * HOUR),
        "expected": expected_chains(generator),
    }
    return RunReport(**(settings | more))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run() -> ChainGenerator:
    return ChainGenerator(seed=3, rate=0.05)


@pytest.fixture(scope="module")
def shown(run: ChainGenerator) -> Page:
    return Page(page(report_of(run, 30, faults={"late": 7, "drop": 12})))


def test_the_headline_is_the_run(run: ChainGenerator, shown: Page) -> None:
    """Events, chains against what was expected, outcomes, faults; seed, time and hash."""
    events = list(run.events(duration=30 * 3600))
    roots = sum(event.causation_id is None for event in events)
    tiles = shown.tiles()
    assert tiles["events"] == f"{len(events):,}"
    assert tiles["events per second"] == f"{len(events) / 2:,.0f} in 2 s"
    assert tiles["chains"] == f"{roots:,} of 5,400 expected"
    ended = [int(tiles[name].split()[0].replace(",", "")) for name in ("completed", "failed")]
    assert sum(ended) == roots
    assert tiles["faults injected"].startswith("19 ")
    assert next(shown.root.all("h1")).text == f"{len(events):,} events of {roots:,} chains"
    assert shown.run() == {
        "command": "eventbus generate",
        "seed": "3",
        "time": "2026-01-01 00:00:00 UTC to 2026-01-02 06:00:00 UTC",
        "SHA-256": "d" * 64,
    }


def test_types_and_shares(run: ChainGenerator, shown: Page) -> None:
    """Every type with its count and its share of all events."""
    counts = Counter(event.event_type for event in run.events(duration=30 * 3600))
    found = {row[0]: row[1:3] for row in rows(shown.section("Event types"))}
    assert found == {name: [f"{n:,}", f"{100 * n / counts.total():.1f} %"] for name, n in counts.items()}


def test_the_day_is_target_against_actual(run: ChainGenerator, shown: Page) -> None:
    """Chains by hour of the day; hours that the run has seen twice count as two."""
    begun = Counter(event.timestamp.hour for event in run.events(duration=30 * 3600) if event.causation_id is None)
    found = rows(shown.section("The day"))
    assert [row[0] for row in found] == [f"{hour:02d}:00" for hour in range(24)]
    assert [row[1] for row in found] == ["2"] * 6 + ["1"] * 18
    assert [int(row[2]) for row in found] == [begun[hour] for hour in range(24)]
    assert {row[3] for row in found} == {"360", "180"}
    assert {row[5] for row in found} == {"180"}


def test_every_chart_has_its_numbers(shown: Page) -> None:
    """Each drawing says what it is, and a table with as many rows as it has bars lies behind it."""
    charts = list(shown.root.all("svg"))
    assert len(charts) >= 4 + 7
    assert all(next(chart.all("title")).text for chart in charts)
    for title in ("Events over time", "The day", "Failures over time"):
        section = shown.section(title)
        bars = [len([bar for bar in chart.all("rect", "bar") if bar.children]) for chart in section.all("svg")]
        assert bars[0] == len(rows(section))
        assert bars[1] in (bars[0], -(-bars[0] // 2))  # a telephone has room for half of them
        has_target = title != "Failures over time"
        assert all(bool(list(chart.all("path", "target"))) == has_target for chart in section.all("svg"))


@pytest.mark.parametrize(
    ("rate", "unit", "seconds"), [(50.0, "second", 1), (0.05, "minute", 60), (0.002, "hour", 3600)]
)
def test_bars_over_time_are_rates(rate: float, unit: str, seconds: int) -> None:
    """Bars times their widths are the events, targets times their widths what was expected, in a readable unit."""
    report = report_of(ChainGenerator(seed=3, rate=rate), 200 / 3600 / rate)
    chart = events_over_time(report)
    assert chart.up == f"events per {unit}"
    assert sum(bar.value * (bar.end - bar.begin) for bar in chart.bars) / seconds == pytest.approx(
        report.summary.events
    )
    wanted = sum((bar.target or 0) * (bar.end - bar.begin) for bar in chart.bars) / seconds
    assert wanted == pytest.approx(200 * report.events_per_chain, rel=0.05)
    assert sum(bar.value for bar in events_over_time(report, bins_per_bar=2).bars) < sum(
        bar.value for bar in chart.bars
    )


def test_the_target_of_a_paced_run_is_in_its_clocks_time(run: ChainGenerator) -> None:
    """At ten times the speed there are ten times as many a second, from the beginning to the end and not beyond."""
    since, began = microseconds(run.start), 1_800_000_000_000_000
    report = report_of(run, 1, pace=Pace(began=began, speed=10.0, statistics=RunStatistics(began=began)))
    second = report.expected_events(began + 7_000_000, began + 8_000_000)
    assert second == pytest.approx(10 * 0.05 * report.events_per_chain)
    assert report.expected_events(began + 359_000_000, began + 999_000_000) == pytest.approx(second)
    assert report.expected_events(began - 9_000_000, began) == 0
    assert report.until == since + HOUR


def test_failures_over_time(shown: Page) -> None:
    """How many of the chains that ended failed, by time; all of them together are those that failed."""
    found = [row[1].replace(",", "").split(" of ") for row in rows(shown.section("Failures over time"))]
    assert sum(int(failed) for failed, _ in found) == int(shown.tiles()["failed"].split()[0])
    assert sum(int(ended) for _, ended in found) == int(shown.tiles()["chains"].split()[0].replace(",", ""))


def test_durations_and_outcomes_by_chain(shown: Page) -> None:
    """A histogram for each chain, whose bars add up to those that have ended."""
    chains = {row[0]: int(row[1].replace(",", "")) for row in rows(shown.section("Chains"))}
    charts = next(shown.section("Durations").all("div", "many"))
    found = {}
    for one in charts.children:
        assert not isinstance(one, str)
        found[next(one.all("h3")).text] = sum(int(row[2].replace(",", "")) for row in rows(one))
    assert found == chains


def test_it_needs_nothing_from_anywhere(shown: Page) -> None:
    """No script, no link, no address but the name of the drawings' language."""
    text = page(report_of(ChainGenerator(), 0.1))
    assert not re.findall(r"<(script|link|img|iframe)|@import|url\(", text)
    assert set(re.findall(r"https?://[^\s\"']+", text)) == {"http://www.w3.org/2000/svg"}
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text


def test_a_paced_run_has_lags_and_sinks() -> None:
    """Lags, late and dropped events, and the account of each sink; counted by the clock."""
    generator = ChainGenerator(seed=3)
    summary, began = generator.summary(), 1_800_000_000_000_000
    block = next(iter(generator.blocks(chains=100)))
    summary.published(PublishedBatch([], block.emitters, block.table, np.full(len(block), 900), began + 500_000))
    statistics = RunStatistics(began=began, late=3, lag_p99_ms=0.9, lag_max_ms=1.5)
    report = RunReport(
        command="eventbus stream", seed=3, digest=None, summary=summary, seconds=1.0,
        since=microseconds(generator.start), until=microseconds(generator.start) + 1_000_000,
        pace=Pace(began=began, speed=1.0, statistics=statistics),
        sinks={"bus": {"accepted": 9, "dead": 0, "failed": 2, "last_error": None, "reasons": {"never sent": 2}}},
    )  # fmt: skip
    shown = Page(page(report))
    assert shown.tiles()["late"] == "3"
    assert shown.tiles()["lag, 99th percentile"] == "900 µs max 1.5 ms"
    assert shown.tiles()["errors of sinks"] == "2"
    assert rows(shown.section("Sinks")) == [["bus", "9", "2", "2 × never sent"]]
    assert rows(shown.section("Lag")) == [["864 µs", "1.02 ms", f"{len(block):,}"]]
    assert "The day" not in shown.titles()


def test_an_empty_run_has_a_page_too() -> None:
    """Nothing has happened, and the page says so."""
    shown = Page(page(report_of(ChainGenerator(seed=3, rate=0.001), 0.0)))
    assert shown.tiles()["events"] == "0"


@given(
    days=st.integers(0, 370), length=st.integers(1, 60), zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"])
)
def test_hours_of_the_day_cover_the_run(days: int, length: int, zone: str) -> None:
    """In every zone, whatever the clocks do there, hours and chains add up to the run's."""
    begin = microseconds(datetime(2026, 1, 1, 0, 10, tzinfo=UTC) + timedelta(days=days))
    end = begin + length * HOUR
    counts = dict.fromkeys(range(begin // QUARTER, -(-end // QUARTER)), 2)
    found = hours_of_day(counts, begin, end, lambda since, until: (until - since) / HOUR, ZoneInfo(zone))
    assert sum(hour.covered for hour in found) == pytest.approx(length)
    assert sum(hour.chains for hour in found) == 2 * len(counts)
    assert all(hour.target == pytest.approx(1.0) for hour in found)


def test_an_hour_that_comes_twice() -> None:
    """On the night when clocks go back, the hour from 2 to 3 is two hours long."""
    begin = microseconds(datetime(2026, 10, 24, 22, tzinfo=UTC))
    found = hours_of_day({}, begin, begin + 25 * HOUR, None, ZoneInfo("Europe/Berlin"))
    assert {hour.hour: hour.covered for hour in found} == {hour: 2.0 if hour == 2 else 1.0 for hour in range(24)}


@given(most=st.floats(1e-6, 1e12))
def test_ticks_are_few_and_reach_the_top(most: float) -> None:
    """Round numbers from 0 to above the highest bar."""
    found = ticks(most)
    assert found[0] == 0
    assert found[-2] < most * (1 + 1e-6)
    assert found[-1] >= most * (1 - 1e-6)
    assert 3 <= len(found) <= 7


@given(seconds=st.floats(1e-3, 1e8))
def test_times_on_an_axis(seconds: float) -> None:
    """Some labels, none of them twice, all in one unit."""
    found = time_ticks(seconds)
    labels = [label for _, label in found]
    assert 1 <= len(found) <= 20
    assert len(set(labels)) == len(labels)
    assert len({label.split()[1] for label in labels[1:]}) <= 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0"), (0.00025, "250 µs"), (0.02, "20 ms"), (5, "5 s"), (90, "1.5 min"), (7200, "2 h"), (3 * 86_400, "3 d")],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    """The largest unit of which there is at least one."""
    assert duration(seconds) == text


def test_numbers_are_readable() -> None:
    """Thousands have commas, small numbers have digits, and nothing has a share of nothing."""
    assert [number(value) for value in (0, 0.25, 12.5, 1200, 2.5e7)] == ["0", "0.25", "12.5", "1,200", "25 M"]
    assert (share(1, 8), share(0, 0)) == ("12.5 %", "–")


def test_names_are_escaped() -> None:
    """A name cannot break out of an element or an attribute."""
    report = report_of(ChainGenerator(), 0.1, command='eventbus "<script>"', faults={"<b>": 1})
    text = page(report)
    assert "<script>" not in text
    assert "<b>" not in text
    chart = Chart(title="<i>", up="&", across="a", bars=[Bar(0, 1, 1, "<u>")], marks=[])
    assert "<title>&lt;i&gt;</title>" in draw(chart, 360, 240)
    assert "<u>" not in draw(chart, 360, 240)


def test_labels_do_not_overlap() -> None:
    """On a narrow drawing some labels are left out."""
    marks = [(float(hour), str(1_000_000 + hour)) for hour in range(24)]
    chart = Chart(title="t", up="u", across="a", bars=[Bar(0, 24, 1, "x")], marks=marks)
    places = [float(x) for x in re.findall(r'class="x(?: end)?" x="([0-9.]+)"', draw(chart, 360, 240))]
    assert len(places) >= 3
    assert all(second - first >= 7 * 7 for first, second in pairwise(places))
