"""Which account of which source an identity is of."""

from __future__ import annotations

from s3sftp.auth import Account, UserOptions, read_logins
from s3sftp.auth.origins import identity_of_source
from tests.ssh.listener_harness import ALICES_KEY, CHEAP

HASH = CHEAP.hash("secret")
LINE = ALICES_KEY.export_public_key().decode()


def account(**changed: object) -> Account:
    options = {"password_hash": HASH, "authorized_keys": (LINE,), "methods": ("publickey+password",)}
    return read_logins({"alice": UserOptions.model_validate(options | changed)}).accounts["alice"]


def test_an_answer_of_another_source_or_of_a_changed_account_has_another_origin() -> None:
    origins = [
        identity_of_source("the configuration", account()).origin,
        identity_of_source("dynamodb", account()).origin,
        identity_of_source("dynamodb", account(password_hash=CHEAP.hash("other"))).origin,
        identity_of_source("dynamodb", account(prefix="other/")).origin,
    ]
    assert len(set(origins)) == 4
    assert identity_of_source("dynamodb", account()).origin == origins[1]
    assert all(HASH not in origin for origin in origins)


def test_an_identity_that_one_factor_proves_costs_no_digest() -> None:
    one = account(methods=("publickey",))
    assert identity_of_source("dynamodb", one) is one.identity
