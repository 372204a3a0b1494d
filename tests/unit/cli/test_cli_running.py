"""Tasks that run together until the first of them ends."""

from __future__ import annotations

import asyncio

import pytest

from eventbus.cli.running import until_first


async def test_the_first_to_end_ends_the_others() -> None:
    """The others are cancelled, and have cleaned up when the call returns."""
    cleaned_up = False

    async def endless() -> None:
        nonlocal cleaned_up
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            cleaned_up = True

    await until_first(asyncio.sleep(0), endless())
    assert cleaned_up


async def test_an_error_is_raised_once_all_have_ended() -> None:
    """Also an error that another task has while it is cancelled."""

    async def fails() -> None:
        raise ValueError("first")

    async def fails_at_its_end() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise OSError("second")

    with pytest.raises(ValueError, match="first"):
        await until_first(fails(), asyncio.sleep(3600))
    with pytest.raises(OSError, match="second"):
        await until_first(asyncio.sleep(0), fails_at_its_end())


async def test_the_time_limit_ends_all() -> None:
    """Nothing has ended by itself."""
    task = asyncio.ensure_future(asyncio.sleep(3600))
    await until_first(task, timeout=0.01)
    assert task.cancelled()


async def test_cancellation_reaches_the_caller() -> None:
    """Whoever cancels the call is not swallowed, and nothing of it keeps running."""
    task = asyncio.ensure_future(asyncio.sleep(3600))
    call = asyncio.ensure_future(until_first(task))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert task.cancelled()
