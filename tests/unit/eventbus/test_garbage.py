"""Making very many objects starts no garbage collection, and leaves it as it was."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.garbage import collection_paused


@pytest.fixture(params=[True, False])
def enabled(request: pytest.FixtureRequest) -> Iterator[bool]:
    before, now = gc.isenabled(), bool(request.param)
    (gc.enable if now else gc.disable)()
    yield now
    (gc.enable if before else gc.disable)()


def test_collection_is_as_before(enabled: bool) -> None:
    """Also within another pause, after an error, and after a catalog and events were made."""
    with collection_paused():
        with collection_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled() == enabled
    with pytest.raises(ZeroDivisionError), collection_paused():
        1 / 0  # noqa: B018
    assert gc.isenabled() == enabled
    Catalog.load()
    assert gc.isenabled() == enabled
    events = ChainGenerator(seed=1).events(chains=300)
    next(events)
    assert gc.isenabled() == enabled
    assert sum(1 for _ in events) > 300


def test_events_start_no_collection() -> None:
    """Some 700 events and their payloads would start one; those of a block are made without."""
    generations: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        generations.append(info["generation"])

    events = ChainGenerator(seed=1).events(chains=20_000)
    gc.collect()
    gc.callbacks.append(note)
    try:
        made = [event.event_id for event in events]
    finally:
        gc.callbacks.remove(note)
    assert len(made) > 40_000
    assert len(generations) < len(made) / 2 / 700
