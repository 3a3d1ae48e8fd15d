"""Makes an account of a user's item or secret, or says why it cannot be used. Pure.

{"Role": …, "Password": …, "HomeDirectory": "/bucket/acme", …}    the form of AWS's sample provider
{"password_hash": …, "prefix": "acme/", …}                        options as in `[users.NAME]`

In AWS's form a field may begin with the protocol (`SFTPPassword`), and then is preferred. Sources: the
CloudFormation templates of the AWS Transfer Family User Guide, "Working with custom identity providers", and
AWS's toolkit for Transfer Family, module `secrets_manager`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from s3sftp.auth.accounts import Account, BadKey
from s3sftp.auth.aws.options import AwsOptions
from s3sftp.auth.sources.accounts_of_tables import account_of_table
from s3sftp.auth.sources.transfer_family import AnswerProblem, UserHomes, table_of
from s3sftp.auth.user_options import UserOptions

_PROTOCOL = "SFTP"
_PASSED_ON = ("Role", "Policy", "HomeDirectory", "HomeDirectoryType", "HomeDirectoryDetails")
_AWS_FIELDS = frozenset({*_PASSED_ON, "PublicKey", "PublicKeys", "Password", "AcceptedIpNetwork"})
_OF_FILES_ALONE = frozenset({"authorized_keys_file", "group", "principals"})
"""Options that a record may not have: a file would let it read this machine, groups are those of the
configuration, so what a group forbids would not hold, and certificates of the CAs in
`auth.trusted_user_ca_keys` are for users of the configuration."""
_BETWEEN_KEYS = re.compile(r"\n|,(?=\s*(?:ssh-|ecdsa-|sk-))")


class PlainPassword:
    """A password, in memory as a hash under a key that exists only there."""

    def __init__(self, text: str) -> None:
        self._key = secrets.token_bytes(32)
        self._digest = self._digest_of(text)

    def fits(self, text: str) -> bool:
        """Whether this is the password. Takes as long if it is not."""
        return hmac.compare_digest(self._digest_of(text), self._digest)

    def _digest_of(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)


@dataclass(frozen=True, slots=True)
class StoredUser:
    """A user whom a service has."""

    account: Account | None = None
    """None: every login is refused."""
    password: PlainPassword | None = field(default=None, repr=False)
    """The password, if it is stored in plain text; else the account has the hash."""
    bad_keys: tuple[BadKey, ...] = ()


class RecordReader:
    """Reads the records of one service."""

    def __init__(self, options: AwsOptions, group: str, home: UserHomes) -> None:
        """`group` is the name of the options, for texts."""
        self._options = options
        self._group = group
        self._home = home

    def user(self, name: str, record: Mapping[str, Any]) -> StoredUser:
        """The user whom the record describes.

        Raises AnswerProblem: if the record cannot be used.
        """
        fields = {key: value for key, value in record.items() if value is not None}
        if not any(key.removeprefix(_PROTOCOL) in _AWS_FIELDS for key in fields):
            account, bad_keys = self._account(name, _own_table(fields))
            return StoredUser(account, bad_keys=bad_keys)
        if mixed := sorted(fields.keys() & UserOptions.model_fields.keys()):
            raise AnswerProblem(
                f"it has fields of AWS's form, so it should not have {', '.join(mixed)}, which would have no"
                " effect"
            )
        return self._user_in_aws_form(name, fields)

    def _user_in_aws_form(self, name: str, record: Mapping[str, Any]) -> StoredUser:
        fields = {field: _preferred(record, field) for field in _AWS_FIELDS}
        answer = {field: fields[field] for field in _PASSED_ON if fields[field]}
        if isinstance(details := answer.get("HomeDirectoryDetails"), list):
            answer["HomeDirectoryDetails"] = json.dumps(details)
        table = table_of(answer, self._options, self._home, self._group)
        if table is None:
            return StoredUser()
        keys = [*_texts("PublicKey", fields["PublicKey"]), *_texts("PublicKeys", fields["PublicKeys"])]
        table = {**table, "authorized_keys": [key for text in keys for key in _BETWEEN_KEYS.split(text)]}
        if networks := _texts("AcceptedIpNetwork", fields["AcceptedIpNetwork"]):
            table["networks"] = [each.strip() for text in networks for each in text.split(",")]
        account, bad_keys = self._account(name, table)
        password = _texts("Password", fields["Password"], may_be_list=False)
        return StoredUser(account, PlainPassword(password[0]) if password else None, bad_keys)

    def _account(self, name: str, table: Mapping[str, Any]) -> tuple[Account, tuple[BadKey, ...]]:
        return account_of_table(name, table, self._home, "the user's record")


def _own_table(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    if refused := sorted(fields.keys() & _OF_FILES_ALONE):
        raise AnswerProblem(f"{', '.join(refused)}: only users of the configuration may have this")
    return fields


def _preferred(record: Mapping[str, Any], field: str) -> Any:
    """The field for this protocol if there is one, else the field for all."""
    return record.get(f"{_PROTOCOL}{field}", record.get(field))


def _texts(field: str, value: Any, *, may_be_list: bool = True) -> list[str]:
    """A text, or a list of texts. An empty one counts as missing, as in AWS's sample.

    Raises AnswerProblem: if it is something else; without the value, which may be secret.
    """
    if not value:
        return []
    texts = value if may_be_list and isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise AnswerProblem(f"{field}: should be a text" + (", or a list of texts" if may_be_list else ""))
    return list(texts)
