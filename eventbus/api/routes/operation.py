"""Whether it works, part by part."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from fastapi import Response

from eventbus.api.live.feed import LiveFeed
from eventbus.api.problems import json_answer
from eventbus.api.store import Store

Check = Callable[[], Mapping[str, Any]]
"""Details of a part; `status` among them may say `ok` (the default), `degraded` or `down`."""


class Health:
    """The route `/health`.

    Args:
        checks: the other parts of the program, by name.
        timeout: how long the store may take to answer, in seconds.
    """

    def __init__(
        self,
        store: Store,
        feed: LiveFeed,
        checks: Mapping[str, Check],
        now: Callable[[], datetime],
        *,
        version: str,
        timeout: float = 2.0,
    ) -> None:
        self._store = store
        self._feed = feed
        self._checks = checks
        self._now = now
        self._started = now()
        self._version = version
        self._timeout = timeout

    async def get(self) -> Response:
        """200 while events can be stored and queried; 503 when the store does not answer."""
        store = await self._ask_store()
        live = self._feed.statistics()
        components = {
            "store": store,
            "live": {"status": "ok", "clients": live.clients, "skipped": live.skipped},
            **{name: _checked(check) for name, check in self._checks.items()},
        }
        answer = {
            "status": _overall(components),
            "version": self._version,
            "uptime_seconds": round((self._now() - self._started).total_seconds(), 3),
            "components": components,
        }
        return json_answer(answer, 503 if store["status"] == "down" else 200)

    async def _ask_store(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._timeout):
                await self._store.ping()
        except TimeoutError:
            return {"status": "down", "error": f"no answer within {self._timeout:g} s"}
        except Exception as error:  # a driver's own errors are many; each means the same here
            return _failed(error)
        return {"status": "ok"}


def _checked(check: Check) -> dict[str, Any]:
    try:
        return {"status": "ok", **check()}
    except Exception as error:  # a broken part must not hide the others
        return _failed(error)


def _failed(error: Exception) -> dict[str, Any]:
    return {"status": "down", "error": f"{type(error).__name__}: {error}"}


def _overall(components: Mapping[str, Mapping[str, Any]]) -> str:
    if components["store"]["status"] == "down":
        return "down"
    return "ok" if all(part["status"] == "ok" for part in components.values()) else "degraded"
