"""`--to`: where a stream goes, and the options of each kind of sink."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from eventbus.cli.types import Duration

if TYPE_CHECKING:
    from eventbus.chains.rendering import FormatName
    from eventbus.chains.rendering.json import Convert
    from eventbus.chains.sinks import DeadLetters, HttpSink, Sink
    from eventbus.chains.sinks.bodies import Dialect

KINDS = {"kafka": None, "bus": None, "stdout": None, "jsonl": "PATH", "http": "URL", "openpanel": "URL"}
"""What a sink is called, and what follows after a colon."""

BARE = "http"
"""The address may come from a scenario."""
BUSES = ("kafka", "bus")

UNITS = {"": 1, "k": 1000, "M": 10**6, "G": 10**9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}

WhenFull = Literal["wait", "drop"]


class Target(NamedTuple):
    """A value of `--to`, taken apart."""

    kind: str
    where: str = ""


class TargetType(click.ParamType):
    """`kafka`, `jsonl:PATH`, `http:URL` and so on; an `http://` or `https://` address by itself is one as well."""

    name = "sink"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Target:
        if isinstance(value, Target):
            return value
        if re.match("https?://", value):
            return Target("http", value)
        kind, _, where = value.partition(":")
        if kind not in KINDS:
            forms = ", ".join(f"{name}:{what}" if what else name for name, what in KINDS.items())
            self.fail(f"expected one of {forms}, got {value!r}", param, ctx)
        if bool(where) != bool(KINDS[kind]) and value != BARE:
            form = f"{kind}:{KINDS[kind]}" if KINDS[kind] else f"just {kind}"
            self.fail(f"expected {form}, got {value!r}", param, ctx)
        return Target(kind, where)


class Size(click.ParamType):
    """Bytes: `500k`, `100M`, `1G`, `64MiB`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"([0-9]+)(Ki|Mi|Gi|k|M|G|)B?", str(value))
        if not match or not int(match[1]):
            self.fail(f"expected a size such as 500k, 100M or 64MiB, got {value!r}", param, ctx)
        return int(match[1]) * UNITS[match[2]]


class Header(click.ParamType):
    """`name: value`."""

    name = "header"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, colon, content = value.partition(":")
        if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not content.strip().isprintable():
            self.fail(f"expected 'name: value', got {value!r}", param, ctx)
        return name, content.strip()


@dataclass(frozen=True, kw_only=True)
class SinkOptions:
    """What the user chose."""

    to: tuple[Target, ...]
    when_full: WhenFull | None
    rotate: int | None
    http_body: Literal["json", "analytics"]
    http_batch: int
    http_connections: int
    http_headers: tuple[tuple[str, str], ...]
    http_attempts: int
    http_timeout: float
    openpanel_client_id: str
    openpanel_client_secret: str
    dead_letters: Path

    def check(self, form: FormatName) -> None:
        """Raises SinkUnusable: a sink cannot carry the format."""
        from eventbus.chains.errors import SinkUnusable

        for target in self.to:
            if form not in ("json", "cloudevents") and target.kind not in BUSES:
                raise SinkUnusable(f"{form} needs record headers: kafka or bus, not {target.kind}")
            if form != "json" and target.kind == "http" and self.http_body == "analytics":
                raise SinkUnusable("expected --format cloudevents or --http-body analytics, not both")

    def sinks(
        self, form: FormatName, letters: DeadLetters, buses: Callable[[str], Sink], on_gone: Callable[[], None]
    ) -> list[tuple[Sink, Convert | None]]:
        """The sinks, in the order given, and what gives JSON records their format where the sinks are `mixed`.

        Args:
            letters: where records go that no server took.
            buses: makes the sinks `kafka` and `bus`.
            on_gone: called when nobody reads standard output any more.

        Raises:
            SinkUnusable: an address is not one.
        """
        from eventbus.chains.rendering.json import CONVERSIONS

        convert = CONVERSIONS.get(form) if self.mixed else None
        return [
            (self._sink(target, form, letters, buses, on_gone), None if target.kind == "openpanel" else convert)
            for target in self.to
        ]

    @property
    def mixed(self) -> bool:
        """Whether a sink takes nothing but JSON events: the stream is made of these, and converted for the others."""
        return any(target.kind == "openpanel" for target in self.to)

    def _sink(
        self,
        target: Target,
        form: FormatName,
        letters: DeadLetters,
        buses: Callable[[str], Sink],
        on_gone: Callable[[], None],
    ) -> Sink:
        from eventbus.chains.sinks import JsonlSink, OpenPanelDialect, StdoutSink
        from eventbus.chains.sinks.bodies import track_url

        if target.kind == "stdout":
            return StdoutSink(on_gone=on_gone)
        if target.kind == "jsonl":
            return JsonlSink(Path(target.where), rotate_bytes=self.rotate)
        if target.kind == "http":
            return self._http(target.where, self._json(form), f"http:{target.where}", letters)
        if target.kind == "openpanel":
            dialect = OpenPanelDialect(self.openpanel_client_id, self.openpanel_client_secret)
            return self._http(track_url(target.where), dialect, f"openpanel:{target.where}", letters)
        return buses(target.kind)

    def _json(self, form: FormatName) -> Dialect:
        from eventbus.chains.sinks import JsonDialect, analytics_body

        body = analytics_body if self.http_body == "analytics" else None
        return JsonDialect(body, batch=self.http_batch, headers=dict(self.http_headers), cloudevents=form != "json")

    def _http(self, url: str, dialect: Dialect, name: str, letters: DeadLetters) -> HttpSink:
        from eventbus.chains.sinks import HttpSink, Retry

        return HttpSink(
            url,
            dialect,
            name=name,
            dead_letters=letters,
            connections=self.http_connections,
            retry=Retry(attempts=self.http_attempts),
            timeout=self.http_timeout,
        )


OPTIONS = (
    click.option(
        "--to", type=TargetType(), multiple=True, metavar="SINK",
        help="kafka, bus, stdout, jsonl:PATH (.gz, .zst: compressed), http:URL or openpanel:URL; repeatable "
        "[default: kafka].",
    ),
    click.option(
        "--when-full", type=click.Choice(["wait", "drop"]),
        help="A sink that is behind by 20,000 events: wait for it, or let it go without [default: drop; wait if the "
        "rate is max].",
    ),
    click.option("--rotate", type=Size(), help="jsonl: begin another part at this size, such as 100M [never]."),
    click.option(
        "--http-body", type=click.Choice(["json", "analytics"]), default="json", show_default=True,
        help="The event, or the short body of web analytics.",
    ),
    click.option(
        "--http-batch", type=click.IntRange(min=1), default=1, show_default=True,
        help="Events in a request; more than 1: as a list.",
    ),
    click.option("--http-connections", type=click.IntRange(min=1), default=8, show_default=True),
    click.option(
        "--http-header", "http_headers", type=Header(), multiple=True, metavar="'NAME: VALUE'", help="Repeatable."
    ),
    click.option(
        "--http-attempts", type=click.IntRange(min=1), default=6, show_default=True,
        help="In all, with growing random waits between them.",
    ),
    click.option("--http-timeout", type=Duration(), default="10s", show_default=True, help="For one request."),
    click.option(
        "--openpanel-client-id", default="", envvar="EVENTBUS_OPENPANEL_CLIENT_ID",
        help="[env EVENTBUS_OPENPANEL_CLIENT_ID]",
    ),
    click.option(
        "--openpanel-client-secret", default="", envvar="EVENTBUS_OPENPANEL_CLIENT_SECRET",
        help="Better in the environment, where other users do not see it [env EVENTBUS_OPENPANEL_CLIENT_SECRET].",
    ),
    click.option(
        "--dead-letters", type=click.Path(dir_okay=False, path_type=Path), default="dead-letters.jsonl",
        show_default=True, help="Where events go that no HTTP server took.",
    ),
)  # fmt: skip


def sink_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command these options, as one argument `sinks`, a `SinkOptions`."""

    @wraps(command)
    def with_sinks(**options: Any) -> Any:
        given = {name: options.pop(name) for name in SinkOptions.__dataclass_fields__}
        if len(set(given["to"])) < len(given["to"]):
            raise click.UsageError("--to: expected each sink once")
        return command(sinks=SinkOptions(**given), **options)

    decorated: Callable[..., Any] = with_sinks
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    return decorated
