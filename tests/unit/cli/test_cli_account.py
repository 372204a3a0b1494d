"""The account of a stream: for people and for machines, into Kafka alone and into several sinks."""

from __future__ import annotations

from eventbus.chains import RunStatistics
from eventbus.chains.sinks import SinkStatistics
from eventbus.cli.render.account import KafkaDelivery, SinkDelivery, StreamAccount
from eventbus.kafka import DeliveryStatistics

RUN = RunStatistics(scheduled=1200, emitted=1000, late=3, dropped=200, chains=400, chains_finished=390, elapsed=2.0)
COMMON = {"scheduled", "late", "dropped", "chains", "chains_finished", "seconds", "lag_ms", "seed"}


def test_kafka_alone() -> None:
    """Sent = acknowledged + failed; the rate is that of acknowledged events."""
    delivery = KafkaDelivery(DeliveryStatistics(sent=1000, acknowledged=990, failed=8))
    account = StreamAccount(run=RUN, delivery=delivery, seed=7)
    assert account.text().splitlines() == [
        "1,000 sent = 990 acknowledged + 8 failed",
        "1,200 scheduled, 3 late, 200 dropped; 400 chains begun, 390 finished; seed 7",
        "2.0 s, 495 events/s; lag p50 0.0 ms, p99 0.0 ms, max 0.0 ms",
    ]
    document = account.to_dict()
    assert set(document) == COMMON | {"sent", "acknowledged", "failed", "events_per_second"}
    assert (document["sent"], document["acknowledged"], document["events_per_second"]) == (1000, 990, 495.0)
    assert delivery.line() == "kafka: 990 acknowledged, 2 in flight, 8 failed"
    assert delivery.by_sink() == {"kafka": {"sent": 1000, "acknowledged": 990, "failed": 8}}
    assert delivery.errors == 8


def test_several_sinks() -> None:
    """A sum for each sink; what went wrong is named only where it did."""
    sinks = {
        "jsonl:f": SinkStatistics(accepted=990, written=990, dropped=10),
        "http:u": SinkStatistics(accepted=1000, written=900, dead=60, failed=40, retried=5, waited_seconds=1.25),
    }
    account = StreamAccount(run=RUN, delivery=SinkDelivery(sinks, "drop"), seed=7)
    assert account.text().splitlines()[:3] == [
        "jsonl:f: 1,000 events = 990 written + 10 dropped at a full queue",
        "http:u: 1,000 events = 900 written + 60 dead letters + 40 failed; 5 retried; everything waited 1.2 s for it",
        "1,200 scheduled, 3 late, 200 dropped; 400 chains begun, 390 finished; full queues: drop; seed 7",
    ]
    assert set(account.to_dict()) == COMMON | {"when_full", "sinks"}
    assert (
        account.delivery.line() == "jsonl:f: 990 written, 0 pending, 10 lost · http:u: 900 written, 0 pending, 100 lost"
    )
    assert account.delivery.errors == 110


def test_why_requests_fail_is_on_the_line_of_a_running_stream() -> None:
    """Failed requests by status, what is lost by reason, and since when the server is down."""
    statistics = SinkStatistics(
        accepted=100, written=60, dead=7, down_seconds=12.4, last_error="503 gone",
        failures={"no connection": 3, "503 Service Unavailable": 12}, reasons={"never sent": 5, "400 Bad Request": 2},
    )  # fmt: skip
    delivery = SinkDelivery({"http:u": statistics}, "drop")
    assert delivery.line() == (
        "http:u: 60 written, 33 pending, 7 lost (5 × never sent, 2 × 400 Bad Request), "
        "failed requests: 12 × 503 Service Unavailable, 3 × no connection, down for 12 s: 503 gone"
    )
    [sentence] = delivery.sentences()
    assert sentence == (
        "http:u: 100 events = 60 written + 7 dead letters + 33 pending; lost: 5 × never sent, 2 × 400 Bad Request; "
        "failed requests: 12 × 503 Service Unavailable, 3 × no connection; last error: 503 gone"
    )
    figures = delivery.by_sink()["http:u"]
    assert (figures["failures"], figures["reasons"], figures["down_seconds"]) == (
        statistics.failures,
        statistics.reasons,
        12.4,
    )


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """What `head` did not read is not counted; what another sink lacks is."""
    sinks = {"stdout": SinkStatistics(accepted=10, written=4, failed=6), "bus": SinkStatistics(accepted=10, failed=1)}
    assert SinkDelivery(sinks, "drop", reader_gone=True).errors == 1
    assert SinkDelivery(sinks, "drop").errors == 7
