"""The report of a run: headline figures, then a section for each thing counted, with the numbers behind each chart.

The page is one file: styles and drawings stand inside it, and it loads nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from eventbus.chains.pacing.summary import ABANDONED, FAILED, ChainSummary
from eventbus.chains.report.chart import Chart, Drawing, duration, number, share
from eventbus.chains.report.charts import by_hour, distribution, events_over_time, failures_over_time
from eventbus.chains.report.run import RunReport
from eventbus.version import package_version

OUTCOMES = ("completed", "failed", ABANDONED)
WIDE, NARROW, SMALL = (860.0, 290.0), (360.0, 240.0), (320.0, 170.0)
"""Sizes of a chart in pixels: on a desktop, on a phone, and as one of many."""
MAX_NARROW_BARS = 64
"""Bars on a phone; with more of them, two bins share a bar."""

Row = Sequence[str]


def page(report: RunReport) -> str:
    """Renders the report as one HTML page."""
    styles = _style("colours.css", "style.css", "chart.css")
    return _ENVIRONMENT.get_template("report.html").render(
        report=report,
        style=styles,
        details=_details(report),
        tiles=list(_tiles(report)),
        sections=[section for section in _sections(report) if section],
        version=package_version(),
    )


def picture(report: RunReport) -> str:
    """Renders the chart of the day as an SVG file; of a run within one hour, the chart of events over time."""
    hours = report.hours_of_day()
    chart = events_over_time(report) if len(hours) < 2 else by_hour(report, hours)
    return draw(chart, *WIDE, style=_style("colours.css", "chart.css")) + "\n"


def draw(chart: Chart, width: float, height: float, class_: str | None = None, style: Markup | None = None) -> Markup:
    """Renders a chart as an `svg` element.

    Args:
        chart: what to draw.
        width: in pixels.
        height: in pixels.
        class_: CSS class of the element.
        style: style sheets to put inside, for a file of its own.
    """
    macro = _ENVIRONMENT.get_template("chart.svg").module.svg  # type: ignore[attr-defined]
    return Markup(macro(Drawing(chart, width, height), class_, style))


class Tile(NamedTuple):
    """A headline figure."""

    name: str
    value: str
    note: str = ""
    is_bad: bool = False


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A part of a bar inside a table."""

    tone: str
    """CSS class."""
    percent: float


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text; `bars` adds a column of bars."""

    head: Row
    rows: Sequence[Row]
    class_: str = ""
    bars: Sequence[Sequence[Segment]] = ()
    is_folded: bool = False
    """Hidden behind `the numbers` until opened."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading with a chart, small charts or a table."""

    title: str
    text: str = ""
    key: Sequence[str] = ()
    """CSS classes to explain."""
    wide: str = ""
    narrow: str = ""
    small: Sequence[tuple[str, Markup, Table]] = ()
    table: Table | None = None


def _sections(report: RunReport) -> Iterator[Section | None]:
    yield _events_over_time(report)
    yield _day(report)
    yield _chains(report)
    yield _failures_over_time(report)
    yield _event_types(report)
    yield _durations(report)
    yield _lag(report)
    yield _faults(report)
    yield _sinks(report)


def _details(report: RunReport) -> Mapping[str, str]:
    """What identifies the run."""
    code = Markup("<code>{}</code>")
    return {
        "command": code.format(report.command),
        "seed": code.format(report.seed),
        "time": f"{_instant(report.since)} to {_instant(report.until)}",
        "SHA-256": code.format(report.digest) if report.digest else "–",
    }


def _tiles(report: RunReport) -> Iterator[Tile]:
    events, outcomes = report.summary.events, report.summary.outcomes()
    yield Tile("events", f"{events:,}")
    rate = number(events / report.seconds) if report.seconds else "–"
    yield Tile("events per second", rate, f"in {duration(report.seconds)}")
    expected = report.expected and round(report.expected(report.since, report.until))
    yield Tile(report.noun, f"{report.begun:,}", "" if expected is None else f"of {number(expected)} expected")
    for outcome, count in outcomes.most_common():
        yield Tile(outcome, f"{count:,}", share(count, outcomes.total()))
    active = sum(chain.active for chain in report.summary.chains().values())
    if active:
        yield Tile("active", f"{active:,}")
    if report.pace:
        run = report.pace.statistics
        if report.summary.lags.bars():
            p99, longest = duration(run.lag_p99_ms / 1000), duration(run.lag_max_ms / 1000)
            yield Tile("lag, 99th percentile", p99, f"max {longest}")
        yield Tile("late", f"{run.late:,}", is_bad=run.late > 0)
        yield Tile("dropped", f"{run.dropped:,}", is_bad=run.dropped > 0)
    if report.faults:
        injected = sum(report.faults.values())
        yield Tile("faults injected", f"{injected:,}", share(injected, events))
    if report.sinks:
        lost = sum(int(sink.get(name, 0)) for sink in report.sinks.values() for name in ("dead", "failed", "dropped"))
        yield Tile("errors of sinks", f"{lost:,}", is_bad=lost > 0)


def _events_over_time(report: RunReport) -> Section:
    chart = events_over_time(report)
    narrow = chart if len(chart.bars) <= MAX_NARROW_BARS else events_over_time(report, bins_per_bar=2)
    rows = [(duration(bar.begin), *_against(bar.value, bar.target)) for bar in chart.bars]
    return _charted("Events over time", chart, ("from", chart.up, "target"), rows, narrow=narrow)


def _day(report: RunReport) -> Section | None:
    hours = report.hours_of_day()
    if len(hours) < 2:
        return None
    rows = [
        (
            f"{hour.hour:02d}:00",
            number(hour.covered),
            f"{hour.chains:,}",
            "–" if hour.expected is None else number(hour.expected),
            *_against(hour.rate, hour.target),
        )
        for hour in hours
    ]
    head = ("hour", "hours in the run", report.noun, "expected", "per hour", "target")
    return _charted("The day", by_hour(report, hours), head, rows)


def _failures_over_time(report: RunReport) -> Section | None:
    if not report.summary.over_time.counts[FAILED].any():
        return None
    chart = failures_over_time(report)
    narrow = chart if len(chart.bars) <= MAX_NARROW_BARS else failures_over_time(report, bins_per_bar=2)
    rows = [(duration(bar.begin), bar.label.removesuffix(" failed"), f"{bar.value:.1f} %") for bar in chart.bars]
    return _charted("Failures over time", chart, ("from", "failed", "share"), rows, narrow=narrow)


def _event_types(report: RunReport) -> Section:
    table = _counts(("event type", "events", "share", ""), report.summary.types(), "part", "types")
    return Section(title="Event types", table=table)


def _faults(report: RunReport) -> Section | None:
    if not report.faults:
        return None
    faults = dict(sorted(report.faults.items(), key=lambda item: -item[1]))
    table = _counts(("kind", "events", "share", ""), faults, "failed", "faults", of=report.summary.events)
    return Section(title="Faults injected", table=table)


def _chains(report: RunReport) -> Section:
    chains = report.summary.chains()
    outcomes = [name for name in OUTCOMES if any(chain.outcomes[name] for chain in chains.values())]
    if any(chain.active for chain in chains.values()):
        outcomes.append("active")
    table = Table(
        head=("chain", "begun", *outcomes, "p50", "p95", "p99", ""),
        rows=[_chain(name, chain, outcomes) for name, chain in chains.items()],
        class_="chains",
        bars=[_outcomes(chain, outcomes) for chain in chains.values()],
    )
    are_sessions = bool(chains) and all(chain.is_session for chain in chains.values())
    return Section(title="Sessions" if are_sessions else "Chains", key=outcomes, table=table)


def _durations(report: RunReport) -> Section | None:
    histograms = {name: chain.durations for name, chain in report.summary.chains().items() if chain.durations.bars()}
    if not histograms:
        return None
    bounds = [bound for histogram in histograms.values() for low, high, _ in histogram.bars() for bound in (low, high)]
    small = []
    for name, histogram in histograms.items():
        chart = distribution(histogram, f"Durations of {name}", "chains", "duration", (min(bounds), max(bounds)))
        table = Table(head=("from", "to", "chains"), rows=_bins(histogram.bars()), is_folded=True)
        small.append((name, draw(chart, *SMALL), table))
    text = "From the first event of a chain to the one that tells its outcome. All charts share one logarithmic axis."
    return Section(title="Durations", text=text, small=small)


def _lag(report: RunReport) -> Section | None:
    bars = report.summary.lags.bars()
    if not bars:
        return None
    chart = distribution(report.summary.lags, "Lags of events", "events", "lag")
    text = "From the intended time of an event to its acknowledgement, on a logarithmic axis."
    return _charted("Lag", chart, ("from", "to", "events"), _bins(bars), text=text)


def _sinks(report: RunReport) -> Section | None:
    if not report.sinks:
        return None
    names = next(iter(report.sinks.values()))
    columns = [name for name in names if any(counters[name] for counters in report.sinks.values())]
    rows = [(sink, *(_counter(counters[name]) for name in columns)) for sink, counters in report.sinks.items()]
    head = ("sink", *(name.replace("_", " ") for name in columns))
    return Section(title="Sinks", table=Table(head=head, rows=rows, class_="sinks"))


def _charted(
    title: str, chart: Chart, head: Row, rows: Sequence[Row], *, narrow: Chart | None = None, text: str = ""
) -> Section:
    """A chart in both widths, with its numbers folded below."""
    return Section(
        title=title,
        text=text,
        wide=draw(chart, *WIDE, "wide"),
        narrow=draw(narrow or chart, *NARROW, "narrow"),
        table=Table(head=head, rows=rows, is_folded=True),
    )


def _counts(head: Row, counts: Mapping[str, int], tone: str, class_: str, of: int | None = None) -> Table:
    """Counts by name, with their share of a total and a bar."""
    total = sum(counts.values()) if of is None else of
    highest = max(counts.values(), default=0)
    return Table(
        head=head,
        rows=[(name, f"{count:,}", share(count, total)) for name, count in counts.items()],
        class_=class_,
        bars=[[_segment(tone, count, highest)] for count in counts.values()],
    )


def _chain(name: str, chain: ChainSummary, outcomes: Sequence[str]) -> Row:
    counts = {**chain.outcomes, "active": chain.active}
    quantiles = [
        duration(chain.durations.quantile(quantile) / 1e6) if chain.durations.maximum else "–"
        for quantile in (0.5, 0.95, 0.99)
    ]
    return (name, f"{chain.begun:,}", *(f"{counts.get(outcome, 0):,}" for outcome in outcomes), *quantiles)


def _outcomes(chain: ChainSummary, outcomes: Sequence[str]) -> Sequence[Segment]:
    counts = {**chain.outcomes, "active": chain.active}
    return [_segment(outcome, counts.get(outcome, 0), sum(counts.values())) for outcome in outcomes]


def _segment(tone: str, part: float, whole: float) -> Segment:
    return Segment(tone=tone, percent=100 * part / whole if whole else 0.0)


def _bins(bars: Sequence[tuple[int, int, int]]) -> list[Row]:
    return [(duration(low / 1e6), duration(high / 1e6), f"{count:,}") for low, high, count in bars]


def _against(actual: float, target: float | None) -> Row:
    return number(actual), "–" if target is None else number(target)


def _counter(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{count:,} × {kind}" for kind, count in value.items())
    return f"{value:,}" if isinstance(value, int | float) else str(value or "")


def _instant(time: int) -> str:
    return f"{datetime.fromtimestamp(time / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _pixels(value: float) -> str:
    """A coordinate with one decimal; more cannot be seen."""
    return f"{value:.1f}".removesuffix(".0")


def _style(*names: str) -> Markup:
    """Style sheets to put inside a document."""
    sources = (_LOADER.get_source(_ENVIRONMENT, name)[0] for name in names)
    return Markup("".join(sources))


_LOADER = PackageLoader("eventbus.chains.report")
_ENVIRONMENT = Environment(loader=_LOADER, autoescape=True, trim_blocks=True, lstrip_blocks=True)
_ENVIRONMENT.filters["pixels"] = _pixels
