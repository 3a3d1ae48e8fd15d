"""Authenticates users by asking an HTTP hook. Sessions that have begun do not depend on it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncssh

from s3sftp.auth.accounts import Account
from s3sftp.auth.authenticator import Authenticator
from s3sftp.auth.authorized_keys import AuthorizedKey, any_opens
from s3sftp.auth.hook.answers import AnswerReader
from s3sftp.auth.hook.client import HookClient
from s3sftp.auth.hook.credentials import read_credentials
from s3sftp.auth.hook.options import HookOptions
from s3sftp.auth.hook.requests import Question
from s3sftp.auth.identity import Identity
from s3sftp.auth.sources.answer_cache import AnswerCache
from s3sftp.auth.sources.asking import SourceFailed
from s3sftp.auth.sources.availability import PROBE_USER, Availability
from s3sftp.auth.sources.transfer_family import AnswerProblem, UserHomes
from s3sftp.auth.user_options import user_name_problem
from s3sftp.errors import UsersUnavailable
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle
from s3sftp.telemetry.metric_catalogue import HOOK_DOWN, HOOK_REQUESTS
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.auth")
_PROBE_ADDRESS = "127.0.0.1"


class HookUsers(Authenticator):
    """An Authenticator over the users of a hook. Start it before its first use."""

    source_name = "the hook"

    def __init__(self, options: HookOptions, home: UserHomes, metrics: Metrics) -> None:
        self._options = options
        self._answers = AnswerReader(options, home)
        self._cache: AnswerCache[Account] = AnswerCache(options.cache_time.total_seconds())
        self._availability = Availability(
            options.max_failures,
            options.probe_interval.total_seconds(),
            lambda: self._ask(Question(PROBE_USER, _PROBE_ADDRESS)),
            self._changed,
        )
        self._metrics = metrics
        self._throttle = LogThrottle()
        self._client: HookClient | None = None

    async def start(self) -> None:
        """Read the files of credentials. Asks the hook nothing.

        Raises ConfigurationError: if they cannot be used.
        """
        credentials = await asyncio.to_thread(read_credentials, self._options)
        self._client = HookClient(
            self._options, credentials, lambda result: self._metrics.add(HOOK_REQUESTS.row(result))
        )

    async def close(self) -> None:
        """End the connections to the hook."""
        await self._availability.close()
        if self._client is not None:
            await self._client.close()

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        if not password:
            return None  # the hook would take the request for one by public key, and not look at the password
        account = await self._account(Question(user, address, password))
        return account.identity if account else None

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        account = await self._account(Question(user, address))
        fits = any_opens(account.keys if account else (), key, address)
        return account.identity if fits and account else None

    async def keys_of(self, user: str, address: str) -> Sequence[AuthorizedKey]:
        """The keys that the hook answers for a login by public key, for whoever explains a refusal to the
        operator.

        Raises UsersUnavailable: if the hook has no usable answer.
        """
        account = await self._account(Question(user, address))
        return account.keys if account else ()

    async def _account(self, question: Question) -> Account | None:
        """The account that the hook has accepted; None: refused.

        Raises UsersUnavailable: if the hook has no usable answer.
        """
        if user_name_problem(question.user) is not None or question.user == PROBE_USER:
            return None
        clock = asyncio.get_running_loop().time
        account = self._cache.get(question.texts, clock())
        if account is not None:
            return account
        if self._availability.is_down:
            raise UsersUnavailable("the hook is down")
        asked = clock()
        try:
            account, bad_keys = self._answers.account(question, await self._ask(question))
        except SourceFailed as failed:
            self._log_throttled("hook.request_failed", "failed", question.user, str(failed))
            raise UsersUnavailable("the hook gave no answer") from None
        except AnswerProblem as problem:
            self._log_throttled("hook.answer_unusable", "unusable", question.user, str(problem))
            raise UsersUnavailable("the hook's answer cannot be used") from None
        if bad_keys:
            self._log_throttled("hook.key_unusable", "key", question.user, str(bad_keys[0].problem))
        if account is not None:
            self._cache.put(question.texts, account, asked)
        return account

    async def _ask(self, question: Question) -> bytes:
        """Ask the hook, and note whether it is there.

        Raises SourceFailed: if it gives no answer.
        """
        if self._client is None:
            raise RuntimeError("the hook is asked before its start")
        return await self._availability.noting(self._client.ask(question))

    def _changed(self, problem: str | None) -> None:
        self._metrics.set(HOOK_DOWN.row(), 0 if problem is None else 1)
        if problem is None:
            _log.info("hook.up", url=self._options.address)
        else:
            _log.error("hook.down", url=self._options.address, reason=problem)

    def _log_throttled(self, event: str, kind: str, user: str, problem: str) -> None:
        suppressed = self._throttle.allow(kind, asyncio.get_running_loop().time())
        if suppressed is not None:
            _log.warning(event, user=user, problem=problem, suppressed=suppressed or None)
