"""Converts SFTPGo's export: users with their groups and virtual folders, as far as they are in one bucket.

Each user becomes one complete table, because SFTPGo's groups are merged by rules that ours do not have. Then
the users of a primary group share what their tables have in common.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s3sftp.errors import ConfigurationError
from s3sftp.migration.common_options import with_groups_of_options
from s3sftp.migration.findings import FindingKind, Imported, ImportedUser, ImportFinding, UserFindings
from s3sftp.migration.json_input import checked, read_json
from s3sftp.migration.one_bucket import BucketPlace, NotInStorage, OneBucket, the_bucket
from s3sftp.migration.sftpgo_dump import S3_PROVIDER, Dump, Filesystem, Folder, Group, User
from s3sftp.migration.sftpgo_groups import primary_groups, with_groups
from s3sftp.migration.sftpgo_limits import limits_of, quota_of
from s3sftp.migration.sftpgo_logins import login_of
from s3sftp.migration.sftpgo_others import report_fields, report_lists
from s3sftp.migration.sftpgo_rights import access_of, clean_path
from s3sftp.migration.user_tables import finished

IGNORABLE = ("bandwidth", "credentials", "ip-lists", "quota", "transfer")
"""Restrictions that the operator may give up."""
_PROVIDERS = {
    0: "on a local disk",
    2: "in Google Cloud Storage",
    3: "in Azure Blob Storage",
    4: "on an encrypted local disk",
    5: "on another SFTP server",
    6: "behind an HTTP API",
}
_OF_THE_SERVER = ("admins", "api_keys", "shares", "event_actions", "event_rules", "roles", "configs")


@dataclass(frozen=True, slots=True)
class SftpgoOptions:
    """What the operator says about an import."""

    bucket: str | None = None
    prefix: str = ""
    endpoint: str | None = None
    timezone: str = "UTC"
    """The zone of `access_time`; SFTPGo's own is UTC unless its configuration says `tz: local`."""
    ignored: frozenset[str] = field(default_factory=frozenset)


def import_sftpgo(file: Path, options: SftpgoOptions) -> Imported:
    """The users in SFTPGo's export.

    Raises ConfigurationError: if the file cannot be used at all.
    """
    dump = _dump(file)
    groups = _by_name(dump.groups, "groups", file)
    folders = _by_name(dump.folders, "folders", file)
    _refuse_repeated([user.username for user in dump.users], "users", "username", file)
    collected = [UserFindings(options.ignored) for _ in dump.users]
    users = [
        _with_folders(
            with_groups(_defined(user, folders), _defined_groups(groups, folders), findings), findings
        )
        for user, findings in zip(dump.users, collected, strict=True)
    ]
    places = [place for user in users for place in _places(user)]
    bucket = the_bucket(places, options.bucket, options.prefix, options.endpoint)
    credentials = _credentials(users, bucket)
    imported = []
    for original, user, findings in zip(dump.users, users, collected, strict=True):
        report_lists(dump.ip_lists, findings)
        if len(credentials) > 1:
            findings.disable(
                "filesystem.s3config",
                f"users of {bucket.bucket} have {len(credentials)} different credentials there, and these may"
                " allow different things",
                unless_ignored="credentials",
            )
        imported.append(_user(original, user, groups, bucket, options, findings))
    complete = Imported(tuple(imported), tuple(_general(dump, bucket, credentials)))
    return with_groups_of_options(complete, primary_groups(dump.users, groups))


def _dump(file: Path) -> Dump:
    values = read_json(file)
    if len(values) > 1 or not isinstance(values[0], dict):
        raise ConfigurationError(f"{file} should be one JSON object, as SFTPGo's /api/v2/dumpdata makes it")
    dump = checked(Dump, values[0], "", file)
    if not dump.users:
        raise ConfigurationError(f"{file}: users: there are none")
    return dump


def _by_name(found: Sequence[Any], place: str, file: Path) -> dict[str, Any]:
    _refuse_repeated([each.name for each in found], place, "name", file)
    return {each.name: each for each in found}


def _refuse_repeated(names: list[str], place: str, field: str, file: Path) -> None:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if first.setdefault(name, index) != index:
            raise ConfigurationError(
                f"{file}: {place}[{index}].{field} = {name[:100]!r}: {place}[{first[name]}] has it too"
            )


def _defined_folders(given: tuple[Folder, ...], folders: Mapping[str, Folder]) -> tuple[Folder, ...]:
    """The folders with the storage that the list of folders gives to their names, as loaddata does."""
    return tuple(
        each.model_copy(update={"filesystem": folders[each.name].filesystem})
        if each.name in folders
        else each
        for each in given
    )


def _defined(user: User, folders: Mapping[str, Folder]) -> User:
    return user.model_copy(update={"virtual_folders": _defined_folders(user.virtual_folders, folders)})


def _defined_groups(groups: Mapping[str, Group], folders: Mapping[str, Folder]) -> dict[str, Group]:
    return {
        name: group.model_copy(update={"virtual_folders": _defined_folders(group.virtual_folders, folders)})
        for name, group in groups.items()
    }


def _with_folders(user: User, findings: UserFindings) -> User:
    """The same user; a folder that replaces the user's own storage is reported."""
    for folder in user.virtual_folders:
        if clean_path(folder.virtual_path) == "/":
            findings.disable("virtual_folders", f"{folder.name!r} is mounted at '/', which is not supported")
    return user


def _user(
    original: User,
    user: User,
    groups: Mapping[str, Group],
    bucket: OneBucket,
    options: SftpgoOptions,
    findings: UserFindings,
) -> ImportedUser:
    report_fields(original, groups, findings)
    most = user.filters.max_upload_file_size
    access = access_of(user.permissions, user.filters.file_patterns, findings)
    mounts, paths = _mounts(user, bucket, findings), access.pop("paths")
    table = {
        **login_of(user, options.timezone, findings),
        "prefix": _prefix(user.filesystem, "", bucket, "filesystem", findings),
        "max_file_bytes": most if most > 0 else None,
        "limits": limits_of(user, findings),
        "quota": quota_of(user.quota_size, user.quota_files),
        **access,
        "directories": [each for each in access["directories"] if f"/{each}" not in mounts] or None,
        "paths": {path: rule for path, rule in paths.items() if path not in mounts} or None,
        "mounts": {path: {**mount, **paths.get(path, {})} for path, mount in mounts.items()} or None,
    }
    return finished(user.username, table, findings)


def _mounts(user: User, bucket: OneBucket, findings: UserFindings) -> dict[str, dict[str, Any]]:
    """The virtual folders that are in the bucket, by their paths."""
    mounts: dict[str, dict[str, Any]] = {}
    for index, folder in enumerate(user.virtual_folders):
        where = f"virtual_folders[{index}]"
        at = _prefix(folder.filesystem, folder.subpath, bucket, f"{where}.filesystem", findings)
        path = clean_path(folder.virtual_path)
        if path is None or path in mounts:
            findings.refuse(f"{where}.virtual_path", "should be an absolute path, given once")
        elif at is not None and path != "/":
            mounts[path] = {"prefix": at}
            if quota := quota_of(folder.quota_size, folder.quota_files):
                mounts[path]["quota"] = quota
        if (folder.quota_size < 0 < user.quota_size) or (folder.quota_files < 0 < user.quota_files):
            findings.disable(
                f"{where}.quota_size",
                "the folder is part of the user's quota, which is about one prefix here",
                unless_ignored="quota",
            )
    return mounts


def _prefix(
    filesystem: Filesystem, subpath: str, bucket: OneBucket, field: str, findings: UserFindings
) -> str | None:
    """Where in the storage a filesystem is; None, and the user disabled, if it is elsewhere."""
    if filesystem.provider != S3_PROVIDER:
        what = _PROVIDERS.get(filesystem.provider, "in a storage that is not known here")
        findings.disable(
            field, f"the files are {what}: copy them to the bucket, and set the prefix of the user"
        )
        return None
    try:
        return bucket.prefix_of(_place(filesystem, subpath))
    except NotInStorage as problem:
        findings.disable(f"{field}.s3config", str(problem))
        return None


def _place(filesystem: Filesystem, subpath: str = "") -> BucketPlace:
    config = filesystem.s3config
    below = subpath.strip("/")
    return BucketPlace(
        config.bucket, config.key_prefix + (f"{below}/" if below else ""), config.endpoint.rstrip("/")
    )


def _storages(user: User) -> Iterator[Filesystem]:
    for each in (user.filesystem, *(folder.filesystem for folder in user.virtual_folders)):
        if each.provider == S3_PROVIDER:
            yield each


def _places(user: User) -> Iterator[BucketPlace]:
    return map(_place, _storages(user))


def _credentials(users: Sequence[User], bucket: OneBucket) -> set[tuple[str, str]]:
    """The access keys and roles by which the users' files in the bucket are reached."""
    return {
        (each.s3config.access_key, each.s3config.role_arn)
        for user in users
        for each in _storages(user)
        if each.s3config.bucket == bucket.bucket
    }


def _general(dump: Dump, bucket: OneBucket, credentials: set[tuple[str, str]]) -> Iterator[ImportFinding]:
    if bucket.bucket:
        yield ImportFinding(
            FindingKind.LEFT_OUT, "", f"the users are for a server of the bucket {bucket.bucket}"
        )
    for key, role in sorted(credentials):
        by = " ".join(
            filter(None, (f"the access key {key}" if key else "", f"the role {role}" if role else ""))
        )
        yield ImportFinding(
            FindingKind.LEFT_OUT,
            "filesystem.s3config",
            f"SFTPGo reaches the bucket by {by or 'its own credentials'}: this server's should allow no more",
        )
    if bucket.endpoint:
        yield ImportFinding(
            FindingKind.LEFT_OUT,
            "filesystem.s3config.endpoint",
            f"{bucket.endpoint}: is s3.endpoint_url here",
        )
    yield from _unused(dump)
    if dump.ip_lists:
        yield ImportFinding(
            FindingKind.LEFT_OUT, "ip_lists", f"not about users, and not imported ({len(dump.ip_lists)})"
        )
    for name in _OF_THE_SERVER:
        if found := dump.others.get(name):
            count = f" ({len(found)})" if isinstance(found, list) else ""
            yield ImportFinding(FindingKind.LEFT_OUT, name, f"not about users, and not imported{count}")
    for name in sorted(set(dump.others) - set(_OF_THE_SERVER)):
        yield ImportFinding(FindingKind.LEFT_OUT, name[:100], "is unknown here, and not imported")


def _unused(dump: Dump) -> Iterator[ImportFinding]:
    """Groups and folders that no user has, so that nothing of them is in the files."""
    groups = {mapping.name for user in dump.users for mapping in user.groups}
    mounted = [user.virtual_folders for user in dump.users]
    mounted += [group.virtual_folders for group in dump.groups if group.name in groups]
    folders = {folder.name for each in mounted for folder in each}
    for place, names, used in (("groups", dump.groups, groups), ("folders", dump.folders, folders)):
        if unused := [each.name for each in names if each.name not in used]:
            listed = ", ".join(map(repr, unused))[:200]
            yield ImportFinding(FindingKind.LEFT_OUT, place, f"{listed}: no user has it")
