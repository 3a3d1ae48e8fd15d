"""Converts what AWS's command line prints about the users of a Transfer Family server.

    aws transfer describe-user     {"ServerId": …, "User": {…}}      what becomes a user
    aws transfer list-users        {"ServerId": …, "Users": […]}     whom a description is missing of
    aws transfer describe-server   {"Server": {…}}                   what holds for all of them

Users with one role are for a server whose own credentials allow what that role allows. If the users have
several, each mount names its user's role.

Source: the shapes `DescribedUser`, `ListedUser` and `DescribedServer` of the Transfer Family API Reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from s3sftp.backends.mount_role import role_problem
from s3sftp.errors import ConfigurationError
from s3sftp.migration.findings import FindingKind, Imported, ImportedUser, ImportFinding, UserFindings
from s3sftp.migration.json_input import Input, Int64, Text, checked, read_json
from s3sftp.migration.one_bucket import BucketPlace, NotInStorage, OneBucket, the_bucket
from s3sftp.migration.user_tables import finished, usable_keys

IGNORABLE = ("policy", "role")
"""Restrictions that the operator may give up."""
_NAME_VARIABLE = re.compile(r"\$\{transfer:UserName\}", re.IGNORECASE)
_MANY = Field(strict=False, max_length=100_000)
_SERVER_FACTS = frozenset({"Arn", "HostKeyFingerprint", "UserCount", "EndpointType"})


class _Key(Input):
    SshPublicKeyBody: Annotated[str, Field(max_length=65536)]


class _MapEntry(Input):
    Entry: Text
    Target: Text
    Type: Literal["FILE", "DIRECTORY"] = "DIRECTORY"


class _User(Input):
    """`DescribedUser`."""

    Arn: Text
    UserName: Text = ""
    HomeDirectory: Text = ""
    HomeDirectoryType: Literal["PATH", "LOGICAL"] = "PATH"
    HomeDirectoryMappings: Annotated[tuple[_MapEntry, ...], _MANY] = ()
    Policy: Annotated[str, Field(max_length=8192)] = ""
    Role: Text = ""
    SshPublicKeys: Annotated[tuple[_Key, ...], _MANY] = ()

    @property
    def name(self) -> str:
        return self.UserName or self.Arn.rpartition("/")[2]


class _Listed(Input):
    """`ListedUser`."""

    Arn: Text
    UserName: Text = ""
    SshPublicKeyCount: Int64 = 0

    @property
    def name(self) -> str:
        return self.UserName or self.Arn.rpartition("/")[2]


class _Server(Input):
    """`DescribedServer`."""

    ServerId: Text = ""
    Domain: Text = "S3"
    IdentityProviderType: Text = "SERVICE_MANAGED"
    Protocols: Annotated[tuple[Text, ...], Field(strict=False)] = ("SFTP",)


class _Output(Input):
    """The output of one of the three commands."""

    ServerId: Text = ""
    User: _User | None = None
    Users: Annotated[tuple[_Listed, ...], _MANY] | None = None
    Server: _Server | None = None


@dataclass(frozen=True, slots=True)
class TransferFamilyOptions:
    """What the operator says about an import."""

    bucket: str | None = None
    prefix: str = ""
    ignored: frozenset[str] = field(default_factory=frozenset)


def import_transfer_family(file: Path, options: TransferFamilyOptions) -> Imported:
    """The users of one server.

    Raises ConfigurationError: if the file cannot be used at all.
    """
    outputs = _outputs(file)
    described, listed, servers = _parts(outputs, file)
    _refuse_several_servers(outputs, servers, file)
    roles = {user.Role for _, user in described}
    has_mount_roles = len(roles) > 1 and "role" not in options.ignored
    bucket = the_bucket(
        [each for _, user in described for each in _places(user)], options.bucket, options.prefix
    )
    users = []
    for _, user in described:
        findings = UserFindings(options.ignored)
        _report_servers(servers, findings)
        if len(roles) > 1:
            _report_role(user.Role, findings)
        users.append(_user(user, bucket, findings, role=user.Role if has_mount_roles else ""))
    general = (
        *_general(outputs, servers, bucket),
        *(_mount_roles(users) if has_mount_roles else _roles_of_the_server(roles)),
    )
    return Imported((*users, *_without_description(described, listed)), general)


def _report_role(role: str, findings: UserFindings) -> None:
    """What is to be said of one of several roles."""
    if findings.ignores("role"):
        text = f"{role}: the users have several roles, and the server has the same credentials for all"
        findings.disable("Role", text, unless_ignored="role")
    elif (problem := role_problem(role)) is not None:
        text = f"{role!r} {problem}, because the users have several" if role else "there is none"
        findings.disable("Role", text, unless_ignored="role")


def _outputs(file: Path) -> list[tuple[str, _Output]]:
    """The outputs in the file, with their JSON paths."""
    values = read_json(file)
    found: list[tuple[str, Any]] = []
    for index, value in enumerate(values):
        place = f"value {index + 1}" if len(values) > 1 else ""
        each = (
            [(f"{place}[{at}]", inner) for at, inner in enumerate(value)] if isinstance(value, list) else []
        )
        found += each or [(place, value)]
    return [(place, checked(_Output, _wrapped(value), place, file)) for place, value in found]


def _wrapped(value: object) -> object:
    """A user by itself, as `--query User` prints it, in its object."""
    is_user = isinstance(value, dict) and "Arn" in value and "SshPublicKeys" in value
    return {"User": value} if is_user else value


def _parts(
    outputs: Sequence[tuple[str, _Output]], file: Path
) -> tuple[list[tuple[str, _User]], list[_Listed], list[_Server]]:
    """Raises ConfigurationError: if there are no users, one is there twice, or an output is none of these."""
    described: list[tuple[str, _User]] = []
    first: dict[str, str] = {}
    for place, output in outputs:
        if output.User is None and output.Server is None and output.Users is None:
            raise ConfigurationError(
                f"{file}: {place or 'the value'} should have User, Users or Server, as aws transfer"
                " describe-user, list-users and describe-server print them"
            )
        if output.User is not None:
            at = f"{place}.User" if place else "User"
            if (before := first.setdefault(output.User.name, at)) != at:
                raise ConfigurationError(f"{file}: {at}: the user {output.User.name!r} is also at {before}")
            described.append((at, output.User))
    listed = [each for _, output in outputs for each in output.Users or ()]
    if not described and not listed:
        raise ConfigurationError(f"{file}: there are no users, as aws transfer describe-user prints them")
    return described, listed, [output.Server for _, output in outputs if output.Server is not None]


def _refuse_several_servers(
    outputs: Sequence[tuple[str, _Output]], servers: Sequence[_Server], file: Path
) -> None:
    names = {each.ServerId for _, each in outputs if each.ServerId} | {each.ServerId for each in servers}
    if len(names - {""}) > 1:
        raise ConfigurationError(
            f"{file}: the users are of several servers ({', '.join(sorted(names))[:200]}):"
            " import those of one at a time"
        )


def _user(user: _User, bucket: OneBucket, findings: UserFindings, *, role: str) -> ImportedUser:
    if user.Policy.strip():  # STS takes one policy, and that is the server's own, of the user's mounts
        findings.disable(
            "Policy", "a session policy is not applied here: say it by rights", unless_ignored="policy"
        )
    for name in sorted(user.others):
        if name == "PosixProfile":
            findings.disable(name, "is that of a file system (EFS), and the server's storage is a bucket")
        elif name == "Tags":
            findings.leave_out(name)
        else:
            findings.disable(name[:100], "is unknown here, and may be a restriction")
    for index, key in enumerate(user.SshPublicKeys):
        for name in sorted(set(key.others) - {"DateImported", "SshPublicKeyId"}):
            findings.disable(
                f"SshPublicKeys[{index}].{name[:100]}", "is unknown here, and may be a restriction"
            )
        for name in sorted(set(key.others) & {"DateImported", "SshPublicKeyId"}):
            findings.keep_internal(f"SshPublicKeys[{index}].{name}")
    keys = usable_keys((key.SshPublicKeyBody for key in user.SshPublicKeys), "SshPublicKeys", findings)
    tree = _tree(user, bucket, findings)
    if role and role_problem(role) is None:
        tree = _with_role(tree, role)
    table = {"authorized_keys": keys or None, **tree}
    return finished(user.name, table, findings)


def _with_role(tree: dict[str, Any], role: str) -> dict[str, Any]:
    """The tree as mounts that are all reached with the role."""
    root = {"/": {"prefix": tree["prefix"]}} if "prefix" in tree else {}
    mounts = {**root, **(tree.get("mounts") or {})}
    return {"mounts": {path: {**mount, "role_arn": role} for path, mount in mounts.items()} or None}


def _tree(user: _User, bucket: OneBucket, findings: UserFindings) -> dict[str, Any]:
    """The options `prefix` and `mounts`."""
    if user.HomeDirectoryType == "LOGICAL":
        return _logical_tree(user, bucket, findings)
    if user.HomeDirectoryMappings:
        findings.disable("HomeDirectoryMappings", "are for the HomeDirectoryType LOGICAL, not PATH")
    if user.HomeDirectory in ("", "/"):
        findings.disable(
            "HomeDirectory", "there is none, so the user sees what the role allows: set a prefix"
        )
        return {}
    findings.narrow(
        "HomeDirectory",
        "is the user's '/' here: paths that begin with the bucket do not exist, nor what is outside of it",
    )
    prefix = _prefix(user, user.HomeDirectory, False, bucket, "HomeDirectory", findings)
    return {"prefix": prefix}


def _logical_tree(user: _User, bucket: OneBucket, findings: UserFindings) -> dict[str, Any]:
    if user.HomeDirectory not in ("", "/"):
        findings.leave_out("HomeDirectory", "sessions begin at '/'")
    root: dict[str, Any] = {}
    mounts: dict[str, dict[str, Any]] = {}
    for index, entry in enumerate(user.HomeDirectoryMappings):
        where, file = f"HomeDirectoryMappings[{index}]", entry.Type == "FILE"
        if entry.others:
            findings.disable(where, f"{', '.join(sorted(entry.others))[:100]}: unknown, may be a restriction")
        at = _prefix(user, entry.Target, file, bucket, f"{where}.Target", findings)
        path = _with_name(user, entry.Entry)
        if not path.startswith("/") or path in mounts or (path == "/" and (root or file)):
            findings.refuse(f"{where}.Entry", "should be an absolute path, given once")
        elif at is not None and path == "/":
            root = {"prefix": at}
        elif at is not None:
            mounts[path] = {"prefix": at, **({"file": True} if file else {})}
    if not user.HomeDirectoryMappings:
        findings.disable("HomeDirectoryMappings", "there are none")
    return {**root, "mounts": mounts or None}


def _prefix(
    user: _User, target: str, file: bool, bucket: OneBucket, where: str, findings: UserFindings
) -> str | None:
    """Where in the storage a target is; None, and the user disabled, if it is elsewhere."""
    try:
        return bucket.prefix_of(_place(user, target, file), file=file)
    except NotInStorage as problem:
        findings.disable(where, str(problem))
        return None


def _place(user: _User, target: str, file: bool) -> BucketPlace:
    name, _, key = _with_name(user, target).removeprefix("/").partition("/")
    return BucketPlace(name, key if file or not key or key.endswith("/") else f"{key}/")


def _with_name(user: _User, text: str) -> str:
    return _NAME_VARIABLE.sub(lambda _: user.name, text)


def _places(user: _User) -> Iterator[BucketPlace]:
    if user.HomeDirectoryType == "LOGICAL":
        for entry in user.HomeDirectoryMappings:
            yield _place(user, entry.Target, entry.Type == "FILE")
    elif user.HomeDirectory not in ("", "/"):
        yield _place(user, user.HomeDirectory, False)


def _report_servers(servers: Sequence[_Server], findings: UserFindings) -> None:
    for server in servers:
        if server.Domain != "S3":
            findings.disable("Server.Domain", f"{server.Domain}: the files are not in a bucket")
        if "SFTP" not in server.Protocols:
            findings.disable("Server.Protocols", "the server has no SFTP")


def _without_description(
    described: Sequence[tuple[str, _User]], listed: Sequence[_Listed]
) -> Iterator[ImportedUser]:
    names = {user.name for _, user in described}
    text = "has no keys in this file: add the output of aws transfer describe-user"
    for name in dict.fromkeys(each.name for each in listed if each.name not in names):
        yield ImportedUser(name, None, (ImportFinding(FindingKind.NOT_WRITTEN, "", text),))


def _roles_of_the_server(roles: set[str]) -> Iterator[ImportFinding]:
    for role in sorted(roles - {""}):
        yield ImportFinding(
            FindingKind.LEFT_OUT, "Role", f"{role}: the server's own credentials should allow no more"
        )


def _mount_roles(users: Sequence[ImportedUser]) -> Iterator[ImportFinding]:
    """What the operator has to do so that the roles of the mounts can be used."""
    mounts = [mount for user in users for mount in ((user.table or {}).get("mounts") or {}).values()]
    for role in sorted({mount["role_arn"] for mount in mounts if "role_arn" in mount}):
        yield ImportFinding(
            FindingKind.LEFT_OUT,
            "Role",
            f"{role}: list it in s3.mount_roles, and have its trust name the server's role in place of"
            " transfer.amazonaws.com",
        )


def _general(
    outputs: Sequence[tuple[str, _Output]], servers: Sequence[_Server], bucket: OneBucket
) -> Iterator[ImportFinding]:
    for place, output in outputs:
        for name in sorted(output.others):
            text = "the list goes on" if name == "NextToken" else "is unknown here, and not imported"
            yield ImportFinding(FindingKind.LEFT_OUT, f"{place}.{name[:100]}".lstrip("."), text)
    if bucket.bucket:
        yield ImportFinding(
            FindingKind.LEFT_OUT, "", f"the users are for a server of the bucket {bucket.bucket}"
        )
    for server in servers:
        if server.IdentityProviderType != "SERVICE_MANAGED":
            kind = server.IdentityProviderType
            yield ImportFinding(
                FindingKind.LEFT_OUT,
                "Server",
                f"{kind}: its other users are with its identity provider (hook)",
            )
        for name in sorted(set(server.others) - _SERVER_FACTS):
            yield ImportFinding(
                FindingKind.LEFT_OUT, f"Server.{name[:100]}", "is not about users, and not imported"
            )
