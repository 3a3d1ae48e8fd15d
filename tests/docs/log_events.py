"""Every log event of the package, read from its code: names, levels and fields.

    _log.warning("source.banned", source=…, **self._ban)       a call of a logger
    tell = _log.info if … else _log.debug; tell("…")           of one of its methods under another name
    def failed(self, event, …): _log.warning(event, …)         of a function that is given the event

The name is a constant, one of two (`… if … else …`), or a value of a module's table. A field is a keyword,
or a key of the dictionary that `**` unpacks, wherever it is written. Anything else raises Unreadable:
whoever reads an event in the log has to find it by a search for its name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
GRAMMAR = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z_]*")
"""`object.verb`, the verb in the past tense or a state: `upload.committed`, `worker.hung`."""
LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
"""The level of what a method of a logger logs."""


class Unreadable(Exception):
    """A call of a logger whose event or fields cannot be read from the code."""


@dataclass
class LogEvent:
    """What the calls that log one event have, all together."""

    levels: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    is_level_computed: bool = False
    """The level depends on what is logged: not all of `levels` need occur."""


class _Function:
    """A function, and what its body assigns."""

    def __init__(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.name = node.name
        self.nodes = [each for each in ast.walk(node) if each is not node]
        self.parameters = [each.arg for each in node.args.args if each.arg not in {"self", "cls"}]
        self.rest = node.args.kwarg.arg if node.args.kwarg else None
        self.is_property = any(ast.unparse(each) == "property" for each in node.decorator_list)

    def keys(self) -> set[str]:
        """Those of the dictionaries that it makes."""
        return _keys_within(self.nodes)


class _Module:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.nodes = list(ast.walk(ast.parse(file.read_text("utf-8"))))
        self.functions: list[_Function] = []
        self.within: dict[ast.AST, _Function] = {}
        for node in self.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):  # an inner one after the outer one
                self.functions.append(_Function(node))
                self.within |= dict.fromkeys(self.functions[-1].nodes, self.functions[-1])

    def calls(self, name: str = "") -> Iterator[ast.Call]:
        """All calls, or those of `name` and of `x.name`."""
        calls = (node for node in self.nodes if isinstance(node, ast.Call))
        return (call for call in calls if not name or _last(call.func) == name)

    def values_of(self, name: ast.expr) -> list[ast.expr]:
        """What is assigned to a name: in the same function, else in the module."""
        function, text = self.within.get(name), ast.unparse(name)
        return list(_assigned(text, function.nodes if function else ())) or list(_assigned(text, self.nodes))


def _assigned(name: str, nodes: Iterable[ast.AST]) -> Iterator[ast.expr]:
    for node in nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if name in map(ast.unparse, targets):
                yield node.value


def _keys_within(nodes: Iterable[ast.AST]) -> set[str]:
    dicts = (key for node in nodes if isinstance(node, ast.Dict) for key in node.keys)
    items = (
        node.slice for node in nodes if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
    )
    return {str(key.value) for key in (*dicts, *items) if isinstance(key, ast.Constant)}


def _last(expression: ast.expr) -> str:
    """`f` of `f` and of `x.f`."""
    return expression.id if isinstance(expression, ast.Name) else getattr(expression, "attr", "")


class _Reader:
    def __init__(self, modules: list[_Module]) -> None:
        self._modules = modules
        self.events: dict[str, LogEvent] = {}
        for module in modules:
            for call in module.calls():
                self._read(module, call)

    def _read(self, module: _Module, call: ast.Call) -> None:
        """Note what a call logs, if it is one of a logger."""
        levels = self._levels(module, call)
        if not levels:
            return
        is_computed = isinstance(call.func, ast.Attribute) and call.func.attr == "log"
        event, fields = call.args[is_computed], self._fields(module, call.keywords)
        if isinstance(call.func, ast.Attribute):
            if call.func.attr == "exception":
                fields.add("exception")
            binds = [each for each in module.values_of(call.func.value) if isinstance(each, ast.Call)]
            fields |= {
                str(keyword.arg) for bind in binds for keyword in bind.keywords if _last(bind.func) == "bind"
            }
        names = dict.fromkeys(self._names(module, event), fields) or self._given(module.within[call], event)
        if not names:
            raise Unreadable(f"{module.file}: {ast.unparse(call)}")
        for name, also in names.items():
            noted = self.events.setdefault(name, LogEvent())
            noted.levels |= levels
            noted.fields |= fields | also
            noted.is_level_computed |= is_computed or isinstance(event, ast.Subscript)

    def _levels(self, module: _Module, call: ast.Call) -> set[str]:
        if isinstance(call.func, ast.Attribute):
            if not _is_logger(call.func.value):
                return set()
            method = call.func.attr
            return (
                {LEVELS[method]}
                if method in LEVELS
                else self._computed(module, call)
                if method == "log"
                else set()
            )
        methods = [node for value in module.values_of(call.func) for node in _branches(value)]
        return {
            LEVELS[each.attr]
            for each in methods
            if isinstance(each, ast.Attribute) and _is_logger(each.value)
        }

    def _computed(self, module: _Module, call: ast.Call) -> set[str]:
        """The levels that stand in what the first argument of `_log.log` may be."""
        found: set[str] = set()
        for value in module.values_of(call.args[0]):
            functions = self._functions(module, _last(value.func)) if isinstance(value, ast.Call) else []
            nodes = [node for function in functions for node in function.nodes] or list(ast.walk(value))
            found |= {node.attr.lower() for node in nodes if isinstance(node, ast.Attribute)} & set(LEVELS)
        return found

    def _names(self, module: _Module, event: ast.expr) -> set[str]:
        tables = module.values_of(event.value) if isinstance(event, ast.Subscript) else []
        rows = [row for table in tables if isinstance(table, ast.Dict) for row in table.values]
        constants = [
            each for node in (*rows, event) for each in _branches(node) if isinstance(each, ast.Constant)
        ]
        return {str(each.value) for each in constants}

    def _given(self, function: _Function, event: ast.expr) -> dict[str, set[str]]:
        """The events that a function is given to log, and the fields that come with each."""
        if ast.unparse(event) not in function.parameters[:1]:
            return {}
        return {
            name: self._fields(module, call.keywords) if function.rest else set()
            for module in self._modules
            for call in module.calls(function.name)
            if call.args
            for name in self._names(module, call.args[0])
            if GRAMMAR.fullmatch(name)
        }

    def _fields(self, module: _Module, keywords: list[ast.keyword]) -> set[str]:
        named = {"exception" if each.arg == "exc_info" else each.arg for each in keywords if each.arg}
        return named.union(*(self._keys(module, each.value) for each in keywords if each.arg is None))

    def _keys(self, module: _Module, unpacked: ast.expr) -> set[str]:
        """The keys of the dictionary that `**` unpacks."""
        function = module.within.get(unpacked)
        if isinstance(unpacked, ast.Name) and function is not None:
            if unpacked.id == function.rest:
                return set()  # `_given` has them
            if unpacked.id in function.parameters:
                place = function.parameters.index(unpacked.id)
                given = [call.args[place] for call in module.calls(function.name) if len(call.args) > place]
                return set().union(*(self._keys(module, each) for each in given))
        written = [unpacked, *module.values_of(unpacked)]
        found = _keys_within(node for value in written for node in ast.walk(value))
        called = unpacked.func if isinstance(unpacked, ast.Call) else unpacked
        for each in self._functions(module, _last(called)):
            if each.is_property is not isinstance(unpacked, ast.Call):
                found |= each.keys()
        if not found:
            raise Unreadable(f"{module.file}: **{ast.unparse(unpacked)}")
        return found

    def _functions(self, module: _Module, name: str) -> list[_Function]:
        """Those of a name: of the module, or else of the package."""
        here = [each for each in module.functions if each.name == name]
        return here or [each for other in self._modules for each in other.functions if each.name == name]


def _branches(value: ast.expr) -> tuple[ast.expr, ...]:
    return (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,)


def _is_logger(value: ast.expr) -> bool:
    text = ast.unparse(value)
    return text in {"_log", "log"} or text.startswith("get_logger(")


@cache
def log_events() -> dict[str, LogEvent]:
    """Every event that the package logs, by its name."""
    files = sorted((ROOT / "s3sftp").rglob("*.py"))
    return _Reader([_Module(file) for file in files]).events
