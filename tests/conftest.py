"""Fixtures that all tests share. What they are made of is in `tests/support`."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from testbed.s3_store import Store, new_bucket_name
from testbed.seaweed import running_seaweed
from tests.stores.lacks import SOMETIMES, needs_of, reasons
from tests.support.disk_space import LOW_BYTES, NEEDED_BYTES, inside_another_run, shortage
from tests.support.fault_proxy import FaultProxy
from tests.support.logs import LoggingState
from tests.support.moto_server import running_moto
from tests.support.rclone_server import running_rclone
from tests.support.s3_client import S3, s3_client
from tests.support.summary import summary

# An example may take as long as it wants: a machine that stands still for a moment breaks no promise
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

IMITATIONS = frozenset({"moto", "rclone"})
"""Stores that tests ask for by name, for what is special about them."""
STORES = frozenset({"store", "seaweed", *IMITATIONS})
"""Fixtures, each of which starts a store."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("store", "the S3 that the tests run against: docs/stores.md")
    group.addoption("--store-url", help="its address; credentials are the AWS variables")
    group.addoption("--store-name", default="given", help="its row in tests/stores/lacks.py")
    group.addoption("--store-region", default="us-east-1", help="its region")
    group.addoption("--store-bucket", help="the one bucket to use, where the tests may make none")
    group.addoption("--store-option", action="append", default=[], help="an option of s3, as checksum=md5")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to start on a disk that is nearly full. Listen to SIGINT, which a shell ignores for programs in
    the background and for all that these start."""
    is_worker = hasattr(config, "workerinput")
    if not (is_worker or inside_another_run()) and (problem := shortage(NEEDED_BYTES)):
        raise pytest.UsageError(problem)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Mention the disk in the report of a test that failed while it was nearly full."""
    report = yield
    if report.failed and (problem := shortage(LOW_BYTES)):
        report.sections.append(("disk", problem))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if lines := summary(terminalreporter.stats):
        terminalreporter.section("not tested")
        for line in lines:
            terminalreporter.write_line(line)


def given_store(config: pytest.Config) -> Store | None:
    """The store that the command line names."""
    url = config.getoption("--store-url")
    if not url:
        return None
    return Store(
        config.getoption("--store-name"),
        url.rstrip("/"),
        os.environ["AWS_ACCESS_KEY_ID"],
        os.environ["AWS_SECRET_ACCESS_KEY"],
        config.getoption("--store-region"),
        config.getoption("--store-bucket"),
        checksums=False,
        options=dict(option.split("=", 1) for option in config.getoption("--store-option")),
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what starts a store. With one that is given: what concerns that one alone, and not those that
    imitate others."""
    stores = {item: _stores_of(item) for item in items if isinstance(item, pytest.Function)}
    for item, names in stores.items():
        if names:
            item.add_marker("store")
    if given_store(config) is None:
        return
    kept = [item for item in items if (names := stores.get(item)) and not names & IMITATIONS]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _stores_of(item: pytest.Function) -> frozenset[str]:
    """The stores that it asks for: by fixtures, its own or theirs, or by name."""
    case = getattr(item, "callspec", None)
    names = (value for value in case.params.values() if isinstance(value, str)) if case else ()
    return STORES & {*item.fixturenames, *names}


@pytest.fixture(autouse=True, scope="session")
def _state_is_kept_apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A server whose configuration names no state directory keeps its state below this one, and not where the
    machine's own server has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def _logging_is_left_as_found() -> Iterator[None]:
    """A test that leaves logging configured fails: the later tests of its worker would run with it."""
    before = LoggingState.now()
    yield
    if changes := before.changes():
        before.restore()
        pytest.fail(f"logging is configured for later tests, too: {changes}; use tests/support/logs.py")


@pytest.fixture(autouse=True)
def _declared(request: pytest.FixtureRequest) -> None:
    """A test that needs what its store is declared to lack has to fail; the declaration stays true."""
    given = given_store(request.config)
    case = getattr(request.node, "callspec", None)
    name = given.name if given else (case.params.get("store", "seaweed") if case else "seaweed")
    said = [need for mark in request.node.iter_markers("needs") for need in mark.args]
    for need, reason in reasons(name, said).items():
        request.applymarker(pytest.mark.xfail(reason=reason, strict=need not in SOMETIMES))
    for reason in reasons(name, needs_of(request.node.name)).values() if given else ():
        request.applymarker(pytest.mark.xfail(reason=reason, strict=False))


@pytest.fixture(scope="session")
def seaweed(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A SeaweedFS, one for each worker of the test run; or the store that `--store-url` names."""
    given = given_store(request.config)
    if given is not None:
        yield given
        return
    with running_seaweed() as store:
        yield store


@pytest.fixture(scope="session")
def moto() -> Iterator[Store]:
    """A moto server, one for each worker of the test run."""
    with running_moto() as store:
        yield store


@pytest.fixture(scope="session")
def rclone() -> Iterator[Store]:
    """An `rclone serve s3`, one for each worker of the test run."""
    with running_rclone() as store:
        yield store


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Store:
    """The S3 of a test: SeaweedFS, or the one named by `parametrize("store", [...], indirect=True)`."""
    chosen: Store = request.getfixturevalue(getattr(request, "param", "seaweed"))
    return chosen


@pytest.fixture
def bucket(store: Store) -> Iterator[str]:
    """A fresh bucket of `store`."""
    name = new_bucket_name()
    store.make_bucket(name)
    yield name
    store.drop_bucket(name)


@pytest.fixture
async def s3(store: Store, bucket: str) -> AsyncIterator[S3]:
    """What is really in `bucket`."""
    async with s3_client(store, bucket) as client:
        yield client


@pytest.fixture
async def proxy(store: Store) -> AsyncIterator[FaultProxy]:
    """A proxy in front of `store`; passes everything on until told otherwise."""
    async with FaultProxy(store.endpoint_url) as running:
        yield running


@pytest.fixture
def proxied(store: Store, proxy: FaultProxy) -> Store:
    """`store` as seen through `proxy`."""
    return store.behind(proxy.url)
