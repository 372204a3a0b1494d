"""Merges the definitions of a file that `extends` another one into those of that file.

Mappings merge by key. Lists of named things (transitions, branches, caused chains, clicks, items of `lists`) merge by
name, and may be changed by a mapping from names to changes. Everything else replaces what was there. Nothing (`null`)
removes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from eventbus.catalog.errors import did_you_mean, join_names
from eventbus.catalog.reading.chains import DELAYS
from eventbus.catalog.reading.document import MAP, NULL, TEXT, YamlNode
from eventbus.catalog.sources import SOURCES, Choices, FixedValue, ListPick, TextTemplate, VariableValue

Pairs = list[tuple[yaml.Node, yaml.Node]]

LISTED = (FixedValue, Choices, ListPick, VariableValue)
"""The sources whose values may be texts to fill."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How a change merges into a value of one place in the format."""

    members: Mapping[str, Callable[[], Rule]] = field(default_factory=dict)
    """Of a mapping: the rules of members that have one of their own."""
    each: Callable[[], Rule] | None = None
    """Of a mapping from names: the rule of all its members."""
    instead: Sequence[Sequence[str]] = ()
    """Of a mapping: groups of keys, one of which stands in place of another."""
    name: Sequence[str] = ()
    """Of a list of mappings: the keys one of which names an item."""
    item: Callable[[], Rule] | None = None
    """Of a list of named things: the rule of its items."""
    takes_names: bool = False
    """Of a list: texts stand for items, whose first member is the name."""

    def of(self, key: str) -> Rule:
        """The rule of a member."""
        return self.members.get(key, self.each or _plain)()

    def replaced(self, changes: Collection[str]) -> set[str]:
        """The keys in whose place changes stand: those of all groups but the ones that the changes name.

        A key that several groups have, such as `decimals`, names none of them.
        """
        counts = Counter(key for group in self.instead for key in group)
        named = {key for key in changes if counts[key] == 1}
        kept = {key for group in self.instead if not named.isdisjoint(group) for key in group}
        return counts.keys() - kept if kept else set()


def _plain() -> Rule:
    return Rule()


def _delay() -> Rule:
    return Rule(instead=[[name] for name in DELAYS])


def _target() -> Rule:
    return Rule(members={"delay": _delay})


def _transition() -> Rule:
    return Rule(members={"delay": _delay, "retry": lambda: Rule(members={"else": _target})})


def _join() -> Rule:
    return Rule(members={"delay": _delay, "unless": lambda: Rule(name=["state"], item=_target)})


def _fork() -> Rule:
    return Rule(members={"branches": lambda: Rule(name=["to"], item=_target), "join": _join})


def _state() -> Rule:
    return Rule(
        members={
            "next": lambda: Rule(name=["to"], item=_transition),
            "fork": _fork,
            "compensation": _target,
            "causes": lambda: Rule(name=["chain"], item=_target),
        }
    )


def _variable() -> Rule:
    return Rule(instead=[["list"], ["min", "max"]])


def _page() -> Rule:
    return Rule(members={"clicks": lambda: Rule(name=["button", "link"], item=_plain)})


def _visitors() -> Rule:
    return Rule(members={"pages": lambda: Rule(each=_page)})


def _chain() -> Rule:
    return Rule(
        members={
            "states": lambda: Rule(each=_state),
            "variables": lambda: Rule(each=_variable),
            "visitors": _visitors,
        }
    )


def _field() -> Rule:
    sources = [(*kind.keys, *(TextTemplate.keys if kind in LISTED else ())) for kind in SOURCES]
    return Rule(instead=[["fields"], *sources], members={"fields": _fields})


def _fields() -> Rule:
    return Rule(each=_field)


def _event() -> Rule:
    return Rule(members={"payload": _fields})


def _list() -> Rule:
    return Rule(takes_names=True, item=_plain)


RULES: Mapping[str, Rule] = {"lists": _list(), "events": _event(), "chains": _chain()}
"""How the definitions of each section merge."""


def merged(section: str, base: YamlNode, change: YamlNode) -> YamlNode:
    """A definition with its changes; each value keeps the file and line that it comes from.

    What cannot be merged is added to the mistakes.
    """
    return YamlNode(_merge(base.tree, change, RULES[section]), change.path, change.mistakes)


def is_nothing(node: YamlNode) -> bool:
    """Whether a change removes what it changes."""
    return node.tree.tag == NULL


def completed_item(base: yaml.Node, item: YamlNode, number: int) -> yaml.Node:
    """An item for a list; a text in a list of mappings becomes one whose other members are those of an item there.

    Args:
        number: of the item; items of the list lend their members in turn.
    """
    lenders = [lender for lender in base.value if isinstance(lender, yaml.MappingNode) and lender.value]
    if not lenders or not isinstance(item.tree, yaml.ScalarNode):
        return item.tree
    (key, _), *others = lenders[number % len(lenders)].value
    return yaml.MappingNode(MAP, [(key, item.tree), *others], item.tree.start_mark)


def _merge(base: yaml.Node, change: YamlNode, rule: Rule) -> yaml.Node:
    if isinstance(base, yaml.MappingNode) and change.is_mapping:
        return _merge_mapping(base, change, rule)
    if isinstance(base, yaml.SequenceNode) and rule.item:
        if change.is_mapping:
            return _change_items(base, change, rule)
        if change.is_list:
            return _merge_items(base, change, rule)
    return change.tree


def _merge_mapping(base: yaml.MappingNode, change: YamlNode, rule: Rule) -> yaml.MappingNode:
    changes = change.mapping()
    dropped = rule.replaced(changes)
    pairs: Pairs = [(key, value) for key, value in base.value if str(key.value) not in dropped]
    names = [str(key.value) for key, _ in pairs]
    for name, member in changes.items():
        index = names.index(name) if name in names else None
        if is_nothing(member):
            _remove(pairs, names, index, name, member)
        elif index is None:
            names.append(name)
            pairs.append((_text(name, member), member.tree))
        else:
            pairs[index] = (pairs[index][0], _merge(pairs[index][1], member, rule.of(name)))
    return yaml.MappingNode(base.tag, pairs, change.tree.start_mark)


def _merge_items(base: yaml.SequenceNode, change: YamlNode, rule: Rule) -> yaml.SequenceNode:
    """A list of named things with the changes and the new things of another list."""
    keys = rule.name or [_first_key(base)]
    items, names = list(base.value), [_name_of(item, keys) for item in base.value]
    for number, item in enumerate(change.items()):
        name = _name_of(item.tree, keys)
        if name is None or name not in names:
            items.append(completed_item(base, item, number) if rule.takes_names else item.tree)
        elif item.is_mapping:
            index = names.index(name)
            items[index] = _merge(items[index], item, (rule.item or _plain)())
    return yaml.SequenceNode(base.tag, items, change.tree.start_mark)


def _change_items(base: yaml.SequenceNode, change: YamlNode, rule: Rule) -> yaml.SequenceNode:
    """A list of named things with the changes of a mapping from names; those that it does not have yet are added."""
    keys = rule.name or [_first_key(base)]
    items, names = list(base.value), [_name_of(item, keys) or "" for item in base.value]
    for name, member in change.mapping().items():
        index = names.index(name) if name in names else None
        if is_nothing(member):
            _remove(items, names, index, name, member)
        elif not member.is_mapping:
            member.complain("expected a mapping with what changes, or nothing to remove it")
        elif index is None:
            names.append(name)
            named = [(_text(keys[0], member), _text(name, member)), *member.tree.value]
            items.append(yaml.MappingNode(MAP, named, member.tree.start_mark))
        else:
            items[index] = _merge(items[index], member, (rule.item or _plain)())
    return yaml.SequenceNode(base.tag, items, change.tree.start_mark)


def _remove(values: list[yaml.Node] | Pairs, names: list[str], index: int | None, name: str, change: YamlNode) -> None:
    if index is None:
        change.complain(f"no {name!r} to remove{did_you_mean(name, names)}; there are {join_names(names)}")
        return
    del values[index], names[index]


def _name_of(item: yaml.Node, keys: Sequence[str]) -> str | None:
    """What an item of a list is called, by one of these keys; a text is its own name."""
    if isinstance(item, yaml.ScalarNode):
        return str(item.value)
    if not isinstance(item, yaml.MappingNode):
        return None
    return next((str(value.value) for key, value in item.value if key.value in keys), None)


def _first_key(base: yaml.SequenceNode) -> str:
    """The name of the first member of a list's first item: it names all of them, whatever their order."""
    firsts = (str(item.value[0][0].value) for item in base.value if isinstance(item, yaml.MappingNode) and item.value)
    return next(firsts, "name")


def _text(text: str, origin: YamlNode) -> yaml.ScalarNode:
    return yaml.ScalarNode(TEXT, text, origin.tree.start_mark)
