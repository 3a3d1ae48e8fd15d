"""Runs any `Backend` object as a service in a task of its own."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from s3sftp.backends.contract import Backend
from s3sftp.backends.service.dispatcher import Dispatcher
from s3sftp.backends.service.mailbox import Mailbox, PendingCall
from s3sftp.errors import StorageFailure
from s3sftp.runtime.cancellation import StrayCancellationGuard

_cancelled_is_failed = StrayCancellationGuard(
    lambda: StorageFailure(detail="the call was cancelled by something of its own")
)


async def serve(mailbox: Mailbox, backend: Backend, *, at_once: int = 256) -> None:
    """Start the backend, answer the calls of a mailbox, and stop the backend when cancelled.

    Each call is answered in a task of its own, so that none waits for another, with at most `at_once` tasks.
    Work is cancelled when its call is abandoned. At the end every upload is aborted.
    """
    answers, room = Dispatcher(backend), asyncio.Semaphore(at_once)

    async def answer(letter: PendingCall) -> None:
        async with room:
            try:
                with _cancelled_is_failed:
                    reply = await answers.answer(letter.message)
                letter.reply(reply)
            except Exception as error:
                letter.fail(error)

    try:
        await backend.start()
        async with asyncio.TaskGroup() as tasks, aclosing(mailbox.letters()) as letters:
            async for letter in letters:
                task = tasks.create_task(answer(letter), context=letter.context)
                letter.when_abandoned(task.cancel)
    finally:
        await answers.end()
        await backend.stop()
