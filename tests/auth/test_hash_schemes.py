"""Password hashes from other systems: made by their tools, verified by this server."""

from __future__ import annotations

import base64
import math
import subprocess
import time
from collections.abc import Sequence

import argon2
import bcrypt
import pytest

from s3sftp.auth import hash_password
from s3sftp.auth.hash_schemes import scheme_of
from s3sftp.auth.passwords import DummyHash, check_hash
from tests.support.commands import installed

PASSWORD = "correct horse, bätterie"
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=1024)


def made_by(command: Sequence[str]) -> str:
    words = [installed(command[0]), *command[1:]]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip().rpartition(":")[2]


TOOLS = {
    "mkpasswd SHA-512": ["mkpasswd", "-m", "sha512crypt", PASSWORD],
    "mkpasswd SHA-512 with rounds": ["mkpasswd", "-m", "sha512crypt", "-R", "20000", PASSWORD],
    "mkpasswd SHA-256": ["mkpasswd", "-m", "sha256crypt", PASSWORD],
    "mkpasswd yescrypt": ["mkpasswd", "-m", "yescrypt", PASSWORD],
    "mkpasswd yescrypt, cheapest": ["mkpasswd", "-m", "yescrypt", "-R", "1", PASSWORD],
    "mkpasswd bcrypt": ["mkpasswd", "-m", "bcrypt", PASSWORD],
    "mkpasswd bcrypt 2a": ["mkpasswd", "-m", "bcrypt-a", PASSWORD],
    "htpasswd bcrypt": ["htpasswd", "-nbB", "-C", "6", "alice", PASSWORD],
    "openssl SHA-512": ["openssl", "passwd", "-6", PASSWORD],
    "openssl SHA-256": ["openssl", "passwd", "-5", "-salt", "short", PASSWORD],
}
SFTPGO = {
    "$2a$14$ajq8Q7fbtFRQvXpdCq7Jcuy.Rx1h/L4J60Otx.gyNLbAYctGMJ9tK": "secret",
    "$pbkdf2-sha1$150000$DveVjgYUD05R$X6ydQZdyMeOvpgND2nqGR/0GGic=": "password",
    "$pbkdf2-sha256$150000$E86a9YMX3zC7$R5J62hsSq+pYw00hLLPKBbcGXmq7fj5+/M0IFoYtZbo=": "password",
    "$pbkdf2-sha512$150000$dsu7T5R3IaVQ$1hFXPO1ntRBcoWkSLKw+s4sAP09Xtu4Ya7CyxFq64jM9zdUg8eRJVr3NcR2vQgb0W9H"
    "HvZaILHsL4Q/Vr6arCg==": "password",
    "$6$459ead56b72e44bc$uog86fUxscjt28BZxqFBE2pp2QD8P/1e98MNF75Z9xJfQvOckZnQ/1YJqiq1XeytPuDieHZvDAMoP7352EL"
    "kO1": "secret",
}
"""What SFTPGo's own tests take."""


def fits(text: str, password: str) -> bool:
    return scheme_of(text).fits(text, password.encode())


@pytest.mark.parametrize("tool", TOOLS)
def test_a_hash_of_another_tool_fits_its_password_and_no_other(tool: str) -> None:
    text = made_by(TOOLS[tool])
    check_hash(text)
    assert fits(text, PASSWORD)
    for other in (PASSWORD + " ", PASSWORD[:-1], "", PASSWORD.upper(), text, PASSWORD + "x" * 2000):
        assert not fits(text, other)


@pytest.mark.parametrize("text", SFTPGO, ids=lambda text: str(text)[:16])
def test_hashes_that_sftpgo_exports_fit(text: str) -> None:
    check_hash(text)
    assert fits(text, SFTPGO[text])
    assert not fits(text, SFTPGO[text] + "s")


def test_a_base64_salt_is_not_taken_for_text() -> None:
    command = [
        "openssl",
        "kdf",
        "-binary",
        "-keylen",
        "32",
        "-kdfopt",
        "digest:SHA256",
        "-kdfopt",
        "pass:password",
    ]
    command += ["-kdfopt", "hexsalt:00ff10", "-kdfopt", "iter:2000", "PBKDF2"]
    binary = subprocess.run([installed("openssl"), *command[1:]], capture_output=True, check=True).stdout
    text = f"$pbkdf2-b64salt-sha256$2000$AP8Q${base64.b64encode(binary).decode()}"
    check_hash(text)
    assert fits(text, "password")
    assert not fits(text.replace("b64salt-", ""), "password")


@pytest.mark.parametrize("length", [72, 73, 100])
def test_a_password_that_bcrypt_would_cut_is_refused(length: int) -> None:
    text = bcrypt.hashpw(b"p" * 72, bcrypt.gensalt(4)).decode()
    assert fits(text, "p" * length) == (length == 72)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "hash-password"),
        ("plain text", "hash-password"),
        ("$1$b5caebda$VODr/nyhGWgZaY8sJ4x05.", "new password"),
        ("$apr1$OBWLeSme$WoJbB736e7kKxMBIAqilb1", "new password"),
        ("{MD5}5f4dcc3b5aa765d61d8327deb882cf99", "new password"),
        ("{SHA256}5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8", "new password"),
        ("$argon2id$v=19$m=1024,t=100000,p=4$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA", "64 passes"),
        ("$argon2id$v=19$m=8388608,t=3,p=4$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA", "1 GiB"),
        ("$2b$12$tooshort", "60 characters"),
        ("$2b$17$" + "a" * 21 + "." + "a" * 31, "cost above 15"),
        ("$2b$12$" + "a" * 53, "60 characters"),
        ("$2x$12$" + "a" * 53, "hash-password"),
        ("$6$salt$hash", "whole SHA-crypt"),
        ("$6$salt$" + "a" * 43, "whole SHA-crypt"),
        ("$6$rounds=999999999$salt$" + "a" * 86, "rounds for each login"),
        ("$5$rounds=10$salt$" + "a" * 43, "at least 1000"),
        ("$y$jLT$salt$" + "a" * 43, "cost 1 to 11"),
        ("$pbkdf2-sha256$150000$salt$YQ==", "this hash has 1 bytes"),
        ("$pbkdf2-sha256$99999999$salt$" + "A" * 43 + "=", "rounds for each login"),
        ("$pbkdf2-sha256$1$salt$" + "A" * 43 + "=", "at least 1000"),
        ("$pbkdf2-sha256$29000$N2YMIWQsBWBMae09x1jrPQ$1t8iyB2A.WF/Z5JZv.lfCIhXXN33N23OSgQYThBYRfk", "SFTPGo"),
        ("$pbkdf2-md5$29000$salt$" + "A" * 43 + "=", "SFTPGo"),
    ],
)
def test_a_hash_that_is_refused_is_refused_with_advice(text: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice) as caught:
        check_hash(text)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        hash_password("x"),
        CHEAP.hash("x"),
        bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode(),
        "$6$rounds=9000$abcdefgh$" + "a" * 86,
        "$5$abcdefgh$" + "a" * 43,
        "$y$j75$abcdefghijklmnopqrstuv$" + "a" * 43,
        "$pbkdf2-sha512$2000$abcdefgh$" + "A" * 86 + "==",
        "$pbkdf2-b64salt-sha256$2000$AP8Q$" + "A" * 43 + "=",
    ],
    ids=["argon2id", "argon2id, cheap", "bcrypt", "$6$", "$5$", "$y$", "pbkdf2", "pbkdf2 in base64"],
)
def test_the_dummy_costs_what_most_hashes_cost_and_fits_nothing(text: str) -> None:
    scheme = scheme_of(text)
    other = "$6$rounds=1234$salt$" + "a" * 86
    dummy = DummyHash.among([text, other, text])
    assert scheme_of(dummy.password_hash) is scheme
    assert dummy.cost == scheme.cost(dummy.password_hash) == scheme.cost(text)
    assert dummy.kinds == 2
    assert not scheme.fits(dummy.password_hash, b"x")
    assert DummyHash.among([text], dummy).password_hash == dummy.password_hash


def test_without_passwords_the_dummy_costs_what_a_new_hash_costs() -> None:
    dummy, new = DummyHash.among([]), hash_password("x")
    assert dummy.cost == scheme_of(new).cost(new)
    assert dummy.kinds == 0


def test_a_wrong_password_takes_as_long_as_a_dummy() -> None:
    """A dummy that a library refused at once would give unknown users away."""
    for text in (
        bcrypt.hashpw(b"x", bcrypt.gensalt(8)).decode(),
        made_by(["mkpasswd", "-m", "yescrypt", "x"]),
    ):
        dummy = DummyHash.among([text]).password_hash
        times: dict[str, float] = {}
        for each in (text, dummy) * 10:
            began = time.process_time()
            assert not fits(each, "wrong")
            times[each] = min(times.get(each, math.inf), time.process_time() - began)
        assert times[dummy] > times[text] / 3
