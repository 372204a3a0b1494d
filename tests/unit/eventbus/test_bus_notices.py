"""Waiting for news, and waking."""

from __future__ import annotations

import asyncio

import pytest

from eventbus.broker.watchers import Notices


async def turn() -> None:
    await asyncio.sleep(0)


async def test_one_call_wakes_all_that_wait_under_the_name() -> None:
    """Those under other names sleep on."""
    notices = Notices()
    tasks = [asyncio.create_task(notices.wait(names)) for names in (["a", "b"], ["b"], ["c"])]
    await turn()
    notices.call("b")
    await asyncio.gather(*tasks[:2])
    assert not tasks[2].done()
    assert len(notices) == 1
    notices.call("c")
    await tasks[2]
    assert len(notices) == 0


async def test_waiting_ends_with_its_time() -> None:
    """A timeout is no error, and leaves nothing behind."""
    notices = Notices()
    await notices.wait(["a"], timeout=0)
    assert len(notices) == 0


async def test_a_cancelled_wait_leaves_nothing_behind() -> None:
    """Cancelling is heard by the one who waits, and forgotten here."""
    notices = Notices()
    task = asyncio.create_task(notices.wait(["a", "b"]))
    await turn()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(notices) == 0


async def test_a_call_that_nobody_waits_for_is_forgotten() -> None:
    """News is not kept: who comes later waits for the next."""
    notices = Notices()
    notices.call("a")
    task = asyncio.create_task(notices.wait(["a"]))
    await turn()
    assert not task.done()
    notices.call("a")
    await task
