"""What a user is after groups: tables merged from the outermost group to the user's own. Pure.

    [groups.all]       [groups.partners]      [users.acme]               acme
    read_only = true   group = "all"          group = "partners"         read_only = true
                       prefix = "p/${user}"   attributes.tier = "gold"   prefix = "p/acme"
                       attributes.tier = "x"                             attributes.tier = "gold"

Tables are those of the files, not yet validated, so all options are merged alike, whatever they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from s3sftp.config import suggestion

Path_ = tuple[str, ...]
_PLACEHOLDER = "${user}"
_MAX_DEPTH = 20
"""Groups of groups of groups …"""


class Source(Protocol):
    """Settings or a file."""

    def origin(self, path: Path_) -> str | None:
        """Where the value at a path, such as `("users", "acme", "prefix")`, was written."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A table `[users.NAME]` or `[groups.NAME]` as it was written."""

    kind: str
    """`users` or `groups`."""
    name: str
    table: object
    """A mapping, unless something else was written."""
    source: Source

    @property
    def options(self) -> Mapping[str, Any]:
        return self.table if isinstance(self.table, Mapping) else {}

    @property
    def groups(self) -> Sequence[str]:
        """The groups that it names. None if the option is not a name or a list of names, which is an error
        when the table is validated."""
        named = self.options.get("group", ())
        if isinstance(named, str):
            return (named,)
        is_list = isinstance(named, list | tuple) and all(isinstance(name, str) for name in named)
        return named if is_list else ()

    @property
    def nulls(self) -> Sequence[Path_]:
        """The paths below the table of options without a value, such as `networks:` in YAML."""
        return tuple(_nulls(self.options, ()))

    def here(self, *path: str) -> str | None:
        """Where the option at a path below the table was written."""
        return self.source.origin((self.kind, self.name, *path))


@dataclass(frozen=True, slots=True)
class Layers:
    """The definitions that one user is made of: groups, outermost first, then the user's own."""

    definitions: Sequence[Definition]

    @property
    def own(self) -> Definition:
        return self.definitions[-1]

    def merged(self) -> dict[str, Any]:
        """One table of all options, with the user's name for `${user}`. Its `group` is the user's own.

        Options without a value are left out: they would switch off what a group says."""
        table: dict[str, Any] = {}
        for group in self.definitions[:-1]:
            table = _merge(table, {name: value for name, value in group.options.items() if name != "group"})
        merged: dict[str, Any] = _with_user(_merge(table, self.own.options), self.own.name)
        return merged

    def source(self, *path: str) -> Definition | None:
        """The last definition that has the option at this path below its table; None for a default."""
        for definition in reversed(self.definitions):
            if _has(definition.options, path) and (path[0] != "group" or definition is self.own):
                return definition
        return None

    def where(self, *path: str) -> str | None:
        """Where the option at this path, or the nearest table above it, was written."""
        while path:
            source = self.source(*path)
            if source is not None:
                return source.here(*path)
            path = path[:-1]
        return self.own.here()


@dataclass(slots=True)
class Groups:
    """All groups by name, which of them have users, and what is wrong between them."""

    by_name: Mapping[str, Definition]
    unusable: frozenset[str] = frozenset()
    """Groups with problems of their own: users are examined without them."""
    used: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    _chains: dict[str, Sequence[Definition]] = field(default_factory=dict)
    """Each group that has been followed, preceded by the groups that it names."""

    def layers_of(self, user: Definition) -> Layers:
        """The definitions of a user. Groups that are not known are added to `problems`."""
        found = self._named_by(user, ())
        self.used.update(group.name for group in found)
        return Layers((*(group for group in found if group.name not in self.unusable), user))

    def examine(self) -> None:
        """Add the problems of groups that no user has, too."""
        for name in self.by_name:
            self._chain(name, ())

    def _named_by(self, definition: Definition, inside: Sequence[str]) -> Sequence[Definition]:
        """The groups of a definition, outermost first, each once. `inside` are the groups that led here."""
        found: Sequence[Definition] = ()
        for name in definition.groups:
            if name not in self.by_name:
                known = suggestion(name, self.by_name)
                self._add(definition, f" = {name!r}", f"there is no such group{known}")
            elif name in inside:
                circle = " → ".join([*inside[inside.index(name) :], name])
                self._add(definition, "", f"a group cannot be in itself: {circle}")
            elif len(inside) == _MAX_DEPTH:
                self._add(definition, "", f"groups should be nested at most {_MAX_DEPTH} deep")
            else:
                found = _followed_by(found, self._chain(name, inside))
        return found

    def _chain(self, name: str, inside: Sequence[str]) -> Sequence[Definition]:
        if name not in self._chains:
            group = self.by_name[name]
            self._chains[name] = (*self._named_by(group, (*inside, name)), group)
        return self._chains[name]

    def _add(self, definition: Definition, value: str, problem: str) -> None:
        where = definition.here("group")
        place = f" ({where})" if where else ""
        self.problems.append(f"{definition.kind}.{definition.name}.group{value}{place}: {problem}")


def _followed_by(found: Sequence[Definition], chain: Sequence[Definition]) -> Sequence[Definition]:
    """The groups that were found, and those of the group that is named next, which `chain` ends with.

    That one comes last, as the later one overrides. The others keep the order of the chain, and stay where
    they are if it allows that: a group that both have does not override what is built on it.
    """
    at = {group.name: group for group in (*found, *chain)}
    order = [group.name for group in found]
    names = [group.name for group in chain]
    earliest = 0
    for number, name in enumerate(names):
        place = order.index(name) if name in order else None
        if number + 1 < len(names) and place is not None and place >= earliest:
            earliest = place + 1
            continue
        if number + 1 == len(names):
            target = len(order)
        elif place is not None:
            target = earliest
        else:
            later = (order.index(each) for each in names[number + 1 :] if each in order)
            target = min((each for each in later if each >= earliest), default=len(order))
        order.insert(target, name)
        if place is not None:  # it was further up: `target` is behind it
            del order[place]
            target -= 1
        earliest = target + 1
    return tuple(at[name] for name in order)


def without_nulls(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table without the options that are null, at any depth below it."""
    return _merge({}, table)


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are merged name by name; null is left out; anything else is replaced."""
    table = dict(below)
    for name, value in above.items():
        if isinstance(value, Mapping):
            known = table.get(name)
            table[name] = _merge(known if isinstance(known, Mapping) else {}, value)
        elif value is not None:
            table[name] = value
    return table


def _nulls(table: Mapping[str, Any], above: Path_) -> Iterator[Path_]:
    for name, value in table.items():
        if value is None:
            yield (*above, name)
        elif isinstance(value, Mapping):
            yield from _nulls(value, (*above, name))


def _with_user(value: Any, user: str, done: dict[str, str] | None = None) -> Any:
    """The value with `${user}` replaced in all texts, those of tables' names too.

    `done` has the texts that were replaced: in YAML a thousand aliases may stand for one long text, which
    then stays one.
    """
    done = {} if done is None else done
    if isinstance(value, str):
        if _PLACEHOLDER not in value:
            return value
        if value not in done:
            done[value] = value.replace(_PLACEHOLDER, user)
        return done[value]
    if isinstance(value, Mapping):
        return {_with_user(name, user, done): _with_user(each, user, done) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_user(each, user, done) for each in value]
    return value


def _has(table: Mapping[str, Any], path: Sequence[str]) -> bool:
    at: Any = table
    for name in path:
        if isinstance(at, list | tuple) and name.isdecimal() and int(name) < len(at):
            at = at[int(name)]
        elif isinstance(at, Mapping) and name in at:
            at = at[name]
        else:
            return False
    return True
