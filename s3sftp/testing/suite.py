"""The base class of all groups of promises: opens the storage, and declares its exemptions."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from s3sftp.backends import Backend, Session
from s3sftp.backends.complete import complete
from s3sftp.backends.spool import SpoolQuota
from s3sftp.testing.loop_runner import LoopRunner
from s3sftp.testing.storage import Storage, Subject

NO_TIMES: Mapping[str, str] = dict.fromkeys(
    (
        "test_a_renamed_file_keeps_the_time_it_was_given",
        "test_the_time_given_at_the_end_is_kept",
        "test_the_time_given_at_the_end_is_the_last_word",
    ),
    "the storage keeps no time that a client gives",
)
"""Exemptions of storages where a file's time is always the time at which it was stored. To be declared as
`exempt = {**NO_TIMES, …}`."""

_cases = itertools.count()
_SPOOL_BYTES = 256 << 20


class Promises:
    """Tests of a storage. The methods may be `async`; they get `storage`, an empty directory of their own.

    One backend serves all tests of a class: it is opened, started and finally stopped, on one event loop.
    """

    exempt: ClassVar[Mapping[str, str]] = {}
    """Promises that this storage cannot keep, with the reason: `{"test_name": "reason"}`, or
    `"test_name[case]"`. The report shows each as an expected failure. One that is kept after all fails, so
    the list stays true."""

    session: ClassVar[Session] = Session("alice", attributes={"tenant": "one"})
    """The session that most calls are made in."""
    other_session: ClassVar[Session] = Session(
        "bob", "192.0.2.7:4022", "OpenSSH_9.9", "s-2", attributes={"tenant": "one"}
    )
    """Another session, which sees the same files at the same time."""
    stranger: ClassVar[Session | None] = None
    """A session that must not see these files, such as one of another tenant. None: all sessions share one
    world."""

    page_entries: ClassVar[int] = 100
    """Maximum entries of a page of a listing: the tests make a directory with more, which must be listed
    whole."""
    limit_seconds: ClassVar[float] = 60
    """Maximum seconds for one test."""
    _stage: ClassVar[LoopRunner]
    _shared: ClassVar[Storage | None]

    def open_storage(self) -> AbstractAsyncContextManager[Backend | Subject]:
        """Open a fresh, empty storage: its backend, not yet started, or a `Subject` with more.

        Called once for the class, and once for each test that needs a root of its own.
        """
        raise NotImplementedError(f"{type(self).__name__}.open_storage must say what to test")

    # ── fixtures ────────────────────────────────────────────────────────────────────────────────────

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, test in list(vars(cls).items()):
            if name.startswith("test_") and inspect.iscoroutinefunction(test):
                setattr(cls, name, _on_stage(test))
        unknown = [name for name in cls.exempt if not hasattr(cls, name.partition("[")[0])]
        if unknown:
            raise TypeError(f"{cls.__name__}.exempt has names of no promise: {', '.join(unknown)}")

    @classmethod
    def setup_class(cls) -> None:
        cls._stage = LoopRunner(cls.limit_seconds)
        cls._shared = None

    @classmethod
    def teardown_class(cls) -> None:
        cls._stage.close()

    @pytest.fixture(autouse=True)
    def _exempt(self, request: pytest.FixtureRequest) -> None:
        names = (request.node.name, request.node.name.partition("[")[0])
        for reason in filter(None, map(self.exempt.get, names)):
            request.applymarker(pytest.mark.xfail(reason=f"exempt: {reason}", strict=True))

    @pytest.fixture
    def shared(self) -> Storage:
        """The root of the storage that all tests of the class share."""
        cls = type(self)
        if cls._shared is None:
            cls._shared = self._stage.enter(self._opened())
        return cls._shared

    @pytest.fixture
    def storage(self, shared: Storage) -> Iterator[Storage]:
        """An empty directory in it. Whatever a test does there, it must leave no upload behind."""
        left = self._stage.run(shared.unfinished_uploads())
        mine = replace(shared, top=shared.top.child(b"case-%d" % next(_cases)), unfinished_before=left)
        self._stage.run(mine.mkdir(""))
        yield mine
        self._stage.run(_has_nothing_unfinished(mine))

    @pytest.fixture
    def empty_storage(self) -> Iterator[Storage]:
        """The root of another storage, which is empty."""
        storage = self._stage.enter(self._opened())
        try:
            yield storage
            self._stage.run(_has_nothing_unfinished(storage))
        finally:
            self._stage.leave()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Storage]:
        async with self.open_storage() as given:
            subject = given if isinstance(given, Subject) else Subject(given)
            backend = complete(subject.backend, SpoolQuota(None, _SPOOL_BYTES))
            try:
                await backend.start()
                yield Storage(backend, subject, self.session, subject.root)
            finally:
                await backend.stop()


def _on_stage(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(self: Promises, *args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        self._stage.run(test(self, *args, **kwargs))

    return run


async def _has_nothing_unfinished(storage: Storage) -> None:
    left = await storage.unfinished_uploads()
    assert left == 0, f"{left} writes are left unfinished in the storage"
