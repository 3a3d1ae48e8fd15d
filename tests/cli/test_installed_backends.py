"""Storages of other packages, loaded by name by the real command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.command_process import batch, running, s3sftp, scp, sftp_command, write_key_pair
from tests.cli.installed_package import ROOT, install

NOTES = (ROOT / "examples" / "notes.py").read_text()
TENANTS = (ROOT / "examples" / "tenants.py").read_text()
WITH_OPTIONS = (
    NOTES
    + """

import json
import pydantic
from s3sftp.errors import ConfigurationError, PermissionDenied


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


def broken(options):
    raise RuntimeError("no such shelf")


def misspelt(options):
    raise ConfigurationError("the shelf is full")


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


class Refused(Notes):
    async def start(self):
        raise PermissionError(13, "Permission denied", "/var/lib/notes.db")


class Unopened(Notes):
    async def start(self):
        raise RuntimeError("unable to open the database")


class Closed(Notes):
    async def list_dir(self, place, session):
        raise PermissionDenied("closed for good", lasting=True)
        yield


class Witness(Notes):
    def __init__(self, options):
        super().__init__()
        self.told = options["told"]

    def tell(self, method, session):
        names = ("user", "peer", "client_version", "session_id")
        told = {"method": method, **{name: getattr(session, name) for name in names}}
        told |= {"attributes": dict(session.attributes), "trace": dict(session.trace_context)}
        with open(self.told, "a") as file:
            print(json.dumps(told), file=file)

    async def file_info(self, place, session):
        self.tell("file_info", session)
        return await super().file_info(place, session)

    async def list_dir(self, place, session):
        self.tell("list_dir", session)
        async for page in super().list_dir(place, session):
            yield page

    async def delete(self, place, session):
        self.tell("delete", session)
        await super().delete(place, session)

    async def rename(self, source, target, session, *, overwrite):
        self.tell("rename", session)
        await super().rename(source, target, session, overwrite=overwrite)

    async def read_file(self, place, session):
        self.tell("read_file", session)
        return await super().read_file(place, session)

    async def write_file(self, place, data, session):
        self.tell("write_file", session)
        await super().write_file(place, data, session)
"""
)
NAMES = (
    "Witness",
    "Closed",
    "make",
    "strict",
    "demanding",
    "picky",
    "broken",
    "misspelt",
    "Refused",
    "Unopened",
    "lazy",
    "Lacking",
    "Listless",
    "nothing",
)


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
        assert server.wait_event("server.started")["backend"] == "notes"
        assert "workers" not in server.wait_event(
            "server.started"
        )  # what it has in memory cannot be there twice


def test_scp_works_on_it(tmp_path: Path, path: str) -> None:
    (tmp_path / "long").write_bytes(b"longer than what replaces it")
    (tmp_path / "local").write_bytes(b"by scp")
    remote = "alice@127.0.0.1:note"
    with running("serve", *flags(tmp_path, "notes"), directory=tmp_path, PYTHONPATH=path) as server:
        for source, target in (("long", remote), ("local", remote), (remote, "back")):
            here = [str(tmp_path / each) if each != remote else each for each in (source, target)]
            done = scp(server.port, tmp_path / "key", *here)
            assert done.returncode == 0, done.stderr
    assert (tmp_path / "back").read_bytes() == b"by scp"


def test_one_that_refuses_who_has_not_logged_in_is_served_to_those_who_have(tmp_path: Path) -> None:
    source = TENANTS + "\n\ndef make(options):\n    return Tenants(MemoryBackend())\n"
    source = source.replace(
        "from s3sftp.errors", "from s3sftp.backends.memory import MemoryBackend\nfrom s3sftp.errors"
    )
    path = install(tmp_path / "site", source, {"tenants": "acme_notes:make"})
    file = tmp_path / "s3sftp.toml"
    write_key_pair(tmp_path / "key")
    file.write_text(
        f"backend = 'tenants'\n[users.alice]\nauthorized_keys_file = '{tmp_path}/key.pub'\n"
        "attributes = { tenant = 'acme' }\n"
    )
    checked = s3sftp("check", "--config", str(file), PYTHONPATH=path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "warning root       this account belongs to no tenant" in checked.stdout
    arguments = ["serve", "--config", str(file), "--host", "127.0.0.1", "--port", "0"]
    arguments += ["--state-dir", str(tmp_path / "state")]
    with running(*arguments, directory=tmp_path, PYTHONPATH=path) as server:
        done = batch(sftp_command(server.port, tmp_path / "key"), f"put {file} f\nget f {tmp_path}/back\n")
        assert done.returncode == 0, done.stderr
        warned = server.wait_event("storage.probe_denied")
        assert warned["error"] == "this account belongs to no tenant"
    assert (tmp_path / "back").read_bytes() == file.read_bytes()


def test_a_refusal_that_lasts_ends_the_start(tmp_path: Path, path: str) -> None:
    done = s3sftp("serve", *flags(tmp_path, "closed"), PYTHONPATH=path)
    assert done.returncode == 1
    assert "s3sftp: storage: closed for good" in done.stderr
    assert s3sftp("check", "--backend", "closed", PYTHONPATH=path).returncode == 1


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("refused", "failed  start      permission denied ("),
        ("unopened", "failed  start      RuntimeError: unable to open the database ("),
    ],
)
def test_a_start_that_fails_is_what_check_tells(tmp_path: Path, path: str, backend: str, said: str) -> None:
    done = s3sftp("check", "--backend", backend, PYTHONPATH=path)
    assert done.returncode == 1
    assert said in done.stdout
    assert "Traceback" not in done.stderr


def test_it_is_told_who_asks_in_which_session_and_for_which_trace(tmp_path: Path, path: str) -> None:
    file, told = tmp_path / "s3sftp.toml", tmp_path / "told"
    file.write_text(
        f"backend = 'witness'\n[backend_options]\ntold = '{told}'\n"
        f"[users.alice]\nauthorized_keys_file = '{tmp_path}/key.pub'\nattributes = {{ tenant = 'acme' }}\n"
    )
    write_key_pair(tmp_path / "key")
    arguments = ["serve", "--config", str(file), "--host", "127.0.0.1", "--port", "0"]
    arguments += ["--state-dir", str(tmp_path / "state")]
    environ = {"PYTHONPATH": path, "OTEL_TRACES_EXPORTER": "console"}
    with running(*arguments, directory=tmp_path, **environ) as server:
        lines = f"put {file} note\nls -l\nget note {tmp_path}/back\nrename note other\nrm other\n"
        done = batch(sftp_command(server.port, tmp_path / "key"), lines)
        assert done.returncode == 0, done.stderr
        assert server.process.stop() == 0
        output = server.process.output()
    looked, *calls = map(json.loads, told.read_text().splitlines())
    assert (looked["method"], looked["user"], looked["attributes"]) == ("list_dir", "", {})  # at start
    everything = {"file_info", "list_dir", "write_file", "read_file", "rename", "delete"}
    assert {call["method"] for call in calls} == everything
    for call in calls:
        assert (call["user"], call["attributes"]) == ("alice", {"tenant": "acme"})
        assert call["client_version"].startswith("OpenSSH_")
    ((peer, session),) = {(call["peer"], call["session_id"]) for call in calls}
    assert f'"peer": "{peer}"' in output
    assert f'"session": "{session}"' in output
    for call in calls:  # each is part of the operation that it is made for
        _, trace, span, _ = call["trace"]["traceparent"].split("-")
        assert f'"trace_id": "0x{trace}"' in output
        assert f'"span_id": "0x{span}"' in output


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
        server.wait_event("server.started")
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
        ("broken", "backend broken: RuntimeError: no such shelf ("),
        ("misspelt", "backend misspelt: the shelf is full"),
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
