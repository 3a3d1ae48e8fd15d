"""`OSError`s and POSIX names are understood as one error each."""

from __future__ import annotations

import errno
import os

import pytest

from s3sftp import errors
from s3sftp.backends import errno_map
from s3sftp.backends.errno_map import ERROR_OF_NAME, error_from_oserror, error_from_posix_name, posix_name_of


@pytest.mark.parametrize("name", ERROR_OF_NAME)
def test_an_os_error_means_what_its_number_says(name: str) -> None:
    number = getattr(errno, name)
    found = error_from_oserror(OSError(number, os.strerror(number), "/srv/secret/path"))
    assert type(found) is ERROR_OF_NAME[name]


@pytest.mark.parametrize("name", ERROR_OF_NAME)
def test_the_client_never_reads_a_path_of_the_server(name: str) -> None:
    number = getattr(errno, name)
    found = error_from_oserror(OSError(number, os.strerror(number), "/srv/secret/path"))
    assert "/srv" not in str(found)
    assert "/srv/secret/path" in (found.detail or "")


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        (FileNotFoundError("no such row"), errors.NotFound),
        (FileExistsError("twice"), errors.AlreadyExists),
        (PermissionError("no"), errors.PermissionDenied),
        (NotADirectoryError("no"), errors.NotADirectory),
        (IsADirectoryError("no"), errors.IsADirectory),
        (TimeoutError(), errors.TimedOut),
        (ConnectionResetError("gone"), errors.StorageFailure),
        (OSError("just so"), errors.StorageFailure),
    ],
)
def test_an_os_error_without_a_number_means_what_its_class_says(
    error: OSError, meant: type[errors.StorageError]
) -> None:
    assert type(error_from_oserror(error)) is meant


def _all_below(cls: type[errors.StorageError]) -> list[type[errors.StorageError]]:
    return [cls, *(below for each in cls.__subclasses__() for below in _all_below(each))]


@pytest.mark.parametrize("cls", _all_below(errors.StorageError)[1:])
def test_every_error_has_a_name_that_means_it_again(cls: type[errors.StorageError]) -> None:
    if cls.__module__ != errors.__name__:
        cls = next(each for each in cls.__mro__ if each.__module__ == errors.__name__)
    assert type(error_from_posix_name(posix_name_of(cls()))) is cls


def test_a_name_that_nobody_knows_is_a_failure_with_the_name_for_the_log() -> None:
    found = error_from_posix_name("EWEIRD", detail="so it said")
    assert type(found) is errors.StorageFailure
    assert found.detail == "EWEIRD: so it said"


def test_the_table_of_the_page_is_the_table_of_the_code() -> None:
    rows = [line.split("|") for line in (errno_map.__doc__ or "").splitlines() if line.startswith("| E")]
    written = {
        name.strip().removesuffix(" and all others"): row[2].strip()
        for row in rows
        for name in row[1].split(",")
    }
    assert written == {name: cls.__name__ for name, cls in ERROR_OF_NAME.items()}
