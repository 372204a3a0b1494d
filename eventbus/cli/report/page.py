"""The page: what matters first, then a section for everything that is counted. It needs nothing from anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files

from eventbus.cli.report import sections
from eventbus.cli.report.charts import by_hour, over_time
from eventbus.cli.report.facts import Facts
from eventbus.cli.report.hours import hours_of_day
from eventbus.cli.report.markup import Markup, joined, tag
from eventbus.cli.report.scale import duration, number, share


def page(facts: Facts) -> str:
    """The report as HTML."""
    noun = sections.noun_of(facts)
    title = f"{facts.census.events:,} events, seed {facts.seed}"
    return "<!doctype html>\n" + tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("title", title),
            tag("style", style("colours.css", "style.css", "chart.css")),
        ),
        tag(
            "body",
            tag("header", tag("h1", f"{facts.census.events:,} events of {_begun(facts):,} {noun}"), _run(facts)),
            tag("dl", *_tiles(facts, noun), class_="tiles"),
            sections.time_section(facts),
            sections.hours_section(facts),
            sections.chains_section(facts),
            sections.failures_section(facts),
            sections.types_section(facts),
            sections.durations_section(facts),
            sections.lag_section(facts),
            sections.faults_section(facts),
            sections.sinks_section(facts),
            tag("footer", f"Made by eventbus-mock {version('eventbus-mock')}."),
        ),
        lang="en",
    )


def picture(facts: Facts) -> str:
    """The chart of the day as a file of its own; of events over time for a run that has seen one hour only."""
    hours = hours_of_day(facts)
    chart = over_time(facts) if len(hours) < 2 else by_hour(facts, hours, sections.noun_of(facts))
    return chart.svg(*sections.WIDE, style=style("colours.css", "chart.css")) + "\n"


def style(*names: str) -> Markup:
    """Style sheets, to stand inside a document."""
    return Markup("".join((files("eventbus.cli.report") / name).read_text() for name in names))


def _run(facts: Facts) -> Markup:
    """What names the run."""
    lines = {
        "command": tag("code", facts.command),
        "seed": tag("code", str(facts.seed)),
        "time": f"{_instant(facts.since)} to {_instant(facts.until)}",
        "SHA-256": tag("code", facts.digest) if facts.digest else "–",
    }
    return tag("dl", *(joined(tag("dt", name), tag("dd", text)) for name, text in lines.items()), class_="run")


def _tiles(facts: Facts, noun: str) -> Iterator[Markup]:
    """The figures that one looks for first."""
    events, outcomes, begun = facts.census.events, facts.census.outcomes(), _begun(facts)
    yield tile("events", f"{events:,}")
    yield tile(
        "events per second", number(events / facts.seconds) if facts.seconds else "–", f"in {duration(facts.seconds)}"
    )
    yield tile(noun, f"{begun:,}", _of_expected(facts))
    for outcome, count in outcomes.most_common():
        yield tile(outcome, f"{count:,}", share(count, outcomes.total()))
    active = sum(chain.active for chain in facts.census.chains().values())
    if active:
        yield tile("active", f"{active:,}")
    if facts.pace:
        yield from _pace_tiles(facts)
    if facts.faults:
        yield tile("faults injected", f"{sum(facts.faults.values()):,}", share(sum(facts.faults.values()), events))
    if facts.sinks:
        lost = sum(int(sink.get(what, 0)) for sink in facts.sinks.values() for what in ("dead", "failed", "dropped"))
        yield tile("errors of sinks", f"{lost:,}", bad=lost > 0)


def _pace_tiles(facts: Facts) -> Iterator[Markup]:
    assert facts.pace is not None
    run = facts.pace.statistics
    if facts.census.lags.bars():
        yield tile("lag, 99th percentile", duration(run.lag_p99_ms / 1000), f"max {duration(run.lag_max_ms / 1000)}")
    yield tile("late", f"{run.late:,}", bad=run.late > 0)
    yield tile("dropped", f"{run.dropped:,}", bad=run.dropped > 0)


def tile(name: str, value: str, beside: str = "", *, bad: bool = False) -> Markup:
    text = joined(value, " ", tag("small", beside)) if beside else value
    return tag("div", tag("dt", name), tag("dd", text), class_="bad" if bad else None)


def _of_expected(facts: Facts) -> str:
    if facts.expected is None:
        return ""
    return f"of {number(round(facts.expected(facts.since, facts.until)))} expected"


def _begun(facts: Facts) -> int:
    return sum(chain.begun for chain in facts.census.chains().values())


def _instant(time: int) -> str:
    return f"{datetime.fromtimestamp(time / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC"
