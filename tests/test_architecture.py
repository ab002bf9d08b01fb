"""Which module may import what, read from the source without running it.

schemas ◀── stream.core ◀──┬── stream ◀─────┬── scripts ◀── scripts.dev
                           └── query_api ◀──┘

Inside of stream:

core ◀── brokers ◀── tables ◀── worker
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("schemas", "stream", "query_api", "scripts")
OURS: Final = (*PACKAGES, "tests")
FAUST: Final = ("faust", "mode", "aiokafka")

_COMMAND: Final = (
    "scripts.cli",
    "scripts.csv_input",
    "scripts.operations",
    "scripts.replay",
    "scripts.sample",
)
_BELOW_BROKERS: Final = (
    "schemas",
    "stream.errors",
    "stream.state_lock",
    "stream.brokers.connection",
    "stream.brokers.drain",
    "stream.brokers.faust_internals",
    "stream.brokers.partitions",
    "stream.brokers.ports",
    "stream.brokers.records",
    "stream.brokers.replay_target",
    "stream.brokers.sink",
    "stream.brokers.topics",
)
"""What a broker's own parts may see: no other broker, and not where one is chosen (stream.brokers.opening)."""

MAY_SEE: Final = {
    "schemas": ("schemas",),
    "stream.core": ("schemas", "stream.core"),
    "stream": ("schemas", "stream.errors", "stream.state_lock"),
    "stream.brokers": ("schemas", "stream.errors", "stream.state_lock", "stream.brokers"),
    "stream.brokers.embedded": (*_BELOW_BROKERS, "stream.brokers.embedded"),
    "stream.brokers.kafka": (*_BELOW_BROKERS, "stream.brokers.kafka"),
    "stream.tables": ("schemas", "stream.errors", "stream.state_lock", "stream.brokers", "stream.tables"),
    "stream.worker": ("schemas", "stream"),
    "query_api": ("schemas", "stream.core", "query_api"),
    "scripts": ("schemas", "stream", "query_api", *_COMMAND),
    "scripts.dev": PACKAGES,
}
"""Of our own packages; where two of these names fit a module, the longer one counts."""

CALLED_ONLY: Final = {
    "faust-streaming": "faust",
    "mode-streaming": "mode",
    "prometheus-client": "prometheus_client",
}
"""Distributions that are imported under another name than their own."""

ONLY_FOR_PEERS: Final = ("duckdb", "quixstreams")
"""In the extra `bench` and in an environment of its own."""

KNOWN_TO_SWALLOW: Final = ("query_api.snapshots.secondaries: suppress(Exception)",)
"""rocksdict raises Exception itself where a table cannot catch up; such a table is opened again."""


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name and what is in it."""

    name: str
    path: Path
    tree: ast.Module


@dataclass(frozen=True)
class Import:
    """`module` imports `name` in `line`."""

    module: str
    name: str
    line: int

    def __str__(self) -> str:
        return f"{self.module}, line {self.line}: {self.name}"


@cache
def modules() -> tuple[Module, ...]:
    paths = sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))
    return tuple(Module(dotted(path), path, ast.parse(path.read_bytes())) for path in paths)


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports() -> tuple[Import, ...]:
    return tuple(found for module in modules() for found in imports_of(module))


def imports_of(module: Module) -> Iterator[Import]:
    """Every import wherever it stands: in functions and under TYPE_CHECKING too."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module.name, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            for alias in node.names:
                whole = f"{start}.{alias.name}"
                yield Import(module.name, whole if is_module(whole) else start, node.lineno)


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def top(name: str) -> str:
    return name.partition(".")[0]


def layer_of(module: str) -> str | None:
    return max((layer for layer in MAY_SEE if is_in(module, layer)), key=len, default=None)


def importers_of(*names: str) -> set[str]:
    """The modules of the product that import one of `names` or what is in it."""
    return {
        found.module
        for found in imports()
        if top(found.module) in PACKAGES and any(is_in(found.name, name) for name in names)
    }


def test_the_source_is_found() -> None:
    names = {module.name for module in modules()}
    assert {
        "schemas.values",
        "stream.core.calendar",
        "query_api.snapshots.reader",
        "scripts.cli",
    } <= names


@pytest.mark.parametrize("layer", MAY_SEE)
def test_a_layer_sees_only_the_layers_below_it(layer: str) -> None:
    wrong = [
        str(found)
        for found in imports()
        if layer_of(found.module) == layer
        and top(found.name) in OURS
        and not any(is_in(found.name, seen) for seen in MAY_SEE[layer])
    ]
    assert not wrong


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Not even where a function imports, or under TYPE_CHECKING."""
    edges = {(found.module, owner_of(found.name)) for found in imports() if top(found.name) in OURS}
    left = {module: {to for of, to in edges if of == module} for module, _ in edges}
    while leaves := {module for module, to in left.items() if not to & left.keys()}:
        left = {module: to for module, to in left.items() if module not in leaves}
    assert not left


def owner_of(name: str) -> str:
    """The module that an imported name stands in."""
    return name if is_module(name) else name.rpartition(".")[0]


def test_imports_are_written_in_full() -> None:
    assert not [str(found) for found in imports() if found.name.startswith(".")]


def test_packages_import_nothing_by_being_imported() -> None:
    """Otherwise `import stream.core` would bring in all that `stream/__init__.py` imports."""
    bare = {"scripts.csv_input", "scripts.dev.kafka"}
    packages = {module.name for module in modules() if module.path.name == "__init__.py"} - bare
    assert not [
        str(found) for found in imports() if found.module in packages and top(found.module) in PACKAGES
    ]


def test_the_core_imports_only_the_standard_library_numpy_and_the_zone_database() -> None:
    allowed = {*sys.stdlib_module_names, "numpy", "pytz", *PACKAGES}
    assert not [
        str(found)
        for found in imports()
        if is_in(found.module, "stream.core") and top(found.name) not in allowed
    ]


def test_the_core_has_no_clock_of_its_own_no_files_no_sockets_and_no_log() -> None:
    impure = {
        "time",
        "os",
        "io",
        "pathlib",
        "socket",
        "sqlite3",
        "subprocess",
        "logging",
        "asyncio",
        "threading",
    }
    assert not [
        str(found) for found in imports() if is_in(found.module, "stream.core") and top(found.name) in impure
    ]


def test_faust_stays_inside_stream() -> None:
    """But for the benchmark's peers, which are programs that others would write."""
    ours = {each for each in importers_of("faust", "mode") if not each.startswith("scripts.dev.bench.peers.")}
    assert {top(module) for module in ours} == {"stream"}


def test_what_only_peers_need_is_imported_by_the_peers_alone() -> None:
    """`make test` does without it, and so does the bench where it is not installed."""
    assert importers_of(*ONLY_FOR_PEERS) == {
        "scripts.dev.bench.peers.duckdb_report",
        "scripts.dev.bench.peers.quix_streams",
    }


def test_the_api_knows_no_broker() -> None:
    assert not {module for module in importers_of(*FAUST) if top(module) in {"schemas", "query_api"}}


def test_local_time_exists_in_one_module_and_zone_names_in_one_other() -> None:
    assert importers_of("pytz", "zoneinfo", "dateutil") == {
        "schemas.opening_hours",
        "stream.core.calendar",
    }


def test_rocksdb_is_known_to_its_writer_its_readers_and_its_copier_alone() -> None:
    assert importers_of("rocksdict") == {
        "schemas.table_scans",
        "schemas.table_views",
        "stream.tables.rocks",
        "query_api.snapshots.reader",
        "query_api.snapshots.scans",
        "query_api.snapshots.secondaries",
        "scripts.operations.table_copies",
    }


def test_rows_are_scanned_where_a_fault_is_told_from_their_end() -> None:
    """The `items`, `keys` and `values` of rocksdict, known by their arguments, end at both (schemas.table_scans).

    One looks into its end afterwards: the scan of a report's heads, for speed.
    """
    assert [
        module.name
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"items", "keys", "values"}
        and {keyword.arg for keyword in node.keywords} & {"from_key", "read_opt", "backwards"}
    ] == ["query_api.snapshots.scans"]


def test_every_module_says_what_it_owns() -> None:
    silent = [module.name for module in modules() if module.tree.body and not ast.get_docstring(module.tree)]
    assert not silent


def test_no_error_is_swallowed() -> None:
    """Whoever catches any error at all raises it again, or says what it was."""
    found = [f"{module.name}: {code}" for module in modules() for code in swallowing(module.tree)]
    assert found == list(KNOWN_TO_SWALLOW)


def swallowing(tree: ast.AST) -> Iterator[str]:
    """The heads of those handlers and `suppress` calls that let any error vanish."""
    for node in ast.walk(tree):
        match node:
            case ast.ExceptHandler(type=caught, name=name, body=body) if catches_everything(caught):
                inside = [each for statement in body for each in ast.walk(statement)]
                if not any(passes_on(each, name) for each in inside):
                    yield f"except {ast.unparse(caught)}" if caught else "except"
            case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress"), args=kinds):
                if any(catches_everything(kind) for kind in kinds):
                    yield ast.unparse(node)


def passes_on(node: ast.AST, error: str | None) -> bool:
    """It raises, logs the trace back, or uses the error by its name."""
    match node:
        case ast.Raise() | ast.Attribute(attr="exception"):
            return True
        case ast.Name(id=used):
            return used == error
    return False


def catches_everything(caught: ast.expr | None) -> bool:
    match caught:
        case None:
            return True
        case ast.Tuple(elts=each):
            return any(catches_everything(kind) for kind in each)
        case ast.Name(id=name):
            return name in {"Exception", "BaseException"}
    return False


@pytest.mark.parametrize(
    "source",
    [
        "try: f()\nexcept: pass",
        "try: f()\nexcept Exception: pass",
        "for x in y:\n try: f()\n except (OSError, Exception): continue",
        "try: f()\nexcept BaseException as error: g()",
        "with suppress(Exception): f()",
        "with contextlib.suppress(OSError, BaseException): f()",
    ],
)
def test_swallowing_is_noticed(source: str) -> None:
    assert list(swallowing(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "try: f()\nexcept OSError: pass",
        "try: f()\nexcept BaseException:\n undo()\n raise",
        "try: f()\nexcept Exception as error: log(error)",
        "try: f()\nexcept Exception: log.exception(text)",
        "with suppress(FileNotFoundError): f()",
    ],
)
def test_what_is_caught_by_name_or_passed_on_is_no_swallowing(source: str) -> None:
    assert not list(swallowing(ast.parse(source)))


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[\w-]+", line) for line in project["dependencies"]]
    declared = {import_name(match[0]) for match in names if match}
    imported = {top(found.name) for found in imports() if top(found.module) in PACKAGES}
    assert imported - set(sys.stdlib_module_names) - {*PACKAGES, *ONLY_FOR_PEERS} == declared


def import_name(distribution: str) -> str:
    return CALLED_ONLY.get(distribution, distribution.replace("-", "_"))


def test_the_api_runs_without_faust() -> None:
    """Not even by way of something that it imports."""
    code = "import sys, query_api.app; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "query_api.app" in loaded
    assert not {top(name) for name in loaded} & {*FAUST, "stream.brokers.embedded"}
