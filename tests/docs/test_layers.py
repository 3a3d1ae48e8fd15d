"""The structure that docs/architecture.md draws is the structure of the code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PACKAGE = Path(__file__).parents[2] / "s3sftp"

LAYERS = [
    {"errors", "config", "runtime", "_root"},
    {"telemetry"},
    {"backends"},
    {"events"},
    {"fs"},
    {"sftp"},
    {"auth"},
    {"ssh", "shared_state"},
    {"workers", "admin"},
    {"app", "server", "migration"},
    {"cli", "__main__"},
    {"testing"},
]
"""Bottom to top. A module imports from its own layer or below."""

DEV = {"tests", "testbed", "bench"}
"""Packages that no release has."""

LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def dotted(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(file: Path) -> set[str]:
    """Modules of the package that a module imports."""
    found: set[str] = set()
    tree = ast.parse(file.read_text("utf-8"))
    if file == PACKAGE / "__init__.py":
        # its short names are imported when they are asked for: until then they are types alone
        tree.body = [node for node in tree.body if not _is_for_types(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if _is_module(inner) else node.module)
    return {name for name in found if name == "s3sftp" or name.startswith("s3sftp.")}


def names_imported_by(tree: ast.AST) -> set[str]:
    """Modules that a module imports, by their names, wherever they are from."""
    nodes = list(ast.walk(tree))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def _is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _is_module(name: str) -> bool:
    path = PACKAGE.parent / Path(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def layer_of(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "_root"


@pytest.mark.parametrize("file", modules(), ids=dotted)
def test_imports_only_point_down(file: Path) -> None:
    here = LEVEL[layer_of(dotted(file))]
    above = {name for name in imports_of(file) if LEVEL[layer_of(name)] > here}
    assert above == set()


COMPOSITION = {
    "s3sftp.app.backends",
    "s3sftp.app.options",
    "s3sftp.app.health",
    "s3sftp.app.storage_options",
}
"""The root of composition, as far as it knows which storages there are."""


def above_backends() -> list[Path]:
    layers = {file: layer_of(dotted(file)) for file in modules()}
    above = [file for file, layer in layers.items() if LEVEL["backends"] < LEVEL[layer]]
    return [file for file in above if layers[file] != "testing" and dotted(file) not in COMPOSITION]


_AWS_ACCESS = ("s3sftp.backends.s3.credentials", "s3sftp.backends.s3.http.aiohttp_session")
BORROWED = {
    "s3sftp.auth.aws.client": _AWS_ACCESS,
    "s3sftp.auth.aws.failures": _AWS_ACCESS,
    "s3sftp.events.sinks.aws.aws_sink": _AWS_ACCESS,
}
"""Services of AWS are asked with the credentials and the HTTP session of S3, which know nothing of files."""


@pytest.mark.parametrize("file", above_backends(), ids=dotted)
def test_what_stands_on_the_contract_knows_no_storage_by_name(file: Path) -> None:
    """Storage is reached through the contract; only the root of composition knows which there are."""
    packages = (PACKAGE / "backends").glob("*/__init__.py")
    # `complete` is no storage: it makes any of them whole
    storages = tuple(f"s3sftp.backends.{n}" for each in packages if (n := each.parent.name) != "complete")
    known = {name for name in imports_of(file) if name.startswith(storages)}
    assert {name for name in known if not name.startswith(BORROWED.get(dotted(file), ()))} == set()


def packages() -> list[Path]:
    return [file for file in modules() if file.name == "__init__.py"]


@pytest.mark.parametrize("file", packages(), ids=dotted)
def test_no_package_exports_a_name_that_one_of_its_modules_has(file: Path) -> None:
    """Importing the module would put it in the place of what the package exports."""
    inside = {other.stem for other in file.parent.glob("*.py")} | {
        other.parent.name for other in file.parent.glob("*/__init__.py")
    }
    exported = {
        alias.asname or alias.name
        for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if not _is_module(f"{node.module}.{alias.name}")
    }
    assert exported & inside == set()


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {dotted(file): imports_of(file) for file in modules()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join([*path[path.index(name) :], name])
        if name not in done:
            for following in graph.get(name, ()):
                if following != name:
                    visit(following, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(
    ("package", "others"), [("bench", {"tests"}), ("testbed", {"tests", "bench", "s3sftp"}), ("s3sftp", DEV)]
)
def test_benchmarks_need_no_tests_and_the_product_needs_neither(package: str, others: set[str]) -> None:
    for file in (PACKAGE.parent / package).rglob("*.py"):
        found = {name.partition(".")[0] for name in names_imported_by(ast.parse(file.read_text("utf-8")))}
        assert found & others == set(), file
