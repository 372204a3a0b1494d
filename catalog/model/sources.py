"""What a source of payload values says about itself.

Reading, linting, schemas, exports, documents and the generator ask a field's source; none of them knows which sources
there are. `catalog.sources` has the sources themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from eventbus.catalog.errors import Location, UnknownName
from eventbus.catalog.model.chains import Chain
from eventbus.catalog.model.draws import FilledText, Placeholder, Purpose
from eventbus.catalog.model.json_types import FieldType

Lists = Mapping[str, tuple[Any, ...]]
"""The lists of a catalog by name."""


class FieldEntry(Protocol):
    """A payload field as it stands in a document.

    A getter returns None where the key is absent, and where the value is of another type, which it reports.
    """

    def plain(self, key: str) -> Any: ...
    def text(self, key: str) -> str | None: ...
    def number(self, key: str) -> float | None: ...
    def integer(self, key: str) -> int | None: ...
    def flag(self, key: str) -> bool | None: ...
    def values(self, key: str) -> tuple[Any, ...] | None: ...
    def texts(self, key: str) -> dict[str, str] | None: ...


class DrawScope(NamedTuple):
    """The place of a field in what the generator emits."""

    lists: Lists
    chain: Chain
    state: str
    path: tuple[str, ...]
    """Of the field in the payload: the names of the objects around it, and its own."""
    type: FieldType
    longest: int
    """Longest delay before the state, microseconds."""
    placeholder_of: Callable[[str], Placeholder | FilledText]
    """The placeholder of another field of the payload, by its dotted path; raises `UnknownName` if there is none."""

    def number(self, path: str) -> Placeholder:
        """The placeholder of another field, which is a number.

        Raises:
            UnknownName: there is no such field, or it is a text made of others.
        """
        placeholder = self.placeholder_of(path)
        if isinstance(placeholder, FilledText):
            raise UnknownName(f"{self.chain.name}/{self.state}: expected a number, but {path!r} is a text")
        return placeholder

    @property
    def purpose(self) -> Purpose:
        """Of a draw for this field alone."""
        return Purpose("field", (self.chain.name, self.state, *self.path))


class FieldUse(NamedTuple):
    """Another field of the payload that a field needs the value of."""

    key: Location
    """Where the entry of the field names it."""
    path: str
    """`result.score`."""
    types: tuple[FieldType, ...]
    """Types that it may have."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a payload field gets its values. This one gives none: that of an object, whose members have their own."""

    name: ClassVar[str] = "fields"
    """What messages call it."""
    keys: ClassVar[tuple[str, ...]] = ()
    """Its keys in a catalog file."""
    is_default: ClassVar[bool] = False
    """Whether its keys count only where no other source is named."""

    @classmethod
    def read(cls, entry: FieldEntry) -> Source | None:
        """The source that an entry names; None if it names another."""
        raise NotImplementedError

    @classmethod
    def stray_keys(cls, entry: FieldEntry) -> Iterator[tuple[str, str]]:
        """Keys of this source in an entry that names another one, each with what is wrong."""
        return iter(())

    def document(self) -> dict[str, Any]:
        """Its keys with their values, as a catalog file has them."""
        return {}

    def problems(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Iterator[tuple[Location, str]]:
        """What is wrong with it, each by the path of a key.

        Args:
            type: of the field.
            chains: those that emit the event.
        """
        return iter(())

    def uses(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Iterator[FieldUse]:
        """The other fields of the payload that it needs the values of.

        Args:
            type: of the field.
            chains: those that emit the event.
        """
        return iter(())

    def emission_problem(self, chain: Chain, state: str, *, is_caused: bool) -> str | None:
        """Why it has no value when a state of a chain emits the event: `takes the variable …, which …`.

        Args:
            is_caused: whether other chains cause the chain.
        """
        return None

    def allowed(self, lists: Lists, chains: list[Chain]) -> tuple[Any, ...] | None:
        """Every value that the generator may give; None where there is no list of them."""
        return self.accepted

    @property
    def accepted(self) -> tuple[Any, ...] | None:
        """The only values that an event sent in by hand may have; None: any of the field's type within the bounds."""
        return None

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The smallest and the largest number that an event may have; None: no bound."""
        return None, None

    def schema(self) -> dict[str, Any]:
        """The keywords of JSON Schema for its values, apart from `type`."""
        low, high = self.bounds
        return ({} if low is None else {"minimum": low}) | ({} if high is None else {"maximum": high})

    def example(self, type: FieldType, example_of: Callable[[str], Any]) -> Any:
        """An example value where no values are listed; None if any value of the type will do.

        Args:
            example_of: gives the example of another field of the payload, by its dotted path.
        """
        return None

    def describe(self) -> str:
        """One phrase for people: `from list city`."""
        return ""

    def draw(self, scope: DrawScope) -> Placeholder | FilledText:
        """How the generator draws its values.

        Raises:
            UnknownName: the catalog or the chain does not define what it refers to.
        """
        raise NotImplementedError


NO_SOURCE = Source()


def split_reference(reference: str) -> tuple[str, str | None]:
    """`list.attribute` → its two parts; the attribute is None when there is none."""
    name, dot, attribute = reference.partition(".")
    return name, attribute if dot else None
