"""Marks an identity with the account that it is of, so that the factors of one login prove one account. Pure.

A login with several factors asks its source of users once for each. Between two of them, the configuration
may begin to know the name, or the account may get another key: then the login begins anew.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from s3sftp.auth.account_codec import account_to_line
from s3sftp.auth.accounts import Account
from s3sftp.auth.identity import Identity


def identity_of_source(source: str, account: Account) -> Identity:
    """The account's identity as the answer of this source. Answers for a user with several factors have the
    same `origin` exactly if they come from one source and equal accounts, credentials included."""
    identity = account.identity
    if not identity.login_methods.has_steps:
        return identity
    digest = hashlib.sha256(account_to_line(identity.user, account)).hexdigest()
    return replace(identity, origin=f"{source} {digest}")
