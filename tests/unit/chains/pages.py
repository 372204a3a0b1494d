"""A report as a reader sees it: its figures, tables and drawings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br"}


@dataclass
class Node:
    """An element and what is in it."""

    name: str
    attributes: dict[str, str]
    children: list[Node | str] = field(default_factory=list)

    def all(self, name: str, class_: str | None = None) -> Iterator[Node]:
        for child in self.children:
            if isinstance(child, Node):
                if child.name == name and (class_ is None or class_ in child.attributes.get("class", "").split()):
                    yield child
                yield from child.all(name, class_)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)


class Page(HTMLParser):
    """A page as a tree; refuses elements that do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open = [Node("", {})]
        self.feed(text)
        assert len(self.open) == 1

    @property
    def root(self) -> Node:
        return self.open[0]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().name == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)

    def tiles(self) -> dict[str, str]:
        """The headline figures."""
        found = next(self.root.all("dl", "tiles"))
        return {next(one.all("dt")).text: next(one.all("dd")).text for one in found.all("div")}

    def run(self) -> dict[str, str]:
        """What names the run."""
        found = next(self.root.all("dl", "run"))
        names, values = found.all("dt"), found.all("dd")
        return {name.text: value.text for name, value in zip(names, values, strict=True)}

    def section(self, title: str) -> Node:
        """By its heading."""
        return next(one for one in self.root.all("section") if next(one.all("h2")).text == title)

    def titles(self) -> list[str]:
        return [one.text for one in self.root.all("h2")]


def rows(node: Node) -> list[list[str]]:
    """The body of the first table in an element."""
    body = next(next(node.all("table")).all("tbody"))
    return [[cell.text for cell in row.all("td")] for row in body.all("tr")]
