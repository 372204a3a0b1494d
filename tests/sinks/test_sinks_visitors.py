"""Generated visitors as the sinks for web analytics send them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.chains.sinks import (
    DeadLetters,
    HttpSink,
    JsonDialect,
    OpenPanelDialect,
    all_types,
    analytics_body,
    is_visitor_event,
)
from eventbus.chains.sinks.bodies import Dialect, TakesType
from eventbus.event import Event
from eventbus.record import ProducerRecord
from tests.sinks.conftest import Server, kept
from tests.sinks.test_sinks_cli import account

DIALECT = OpenPanelDialect("0190a0b0-0000-4000-8000-00000000000a", "secret", site="https://demo.example")

CLICKS = ("button.clicked", "link.clicked")


def records() -> Iterator[ProducerRecord]:
    visitors = Catalog.default().only("visitor-session")
    for some in ChainGenerator(visitors, seed=7).records(chains=40):
        yield from some


def test_openpanel_sees_one_visitor_with_one_browser() -> None:
    """A page has its address, title and referrer; the visitor's browser sends it, and the user is the device."""
    agents: dict[str, set[str]] = {}
    for record in records():
        event = Event.from_bytes(record.value or b"")
        if not event.event_type.startswith("omninode.visitor.") or DIALECT.unsendable(record):
            continue
        request = DIALECT.request([record])
        payload = orjson.loads(request.body)["payload"]
        given = payload["properties"]
        assert given["__path"] == "https://demo.example" + event.payload["path"]
        assert given["__deviceId"] == payload["profileId"] == event.payload["user_id"]
        agents.setdefault(payload["profileId"], set()).add(request.headers["user-agent"])
        if payload["name"] == "screen_view":
            assert given["__title"] == event.payload["title"]
            assert given.get("__referrer") == event.payload["referrer"]
    assert len(agents) > 10
    assert {len(found) for found in agents.values()} == {1}


def test_the_short_body_names_page_user_and_session() -> None:
    """Web analytics gets the short name, the path, the user, and the chain as the session."""
    names = set()
    for record in records():
        event = Event.from_bytes(record.value or b"")
        if event.event_type.startswith("omninode.visitor."):
            body = orjson.loads(analytics_body(record))
            assert (body["path"], body["user_id"]) == (event.payload["path"], event.payload["user_id"])
            assert body["session_id"] == event.correlation_id
            names.add(body["event_type"])
    short = {"session_created", "page_visited", "button_clicked", "link_clicked", "page_closed", "session_ended"}
    assert names == short


@pytest.fixture(params=["openpanel", "analytics"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def dialect(kind: str, takes: TakesType) -> Dialect:
    if kind == "openpanel":
        return OpenPanelDialect("0190a0b0-0000-4000-8000-00000000000a", "secret", takes=takes)
    return JsonDialect(analytics_body, takes=takes)


@pytest.mark.parametrize(("takes", "has_all"), [(is_visitor_event, False), (all_types, True)])
async def test_visitors_sinks_get_visitors(server: Server, kind: str, takes: TakesType, has_all: bool) -> None:
    """Events of the back end that clicks have caused are left out and counted, unless all types are asked for."""
    sent = list(records())
    types = [Event.from_bytes(record.value or b"").event_type for record in sent]
    caused = sum(not event_type.startswith("omninode.visitor.") for event_type in types)
    assert caused > 10
    sink = HttpSink(server.url, dialect(kind, takes))
    await sink.open()
    await sink.write(sent)
    await sink.flush()
    await sink.close()
    statistics = sink.statistics()
    assert statistics.omissions.get("back-end events", 0) == (0 if has_all else caused)
    sessions = sum("visitor.session" in event_type for event_type in types) if kind == "openpanel" else 0
    assert statistics.written == len(server.items) == len(sent) - sessions - (0 if has_all else caused)
    assert (statistics.omitted, statistics.lost) == (sum(statistics.omissions.values()), 0)


async def test_openpanel_sees_no_device_that_is_no_visitor(server: Server) -> None:
    """Each device is a user of the run: a chain of the back end is not a visitor with a device of its own."""
    sent = list(records())
    events = [Event.from_bytes(record.value or b"") for record in sent]
    users = {event.payload["user_id"] for event in events if is_visitor_event(event.event_type)}
    sink = HttpSink(server.url, dialect("openpanel", is_visitor_event))
    await sink.open()
    await sink.write(sent)
    await sink.flush()
    await sink.close()
    devices = {item["payload"]["properties"]["__deviceId"] for item in server.items}  # type: ignore[index]
    assert devices == users
    assert len(users) > 10


async def test_what_is_never_sent_is_no_dead_letter(server: Server, dead: DeadLetters) -> None:
    """Events that found the queue full are dead letters only if the server was to have them."""
    sent = list(records())
    sink = HttpSink(server.url, dialect("openpanel", is_visitor_event), dead_letters=dead)
    await sink.reject(sent, "a test")
    statistics = sink.statistics()
    types = {letter["event"]["event_type"] for letter in kept(dead)}
    assert types == {f"omninode.visitor.{name}.v1" for name in ("page.visited", "page.closed", *CLICKS)}
    assert (statistics.accepted, statistics.dead + statistics.omitted) == (len(sent), len(sent))
    assert statistics.omitted > 0


@pytest.mark.parametrize(
    ("arguments", "has_caused"), [((), False), (("--include-caused",), True), (("--chain", "vault-read"), True)]
)
async def test_the_command_sends_visitors(
    server: Server, tmp_path: Path, arguments: tuple[str, ...], has_caused: bool
) -> None:
    """`--http-body analytics` gets visitors' events; `--include-caused`, or a catalog without visitors, sends all."""
    chain = ("--chain", "visitor-session") if "--chain" not in arguments else ()
    code, figures = await account(
        tmp_path, *chain, *arguments, "--speed", "max", "--rate", "100", "--duration", "10s",
        "--to", server.url, "--http-body", "analytics", "--http-batch", "100",
    )  # fmt: skip
    assert code == 0
    types = {item["event_type"] for item in server.items}  # type: ignore[index]
    assert len(types) > 1
    assert any(name.startswith("omninode.") for name in types) == has_caused
    [sink] = figures["sinks"].values()
    assert sink["written"] + sink["omitted"] == figures["scheduled"] > 100
    assert ("back-end events" in sink["omissions"]) == (not has_caused)
