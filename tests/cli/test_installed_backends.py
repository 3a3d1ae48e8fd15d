"""Storages of other packages, loaded by name by the real command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.package import ROOT, install
from tests.cli.program import batch, running, s3sftp, scp, sftp_command, write_key_pair

NOTES = (ROOT / "examples" / "notes.py").read_text()
WITH_OPTIONS = (
    NOTES
    + """

import json
import pydantic


class Strict(pydantic.BaseModel):
    shelf: str
    depth: int = 1


def make(options):
    notes = Notes()
    notes.notes[Place((b"options",))] = json.dumps(options).encode()
    return notes


def strict(options):
    Strict.model_validate(options)
    return Notes()


def demanding(options):
    return options["shelf"]


def picky(options):
    raise ValueError("the moon is not full")


async def lazy(options):
    return Notes()


class Lacking(Notes):
    rename = None

    async def begin_write(self, place, intent, session): ...

    async def write_chunk(self, upload, data, session): ...

    async def finish_write(self, upload, tail, finish, session): ...


class Listless(Notes):
    def list_dir(self, place, session):
        return []
"""
)
NAMES = ("make", "strict", "demanding", "picky", "lazy", "Lacking", "Listless", "nothing")


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PYTHONPATH with a package that brings storages."""
    entries = {name.lower(): f"acme_notes:{name}" for name in NAMES}
    return install(tmp_path / "site", WITH_OPTIONS, {"notes": "acme_notes:Notes", **entries})


def flags(tmp_path: Path, backend: str) -> list[str]:
    if not (tmp_path / "key").exists():
        write_key_pair(tmp_path / "key")
    return [
        *("--backend", backend, "--host", "127.0.0.1", "--port", "0"),
        *("--state-dir", str(tmp_path / "state"), "--user", "alice"),
        *("--authorized-keys", str(tmp_path / "key.pub")),
    ]


def refused(tmp_path: Path, path: str, backend: str, **environ: str) -> str:
    """What a server says that does not start because of its configuration."""
    done: subprocess.CompletedProcess[str] = s3sftp(
        "serve", *flags(tmp_path, backend), PYTHONPATH=path, **environ
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_storage_of_another_package_is_served_by_its_name(tmp_path: Path, path: str) -> None:
    (tmp_path / "local").write_bytes(b"a note")
    with running("serve", *flags(tmp_path, "notes"), directory=tmp_path, PYTHONPATH=path) as server:
        lines = (
            f"put {tmp_path}/local note\nmkdir d\nrename note d/note\nls -l d\nget d/note {tmp_path}/back\n"
        )
        done = batch(sftp_command(server.port, tmp_path / "key"), lines)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "back").read_bytes() == b"a note"
        assert server.wait_event("started")["backend"] == "notes"
        assert "workers" not in server.wait_event("started")  # what it has in memory cannot be there twice


def test_scp_works_on_it(tmp_path: Path, path: str) -> None:
    (tmp_path / "local").write_bytes(b"by scp")
    with running("serve", *flags(tmp_path, "notes"), directory=tmp_path, PYTHONPATH=path) as server:
        for source, target in (("local", "alice@127.0.0.1:note"), ("alice@127.0.0.1:note", "back")):
            here = [str(tmp_path / each) if "@" not in each else each for each in (source, target)]
            done = scp(server.port, tmp_path / "key", *here)
            assert done.returncode == 0, done.stderr
    assert (tmp_path / "back").read_bytes() == b"by scp"


def test_it_gets_its_options_as_they_were_written(tmp_path: Path, path: str) -> None:
    file = tmp_path / "s3sftp.toml"
    file.write_text(
        'backend = "make"\n[backend_options]\nshelf = "top"\nday = 2026-02-03\n'
        "limits = { depth = 3, names = ['a', 'b'] }\n"
    )
    arguments = ["serve", "--config", str(file), *flags(tmp_path, "make")]
    with running(
        *arguments, directory=tmp_path, PYTHONPATH=path, S3SFTP_BACKEND_OPTIONS__SHELF="low"
    ) as server:
        done = batch(sftp_command(server.port, tmp_path / "key"), f"get options {tmp_path}/options\n")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "options").read_bytes()) == {
        "shelf": "low",
        "day": "2026-02-03",
        "limits": {"depth": 3, "names": ["a", "b"]},
    }


def test_several_workers_get_the_same_options(tmp_path: Path, path: str) -> None:
    """Only when a number is written: each of them makes a storage of its own."""
    file = tmp_path / "s3sftp.toml"
    file.write_text("[backend_options]\nday = 2026-02-03\n")
    arguments = ["serve", "--config", str(file), "--workers", "2", *flags(tmp_path, "make")]
    with running(*arguments, directory=tmp_path, PYTHONPATH=path) as server:
        server.wait_event("started")
        done = batch(sftp_command(server.port, tmp_path / "key"), f"get options {tmp_path}/options\n")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "options").read_bytes()) == {"day": "2026-02-03"}


def test_an_unknown_name_is_refused_with_those_that_are_installed(tmp_path: Path, path: str) -> None:
    assert "did you mean 'notes'?" in refused(tmp_path, path, "note")
    told = refused(tmp_path, path, "tape-robot")
    for name in ("s3", "local", "memory", "notes"):
        assert name in told.partition("known here:")[2]


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("strict", "backend_options.shelf is missing"),
        ("demanding", "backend_options.shelf is missing"),
        ("picky", "backend picky: the moon is not full"),
        ("lazy", "acme_notes:lazy is async"),
        ("nothing", "acme_notes:nothing of acme-notes cannot be imported: AttributeError"),
    ],
)
def test_a_storage_that_cannot_be_made_is_a_problem_of_the_configuration(
    tmp_path: Path, path: str, backend: str, said: str
) -> None:
    assert said in refused(tmp_path, path, backend)


def test_a_wrong_option_is_told_by_its_name(tmp_path: Path, path: str) -> None:
    environ = {"S3SFTP_BACKEND_OPTIONS__SHELF": "x", "S3SFTP_BACKEND_OPTIONS__DEPTH": "deep"}
    assert "backend_options.depth = 'deep'" in refused(tmp_path, path, "strict", **environ)


def test_three_of_four_callbacks_and_a_missing_one_are_told_at_once_and_end_the_start(
    tmp_path: Path, path: str
) -> None:
    told = refused(tmp_path, path, "lacking")
    assert "backend Lacking: it has no rename" in told
    assert "begin_write, write_chunk and finish_write, but no abort_write" in told


def test_a_listing_that_is_none_ends_the_start(tmp_path: Path, path: str) -> None:
    done = s3sftp("serve", *flags(tmp_path, "listless"), PYTHONPATH=path)
    assert done.returncode == 1
    assert "list_dir of backend Listless" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_package_that_cannot_be_imported_is_one_clear_problem(tmp_path: Path) -> None:
    path = install(tmp_path / "site", "import no_such_module\n", {"broken": "acme_notes:Notes"})
    told = refused(tmp_path, path, "broken")
    assert "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'" in told
    assert "1 problem:" in told


def test_a_name_that_two_packages_have_is_refused_with_both(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, NOTES, {"notes": "acme_notes:Notes"})
    path = install(site, NOTES, {"notes": "more_notes:Notes"}, package="more-notes")
    assert "several packages have a storage of this name: acme-notes, more-notes" in refused(
        tmp_path, path, "notes"
    )


def test_options_of_another_package_are_refused_for_what_is_built_in(tmp_path: Path, path: str) -> None:
    told = refused(tmp_path, path, "memory", S3SFTP_BACKEND_OPTIONS__SHELF="x")
    assert "backend_options are for storages of other packages" in told


@pytest.mark.parametrize(("backend", "status"), [("notes", 0), ("listless", 1), ("lacking", 2)])
def test_check_looks_at_any_storage_and_writes_nothing(
    tmp_path: Path, path: str, backend: str, status: int
) -> None:
    done = s3sftp("check", "--backend", backend, PYTHONPATH=path)
    assert done.returncode == status, done.stdout + done.stderr
    if status == 0:
        assert "whole files only" in done.stdout
        assert "not tried" in done.stdout
