"""The sections of a page: what is drawn, and a table behind each drawing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eventbus.chains.pacing.summary import ABANDONED, FAILED, ChainCounts
from eventbus.cli.report.chart import Chart
from eventbus.cli.report.charts import by_hour, distribution, failures, over_time
from eventbus.cli.report.facts import Facts
from eventbus.cli.report.hours import Hour, hours_of_day
from eventbus.cli.report.markup import Markup, joined, tag
from eventbus.cli.report.scale import duration, number, share

OUTCOMES = ("completed", "failed", ABANDONED)
WIDE, NARROW, SMALL = (860.0, 290.0), (360.0, 240.0), (320.0, 170.0)
"""Pixels of a chart: on a desk, on a telephone, and among many."""

MANY = 64
"""Bars on a telephone."""

Row = Sequence[str]


def noun_of(facts: Facts) -> str:
    """What chains are called: sessions when there are visitors."""
    return "sessions" if any(chain.is_session for chain in facts.census.chains().values()) else "chains"


def time_section(facts: Facts) -> Markup:
    """Events per second."""
    chart = over_time(facts)
    rows = [(duration(bar.begin), *_against(bar.value, bar.target)) for bar in chart.bars]
    narrow = over_time(facts, together=1 if len(chart.bars) <= MANY else 2)
    return section("Events over time", drawn(chart, narrow), data(("from", chart.up, "target"), rows))


def hours_section(facts: Facts) -> Markup:
    """The day's profile; nothing for a run that has seen one hour only."""
    hours, noun = hours_of_day(facts), noun_of(facts)
    if len(hours) < 2:
        return joined()
    chart = by_hour(facts, hours, noun)
    rows = [_hour(hour) for hour in hours]
    table = data(("hour", "hours in the run", noun, "expected", "per hour", "target"), rows)
    return section("The day", drawn(chart), table)


def failures_section(facts: Facts) -> Markup:
    """When chains failed, if any did."""
    counts = facts.census.over_time.counts
    if not counts[FAILED].any():
        return joined()
    chart = failures(facts)
    narrow = failures(facts, together=1 if len(chart.bars) <= MANY else 2)
    rows = [(duration(bar.begin), bar.label.removesuffix(" failed"), f"{bar.value:.1f} %") for bar in chart.bars]
    return section("Failures over time", drawn(chart, narrow), data(("from", "failed", "share"), rows))


def types_section(facts: Facts) -> Markup:
    """Events by type."""
    types = facts.census.types()
    total, most = sum(types.values()), max(types.values(), default=0)
    rows = [
        tag(
            "tr",
            tag("td", name, class_="name"),
            tag("td", f"{count:,}"),
            tag("td", share(count, total)),
            tag("td", stripe("part", count, most), class_="bar"),
        )
        for name, count in types.items()
    ]
    return section("Event types", table(("event type", "events", "share", ""), rows, class_="types"))


def chains_section(facts: Facts) -> Markup:
    """How chains ended."""
    chains = facts.census.chains()
    seen = [name for name in OUTCOMES if any(chain.outcomes[name] for chain in chains.values())]
    if any(chain.active for chain in chains.values()):
        seen.append("active")
    rows = [tag("tr", *_chain(name, chain, seen)) for name, chain in chains.items()]
    head = ("chain", "begun", *seen, "p50", "p95", "p99", "")
    key = tag("p", *(joined(tag("i", class_=name), name) for name in seen), class_="key")
    title = "Sessions" if all(chain.is_session for chain in chains.values()) and chains else "Chains"
    return section(title, key, table(head, rows, class_="chains"))


def durations_section(facts: Facts) -> Markup:
    """How long the chains of each name took, all on one axis."""
    ended = {name: chain.durations for name, chain in facts.census.chains().items() if chain.durations.bars()}
    bounds = [bound for histogram in ended.values() for low, high, _ in histogram.bars() for bound in (low, high)]
    charts = []
    for name, histogram in ended.items():
        span = (min(bounds), max(bounds))
        chart = distribution(histogram, f"Durations of {name}", "chains", "duration", span)
        rows = bars_of(histogram.bars())
        charts.append(tag("div", tag("h3", name), chart.svg(*SMALL), data(("from", "to", "chains"), rows)))
    text = (
        "From the first event of a chain to the one that tells its outcome; the logarithmic axis is the same for all."
    )
    return section("Durations", tag("p", text), many(charts)) if charts else joined()


def lag_section(facts: Facts) -> Markup:
    """How late events were, of a paced run."""
    bars = facts.census.lags.bars()
    if not bars:
        return joined()
    chart = distribution(facts.census.lags, "Lags of events", "events", "lag")
    text = "From the intended time of an event to its acknowledgement, on a logarithmic axis."
    return section("Lag", tag("p", text), drawn(chart), data(("from", "to", "events"), bars_of(bars)))


def faults_section(facts: Facts) -> Markup:
    """What was broken on purpose."""
    if not facts.faults:
        return joined()
    most = max(facts.faults.values())
    rows = [
        tag(
            "tr",
            tag("td", kind, class_="name"),
            tag("td", f"{count:,}"),
            tag("td", share(count, facts.census.events)),
            tag("td", stripe("failed", count, most), class_="bar"),
        )
        for kind, count in sorted(facts.faults.items(), key=lambda item: -item[1])
    ]
    return section("Faults injected", table(("kind", "events", "share", ""), rows, class_="faults"))


def sinks_section(facts: Facts) -> Markup:
    """What each sink took, and what became of it."""
    if not facts.sinks:
        return joined()
    columns = [
        name for name in next(iter(facts.sinks.values())) if any(figures[name] for figures in facts.sinks.values())
    ]
    rows = [
        tag("tr", tag("td", sink, class_="name"), *(tag("td", _figure(figures[name])) for name in columns))
        for sink, figures in facts.sinks.items()
    ]
    return section("Sinks", table(("sink", *(name.replace("_", " ") for name in columns)), rows, class_="sinks"))


def section(title: str, *parts: str) -> Markup:
    return tag("section", tag("h2", title), *parts)


def drawn(chart: Chart, narrow: Chart | None = None) -> Markup:
    """A chart for both widths.

    Args:
        narrow: in place of the chart, where there is little room.
    """
    return joined(chart.svg(*WIDE, class_="wide"), (narrow or chart).svg(*NARROW, class_="narrow"))


def data(head: Row, rows: Sequence[Row]) -> Markup:
    """The numbers behind a chart."""
    cells = [tag("tr", *(tag("td", cell) for cell in row)) for row in rows]
    return tag("details", tag("summary", "the numbers"), table(head, cells))


def table(head: Row, rows: Sequence[Markup], class_: str | None = None) -> Markup:
    names = tag("tr", *(tag("th", name, class_=None if name else "bar") for name in head))
    return tag("div", tag("table", tag("thead", names), tag("tbody", *rows), class_=class_), class_="scroll")


def many(charts: Sequence[Markup]) -> Markup:
    return tag("div", *charts, class_="many")


def stripe(class_: str, part: float, whole: float) -> Markup:
    """A bar inside a table."""
    return tag("span", class_=class_, style=f"width:{100 * part / whole if whole else 0:.2f}%")


def bars_of(bars: Sequence[tuple[int, int, int]]) -> list[Row]:
    return [(duration(low / 1e6), duration(high / 1e6), f"{count:,}") for low, high, count in bars]


def _chain(name: str, chain: ChainCounts, seen: Sequence[str]) -> Iterator[Markup]:
    counts: Mapping[str, int] = {**chain.outcomes, "active": chain.active}
    yield tag("td", name, class_="name")
    yield tag("td", f"{chain.begun:,}")
    for outcome in seen:
        yield tag("td", f"{counts.get(outcome, 0):,}")
    for quantile in (0.5, 0.95, 0.99):
        yield tag("td", duration(chain.durations.quantile(quantile) / 1e6) if chain.durations.maximum else "–")
    whole = sum(counts.values())
    yield tag("td", *(stripe(outcome, counts.get(outcome, 0), whole) for outcome in seen), class_="bar")


def _hour(hour: Hour) -> Row:
    expected = "–" if hour.expected is None else number(hour.expected)
    return (
        f"{hour.hour:02d}:00",
        number(hour.covered),
        f"{hour.chains:,}",
        expected,
        *_against(hour.rate, hour.target),
    )


def _against(actual: float, target: float | None) -> Row:
    return number(actual), "–" if target is None else number(target)


def _figure(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value or "")
