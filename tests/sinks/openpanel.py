"""A fake of OpenPanel's track API: its rules and its table of answers, as its own source has them."""

from __future__ import annotations

import re
from typing import Any

import orjson
from aiohttp import web

CLIENT, SECRET = "7c9b1f0e-58a4-4d0c-9a53-0f3f1d2c4b5a", "sec_1"
BOTS = re.compile(r"httpx|bot|crawl|spider", re.IGNORECASE)
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
RESERVED = ("session_start", "session_end")
BLOCKED = ("../", "..\\", "${", "%{", "/etc/passwd", "cmd.exe")
TYPES = ("track", "identify", "increment", "decrement", "alias", "replay", "group", "assign_group")


class FakeOpenPanel:
    """Stores what the real one would store, by device."""

    def __init__(self) -> None:
        self.stored: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.blocked_profiles: set[str] = set()
        self._seen: set[bytes] = set()

    async def track(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        if problem := self._unauthorized(headers, orjson.loads(body)):
            return web.Response(status=401, text=f"Ingestion: {problem}")
        if BOTS.search(headers.get("user-agent", "")) and "openpanel-client-secret" not in headers:
            return web.json_response({"bot": {"name": "httpx", "type": "library"}}, status=202)
        if problem := invalid(orjson.loads(body)):
            return web.json_response({"status": 400, "error": "Bad Request", "message": problem}, status=400)
        if "origin" in headers and body in self._seen:
            return web.Response(text="Duplicate event")
        self._seen.add(body)
        payload = orjson.loads(body)["payload"]
        agent, address = headers.get("user-agent", ""), headers.get("x-client-ip", "")
        device = payload.get("properties", {}).get("__deviceId") or f"{address}|{agent}"
        self.stored.append((device, payload))
        self.headers.append(headers)
        return web.json_response({"deviceId": device, "sessionId": "s"})

    def _unauthorized(self, headers: dict[str, str], body: Any) -> str | None:
        client = headers.get("openpanel-client-id")
        if not client:
            return "Missing client id"
        if not UUID4.fullmatch(client):
            return "Client ID must be a valid UUIDv4"
        if client != CLIENT:
            return "Invalid client id"
        if headers.get("openpanel-client-secret", SECRET) != SECRET:
            return "Invalid cors or secret"
        if body["payload"].get("profileId") in self.blocked_profiles:
            return "Profile is blocked"
        return None


def invalid(body: Any) -> str | None:
    """What the validation says; None: nothing."""
    payload = body.get("payload", {})
    name, profile = str(payload.get("name", "")), payload.get("profileId", "none")
    blocked = len(name) > 80 or "\n" in name or any(part in name.lower() for part in BLOCKED)
    problems = {
        "Invalid type": body.get("type") not in TYPES,
        "Alias is not supported": body.get("type") == "alias",
        "name: expected string": not isinstance(payload.get("name"), str) or not name,
        f"Event name cannot be one of the reserved names: {', '.join(RESERVED)}": name in RESERVED,
        "Event name contains blocked content": blocked or bool(re.match(r"/.+\.php$", name)),
        "profileId: expected string or number": not isinstance(profile, str | int | float) or profile == "",
        "__deviceId: at most 64 characters": len(payload.get("properties", {}).get("__deviceId", "")) > 64,
    }
    return next((problem for problem, found in problems.items() if found), None)
