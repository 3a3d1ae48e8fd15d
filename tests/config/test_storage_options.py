"""Several storages in a configuration: what they become, and what is wrong with those that cannot be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from s3sftp.app import handover
from s3sftp.app.config_diff import diff_configurations
from s3sftp.app.config_reload import ConfigReloader
from s3sftp.app.descriptor_limit import storage_descriptors
from s3sftp.app.options import load_configuration, load_options
from s3sftp.app.worker_options import worker_share
from s3sftp.auth import Accounts, account_from_line, account_to_line
from s3sftp.backends import MountRole
from s3sftp.config import SourceFiles, from_toml
from s3sftp.errors import ConfigurationError
from tests.support.logs import capture_events

START = """
[s3]
bucket = "main"
max_connections = 100
[users.acme]
authorized_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS"]
"""
ARCHIVE = """
[storages.archive]
bucket = "old"
max_connections = 40
secret_access_key = "hunter2"
access_key_id = "AK"
"""
MOUNT = '[users.acme.mounts."/old"]\nprefix = "acme/"\nstorage = "archive"\n'


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "s3sftp.toml"
    file.write_text(START + text, "utf-8")
    return file


def problems(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_options(written(tmp_path, text), {})
    return "\n".join(caught.value.problems)


def test_a_mount_is_in_the_storage_that_it_names(tmp_path: Path) -> None:
    file = written(tmp_path, ARCHIVE + MOUNT + '[users.acme.mounts."/new"]\nprefix = "acme/"\n')
    configuration = load_configuration(from_toml(file), {}, (), SourceFiles())
    tree = configuration.logins.accounts["acme"].identity.tree()
    assert {(mount.path.text, mount.place.storage) for mount in tree.mounted} == {
        ("/old", "archive"),
        ("/new", ""),
    }
    assert tree.storages == {"", "archive"}
    assert configuration.options.storage_names == ("", "archive")
    assert configuration.options.of_storage("archive").s3 == configuration.options.storages["archive"]


def test_a_storage_that_is_not_there_is_named_with_file_and_line_and_what_is_meant(tmp_path: Path) -> None:
    said = problems(tmp_path, ARCHIVE + MOUNT.replace('"archive"', '"archiv"'))
    assert "users.acme.mounts.'/old'" in said
    assert "s3sftp.toml, line" in said
    assert "there is no [storages.archiv]; did you mean 'archive'?" in said


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[storages.Archive]\nbucket = "old"\n', "lower-case letters"),
        ("[storages.archive]\nregion = 'eu-west-1'\n", "storages.archive.bucket"),
        ('[storages.archive]\nbucket = "old"\npart_byte = 1\n', "did you mean 'part_bytes'?"),
        ('[storages.archive]\nbucket = "main"\n', "[storages.archive] and [s3] overlap"),
        ('[storages.archive]\nbucket = "main"\nprefix = "a/"\n', "a file must be in one storage"),
        (
            '[storages.archive]\nbucket = "main"\nendpoint_url = "https://s3.eu-west-1.amazonaws.com"\n',
            "[storages.archive] and [s3] overlap",
        ),
        (
            '[storages.a]\nbucket = "x"\nprefix = "p/"\n[storages.b]\nbucket = "x"\nprefix = "p/q/"\n',
            "[storages.b] and [storages.a] overlap",
        ),
    ],
)
def test_storages_that_cannot_be_are_named(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in problems(tmp_path, text)


def test_one_bucket_may_be_several_storages_with_prefixes_of_their_own(tmp_path: Path) -> None:
    text = '[storages.a]\nbucket = "x"\nprefix = "p/"\n[storages.b]\nbucket = "x"\nprefix = "p2/"\n'
    other = '[storages.c]\nbucket = "main"\nendpoint_url = "https://other.example"\n'
    assert load_options(written(tmp_path, text + other), {}).storage_names == ("", "a", "b", "c")


def test_further_storages_need_a_bucket_beside_them(tmp_path: Path) -> None:
    file = tmp_path / "s3sftp.toml"
    file.write_text(f"backend = 'memory'\n{ARCHIVE}")
    with pytest.raises(ConfigurationError, match="beside a bucket only"):
        load_options(file, {}, needs_users=False)


def test_the_environment_configures_storages_too(tmp_path: Path) -> None:
    environment = {"S3SFTP_STORAGES__ARCHIVE__BUCKET": "old", "S3SFTP_STORAGES__ARCHIVE__REGION": "eu-west-1"}
    found = load_options(written(tmp_path, MOUNT), environment).storages["archive"]
    assert (found.bucket, found.region) == ("old", "eu-west-1")


def test_workers_get_their_share_of_each_storage_and_all_of_its_options(tmp_path: Path) -> None:
    options = load_options(written(tmp_path, ARCHIVE), {}).model_copy(update={"users": {}})
    share = worker_share(options, 4)
    assert (share.s3 and share.s3.max_connections, share.storages["archive"].max_connections) == (25, 10)
    assert storage_descriptors(options) == 140
    assert handover.load(handover.dump(options)).storages == options.storages
    assert "hunter2" not in repr(options)


def test_a_changed_storage_is_named_as_one_that_takes_a_restart(tmp_path: Path) -> None:
    before = load_configuration(from_toml(written(tmp_path, ARCHIVE)), {}, (), SourceFiles())
    text = ARCHIVE.replace('"old"', '"older"') + '[storages.more]\nbucket = "m"\n'
    after = load_configuration(from_toml(written(tmp_path, text)), {}, (), SourceFiles())
    changes = diff_configurations(before.options, before.logins, after)
    assert changes.need_restart == ("storages.archive", "storages.more")


async def test_a_reload_with_a_mount_in_a_new_storage_changes_nobody_and_says_why(tmp_path: Path) -> None:
    file = written(tmp_path, ARCHIVE)
    sources = SourceFiles()
    sources.note(file)
    applied: list[Accounts] = []

    def read(sources: SourceFiles):  # type: ignore[no-untyped-def]
        sources.note(file)
        return load_configuration(from_toml(file), {}, (), sources)

    async def apply(accounts: Accounts) -> None:
        applied.append(accounts)

    reloading = ConfigReloader(read, read(sources), sources, apply)
    written(tmp_path, ARCHIVE + '[storages.more]\nbucket = "m"\n' + MOUNT.replace('"archive"', '"more"'))
    with capture_events() as events:
        await reloading._reload(asked=True)
    (failed,) = [event for event in events if event["event"] == "config.reload_failed"]
    assert failed["problem"] == (
        "users.acme.mounts.'/old': storage 'more' is new; restart the server to use it"
    )
    assert applied == []
    written(tmp_path, ARCHIVE + MOUNT)
    await reloading._reload(asked=True)
    assert len(applied) == 1


def test_a_user_with_more_mounts_than_a_session_policy_holds_is_named(tmp_path: Path) -> None:
    role = 'role_arn = "arn:aws:iam::123456789012:role/sftp"\nsession_policies = true\n'
    mounts = [
        f'[users.acme.mounts."/m{number}"]\nprefix = "partners/acme/{number:040}/"\nstorage = "archive"\n'
        for number in range(20)
    ]
    said = problems(tmp_path, ARCHIVE + role + "".join(mounts))
    assert "users.acme: the session policy for [storages.archive] has" in said
    assert "STS takes 2048" in said
    assert load_options(written(tmp_path, ARCHIVE + role + "".join(mounts[:2])), {}).storages


ROLES = 'mount_roles = ["arn:aws:iam::210987654321:role/partner-*"]\n'
OF_A_ROLE = 'role_arn = "arn:aws:iam::210987654321:role/partner-{user}"\nexternal_id = "{user}-7f3c"\n'


def test_a_mount_has_the_role_that_it_names_with_the_user_s_name(tmp_path: Path) -> None:
    file = written(tmp_path, ARCHIVE + ROLES + MOUNT + OF_A_ROLE)
    configuration = load_configuration(from_toml(file), {}, (), SourceFiles())
    account = configuration.logins.accounts["acme"]
    (mount,) = account.identity.mounts
    assert mount.role == MountRole("arn:aws:iam::210987654321:role/partner-acme", "acme-7f3c")
    assert account_from_line(account_to_line("acme", account)) == ("acme", account), "workers get it whole"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (ARCHIVE + MOUNT + OF_A_ROLE, "storages.archive.mount_roles does not have this role"),
        (ARCHIVE + ROLES + MOUNT + 'role_arn = "partner"\n', "should be the ARN of a role"),
        (ARCHIVE + ROLES + MOUNT + 'external_id = "7f3c"\n', "external_id needs role_arn"),
        (ARCHIVE + ROLES + MOUNT + OF_A_ROLE.replace("7f3c", "7 3c"), "should be 2 to 1224 letters"),
        (MOUNT.replace('storage = "archive"\n', OF_A_ROLE), "s3.mount_roles does not have this role"),
    ],
)
def test_a_role_that_a_mount_cannot_have_is_named(tmp_path: Path, text: str, problem: str) -> None:
    said = problems(tmp_path, text)
    assert problem in said
    assert "users.acme.mounts." in said


def test_a_role_that_its_storage_does_not_allow_is_named_with_file_and_line(tmp_path: Path) -> None:
    said = problems(tmp_path, ARCHIVE + MOUNT + OF_A_ROLE)
    assert "users.acme.mounts.'/old' (" in said
    assert "s3sftp.toml, line" in said


def test_a_role_with_more_mounts_than_a_session_policy_holds_is_named(tmp_path: Path) -> None:
    mounts = [
        f'[users.acme.mounts."/m{number}"]\nprefix = "partners/acme/{number:040}/"\nstorage = "archive"\n'
        for number in range(20)
    ]
    assert load_options(written(tmp_path, ARCHIVE + ROLES + "".join(mounts)), {}).users
    said = problems(tmp_path, ARCHIVE + ROLES + OF_A_ROLE.join([*mounts, ""]))
    assert "session policy for arn:aws:iam::210987654321:role/partner-acme has" in said


async def test_a_reload_with_a_role_that_the_running_server_does_not_assume_changes_nobody(
    tmp_path: Path,
) -> None:
    file = written(tmp_path, ARCHIVE)
    sources = SourceFiles()
    sources.note(file)
    applied: list[Accounts] = []

    def read(sources: SourceFiles):  # type: ignore[no-untyped-def]
        sources.note(file)
        return load_configuration(from_toml(file), {}, (), sources)

    async def apply(accounts: Accounts) -> None:
        applied.append(accounts)

    reloading = ConfigReloader(read, read(sources), sources, apply)
    written(tmp_path, ARCHIVE + ROLES + MOUNT + OF_A_ROLE)
    with capture_events() as events:
        await reloading._reload(asked=True)
    (failed,) = [event for event in events if event["event"] == "config.reload_failed"]
    assert "mount_roles does not have this role in the running server; restart it" in failed["problem"]
    assert applied == []


def test_the_configurations_of_the_page_are_taken(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/storages.md").read_text("utf-8")
    key = START.split('["')[1].split('"]')[0]
    whole, root, role, of_mounts = re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)
    file = tmp_path / "s3sftp.toml"
    login = f"[users.bob]\nauthorized_keys = ['{key}']\n"
    file.write_text(whole.replace("ssh-ed25519 AAAA… ops@acme.example", key) + login + root, "utf-8")
    environment = {
        f"S3SFTP_STORAGES__PARTNER__{option}": "x" for option in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
    }
    options = load_options(file, environment)
    assert options.storage_names == ("", "archive", "partner")
    assert {mount.storage for mount in options.users["acme"].mounts.values()} == {"", "archive", "partner"}
    assert options.storages["partner"].access_key_id is not None
    file.write_text(START + role, "utf-8")
    assert load_options(file, {}).storages["partner"].session_policies
    file.write_text(f"{of_mounts}authorized_keys = ['{key}']\n", "utf-8")
    assert {mount.role_of("acme") for mount in load_options(file, {}).users["acme"].mounts.values()} == {
        MountRole("arn:aws:iam::111122223333:role/sftp-partner-acme"),
        MountRole("arn:aws:iam::210987654321:role/exchange", "acme-7f3c"),
    }
