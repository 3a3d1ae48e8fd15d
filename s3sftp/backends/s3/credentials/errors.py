"""Describes the failure of a source of credentials or settings in one line: which source failed, and why.

Sources fail with many exceptions: botocore's own, and those of JSON, files, STS and commands. A source's
reply may hold a secret, so the text of an error that quotes a reply is not passed on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from botocore import exceptions as boto

_MOST_CHARACTERS: Final = 300

SOURCES: Final[Mapping[str, str]] = {
    "env": "credentials of the environment (AWS_ACCESS_KEY_ID)",
    "assume-role": "role (role_arn)",
    "assume-role-with-web-identity": "web identity (AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN)",
    "sso": "SSO",
    "login": "login",
    "shared-credentials-file": "keys in the credentials file",
    "custom-process": "credential_process",
    "config-file": "keys in the configuration file",
    "container-role": "credentials of the container (AWS_CONTAINER_CREDENTIALS_FULL_URI or …_RELATIVE_URI)",
    "iam-role": "role of the instance (metadata service)",
}
"""Descriptions by the names that botocore gives the providers of its chain."""

_OF_A_PROFILE: Final = frozenset(
    {"assume-role", "sso", "login", "shared-credentials-file", "custom-process", "config-file"}
)
_QUOTING: Final = (boto.MetadataRetrievalError, boto.CredentialRetrievalError)
"""Errors whose texts quote replies."""
_SAID_OF_ANSWERS: Final = re.compile(
    r"Missing required key in response: '\w+'|Received non 200 response \d+|Unable to parse JSON"
    r'|Could not connect to the endpoint URL: "[^"]*"|(?:Connect|Read) timeout on endpoint URL: "[^"]*"'
)
"""The parts of those texts that may be passed on."""


class CredentialSourceFailed(Exception):
    """A source returned nothing usable. The text says which one and why, without a secret."""


def source_name(method: str, profile: str | None) -> str:
    """Return the operator's name for a provider of botocore's chain."""
    name = SOURCES.get(method, method)
    return f"{name} of profile {profile!r}" if profile and method in _OF_A_PROFILE else name


def source_failed(source: str, failure: BaseException) -> CredentialSourceFailed:
    """Describe the failure of the named source in one line."""
    return CredentialSourceFailed(one_line(f"{source}: {_reason(failure)}"))


def one_line(text: str) -> str:
    """Shorten a foreign text so that it fits into one line."""
    text = " ".join(text.split())
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


def _reason(failure: BaseException) -> str:
    match failure:
        case CredentialSourceFailed():
            return str(failure)
        case TimeoutError():
            return "no answer in time"
        case boto.ClientError():
            said = failure.response.get("Error", {})
            return f"{failure.operation_name} was refused: {said.get('Code', '')} {said.get('Message', '')}"
        case _ if isinstance(failure, _QUOTING):
            return _without_answers(str(failure))
        case boto.BotoCoreError():
            return f"{type(failure).__name__}: {failure}"
        case OSError():
            return f"{failure.strerror or type(failure).__name__}: {failure.filename or ''}".rstrip(": ")
        case ValueError() if str(failure).startswith("Unsupported host"):  # of botocore, about the address
            return str(failure)
    return f"its answer cannot be understood ({type(failure).__name__})"


def _without_answers(text: str) -> str:
    """Return the parts of a text that do not come from a reply."""
    return "; ".join(_SAID_OF_ANSWERS.findall(text)) or "its answer cannot be understood"
