"""The parts of SFTPGo's export that mean something here, as types.

Source: `BackupData` in SFTPGo's dataprovider and `BaseUser` in its SDK; what `/api/v2/dumpdata` writes and
`/api/v2/loaddata` reads. Fields that are not declared here are in `others`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from s3sftp.migration.json_input import Input, Int64, Text

Texts = Annotated[tuple[Text, ...], Field(strict=False, max_length=10_000)]
_MANY = Field(strict=False, max_length=100_000)
S3_PROVIDER = 1
"""The `provider` of a filesystem that is in a bucket of S3."""


class Secret(Input):
    """A secret: as it was typed (`Plain`), encrypted by SFTPGo or by a KMS, or redacted."""

    status: Text = ""
    payload: Annotated[str, Field(max_length=8192, repr=False)] = ""


class S3Config(Input):
    """A place in a bucket, and how it is reached."""

    bucket: Text = ""
    key_prefix: Text = ""
    endpoint: Text = ""
    access_key: Text = ""
    role_arn: Text = ""


class Filesystem(Input):
    """Where the files are: 0 a local disk, 1 S3, 2 Google, 3 Azure, 4 an encrypted disk, 5 SFTP, 6 HTTP."""

    provider: Int64 = 0
    s3config: S3Config = S3Config()


class Folder(Input):
    """A virtual folder, by its name, or where a user or a group has it."""

    name: Text
    filesystem: Filesystem = Filesystem()
    virtual_path: Text = ""
    subpath: Text = ""
    quota_size: Int64 = 0
    quota_files: Int64 = 0


class PatternsFilter(Input):
    """Which names are accepted at a path and below it."""

    path: Text
    allowed_patterns: Texts = ()
    denied_patterns: Texts = ()
    deny_policy: Int64 = 0


class TimePeriod(Input):
    """A span of a day; 0 is Sunday."""

    day_of_week: Annotated[int, Field(ge=0, le=6)] = 0
    from_: Annotated[str, Field(alias="from", pattern=r"^[0-2][0-9]:[0-5][0-9]$")] = "00:00"
    to: Annotated[str, Field(pattern=r"^[0-2][0-9]:[0-5][0-9]$")] = "00:00"


class Totp(Input):
    """Verification codes."""

    enabled: bool = False
    config_name: Text = ""
    secret: Secret = Secret()
    protocols: Texts = ()


class Filters(Input):
    """What limits a user."""

    allowed_ip: Texts = ()
    denied_ip: Texts = ()
    denied_login_methods: Texts = ()
    denied_protocols: Texts = ()
    file_patterns: Annotated[tuple[PatternsFilter, ...], _MANY] = ()
    max_upload_file_size: Int64 = 0
    is_anonymous: bool = False
    access_time: Annotated[tuple[TimePeriod, ...], _MANY] = ()
    totp_config: Totp = Totp()
    two_factor_protocols: Texts = ()
    require_password_change: bool = False
    password_expiration: Int64 = 0
    bandwidth_limits: Annotated[tuple[dict[str, Any], ...], _MANY] = ()


class NumericLimits(Input):
    """Numbers that a user or a group has; 0 is no limit."""

    max_sessions: Int64 = 0
    quota_size: Int64 = 0
    quota_files: Int64 = 0
    upload_bandwidth: Int64 = 0
    download_bandwidth: Int64 = 0
    upload_data_transfer: Int64 = 0
    download_data_transfer: Int64 = 0
    total_data_transfer: Int64 = 0


Permissions = dict[Text, Texts]


class GroupSettings(NumericLimits):
    """What a group gives to its users."""

    filters: Filters = Filters()
    filesystem: Filesystem = Filesystem()
    permissions: Permissions = Field(default_factory=dict)
    expires_in: Int64 = 0


class Group(Input):
    """A group."""

    name: Text
    user_settings: GroupSettings = GroupSettings()
    virtual_folders: Annotated[tuple[Folder, ...], _MANY] = ()


class GroupMapping(Input):
    """How a user has a group: 1 primary, 2 secondary, 3 membership."""

    name: Text
    type: Annotated[int, Field(ge=1, le=3)]


class User(NumericLimits):
    """A user."""

    username: Text
    status: Int64 = 0
    expiration_date: Int64 = 0
    created_at: Int64 = 0
    last_password_change: Int64 = 0
    password: Annotated[Text, Field(repr=False)] = ""
    public_keys: Annotated[tuple[Annotated[str, Field(max_length=65536)], ...], _MANY] = ()
    permissions: Permissions = Field(default_factory=dict)
    filters: Filters = Filters()
    virtual_folders: Annotated[tuple[Folder, ...], _MANY] = ()
    filesystem: Filesystem = Filesystem()
    groups: Annotated[tuple[GroupMapping, ...], _MANY] = ()
    role: Text = ""


class IpListEntry(Input):
    """An address in one of the server's lists: 1 allow list, 2 defender, 3 safe from rate limits."""

    type: Int64 = 0
    ipornet: Text = ""
    mode: Int64 = 0


class Dump(Input):
    """The whole export."""

    users: Annotated[tuple[User, ...], _MANY] = ()
    groups: Annotated[tuple[Group, ...], _MANY] = ()
    folders: Annotated[tuple[Folder, ...], _MANY] = ()
    ip_lists: Annotated[tuple[IpListEntry, ...], _MANY] = ()
    version: Int64 = 0
