"""Waiting under keys, and notifying them."""

from __future__ import annotations

import asyncio

import pytest

from eventbus.broker.watchers import Watchers


async def turn() -> None:
    await asyncio.sleep(0)


async def test_a_notification_wakes_all_waiters_of_its_key() -> None:
    """Waiters of other keys keep waiting."""
    watchers = Watchers()
    tasks = [asyncio.create_task(watchers.wait(keys)) for keys in (["a", "b"], ["b"], ["c"])]
    await turn()
    watchers.notify("b")
    await asyncio.gather(*tasks[:2])
    assert not tasks[2].done()
    assert len(watchers) == 1
    watchers.notify("c")
    await tasks[2]
    assert len(watchers) == 0


async def test_a_timeout_ends_a_wait() -> None:
    """It raises no error and leaves no waiter behind."""
    watchers = Watchers()
    await watchers.wait(["a"], timeout=0)
    assert len(watchers) == 0


async def test_a_cancelled_wait_leaves_no_waiter_behind() -> None:
    """The cancellation reaches the task that waits."""
    watchers = Watchers()
    task = asyncio.create_task(watchers.wait(["a", "b"]))
    await turn()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(watchers) == 0


async def test_a_notification_is_not_stored() -> None:
    """A task that waits later waits for the next one."""
    watchers = Watchers()
    watchers.notify("a")
    task = asyncio.create_task(watchers.wait(["a"]))
    await turn()
    assert not task.done()
    watchers.notify("a")
    await task
