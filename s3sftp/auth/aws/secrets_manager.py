"""Looks users up in Secrets Manager: one GetSecretValue each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from s3sftp.auth.aws.client import AwsClient, AwsRequest
from s3sftp.auth.aws.options import SecretsManagerOptions
from s3sftp.auth.sources.transfer_family import AnswerProblem

_GET_SECRET = AwsRequest(
    "get_secret_value",
    "secretsmanager:GetSecretValue",
    lambda answer: "Name" in answer,
    # a denial is no reason to count the service as down: with a policy that lists the secrets, every unknown
    # name is denied
    absent=("ResourceNotFoundException",),
)


class UserSecrets:
    """The users below one prefix of names."""

    service = "secrets_manager"

    def __init__(self, options: SecretsManagerOptions, count: Callable[[str], None]) -> None:
        self._options = options
        self._client = AwsClient("secretsmanager", "secrets_manager", options, count)

    @property
    def place(self) -> str:
        """Where the users are, for logs."""
        return f"secrets {self._options.prefix}… at {self._client.address}"

    async def start(self) -> None:
        """As `AwsClient.start`."""
        await self._client.start()

    async def close(self) -> None:
        """As `AwsClient.close`."""
        await self._client.close()

    async def record(self, user: str) -> Mapping[str, Any] | None:
        """The content of the user's secret; None: there is no such secret. `user` has only characters that
        names of users may have, all of which names of secrets may have.

        Raises SourceFailed: if the service gives no answer.
        Raises AnswerProblem: if the content is not an object of JSON.
        """
        name = f"{self._options.prefix}{user}"
        answer = await self._client.ask(_GET_SECRET, SecretId=name)
        if answer is None:
            return None
        if answer["Name"] != name:
            raise AnswerProblem("the service has answered with the secret of another name")
        return _object_in(answer.get("SecretString") or answer.get("SecretBinary") or "")


def _object_in(text: str | bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise AnswerProblem("the secret should be a JSON object, `{…}`")
    return content
