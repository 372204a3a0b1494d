"""`eventbus guide`: the manual, whose pages are Markdown files shipped in the package."""

from __future__ import annotations

import re
from importlib.resources import files

import click

PAGES = (
    *("start", "in-tests", "streaming", "querying"),
    *("catalog", "chains", "values", "visitors", "arrivals", "scenarios"),
    *("runs", "faults", "verify", "sinks", "formats"),
    *("commands", "http", "settings", "deploying"),
    *("guarantees", "speed", "troubleshooting", "glossary", "changes"),
)
"""In reading order; each is `eventbus/guide/NAME.md`."""

comment_pattern = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)
link_pattern = re.compile(r"\[[^]]*\]\(([\w-]+)\.md[^)]*\)")
"""A link to another page."""


@click.command()
@click.argument("page", required=False)
def guide(page: str | None) -> None:
    """Show a page of the manual; without PAGE, list the pages.

    On a terminal the page is formatted; into a pipe or a file it is printed as Markdown.

    \b
    Examples:
      eventbus guide
      eventbus guide faults
      eventbus guide chains > chains.md
    """
    from rich.markdown import Markdown

    from eventbus.cli.render.terminal import new_console

    if page is None:
        width = max(map(len, PAGES))
        for name in PAGES:
            click.echo(f"{name:<{width}}  {summary(page_text(name))}")
        return
    text = page_text(_known(page))
    console = new_console()
    if console.is_terminal:
        console.print(Markdown(link_pattern.sub(r"`eventbus guide \1`", text)))
    else:
        click.echo(text, nl=False)


def page_text(name: str) -> str:
    """The Markdown of a page, without HTML comments."""
    text = (files("eventbus") / "guide" / f"{name}.md").read_text(encoding="utf-8")
    return comment_pattern.sub("", text)


def summary(text: str) -> str:
    """The first line under the title."""
    return text.split("\n\n")[1].replace("\n", " ")


def _known(name: str) -> str:
    from eventbus.catalog.errors import did_you_mean

    page = name.lower().removesuffix(".md")
    if page not in PAGES:
        raise click.UsageError(f"no page {name!r}{did_you_mean(page, PAGES)}; the pages are: {', '.join(PAGES)}")
    return page
