"""`--to`: the sinks of a stream, and the options of each kind of sink."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from eventbus.cli import types
from eventbus.cli.command import option, option_group

if TYPE_CHECKING:
    from eventbus.catalog import Catalog
    from eventbus.chains.rendering import FormatName
    from eventbus.chains.rendering.json import Convert
    from eventbus.chains.sinks import DeadLetters, HttpSink, Sink
    from eventbus.chains.sinks.bodies import Dialect, TakesType
    from eventbus.chains.sinks.fanout import WhenFull

KINDS = {"kafka": None, "bus": None, "stdout": None, "jsonl": "PATH", "http": "URL", "openpanel": "URL"}
"""Kinds of sinks, and what follows each after a colon."""

URL_OPTIONAL = "http"
"""The kind whose URL may come from a scenario."""
BUSES = ("kafka", "bus")


class SinkSpec(NamedTuple):
    """A value of `--to`."""

    kind: str
    location: str = ""


def sink_spec(text: str) -> SinkSpec:
    """`kafka`, `jsonl:PATH`, `http:URL` and so on; an `http://` or `https://` URL alone is one as well."""
    if re.match("https?://", text):
        return SinkSpec("http", text)
    kind, _, location = text.partition(":")
    if kind not in KINDS:
        forms = ", ".join(f"{name}:{suffix}" if suffix else name for name, suffix in KINDS.items())
        raise click.BadParameter(f"expected one of {forms}, got {text!r}")
    if bool(location) != bool(KINDS[kind]) and text != URL_OPTIONAL:
        form = f"{kind}:{KINDS[kind]}" if KINDS[kind] else f"just {kind}"
        raise click.BadParameter(f"expected {form}, got {text!r}")
    return SinkSpec(kind, location)


def header(text: str) -> tuple[str, str]:
    """`name: value`."""
    name, colon, content = text.partition(":")
    if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not content.strip().isprintable():
        raise click.BadParameter(f"expected 'name: value', got {text!r}")
    return name, content.strip()


@dataclass(frozen=True, kw_only=True)
class SinkOptions:
    """The values of the options."""

    to: tuple[SinkSpec, ...]
    """Empty: Kafka alone."""
    when_full: WhenFull | None
    rotate: int | None
    http_body: Literal["json", "analytics"]
    http_batch: int
    http_connections: int
    http_headers: tuple[tuple[str, str], ...]
    http_attempts: int
    http_timeout: float
    http_outage: float
    include_caused: bool
    openpanel_client_id: str
    openpanel_client_secret: str
    dead_letters: Path
    from_dead_letters: Path | None

    def check(self, form: FormatName) -> None:
        """Raises SinkUnusable: a sink cannot carry the format, or has no place for its events or its dead letters."""
        from eventbus.chains.errors import SinkUnusable
        from eventbus.chains.sinks.http import without_login

        files = [self.dead_letters.resolve()] if any(spec.kind in ("http", "openpanel") for spec in self.to) else []
        for spec in self.to:
            if spec.kind == "stdout" and sys.stdout is None:
                raise SinkUnusable("stdout is closed")
            if spec.kind == "jsonl":
                files.append(Path(spec.location).resolve())
                if files.count(files[-1]) > 1:
                    raise SinkUnusable(f"expected a file of its own for jsonl:{spec.location}")
            headers = {name.lower() for name, _ in self.http_headers}
            if spec.kind == "http" and "authorization" in headers and without_login(spec.location) != spec.location:
                raise SinkUnusable("expected a login in the URL or in --http-header, not both")
            if form not in ("json", "cloudevents") and spec.kind not in BUSES:
                raise SinkUnusable(f"{form} needs record headers: kafka or bus, not {spec.kind}")
            if form != "json" and spec.kind == "http" and self.http_body == "analytics":
                raise SinkUnusable("expected --format cloudevents or --http-body analytics, not both")
            if spec.kind in ("http", "openpanel") and not self.dead_letters.parent.is_dir():
                raise SinkUnusable(
                    f"--dead-letters: expected a file in a folder that exists, got '{self.dead_letters}'"
                )

    @property
    def takes_json_only(self) -> bool:
        """Whether one of the sinks accepts nothing but JSON events, so that the others need a conversion."""
        return any(spec.kind == "openpanel" for spec in self.to)

    def sinks(
        self,
        form: FormatName,
        dead_letters: DeadLetters,
        bus_sink: Callable[[str], Sink],
        on_reader_gone: Callable[[], None],
        *,
        takes: TakesType,
    ) -> list[tuple[Sink, Convert | None]]:
        """The sinks in the order of the command line, each with the conversion of JSON records that it needs.

        Args:
            dead_letters: takes records that no HTTP server accepted.
            bus_sink: makes a sink of the kind `kafka` or `bus`.
            on_reader_gone: called when nothing reads standard output any more.
            takes: the event types for sinks of web analytics.

        Raises:
            SinkUnusable: a URL or a setting is invalid.
        """
        from eventbus.chains.rendering.json import CONVERSIONS
        from eventbus.chains.sinks import JsonlSink, OpenPanelDialect, StdoutSink
        from eventbus.chains.sinks.bodies import track_url

        def sink(spec: SinkSpec) -> Sink:
            name = f"{spec.kind}:{spec.location}"
            if spec.kind == "stdout":
                return StdoutSink(on_gone=on_reader_gone)
            if spec.kind == "jsonl":
                return JsonlSink(Path(spec.location), rotate_bytes=self.rotate)
            if spec.kind == "http":
                return self._http_sink(spec.location, self._json_dialect(form, takes), name, dead_letters)
            if spec.kind == "openpanel":
                dialect = OpenPanelDialect(self.openpanel_client_id, self.openpanel_client_secret, takes=takes)
                return self._http_sink(track_url(spec.location), dialect, name, dead_letters)
            return bus_sink(spec.kind)

        convert = CONVERSIONS.get(form) if self.takes_json_only else None
        return [(sink(spec), None if spec.kind == "openpanel" else convert) for spec in self.to]

    def takes(self, catalog: Catalog) -> TakesType:
        """The event types for sinks of web analytics: those of visitors, unless the back end's are asked for too.

        All types, if no chain of the catalog is about visitors.
        """
        from eventbus.chains.sinks import all_types, is_visitor_event

        sessions = [chain for chain in catalog.active if chain.visitors]
        if self.include_caused or not sessions:
            return all_types
        own = {_unversioned(state.emits) for chain in sessions for state in chain.states.values()}
        return lambda event_type: is_visitor_event(event_type) or _unversioned(event_type) in own

    def _json_dialect(self, form: FormatName, takes: TakesType) -> Dialect:
        from eventbus.chains.sinks import JsonDialect, all_types, analytics_body

        is_analytics = self.http_body == "analytics"
        return JsonDialect(
            analytics_body if is_analytics else None,
            takes=takes if is_analytics and takes is not all_types else None,
            batch=self.http_batch,
            headers=dict(self.http_headers),
            cloudevents=form != "json",
        )

    def _http_sink(self, url: str, dialect: Dialect, name: str, dead_letters: DeadLetters) -> HttpSink:
        from eventbus.chains.sinks import HttpSink, RetryPolicy

        return HttpSink(
            url,
            dialect,
            name=name,
            dead_letters=dead_letters,
            connections=self.http_connections,
            retry=RetryPolicy(attempts=self.http_attempts, outage=self.http_outage),
            timeout=self.http_timeout,
        )


def _unversioned(event_type: str) -> str:
    return event_type.rpartition(".v")[0]


def _checked(**values: Any) -> SinkOptions:
    if len(set(values["to"])) < len(values["to"]):
        raise click.UsageError("--to: expected each sink once")
    return SinkOptions(**values)


sink_options = option_group(
    "Sinks",
    option(
        "--to", type=sink_spec, multiple=True, metavar="SINK",
        help="Where events go: kafka, bus (in memory), stdout, jsonl:PATH (compressed if it ends in .gz or .zst), "
        "http:URL or openpanel:URL; repeatable.  [default: kafka]",
    ),
    option(
        "--when-full", type=click.Choice(["wait", "drop"]),
        help="What happens when a sink is 20,000 events behind: the whole stream waits for it, or it loses events "
        "(HTTP servers: to the dead letters).  [default: drop; wait if --rate is max]",
    ),
    option(
        "--rotate", type=types.byte_size, metavar="SIZE",
        help="Begin another file of jsonl:PATH at this size, such as 100M.  [default: never]",
    ),
    option(
        "--http-body", type=click.Choice(["json", "analytics"]), default="json",
        help="Body of a request: the event, or the short form of web analytics.",
    ),
    option(
        "--http-batch", type=click.IntRange(min=1), default=1,
        help="Events per request; with more than 1, the body is a list.",
    ),
    option("--http-connections", type=click.IntRange(min=1), default=8, help="Requests at the same time."),
    option(
        "--http-header", "http_headers", type=header, multiple=True, metavar="'NAME: VALUE'", secret=True,
        help="Header of each request; repeatable.",
    ),
    option(
        "--http-attempts", type=click.IntRange(min=1), default=6,
        help="Attempts per request that the server fails at, the first included, with growing random pauses between "
        "them. While the server is down, events wait instead, and it is asked once a second whether it is back.",
    ),
    option(
        "--http-outage", type=types.duration, default="30s",
        help="How long the end of a stream waits for a server that is down; what is not sent by then is a dead letter.",
    ),
    option("--http-timeout", type=types.duration, default="10s", help="Time limit of one request."),
    option(
        "--openpanel-client-id", default="", envvar="EVENTBUS_OPENPANEL_CLIENT_ID", metavar="ID",
        help="Client id of openpanel:URL.",
    ),
    option(
        "--openpanel-client-secret", default="", envvar="EVENTBUS_OPENPANEL_CLIENT_SECRET", secret=True,
        metavar="SECRET",
        help="Its secret. Prefer the environment variable: other users can see command lines.",
    ),
    option(
        "--include-caused", is_flag=True,
        help="Send openpanel:URL and --http-body analytics the events of the back end, too, which are no visitors.",
    ),
    option(
        "--dead-letters", type=click.Path(dir_okay=False, path_type=Path), default="dead-letters.jsonl",
        help="File for events that an HTTP server did not accept, each with the reason.",
    ),
    option(
        "--from-dead-letters", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
        help="Instead of generating, send the events of such a file again: to their own sink, or to that of --to.",
    ),
    into=_checked,
    argument="sinks",
)  # fmt: skip
