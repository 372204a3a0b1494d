"""The OpenPanel sink against a fake with the real one's rules: each trap of its API, by name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from eventbus.chains.errors import SinkUnusable
from eventbus.chains.sinks import HttpSink, OpenPanelDialect, SinkStatistics, all_types, is_visitor_event
from eventbus.chains.sinks.bodies import TakesType, track_url, user_agent
from eventbus.event import Event
from eventbus.record import ProducerRecord, record_of
from tests.sinks.conftest import Server, after, records, says
from tests.sinks.openpanel import CLIENT, SECRET, FakeOpenPanel
from tests.unit.chains.clocks import ManualClock

NOON = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)


@pytest.fixture
async def panel(server: Server) -> AsyncIterator[FakeOpenPanel]:
    """Behind `server`, which may answer in its stead."""
    fake = FakeOpenPanel()

    async def handle(request: web.Request) -> web.StreamResponse:
        assert request.path == "/track"
        reply = server.replies.pop(0) if server.replies else fake.track
        return await reply(request)

    app = web.Application()
    app.router.add_post("/track", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


def visitor(what: str = "page.visited", **payload: Any) -> ProducerRecord:
    event = Event.new(f"omninode.visitor.{what}.v1", payload, timestamp=NOON, source="site")
    return record_of(event, "omninode.visitor")


async def track(
    server: Server,
    *sent: ProducerRecord,
    client: str = CLIENT,
    secret: str = SECRET,
    takes: TakesType = is_visitor_event,
) -> SinkStatistics:
    sink = HttpSink(track_url(server.url), OpenPanelDialect(client, secret, takes=takes), clock=ManualClock())
    await sink.open()
    await sink.write(sent)
    await sink.flush()
    await sink.close()
    return sink.statistics()


async def test_a_page_is_a_screen_view(server: Server, panel: FakeOpenPanel) -> None:
    """A visited page has the name, the reserved properties and the headers that OpenPanel expects."""
    page = visitor(path="/home", title="Home", referrer="", user_id="user-123", visitor_id="visitor-000042", depth=3)
    statistics = await track(server, page)
    event = Event.from_bytes(page.value or b"")
    assert statistics == SinkStatistics(accepted=1, written=1)
    assert panel.stored == [
        (
            "visitor-000042",
            {
                "name": "screen_view",
                "profileId": "user-123",
                "properties": {
                    "__path": "https://demo.example/home",
                    "__title": "Home",
                    "__referrer": "",
                    "__timestamp": "2026-01-15T10:30:00.000Z",
                    "__deviceId": "visitor-000042",
                    "visitor_id": "visitor-000042",
                    "depth": 3,
                    "event_id": event.event_id,
                    "correlation_id": event.correlation_id,
                },
            },
        )
    ]
    [headers] = panel.headers
    assert headers["openpanel-client-id"] == CLIENT
    assert headers["openpanel-client-secret"] == SECRET
    assert headers["openpanel-sdk-name"] == "event-bus-mock"
    assert headers["openpanel-sdk-version"] == version("eventbus-mock")
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("user", [{}, {"user_id": None}, {"user_id": ""}, {"user_id": True}])
async def test_trap_1_an_anonymous_visitor_has_no_profile(
    server: Server, panel: FakeOpenPanel, user: dict[str, Any]
) -> None:
    """Absent fields are left out, since `profileId: null` is refused."""
    statistics = await track(server, visitor("button.clicked", **user, title=None))
    [(_, payload)] = panel.stored
    assert statistics.written == 1
    assert "profileId" not in payload
    assert None not in payload["properties"].values()


@pytest.mark.parametrize("user", [0, 1, 7, "0", "u-1"])
async def test_every_user_has_a_profile(server: Server, panel: FakeOpenPanel, user: object) -> None:
    """Also the users 0 and 1, which compare equal to False and True, have their profile and device."""
    await track(server, visitor("button.clicked", user_id=user, session_id="s-1"))
    [(_, payload)] = panel.stored
    assert payload["profileId"] == user
    assert type(payload["profileId"]) is type(user)
    assert payload["properties"]["__deviceId"] == str(user)


@pytest.mark.parametrize("what", ["session.created", "session.ended", "session.start", "session.end"])
async def test_trap_2_sessions_are_not_sent(server: Server, panel: FakeOpenPanel, what: str) -> None:
    """The reserved names map to nothing, and that is counted, not hidden."""
    statistics = await track(server, visitor(what), visitor("link.clicked"))
    assert [payload["name"] for _, payload in panel.stored] == ["link_clicked"]
    assert statistics == SinkStatistics(accepted=2, written=1, omitted=1, omissions={"starts and ends of sessions": 1})


async def test_trap_3_a_name_may_be_too_long(server: Server, panel: FakeOpenPanel) -> None:
    """What cannot be taken is not sent; the reason names the bound."""
    statistics = await track(server, visitor("x" * 81), visitor("x" * 80))
    assert [payload["name"] for _, payload in panel.stored] == ["x" * 80]
    assert statistics.failed == 1
    assert "at most 80 characters" in (statistics.last_error or "")


async def test_trap_3_other_names_are_refused_by_the_server(server: Server, panel: FakeOpenPanel) -> None:
    """A name on OpenPanel's blocklist comes back as 400, and is accounted for with its words."""
    event = Event.new("omninode.cmd.exe.v1", {}, timestamp=NOON)
    statistics = await track(server, record_of(event, "omninode.cmd"), takes=all_types)
    assert (statistics.written, statistics.failed) == (0, 1)
    assert "blocked content" in (statistics.last_error or "")


async def test_trap_3_every_name_of_the_catalog_passes(server: Server, panel: FakeOpenPanel) -> None:
    """The chains that ship with the package can be tracked under their event types."""
    sent = records(200)
    statistics = await track(server, *sent, takes=all_types)
    assert statistics.written == len(panel.stored) == len(sent)


async def test_trap_4_nothing_looks_like_a_bot(server: Server, panel: FakeOpenPanel) -> None:
    """The secret and a browser's name are always sent; neither the HTTP client's nor ours appears."""
    await track(server, visitor(), visitor(browser="Firefox"), visitor(user_agent="Mozilla/5.0 (Custom)"))
    agents = sorted(headers["user-agent"] for headers in panel.headers)
    assert [("Chrome" in agent, "Firefox" in agent, "Custom" in agent) for agent in agents] == [
        (False, False, True),
        (True, False, False),
        (False, True, False),
    ]
    assert all(agent.startswith("Mozilla/5.0 (") for agent in agents)


@pytest.mark.parametrize("given", ["", None, 7, "evil\r\nx-header: 1", "naïve"])
def test_trap_4_a_strange_user_agent_is_replaced(given: Any) -> None:
    """What cannot be a header is not made one."""
    assert user_agent({"user_agent": given}).startswith("Mozilla/5.0 (")


def test_trap_4_the_secret_is_required() -> None:
    """Without it events could be answered with 202 and thrown away."""
    with pytest.raises(SinkUnusable, match="client secret"):
        OpenPanelDialect(CLIENT, "")


async def test_trap_4_taken_for_a_bot_is_not_written(server: Server, panel: FakeOpenPanel) -> None:
    """If OpenPanel says bot all the same, its 202 does not count as success."""
    server.replies = [says(202, '{"bot":{"name":"x","type":"y"}}')]
    statistics = await track(server, visitor())
    assert (statistics.written, statistics.failed) == (0, 1)
    assert "not stored: 202" in (statistics.last_error or "")


async def test_trap_5_visitors_are_told_apart(server: Server, panel: FakeOpenPanel) -> None:
    """Visitors behind one address and browser are as many devices; a long id is shortened, not cut."""
    long = "v" * 65
    await track(
        server, visitor(device_id="a"), visitor(), visitor(), visitor(device_id=long), visitor(device_id=long + "w")
    )
    devices = [device for device, _ in panel.stored]
    assert len(set(devices)) == 5
    assert all(len(device) <= 64 for device in devices)


async def test_trap_6_a_visitor_is_sent_in_order(server: Server, panel: FakeOpenPanel) -> None:
    """Over all connections, the events of one visitor arrive one after the other, also across sessions."""
    sent = [visitor("button.clicked", visitor_id=f"v{n % 7}", n=n) for n in range(100)]
    server.replies = [after(n * 37 % 11 * 30, panel.track) for n in range(100)]
    await track(server, *sent)
    for device in {device for device, _ in panel.stored}:
        numbers = [payload["properties"]["n"] for found, payload in panel.stored if found == device]
        assert numbers == sorted(numbers)
    assert len(panel.stored) == 100


@pytest.mark.parametrize(
    ("address", "sent"),
    [
        ("81.2.69.142", "81.2.69.142"),
        ("10.0.0.1", None),
        ("127.0.0.1", None),
        ("192.0.2.1", None),
        ("x", None),
        (7, None),
    ],
)
async def test_only_public_addresses_are_sent(
    server: Server, panel: FakeOpenPanel, address: Any, sent: str | None
) -> None:
    """An address without a place on the map is not sent."""
    await track(server, visitor(ip=address))
    assert panel.headers[0].get("x-client-ip") == sent


async def test_refused_credentials_end_the_sink(server: Server, panel: FakeOpenPanel) -> None:
    """A wrong secret is final for everything, in OpenPanel's words."""
    sent = [visitor(visitor_id="one") for _ in range(5)]
    statistics = await track(server, *sent, secret="wrong")
    assert (statistics.written, statistics.failed, panel.stored) == (0, 5, [])
    assert "Ingestion: Invalid cors or secret" in (statistics.last_error or "")


async def test_a_blocked_profile_ends_nothing_else(server: Server, panel: FakeOpenPanel) -> None:
    """A 401 that is about one profile costs that profile's events only."""
    panel.blocked_profiles = {"bad"}
    sent = [visitor(visitor_id="one", user_id=user) for user in ("bad", "good", "good")]
    statistics = await track(server, *sent)
    assert (statistics.written, statistics.failed) == (2, 1)


async def test_a_duplicate_of_our_own_retry_is_written(server: Server, panel: FakeOpenPanel) -> None:
    """When an answer got lost and the repetition is called a duplicate, the event is there; otherwise it is not."""
    server.replies = [says(500), says(200, "Duplicate event"), says(200, "Duplicate event")]
    statistics = await track(server, visitor(visitor_id="one"), visitor(visitor_id="one"))
    assert (statistics.written, statistics.failed, statistics.retried) == (1, 1, 1)


async def test_poison_is_not_sent(server: Server, panel: FakeOpenPanel) -> None:
    """What is no event is accounted for as such."""
    statistics = await track(server, visitor()._replace(value=b"{"), visitor())
    assert (statistics.written, statistics.failed) == (1, 1)
    assert "not an event" in (statistics.last_error or "")


@pytest.mark.parametrize("client", ["", "me", CLIENT.upper(), "7c9b1f0e-58a4-1d0c-9a53-0f3f1d2c4b5a"])
def test_the_client_id_is_checked(client: str) -> None:
    """OpenPanel takes nothing but a lower-case UUID of version 4."""
    with pytest.raises(SinkUnusable, match="UUID of version 4"):
        OpenPanelDialect(client, SECRET)


@pytest.mark.parametrize(
    "url", ["https://api.openpanel.dev", "https://api.openpanel.dev/", "https://api.openpanel.dev/track"]
)
def test_the_route(url: str) -> None:
    """Events go to `/track` below the address of the API."""
    assert track_url(url) == "https://api.openpanel.dev/track"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"type": "track", "payload": {"name": "x", "profileId": None}}, "profileId"),
        ({"type": "track", "payload": {"name": "session_start"}}, "reserved"),
        ({"type": "track", "payload": {"name": "../x"}}, "blocked"),
        ({"type": "alias", "payload": {}}, "Alias is not supported"),
        ({"type": "other", "payload": {}}, "Invalid type"),
    ],
)
async def test_the_fake_refuses_what_the_real_one_does(
    server: Server, panel: FakeOpenPanel, body: dict[str, Any], said: str
) -> None:
    """A fake that takes everything would prove nothing."""
    headers = {"openpanel-client-id": CLIENT, "openpanel-client-secret": SECRET}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.url}/track", data=orjson.dumps(body), headers=headers) as answer,
    ):
        assert answer.status == 400
        assert said in (await answer.json())["message"]
