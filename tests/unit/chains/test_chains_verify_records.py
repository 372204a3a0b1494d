"""`verify` on the records of topics: what their partitions leave to see."""

from __future__ import annotations

import io
import random
from collections import defaultdict
from collections.abc import Iterator

import pytest

from eventbus.broker.partitioner import partition_for
from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.chains.faults import KINDS, Fault
from eventbus.chains.verification import Report, verify
from eventbus.chains.verification.streams import RecordReader
from eventbus.record import ConsumerRecord, ProducerRecord

CATALOG = Catalog.default()


def produced(*faults: Fault, seed: int = 5, chains: int = 500) -> tuple[list[ProducerRecord], list[bytes]]:
    """The records of a run, and the lines of its ledger."""
    generator, book = ChainGenerator(CATALOG, seed=seed), io.BytesIO()
    topics = generator._plan.topics("domain")
    blocks = generator.injector(faults, book).blocks(generator.blocks(chains=chains))
    records = [record for block in blocks for some in block.records(topics) for record in some]
    return records, book.getvalue().splitlines()


def consumed(records: list[ProducerRecord], partitions: int, seed: int = 3) -> Iterator[list[ConsumerRecord]]:
    """The records as a consumer gets them: in the order of each partition, and some of one at a time."""
    logs: dict[tuple[str, int], list[ConsumerRecord]] = defaultdict(list)
    for topic, key, value, timestamp, _ in records:
        home = topic, partition_for(key or b"", partitions)
        logs[home].append(ConsumerRecord(*home, len(logs[home]), timestamp, key, value))
    rng, left = random.Random(seed), list(logs.values())
    while left:
        log = rng.choice(left)
        count = rng.randint(1, 400)
        yield log[:count]
        del log[:count]
        left = [log for log in left if log]


def verified(batches: Iterator[list[ConsumerRecord]], ledger: list[bytes] | None = None) -> Report:
    reader = RecordReader(CATALOG)
    for batch in batches:
        reader.add(batch)
    return verify(reader.reading(), CATALOG, ledger=ledger, significance=1e-9)


def failed(report: Report) -> set[str]:
    return {check.name for check in report.checks if not check.passed}


@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize("seed", range(3))
def test_sound_topics_pass(partitions: int, seed: int) -> None:
    """However partitions were read, the events of a clean run are in order, and keys and partitions are right."""
    records, ledger = produced(seed=seed)
    report = verified(consumed(records, partitions, seed), ledger)
    assert failed(report) == set()
    assert {"keys", "partitions", "order", "ledger"} <= {check.name for check in report.checks if check.tested}
    assert report.lines == len(records)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_named(kind: str) -> None:
    """Faults are told apart from what partitions do to the order, and every one is found."""
    records, ledger = produced(Fault(kind=kind, rate=0.2 if kind == "missing-started" else 0.05))
    alone = verified(consumed(records, 3))
    assert KINDS[kind].looks_like in alone.faults
    report = verified(consumed(records, 3), ledger)
    injected = sum(b'"record":"fault"' in line for line in ledger)
    assert report.ledger == {kind: (injected, injected)}
    assert not report.passed
    assert {finding.fault for check in report.checks for finding in check.findings} - {None} == {kind}
    assert not {"keys", "partitions", "ledger"} & failed(report)


def test_a_key_of_another_chain_is_found() -> None:
    """The finding says where the record is."""
    records, _ = produced()
    records[7] = records[7]._replace(key=b"somebody-else")
    report = verified(consumed(records, 1))
    (finding,) = [finding for check in report.checks if check.name == "keys" for finding in check.findings]
    assert "has the key somebody-else" in finding.sentence
    assert str(report.place_of(finding)).startswith(f"{records[7].topic}[0]@")


def test_a_chain_in_two_partitions_is_found() -> None:
    """A producer that hashes otherwise tears chains apart."""
    records, _ = produced()
    torn = [[record._replace(partition=record.offset % 2) for record in batch] for batch in consumed(records, 1)]
    assert "partitions" in failed(verified(iter(torn)))
