"""The account of a stream: what the generator scheduled, and what became of it in Kafka or in the sinks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from eventbus.chains import RunStatistics
    from eventbus.chains.sinks import SinkStatistics
    from eventbus.chains.sinks.fanout import WhenFull
    from eventbus.kafka import DeliveryStatistics


class Delivery(Protocol):
    """What became of the events, at one moment."""

    @property
    def errors(self) -> int:
        """Events that a destination should have and does not."""
        ...

    def line(self) -> str:
        """The figures in one line, while the stream runs."""
        ...

    def sentences(self) -> list[str]:
        """A sum for each destination, at the end."""
        ...

    def remark(self) -> str:
        """An addition to the line about chains, or nothing."""
        ...

    def rate(self, run: RunStatistics) -> float:
        """Events per second."""
        ...

    def to_dict(self, run: RunStatistics) -> dict[str, Any]:
        """Fields of the account in JSON."""
        ...

    def by_sink(self) -> dict[str, dict[str, Any]]:
        """The figures of each destination by its name, for the report."""
        ...


@dataclass(frozen=True)
class KafkaDelivery:
    """Delivery to Kafka alone."""

    statistics: DeliveryStatistics

    @property
    def errors(self) -> int:
        return self.statistics.failed

    def line(self) -> str:
        acknowledged, in_flight = self.statistics.acknowledged, self.statistics.in_flight
        return f"kafka: {acknowledged:,} acknowledged, {in_flight:,} in flight, {self.statistics.failed:,} failed"

    def sentences(self) -> list[str]:
        sent, acknowledged = self.statistics.sent, self.statistics.acknowledged
        return [f"{sent:,} sent = {acknowledged:,} acknowledged + {self.statistics.failed:,} failed"]

    def remark(self) -> str:
        return ""

    def rate(self, run: RunStatistics) -> float:
        return self.statistics.acknowledged / run.elapsed if run.elapsed else 0.0

    def to_dict(self, run: RunStatistics) -> dict[str, Any]:
        return {**self._counts(), "events_per_second": round(self.rate(run), 1)}

    def by_sink(self) -> dict[str, dict[str, Any]]:
        return {"kafka": self._counts()}

    def _counts(self) -> dict[str, int]:
        statistics = self.statistics
        return {"sent": statistics.sent, "acknowledged": statistics.acknowledged, "failed": statistics.failed}


@dataclass(frozen=True)
class SinkDelivery:
    """Delivery to the sinks of `--to`."""

    sinks: Mapping[str, SinkStatistics]
    when_full: WhenFull
    reader_gone: bool = False
    """Whether the reader of stdout has closed it, as `head` does: what it did not read is no error."""

    @property
    def errors(self) -> int:
        sinks = self.sinks.items()
        return sum(statistics.lost for name, statistics in sinks if not (self.reader_gone and name == "stdout"))

    def line(self) -> str:
        parts = []
        for name, statistics in self.sinks.items():
            lost = f", {statistics.lost:,} lost{_brackets(statistics.reasons)}" if statistics.lost else ""
            omitted = f", omitted: {format_kinds(statistics.omissions)}" if statistics.omissions else ""
            failed = f", failed requests: {format_kinds(statistics.failures)}" if statistics.failures else ""
            down = f", down for {statistics.down_seconds:.0f} s: {statistics.last_error}"
            parts.append(
                f"{name}: {statistics.written:,} written, {statistics.pending:,} pending{omitted}{lost}{failed}"
                f"{down if statistics.down_seconds else ''}"
            )
        return " · ".join(parts)

    def sentences(self) -> list[str]:
        return [_sentence(name, statistics) for name, statistics in self.sinks.items()]

    def remark(self) -> str:
        return f"; full queues: {self.when_full}"

    def rate(self, run: RunStatistics) -> float:
        return run.emitted / run.elapsed if run.elapsed else 0.0

    def to_dict(self, run: RunStatistics) -> dict[str, Any]:
        return {"when_full": self.when_full, "sinks": self.by_sink()}

    def by_sink(self) -> dict[str, dict[str, Any]]:
        return {name: statistics.to_dict() for name, statistics in self.sinks.items()}


@dataclass(frozen=True, kw_only=True)
class StreamAccount:
    """The run and the delivery of its events, at one moment."""

    run: RunStatistics
    delivery: Delivery
    seed: int

    def text(self) -> str:
        """The lines at the end of a stream."""
        run = self.run
        return "\n".join(
            [
                *self.delivery.sentences(),
                f"{run.scheduled:,} scheduled, {run.late:,} late, {run.dropped:,} dropped; "
                f"{run.chains:,} chains begun, {run.chains_finished:,} finished{self.delivery.remark()}; "
                f"seed {self.seed}",
                f"{run.elapsed:.1f} s, {self.delivery.rate(run):,.0f} events/s; "
                f"lag p50 {run.lag_p50_ms:.1f} ms, p99 {run.lag_p99_ms:.1f} ms, max {run.lag_max_ms:.1f} ms",
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """The account in JSON."""
        run = self.run
        return {
            "scheduled": run.scheduled,
            "late": run.late,
            "dropped": run.dropped,
            "chains": run.chains,
            "chains_finished": run.chains_finished,
            "seconds": round(run.elapsed, 3),
            "lag_ms": {"p50": run.lag_p50_ms, "p99": run.lag_p99_ms, "max": run.lag_max_ms},
            "seed": self.seed,
            **self.delivery.to_dict(run),
        }


def _sentence(name: str, statistics: SinkStatistics) -> str:
    """`jsonl:f: 12 events = 10 written + 2 dropped; 3 retried`: the sum of the counts above zero, then remarks."""
    counts = [
        ("written", statistics.written),
        ("omitted", statistics.omitted),
        ("dead letters", statistics.dead),
        ("failed", statistics.failed),
        ("pending", statistics.pending),
        ("dropped at a full queue", statistics.dropped),
    ]
    sum_of = " + ".join(f"{count:,} {word}" for word, count in counts if count or word == "written")
    remarks = [
        (bool(statistics.omissions), f"omitted: {format_kinds(statistics.omissions)}"),
        (bool(statistics.reasons), f"lost: {format_kinds(statistics.reasons)}"),
        (bool(statistics.failures), f"failed requests: {format_kinds(statistics.failures)}"),
        (statistics.retried > 0, f"{statistics.retried:,} retried"),
        (statistics.waited_seconds >= 0.05, f"everything waited {statistics.waited_seconds:.1f} s for it"),
        (bool(statistics.last_error), f"last error: {statistics.last_error}"),
    ]
    remark = "".join(f"; {text}" for applies, text in remarks if applies)
    return f"{name}: {statistics.accepted + statistics.dropped:,} events = {sum_of}{remark}"


def format_kinds(counts: Mapping[str, int]) -> str:
    """`12 × 503 Service Unavailable, 3 × no connection`, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count:,} × {kind}" for kind, count in ordered)


def _brackets(counts: Mapping[str, int]) -> str:
    return f" ({format_kinds(counts)})" if counts else ""
