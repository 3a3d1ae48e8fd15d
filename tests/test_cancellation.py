"""A cancellation that is not meant for a task is a failure, and some work is completed in spite of one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from s3sftp.runtime.cancellation import StrayCancellationGuard, run_to_completion

_guard = StrayCancellationGuard(lambda: ValueError("cancelled elsewhere"))


async def cancelled_elsewhere() -> None:
    elsewhere = asyncio.get_running_loop().create_future()
    elsewhere.cancel()
    await elsewhere


async def test_a_stray_cancellation_is_the_failure_and_its_cause() -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="cancelled elsewhere") as raised, _guard:
            await cancelled_elsewhere()
        assert isinstance(raised.value.__cause__, asyncio.CancelledError)


async def until_cancelled(work: Callable[[], Awaitable[object]]) -> asyncio.Task[object]:
    """A task that runs the work under the guard, and was cancelled when the work had begun."""
    begun = asyncio.Event()

    async def run() -> None:
        with _guard:
            begun.set()
            await work()

    task: asyncio.Task[object] = asyncio.create_task(run())
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    return task


async def test_a_cancelled_task_ends() -> None:
    assert (await until_cancelled(asyncio.Event().wait)).cancelled()


async def test_a_timeout_around_the_guard_is_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            with _guard:
                await asyncio.Event().wait()


async def test_other_errors_and_results_pass() -> None:
    with pytest.raises(KeyError), _guard:
        raise KeyError
    with _guard:
        pass


async def test_work_is_completed_however_often_its_caller_is_cancelled() -> None:
    finish, done = asyncio.Event(), False

    async def work() -> None:
        nonlocal done
        await finish.wait()
        done = True

    task = asyncio.create_task(run_to_completion(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    finish.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done


async def test_work_that_is_not_interrupted_has_its_result_or_its_error() -> None:
    assert await run_to_completion(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(asyncio.CancelledError):
        await run_to_completion(cancelled_elsewhere())
    with pytest.raises(ZeroDivisionError):
        await run_to_completion(asyncio.to_thread(lambda: 1 // 0))
