"""Generated visitors as the sinks for web analytics send them."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.chains.sinks.bodies import OpenPanelDialect, analytics_body
from eventbus.event import Event
from eventbus.record import ProducerRecord

DIALECT = OpenPanelDialect("0190a0b0-0000-4000-8000-00000000000a", "secret", site="https://demo.example")


def records() -> Iterator[ProducerRecord]:
    visitors = Catalog.default().only("visitor-session")
    for some in ChainGenerator(visitors, seed=7).records(chains=40):
        yield from some


def test_openpanel_sees_one_visitor_with_one_browser() -> None:
    """A page has its address, title and referrer; the visitor's browser sends it, and the user is the device."""
    agents: dict[str, set[str]] = {}
    for record in records():
        event = Event.from_bytes(record.value or b"")
        if not event.event_type.startswith("omninode.visitor.") or DIALECT.accepts(record) is not True:
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
