"""`eventbus catalog`: lists, shows, checks and exports catalogs, and lists scenarios."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from eventbus.cli.command import Command, option
from eventbus.cli.commands.catalog_init import init, learn
from eventbus.cli.options.common import Paths, catalog_option, chosen_catalog, json_option

if TYPE_CHECKING:
    from eventbus.catalog import Catalog, Chain, Scenario
    from eventbus.catalog.model import Arrivals


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def catalog() -> None:
    """List, show, check and export the catalog of event types and chains, or create one from what you have.

    \b
    Examples:
      eventbus catalog show agent-execution
      eventbus catalog lint my-events.yaml
      eventbus catalog export --format asyncapi --out asyncapi.json
      eventbus catalog init --from asyncapi.yaml --out mine.yaml
      eventbus catalog learn events.jsonl --out learned.yaml
      eventbus catalog learn events.jsonl --merge --out fitted.yaml
    """


catalog.add_command(init)
catalog.add_command(learn)


@catalog.command("list", cls=Command)
@catalog_option
@json_option
def list_command(paths: Paths, as_json: bool) -> None:
    """List chains and event types.

    \b
    Example: eventbus catalog list --catalog my-events.yaml
    """
    loaded = _load(paths)
    if as_json:
        _print_json({"chains": _chain_rows(loaded), "events": _event_rows(loaded)})
        return
    from eventbus.cli.render import catalog as view

    view.print_all(view.chain_table(_chain_rows(loaded)), view.event_table(_event_rows(loaded)))


@catalog.command(cls=Command)
@click.argument("name")
@catalog_option
@json_option
def show(name: str, paths: Paths, as_json: bool) -> None:
    """Show the chain or event type NAME.

    \b
    Examples:
      eventbus catalog show agent-execution
      eventbus catalog show omninode.agent.execution.failed.v1
      eventbus catalog show page_visited
    """
    from eventbus.catalog.model import full_name

    loaded = _load(paths)
    if name not in loaded.chains and full_name(name) in loaded.events:
        name = full_name(name)
    if name not in loaded.chains and name not in loaded.events:
        raise click.BadParameter(_unknown(loaded, name), param_hint="NAME")
    if as_json:
        chain = loaded.chains.get(name)
        _print_json(_chain_document(chain) if chain else _event_document(loaded, name))
        return
    from eventbus.cli.render import catalog as view

    if name in loaded.chains:
        view.print_all(*view.chain_view(loaded.chains[name]))
    else:
        view.print_all(*view.event_view(loaded.events[name], _emitters(loaded, name), _example(loaded, name)))


@catalog.command(cls=Command)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@option("--alone", is_flag=True, help="Check the files alone, not as an extension of the shipped catalog.")
@json_option
@click.pass_context
def lint(ctx: click.Context, paths: Paths, alone: bool, as_json: bool) -> None:
    """Check catalog files; without PATH, the shipped ones. Exit code 1: there are mistakes.

    \b
    Example: eventbus catalog lint my-events.yaml more-events/
    """
    from eventbus.catalog import InvalidCatalog
    from eventbus.catalog.errors import plural

    if alone and not paths:
        raise click.UsageError("--alone needs at least one PATH")
    try:
        loaded = _load(paths, extend=not alone)
    except InvalidCatalog as error:
        if as_json:
            _print_json({"mistakes": [mistake._asdict() for mistake in error.mistakes]})
        else:
            click.echo(error)
        ctx.exit(1)
    if as_json:
        _print_json({"mistakes": []})
    else:
        chains, events = plural(len(loaded.chains), "chain"), plural(len(loaded.events), "event type")
        click.echo(f"no mistakes in {chains} and {events}")


@catalog.command(cls=Command, short_help="Export it as AsyncAPI, JSON Schema, Avro or Protocol Buffers.")
@option(
    "--format",
    "kind",
    type=click.Choice(["asyncapi", "jsonschema", "avro", "protobuf"]),
    default="asyncapi",
    help="Language of the document.",
)
@option(
    "--out",
    type=click.File("w", encoding="utf-8", lazy=True),
    default="-",
    metavar="FILE",
    help="File to write; YAML if the name ends in .yaml or .yml, else JSON.  [default: stdout]",
    show_default=False,
)
@option(
    "--topics",
    type=click.Choice(["domain", "event_type", "single"]),
    default="domain",
    help="asyncapi: one topic for each domain of event types, for each event type, or for all.",
)
@option("--server", default="localhost:9092", metavar="HOST:PORT", help="asyncapi: address of the broker.")
@option(
    "--type",
    "names",
    multiple=True,
    metavar="EVENT_TYPE",
    help="avro, protobuf: only this event type; repeatable.  [default: all]",
)
@catalog_option
def export(*, kind: str, out: TextIO, topics: Any, server: str, names: tuple[str, ...], paths: Paths) -> None:
    """Export the catalog as one AsyncAPI 3.1 document, JSON Schema (draft 2020-12), Avro or Protocol Buffers
    schema.

    \b
    Examples:
      eventbus catalog export --format asyncapi --out asyncapi.yaml
      eventbus catalog export --format avro --type omninode.agent.execution.failed.v1 --out failed.avsc
    """
    from eventbus.bus import topic_namer
    from eventbus.catalog.export.asyncapi import asyncapi
    from eventbus.catalog.export.jsonschema import catalog_schema
    from eventbus.catalog.export.typed import message
    from eventbus.catalog.export.typed_text import avro_schema, protobuf_schema

    loaded = _load(paths)
    if kind == "protobuf":
        out.write(protobuf_schema(message(loaded, names or list(loaded.events))))
        return
    if kind == "avro":
        document = avro_schema(message(loaded, names or list(loaded.events)))
    elif kind == "asyncapi":
        document = asyncapi(loaded, topic_of=topic_namer(topics), server=server)
    else:
        document = catalog_schema(loaded)
    out.write(_yaml(document) if out.name.endswith((".yaml", ".yml")) else _json(document))


@catalog.command(cls=Command, short_help="List the shipped scenarios, or print the file of one.")
@click.argument("name", required=False, metavar="[NAME|FILE]")
@catalog_option
@json_option
def scenarios(name: str | None, paths: Paths, as_json: bool) -> None:
    """List the shipped scenarios, or check one and print its file, to copy and change.

    \b
    Examples:
      eventbus catalog scenarios
      eventbus catalog scenarios spike > mine.yaml
    """
    import orjson

    from eventbus.catalog import Scenario
    from eventbus.catalog.scenario import file_of

    extended = chosen_catalog(paths)
    loaded = [Scenario.load(source, catalog=extended) for source in ([name] if name else Scenario.names())]
    if as_json:
        click.echo(orjson.dumps(list(map(_scenario_row, loaded)), option=orjson.OPT_INDENT_2))
    elif name:
        click.echo(file_of(name).read_text(), nl=False)
    else:
        from eventbus.cli.render import catalog as view

        view.print_all(view.scenario_table([_scenario_row(scenario) for scenario in loaded]))


def _scenario_row(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "arrivals": scenario.arrivals and _arrivals_text(scenario.arrivals),
        "duration_seconds": scenario.duration,
        "description": scenario.description,
    }


def _arrivals_text(arrivals: Arrivals) -> str:
    from eventbus.catalog.model import ClosedWorkload, ConstantRate, Profile

    if isinstance(arrivals, ClosedWorkload):
        return f"{arrivals.users:,} users"
    match arrivals.rate:
        case ConstantRate(rate=rate):
            return f"{rate:g}/s"
        case Profile(time_zone=zone):
            return f"by the hour ({zone})"
        case _:
            return "in stages"


def _load(paths: Paths, *, extend: bool = True) -> Catalog:
    from eventbus.catalog import Catalog

    return Catalog.load(*paths, extend=extend)


def _chain_document(chain: Chain) -> dict[str, Any]:
    from eventbus.catalog.export.asyncapi import chain_extension
    from eventbus.catalog.export.yaml import visitors_document

    visitors = {"visitors": visitors_document(chain.visitors)} if chain.visitors else {}
    return {"name": chain.name, **chain_extension(chain), **visitors}


def _unknown(loaded: Catalog, name: str) -> str:
    from eventbus.catalog.errors import did_you_mean, join_names

    near = did_you_mean(name, [*loaded.chains, *loaded.events])
    return f"no chain or event type {name!r}{near}; the chains are {join_names(loaded.chains)}"


def _chain_rows(loaded: Catalog) -> list[dict[str, Any]]:
    total = sum(chain.weight for chain in loaded.chains.values())
    return [
        {
            "name": chain.name,
            "weight": chain.weight,
            "share": chain.weight / total,
            "states": len(chain.states),
            "description": chain.description,
        }
        for chain in loaded.chains.values()
    ]


def _event_rows(loaded: Catalog) -> list[dict[str, Any]]:
    return [
        {"name": event.name, "source": event.source, "description": event.description, "chains": chains}
        for event in loaded.events.values()
        for chains in [sorted({chain for chain, _ in _emitters(loaded, event.name)})]
    ]


def _emitters(loaded: Catalog, event_type: str) -> list[tuple[str, str]]:
    """The chains and states that emit the event type."""
    return [
        (chain.name, state.name)
        for chain in loaded.chains.values()
        for state in chain.states.values()
        if state.emits == event_type
    ]


def _event_document(loaded: Catalog, name: str) -> dict[str, Any]:
    from eventbus.catalog.export.jsonschema import event_schema

    return {
        "name": name,
        "emitted": [{"chain": chain, "state": state} for chain, state in _emitters(loaded, name)],
        "schema": event_schema(loaded.events[name]),
        "example": _example(loaded, name),
    }


def _example(loaded: Catalog, name: str) -> dict[str, Any]:
    from eventbus.catalog import Role
    from eventbus.catalog.export.asyncapi import example_event

    return example_event(loaded.events[name], root=loaded.conformance.classify(name)[1] == Role.REQUESTED)


def _print_json(value: Any) -> None:
    click.echo(_json(value), nl=False)


def _json(value: Any) -> str:
    import orjson

    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _yaml(value: Any) -> str:
    import yaml

    class Plain(yaml.SafeDumper):
        """Writes a value that occurs twice in full, rather than as an anchor and an alias."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml.dump(value, Dumper=Plain, sort_keys=False, allow_unicode=True, width=120)
