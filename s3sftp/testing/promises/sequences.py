"""Random sequences of operations leave the storage as a model of a file system, even if others change it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from s3sftp.backends import Session
from s3sftp.testing.loop_runner import LoopRunner
from s3sftp.testing.model import Model
from s3sftp.testing.model_comparison import BegunWrite, ComparedDirectory, SeenVersion
from s3sftp.testing.storage import Storage
from s3sftp.testing.suite import Promises

T = TypeVar("T")
_tops = itertools.count()

NAMES = ["a", "b", "a-b", "a/a", "a/b", "b/a", "b/a-", "a/a/a"]
"""Few names, so that operations meet; some have a common beginning."""


def _path(likely: Callable[[Model], Iterable[str]]) -> st.SearchStrategy[str]:
    """Any path, and half of the time one of the likely paths, or one that is being written, if there are
    any."""

    def among(machine: _Machine) -> st.SearchStrategy[str]:
        found = sorted({*likely(machine.model), *machine.being_written})
        return st.sampled_from(NAMES + found * (len(NAMES) // max(1, len(found))))

    return st.runner().flatmap(among)


PATHS = st.sampled_from(NAMES)
FILES = _path(lambda model: model.files)
DIRECTORIES = _path(lambda model: [path for path in ("", *NAMES) if model.is_dir(path)])
ANY = _path(lambda model: filter(model.exists, NAMES))
ENDS = st.sampled_from(["finish", "lookup, finish", "abort"])
INTENTS = st.sampled_from(["", "exclusive", "on base"])
LOOKING = st.booleans()
DATA = st.binary(max_size=40)
OFFSETS = st.integers(0, 40)


class SequencePromises(Promises):
    """Operations in any order, in two sessions, and by others if there is an `outside`."""

    sequences: ClassVar[int] = 40
    """Number of sequences, always the same ones. More find more, and take longer."""
    sequence_steps: ClassVar[int] = 25
    """Maximum number of operations in a sequence."""
    shorten: ClassVar[bool] = True
    """Whether a sequence that fails is shortened as far as possible before it is reported."""
    sequence_chunk_bytes: ClassVar[int] = 1 << 20
    """Larger chunks than this are not sent."""

    def test_any_sequence_of_operations_leaves_what_a_file_system_would(self, shared: Storage) -> None:
        """After any sequence of operations, also of others, the storage matches the model; a failure prints
        the sequence."""

        def begun() -> _Machine:
            return _Machine(
                self._stage,
                replace(shared, top=shared.place(f"sequence-{next(_tops)}")),
                self.other_session,
                self.sequence_chunk_bytes,
            )

        run_state_machine_as_test(
            begun,  # type: ignore[arg-type] # a class or, as its docstring says, a function
            settings=settings(
                max_examples=self.sequences,
                stateful_step_count=self.sequence_steps,
                derandomize=True,
                database=None,
                deadline=None,
                report_multiple_bugs=False,
                phases=[Phase.generate, *([Phase.shrink] if self.shorten else [])],
                suppress_health_check=list(HealthCheck),
            ),
        )


class _Machine(RuleBasedStateMachine):
    """The possible next operations. Each rule waits for one operation on the storage and its model."""

    seen = Bundle("seen")

    def __init__(self, stage: LoopRunner, storage: Storage, other: Session, most_chunk_bytes: int) -> None:
        super().__init__()
        self._stage = stage
        self._mine = storage
        self._others = storage.seen_by(other)
        self._can_outside = storage.subject.outside is not None
        self._most_chunk_bytes = most_chunk_bytes
        self._both = ComparedDirectory(storage)
        self._open: list[tuple[BegunWrite, str, int]] = []
        self._failed = False
        self._do(storage.mkdir(""))

    @property
    def model(self) -> Model:
        return self._both.model

    @property
    def being_written(self) -> Iterable[str]:
        return [begun.path for begun, _, _ in self._open]

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        __tracebackhide__ = True
        try:
            return self._stage.run(work)
        except BaseException:
            self._failed = True
            raise

    def _change(self, work: Callable[[], Coroutine[Any, Any, object]], looking: bool, *paths: str) -> None:
        __tracebackhide__ = True
        self._do(self._both.change(work, self._others, paths, looking=looking))

    def teardown(self) -> None:
        for begun, _, _ in self._open:
            self._do(begun.writing.abort())
        if not self._failed:
            self._do(self._both.compare_all())

    @initialize(paths=st.sets(PATHS, min_size=2, max_size=4))
    def begin_with(self, paths: set[str]) -> None:
        for path in sorted(paths):
            self._do(self._both.put(path, path.encode()))

    @rule(path=ANY, target=seen, mine=st.booleans())
    def lookup(self, path: str, mine: bool) -> Any:
        found = self._do(self._both.lookup(path, self._mine if mine else self._others))
        return multiple() if found is None else found

    @rule(path=DIRECTORIES)
    def list_dir(self, path: str) -> None:
        self._do(self._both.list_dir(path, self._mine))

    @rule(path=FILES, start=OFFSETS, stop=OFFSETS)
    def read(self, path: str, start: int, stop: int) -> None:
        self._do(self._both.read(path, start, stop, self._mine))

    @rule(what=seen)
    def read_seen(self, what: SeenVersion) -> None:
        self._do(self._both.read_seen(what))

    @rule(path=PATHS, data=DATA, outside=st.booleans(), looking=LOOKING)
    def put(self, path: str, data: bytes, outside: bool, looking: bool) -> None:
        outside = outside and self._can_outside
        self._change(lambda: self._both.put(path, data, outside=outside), looking, path)

    @rule(path=FILES, outside=st.booleans(), looking=LOOKING)
    def delete(self, path: str, outside: bool, looking: bool) -> None:
        outside = outside and self._can_outside
        self._change(lambda: self._both.delete(path, outside=outside), looking, path)

    @rule(path=PATHS, looking=LOOKING)
    def make_dir(self, path: str, looking: bool) -> None:
        self._change(lambda: self._both.make_dir(path), looking, path)

    @rule(path=DIRECTORIES.filter(bool), looking=LOOKING)
    def del_dir(self, path: str, looking: bool) -> None:
        self._change(lambda: self._both.del_dir(path), looking, path)

    @rule(source=ANY, to=PATHS, overwrite=st.booleans(), looking=LOOKING)
    def rename(self, source: str, to: str, overwrite: bool, looking: bool) -> None:
        self._change(lambda: self._both.rename(source, to, overwrite=overwrite), looking, source, to)

    @rule(source=FILES, to=PATHS, looking=LOOKING)
    def copy(self, source: str, to: str, looking: bool) -> None:
        self._change(lambda: self._both.copy(source, to), looking, source, to)

    @rule(path=FILES, mtime=st.integers(1, 2_000_000_000), looking=LOOKING)
    def set_mtime(self, path: str, mtime: int, looking: bool) -> None:
        self._change(lambda: self._both.set_mtime(path, mtime), looking, path)

    @rule(path=FILES, tail=DATA, looking=LOOKING)
    def go_on(self, path: str, tail: bytes, looking: bool) -> None:
        self._change(lambda: self._both.go_on(path, tail), looking, path)

    @rule(path=FILES, intent=INTENTS, chunks=st.integers(0, 2), end=ENDS, steps=st.integers(0, 8))
    def write(self, path: str, intent: str, chunks: int, end: str, steps: int) -> None:
        """Begin a write that ends after `steps` other steps."""
        begun = self._do(self._both.begin(path, intent))
        if begun is not None:
            self._open.append((begun, end, steps))
            few = begun.writing.upload.chunk_bytes <= self._most_chunk_bytes
            for _ in range(chunks if few else 0):
                self._do(begun.writing.chunk())

    @invariant()
    def end_what_is_due(self) -> None:
        due = [(begun, end) for begun, end, steps in self._open if steps == 0]
        self._open = [(begun, end, steps - 1) for begun, end, steps in self._open if steps]
        for begun, end in due:
            if end == "abort":
                self._do(begun.writing.abort())
            else:
                self._change(partial(self._both.finish, begun, b"tail"), end == "lookup, finish", begun.path)
