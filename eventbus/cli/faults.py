"""Faults as an option: `--fault late=0.01,min=1s,max=5s,chain=agent-execution`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import click

from eventbus.cli.formats import TYPED
from eventbus.cli.types import Duration

if TYPE_CHECKING:
    from eventbus.bus import EventBus
    from eventbus.catalog.model import Fault
    from eventbus.chains import ChainGenerator
    from eventbus.chains.rendering import Format

FORM = "KIND=RATE[,min=…,max=…,chain=…,type=…,field=…]"


class FaultParameter(click.ParamType):
    """A kind and a rate, then where it may strike and how far it goes; names may be repeated."""

    name = "fault"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fault:
        from eventbus.catalog.model import Fault
        from eventbus.chains.errors import InvalidSetting
        from eventbus.chains.faults import check_fault

        if isinstance(value, Fault):
            return value
        first, *rest = str(value).split(",")
        kind, _, rate = first.partition("=")
        settings: dict[str, list[str]] = {"min": [], "max": [], "chain": [], "type": [], "field": []}
        for part in rest:
            name, equals, text = part.partition("=")
            if name not in settings or not equals:
                self.fail(f"expected {FORM}, got {part!r} in {value!r}", param, ctx)
            settings[name].append(text)
        fault = Fault(
            kind=kind,
            rate=self._number(rate, value),
            bounds=self._bounds(kind, settings["min"], settings["max"]),
            chains=tuple(settings["chain"]),
            event_types=tuple(settings["type"]),
            fields=tuple(settings["field"]),
        )
        try:
            check_fault(fault)
        except InvalidSetting as error:
            self.fail(str(error), param, ctx)
        return fault

    def _number(self, text: str, value: str) -> float:
        try:
            return float(text)
        except ValueError:
            self.fail(f"expected {FORM} with a rate of 0 to 1, such as late=0.01, got {value!r}")

    def _bounds(self, kind: str, low: list[str], high: list[str]) -> tuple[int, int] | None:
        from eventbus.catalog.model import FAULT_KINDS, complete_bounds

        if kind not in FAULT_KINDS:
            return None
        return complete_bounds(kind, *(self._bound(kind, texts[-1]) if texts else None for texts in (low, high)))

    def _bound(self, kind: str, text: str) -> int:
        """Microseconds, or places in the stream."""
        from eventbus.catalog.model import FAULT_KINDS

        if FAULT_KINDS[kind].unit == "time":
            return round(Duration().convert(text, None, None) * 1e6)
        if not text.isdigit():
            self.fail(f"expected a whole number of places for {kind}, got {text!r}")
        return int(text)


class FaultOption(click.Option):
    """An option whose help lists the kinds of faults; they are imported only when it is shown."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        from eventbus.catalog.model import FAULT_KINDS

        kinds = [f"{kind} (field=NAME)" if spec.has_fields else kind for kind, spec in FAULT_KINDS.items()]
        self.help = f"{FAULT_HELP} Kinds: {', '.join(kinds)}."
        return super().get_help_record(ctx)


FAULT_HELP = "Do this to a share of the events, such as late=0.01 or duplicate=0.02,max=3s,chain=NAME; repeatable."

fault_option = click.option(
    "--fault",
    "faults",
    cls=FaultOption,
    multiple=True,
    type=FaultParameter(),
    metavar="KIND=RATE[,…]",
    help=FAULT_HELP,
)

ledger_option = click.option(
    "--ledger",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write: every chain as it was meant, and every fault, as JSON lines.",
)


@dataclass(frozen=True, kw_only=True)
class Striking:
    """The faults that a paced run shall have, and where they are written down."""

    faults: tuple[Fault, ...]
    ledger: Path | None

    def check(self, generator: ChainGenerator, form: str = "json") -> None:
        """Raises click.UsageError: a fault finds no event to strike, or the format cannot be struck."""
        from eventbus.chains import InvalidSetting

        if form in TYPED and (self.faults or self.ledger):
            raise click.UsageError(f"--fault and --ledger are about JSON: --format json or cloudevents, not {form}")
        try:
            generator.injector(self.faults)
        except InvalidSetting as error:
            raise click.UsageError(str(error)) from error

    @contextmanager
    def arguments(self, bus: EventBus, format: Format | None = None) -> Iterator[dict[str, Any]]:
        """Those of `ChainGenerator.run` that depend on it; the ledger is open meanwhile.

        Args:
            bus: to publish into; it gets its records in the format, though faults break JSON events.
            format: None: JSON.
        """
        from eventbus.chains.rendering import JSON

        format = format or JSON
        if not self.faults and self.ledger is None:
            yield {"bus": bus, "format": format}
            return
        struck = {"bus": _converting(bus, format), "format": JSON, "faults": self.faults}
        if self.ledger is None:
            yield struck
            return
        with _opened(self.ledger) as book:
            yield {**struck, "ledger": book}


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("wb")
    except OSError as error:
        raise click.FileError(str(path), hint=error.strerror) from error


def _converting(bus: EventBus, format: Format) -> EventBus:
    """The bus behind what gives JSON records a format."""
    from eventbus.chains.rendering import CLOUDEVENTS, CLOUDEVENTS_BINARY
    from eventbus.chains.rendering.json import ConvertedBus, binary, structured

    for other, convert in ((CLOUDEVENTS, structured), (CLOUDEVENTS_BINARY, binary)):
        if format is other:
            return cast("EventBus", ConvertedBus(bus, convert))
    return bus


def striking_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `--fault` and `--ledger`, as one argument `striking`, a `Striking`."""

    @wraps(command)
    def with_striking(**options: Any) -> Any:
        striking = Striking(faults=tuple(options.pop("faults")), ledger=options.pop("ledger"))
        return command(striking=striking, **options)

    return fault_option(ledger_option(cast("Callable[..., Any]", with_striking)))


def told(counts: Mapping[str, int]) -> str:
    """How many events each kind struck: `faults: 12 drop, 3 late`."""
    return "faults: " + (", ".join(f"{count:,} {kind}" for kind, count in counts.items()) or "none")
