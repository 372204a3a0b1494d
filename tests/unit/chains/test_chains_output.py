"""Files of events from Python: formats, digests, windows, and files that are completed after an interruption."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from eventbus.chains import ChainGenerator, InvalidSetting
from eventbus.chains.errors import NotResumable
from eventbus.chains.output import EventWriter, file_format, partial_path, remaining_blocks, resumable_file
from eventbus.chains.window import RunWindow

CHAINS = RunWindow(chains=40)


def written(path: Path, seed: int = 1, *, keep: int | None = None) -> EventWriter:
    """Writes or completes a file; `keep` bytes of it are left if it is then interrupted."""
    generator = ChainGenerator(seed=seed)
    writer = EventWriter(file_format("json", generator.catalog))
    with resumable_file(path) as file:
        writer.write(remaining_blocks(CHAINS, generator, file, writer), file)
        if keep is not None:
            file.truncate(keep)
            raise KeyboardInterrupt
    return writer


@pytest.mark.parametrize("keep", [0, 5, 1000, 9999])
def test_an_interrupted_file_is_completed_to_the_same_bytes(tmp_path: Path, keep: int) -> None:
    """The counts and the digest are those of the whole file, too."""
    path, whole = tmp_path / "events.jsonl", ChainGenerator(seed=1)
    with pytest.raises(KeyboardInterrupt):
        written(path, keep=keep)
    assert not path.exists()
    assert partial_path(path).stat().st_size == keep
    writer = written(path)
    text = path.read_bytes()
    assert text == b"".join(bytes(block.buffer) for block in whole.blocks(chains=40))
    assert (writer.events, writer.chains, writer.bytes) == (text.count(b"\n"), 40, len(text))
    assert writer.digest == hashlib.sha256(text).hexdigest()


def test_a_file_of_another_run_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with pytest.raises(KeyboardInterrupt):
        written(path, seed=2, keep=9999)
    before = partial_path(path).read_bytes()
    with pytest.raises(NotResumable, match="belongs to another run"):
        written(path)
    assert partial_path(path).read_bytes() == before


def test_formats_that_cannot_be_had() -> None:
    catalog = ChainGenerator().catalog
    with pytest.raises(InvalidSetting, match=r"faults and a ledger need JSON events: .* got avro"):
        file_format("avro", catalog, with_faults=True)
    with pytest.raises(InvalidSetting, match=r"expected a format of json, .* got 'xml'"):
        file_format("xml", catalog)


def test_a_window_knows_when_its_chains_can_begin() -> None:
    generator = ChainGenerator()
    start = round(generator.start.timestamp()) * 1_000_000
    hour = timedelta(hours=1)
    assert CHAINS.is_whole
    assert CHAINS.arrival_span(generator, start + 7) == (start, start + 8)
    window = RunWindow(since=generator.start + hour, until=generator.start + 2 * hour)
    assert not window.is_whole
    assert window.arrival_span(generator, start + 7) == (start + 3_600_000_000, start + 7_200_000_000)
