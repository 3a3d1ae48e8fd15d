"""Verification codes: the same as other implementations make, and each used once."""

from __future__ import annotations

import re
import subprocess

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.auth import totp
from s3sftp.auth.used_codes import ROWS, UsedCodes
from s3sftp.runtime.shared_counters import SharedCounters
from tests.support.commands import installed

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""That of RFC 6238, appendix B."""


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    assert totp.step_of(SECRET, code, seconds) == seconds // 30


@pytest.mark.parametrize("seconds", [1700000000, 2000000000, 2345678901])
def test_codes_are_those_of_oathtool(seconds: int) -> None:
    secret = totp.new_secret()
    command = [installed("oathtool"), "--totp", "--base32", f"--now=@{seconds}", secret]
    code = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert totp.step_of(secret, code, seconds) == seconds // 30


@given(st.integers(0, 2**33), st.integers(-4, 4))
def test_codes_are_those_of_pyotp_one_step_early_or_late_and_no_other(seconds: int, steps: int) -> None:
    seconds += 300
    code = pyotp.TOTP(SECRET).at(seconds + 30 * steps)
    near = {pyotp.TOTP(SECRET).at(seconds + 30 * step) for step in (-1, 0, 1)}
    found = totp.step_of(SECRET, code, seconds)
    assert (found is not None) == (code in near)
    if abs(steps) <= 1:
        assert found is not None


@pytest.mark.parametrize("code", ["", "28708", "2870823", "28708a", "٢٨٧٠٨٢", "287082\0", "x" * 10_000])
def test_what_is_no_code_of_six_digits_is_wrong(code: str) -> None:
    assert totp.step_of(SECRET, code, 59) is None


def test_a_code_may_be_typed_with_a_space() -> None:
    assert totp.step_of(SECRET, " 287 082", 59) == 1


def test_a_secret_may_be_written_as_apps_show_it() -> None:
    shown = "gezd gnbv gy3t qojq gezd gnbv gy3t qojq"
    assert totp.checked_secret(shown) == SECRET
    assert totp.checked_secret(totp.new_secret() + "==")


@pytest.mark.parametrize("length", [26, 28, 32, 52, 256])
def test_secrets_of_128_bits_and_more_make_the_codes_of_pyotp(length: int) -> None:
    secret = totp.checked_secret(("A2" * 128)[:length])
    assert totp.step_of(secret, pyotp.TOTP(secret).at(1_800_000_000), 1_800_000_000) == 60_000_000


@pytest.mark.parametrize(
    "text", ["", "A" * 24, "A" * 264, "JBSWY3DPEHPK3PXP", "not base32!", "0189" * 8, "A" * 1000, "é" * 32]
)
def test_a_secret_that_cannot_be_used_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="totp-secret") as caught:
        totp.checked_secret(text)
    assert not text or text not in str(caught.value)


IS_NO_BASE32 = "should be base32 (letters, and digits from 2 to 7); `s3sftp totp-secret` makes one"
HAS_ANOTHER_LENGTH = "should be 26 to 256 base32 characters; `s3sftp totp-secret` makes one"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("not base32!", IS_NO_BASE32),
        ("0189" * 8, IS_NO_BASE32),
        ("A" * 25, IS_NO_BASE32),
        ("", HAS_ANOTHER_LENGTH),
        ("A" * 24, HAS_ANOTHER_LENGTH),
        ("A" * 257, HAS_ANOTHER_LENGTH),
        ("A" * 256 + "!", HAS_ANOTHER_LENGTH),
    ],
)
def test_of_a_secret_that_cannot_be_used_the_problem_is_named(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        totp.checked_secret(text)


@pytest.mark.parametrize("shown", ["GEZD-GNBV-GY3T-QOJQ-" * 2, f"{SECRET}======", f"  {SECRET} "])
def test_hyphens_spaces_and_padding_do_not_belong_to_a_secret(shown: str) -> None:
    assert totp.checked_secret(shown) == SECRET


def test_only_padding_is_taken_from_the_end_of_a_secret() -> None:
    assert totp.checked_secret(f"{SECRET[:-1]}X==") == f"{SECRET[:-1]}X"


def test_of_codes_that_are_valid_at_the_same_time_each_is_of_its_own_step() -> None:
    now = 1_800_000_015
    codes = {steps: pyotp.TOTP(SECRET).at(now + 30 * steps) for steps in range(-2, 3)}
    found = {steps: totp.step_of(SECRET, code, now) for steps, code in codes.items()}
    assert found == {-2: None, -1: 59_999_999, 0: 60_000_000, 1: 60_000_001, 2: None}
    assert totp.step_of(SECRET, f"{codes[0][:3]}-{codes[0][3:]}", now) == 60_000_000


def test_a_code_lasts_from_the_step_before_its_own_to_the_one_after() -> None:
    code = pyotp.TOTP(SECRET).at(1_800_000_000)
    valid = [totp.step_of(SECRET, code, 1_800_000_000 + after) is not None for after in (-31, -30, 59.9, 60)]
    assert valid == [False, True, True, False]


def test_an_app_gets_the_secret_with_the_names_of_user_and_server() -> None:
    uri = totp.provisioning_uri(SECRET, "alice/o:brien", "files & more/example")
    server = "files%20%26%20more%2Fexample"
    assert uri == f"otpauth://totp/{server}:alice%2Fo%3Abrien?secret={SECRET}&issuer={server}"
    parsed = pyotp.parse_uri(uri)
    assert (parsed.secret, parsed.name, parsed.issuer) == (SECRET, "alice/o:brien", "files & more/example")


def test_a_new_secret_has_160_bits_and_is_another_each_time() -> None:
    secrets = {totp.new_secret() for _ in range(20)}
    assert len(secrets) == 20
    assert {len(secret) for secret in secrets} == {32}


@given(st.lists(st.integers(100, 110), max_size=20))
def test_each_step_is_used_once_and_none_before_it_afterwards(steps: list[int]) -> None:
    used, latest = UsedCodes(), 0
    for step in steps:
        assert used.use(SECRET, step) == (step > latest)
        latest = max(latest, step)


def test_users_use_their_own_codes() -> None:
    used = UsedCodes()
    assert all(used.use(totp.new_secret(), 100) for _ in range(50))


def test_a_code_that_one_worker_has_seen_is_used_for_all() -> None:
    memory = memoryview(bytearray(8 * ROWS * 3))
    workers = [UsedCodes(SharedCounters(memory, 3, column)) for column in range(3)]
    assert workers[0].use(SECRET, 100)
    assert not any(worker.use(SECRET, 100) for worker in workers)
    assert workers[1].use(SECRET, 101)
    assert not any(worker.use(SECRET, step) for worker in workers for step in (100, 101))
    assert workers[2].use(SECRET, 102)


def test_if_two_workers_use_a_code_at_the_same_moment_not_both_succeed() -> None:
    memory = memoryview(bytearray(8 * ROWS * 2))

    class Late(SharedCounters):
        def set(self, row: int, number: int) -> None:
            """The other worker has looked before this one writes, and writes at the same time."""
            super().set(row, number)
            self._numbers[row * self.columns + 1 - self.column] = number

    assert not UsedCodes(Late(memory, 2, 0)).use(SECRET, 100)
