"""Defines the options of the S3 backend: the bucket, how the server reaches it, and what it writes."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from s3sftp.backends.mount_role import role_pattern_problem, role_problem
from s3sftp.backends.s3.bucket_names import bucket_name_problem, is_access_point, is_directory_bucket
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.keys import RESERVED
from s3sftp.config import DIVIDED, ByteSize, Duration, Options, PositiveDuration
from s3sftp.config.addresses import is_exposed

MIB = 1 << 20
GIB = 1 << 30

MTIME_METADATA = "mtime"
"""Metadata key of the modification time, with the name and format that rclone uses."""
MODE_METADATA = "mode"
"""Metadata key of the permission bits: octal, with the file type, as rclone and s3fs read it."""
UPLOAD_METADATA = "s3sftp-upload"
"""Metadata key of the id of the write that created the object."""
FORMERLY_METADATA = "s3sftp-formerly"
"""Metadata key of the ETags that the same content had before it was copied onto itself."""
USER_METADATA = "s3sftp-user"
"""Metadata key of the user who stored the object."""
SESSION_METADATA = "s3sftp-session"
"""Metadata key of the session that stored it."""
PEER_METADATA = "s3sftp-peer"
"""Metadata key of that session's client: address and port."""
OWNER_METADATA = frozenset({USER_METADATA, SESSION_METADATA, PEER_METADATA})
RESERVED_METADATA = frozenset({MTIME_METADATA, UPLOAD_METADATA, FORMERLY_METADATA})


class S3Options(Options):
    """The bucket, how to reach it, what to write, and the limits of requests."""

    bucket: str = Field(min_length=1)
    """Name of the bucket, or the ARN or alias of an access point."""
    prefix: str = ""
    """Prefix of all keys. No request names a key outside it. Empty: the whole bucket. A final slash is added
    if missing."""
    region: str | None = None
    """Region of the bucket. Default: the region of the AWS environment, else `us-east-1`."""
    endpoint_url: str | None = None
    """Address of an S3-compatible store, such as `https://s3.example.com`. Default: AWS."""
    addressing: Literal["auto", "path", "virtual"] = "auto"
    """Where requests name the bucket: in the path or the host name. Most S3-compatible stores need `path`."""
    allow_plain_http: bool = False
    """Accept an endpoint with `http://` on another machine, whether from `endpoint_url` or from the AWS
    environment. Only TLS protects downloaded bytes on their way: without it, a changed byte goes unnoticed.
    """

    profile: str | None = None
    """Profile of the AWS configuration files that provides credentials and region."""
    access_key_id: SecretStr | None = None
    """Access key. Default: the standard AWS chain (environment, profile, web identity, container, instance),
    renewed when the credentials expire."""
    secret_access_key: SecretStr | None = None
    """Secret of `access_key_id`."""
    session_token: SecretStr | None = None
    """Session token of `access_key_id`, if the key is temporary."""
    role_arn: str | None = None
    """Role to assume through STS for all requests, with the credentials that the options above give, such as
    a role in the account of the bucket. Default: none, except by a profile of the AWS configuration."""
    external_id: str | None = None
    """External id that the trust of `role_arn` asks for. It is no secret."""
    session_policies: bool = False
    """Assume `role_arn` once for each user, with a session policy that allows the user's mounts in this
    storage and nothing else, so that the store itself refuses the rest. The server's own requests (journal,
    probes) are sent without such a policy."""
    mount_roles: tuple[str, ...] = ()
    """Roles that mounts in this storage may name as their `role_arn`: ARNs, in which `*` stands for any
    characters of one part, such as `["arn:aws:iam::210987654321:role/partner-*"]`. Default: none, so that no
    source of users can make the server assume a role that is not meant for it."""
    sts_endpoint_url: str | None = None
    """Address of STS, such as that of an S3-compatible store which has it. Default: AWS."""
    requester_pays: bool = False
    """Accept in each request that the requester pays for it. Buckets with Requester Pays demand this of
    everybody but their owner."""
    signed_payloads: bool = False
    """Include the hash of each request's body in its signature, for a policy that denies `UNSIGNED-PAYLOAD`.
    Costs a SHA-256 of all uploaded bytes, which TLS and `checksum` protect anyway."""

    sse: Literal["none", "AES256", "aws:kms"] = "none"
    """Server-side encryption to request. `none`: the bucket's default."""
    sse_kms_key_id: str | None = None
    """KMS key for `sse = "aws:kms"`. Default: the account's key for S3."""
    bucket_key_enabled: bool | None = None
    """Whether to use a bucket key with `aws:kms`, which saves KMS requests. Default: the bucket's setting."""
    storage_class: str | None = None
    """Storage class of all written objects, including renamed and copied ones. Default: the bucket's."""
    acl: str | None = None
    """Canned ACL of written objects, such as `bucket-owner-full-control`. Default: none is sent."""
    metadata: dict[str, str] = Field(default_factory=dict)
    """Metadata of every written object. `mtime` and `s3sftp-upload` are reserved."""
    owner_metadata: bool = False
    """Write into the metadata of each file who stored it: `s3sftp-user`, `s3sftp-session` and `s3sftp-peer`
    (the client's address), for those who follow uploads by the notifications of S3 itself. Renames and
    copies keep them. Off by default, because whoever may read a file can then read the partner's address, for
    as long as the file exists. What is not ASCII is percent-encoded. Costs no request."""
    tags: dict[str, str] = Field(default_factory=dict, max_length=10)
    """Tags of every written object."""
    content_types: bool = True
    """Set the Content-Type by the extension of the file's name, for browsers and other programs. A rename
    keeps it. Off: the store's default, mostly `binary/octet-stream`."""
    checksum: Literal["crc32", "sha256", "md5", "none"] = "crc32"
    """Checksum that proves the bytes of each request with data. `md5` and `none` are for S3-compatible stores
    that refuse the newer checksums."""

    lacks: tuple[Feature, ...] = ()
    """Features that the store lacks, as `s3sftp check` reports them, such as `["conditional-writes"]`. The
    server does not try these. It tries all others, and avoids a feature once the store has refused it."""

    part_bytes: ByteSize = Field(default=8 * MIB, le=5 * GIB)
    """Size of the first 1 000 parts of an upload (5 000 if the store is not AWS). Later parts grow, so that
    10 000 hold 5 TiB. A file up to this size is one request. A store that requires equal parts takes files of
    at most 10 000 times this size."""
    min_part_bytes: ByteSize = Field(default=5 * MIB, ge=1, le=5 * MIB)
    """Smallest size that the store accepts for a part other than the last. Lower it only for an S3-compatible
    store that is known to accept smaller parts."""
    parallel_parts: int = Field(default=16, ge=1, le=64)
    """Maximum parts of one upload sent at once. An upload begins with 4 and adds more while more are measured
    to be faster; large parts allow fewer (256 MiB together)."""
    copy_part_bytes: ByteSize = Field(default=5 * GIB, ge=1, le=5 * GIB)
    """Largest copy in one request. A larger object is copied in parts of at most this size. S3 copies at most
    5 GiB at once."""
    parallel_copies: int = Field(default=16, ge=1, le=256)
    """Maximum copies at once: objects of a renamed directory, or parts of a large object."""
    max_tree_objects: int = Field(default=100_000, ge=1)
    """Maximum objects in a directory that is renamed."""

    max_connections: Annotated[int, DIVIDED] = Field(default=200, ge=1)
    """Maximum connections to the store in use, of which each worker gets an equal share. Further requests
    wait, within their time limit."""
    attempts: int = Field(default=6, ge=1, le=50)
    """Maximum attempts per request."""
    connect_timeout: PositiveDuration = timedelta(seconds=5)
    """Timeout for a connection to the store."""
    metadata_timeout: PositiveDuration = timedelta(seconds=30)
    """Timeout for a request that moves no data (HEAD, LIST, DELETE), all attempts together."""
    data_timeout: PositiveDuration = timedelta(seconds=60)
    """Timeout for a request that moves data, all attempts together, plus a second for each MiB through the
    server and for each 64 MiB that the store copies or joins by itself."""
    stall_timeout: PositiveDuration = timedelta(seconds=15)
    """How long a download may deliver no bytes before the server requests the rest again."""
    direct_requests: bool = True
    """Create and sign the frequent requests (read, write, look up, delete, copy) without botocore, which
    takes a fraction of the CPU. Off: botocore creates them, like all other requests."""

    cache_ttl: Duration = timedelta(seconds=2)
    """How long STAT may answer a session from what the session itself has listed or changed. Changes by
    others to these names may be invisible for this long. Every other operation asks the store each time. 0:
    so does STAT."""
    cache_entries: int = Field(default=20_000, ge=0)
    """Maximum names that each worker remembers for `cache_ttl`."""

    times: Literal["kept", "stored"] = "kept"
    """Which modification time a file has. `kept`: the time that its client set, stored in metadata. LIST does
    not report it, so the first listing that shows a version sends a HEAD for it. `stored`: the time of its
    upload, which S3 reports; a listing then costs only LIST, directories have one fixed time, and times that
    clients set are accepted and ignored."""
    late_mtime: Literal["copy", "ignore"] = "copy"
    """What to do with a modification time that arrives after the object was stored: `copy` the object onto
    itself with the new time (one more request, and a new version), or `ignore` it."""
    late_mtime_max_bytes: ByteSize = Field(default=GIB, ge=0, le=5 * GIB)
    """Largest object that is copied for a late modification time. Larger objects keep the time of their
    upload."""
    permissions: Literal["ignore", "keep"] = "ignore"
    """What to do with the permissions that a client sets on a file: `ignore` them, or `keep` them as metadata
    `mode` and show them. They grant and forbid nothing. Permissions that arrive after the object was stored
    are kept as `late_mtime` says, in one copy with a time that arrives with them. Directories have none."""
    backslash: Literal["escape", "keep"] = "escape"
    """What to do with a backslash in a name: `escape` it (U+F75C in the key; some stores take it for a
    slash), or `keep` it."""
    keep_empty_directories: bool = False
    """Write a marker when the last file of a directory is removed or renamed away, so that the directory
    remains. Costs one LIST per removal."""

    journal: Literal["disk", "bucket", "off"] = "disk"
    """Where to record unfinished uploads, so that those left by a crash are found and aborted. `disk`: in the
    state directory, for the next start with it. `bucket`: as small objects below `.s3sftp/`, for every other
    replica; a file above `part_bytes` then costs three more requests. `off`: nowhere; a lifecycle rule of the
    bucket must abort them."""
    janitor_interval: PositiveDuration = timedelta(minutes=15)
    """Interval between searches for unfinished uploads whose server is gone."""
    janitor_min_age: Duration = timedelta(hours=1)
    """Minimum age of such an upload before it is aborted. With `journal = "bucket"`, its server must also
    have given no sign of life for this long."""

    @field_validator("bucket")
    @classmethod
    def _bucket_is_one(cls, value: str) -> str:
        if (problem := bucket_name_problem(value)) is not None:
            raise ValueError(problem)
        return value

    @field_validator("prefix")
    @classmethod
    def _prefix_is_whole_names(cls, value: str) -> str:
        if not value:
            return value
        names = value.removesuffix("/").split("/")
        if any(name in ("", ".", "..") or "\0" in name for name in names):
            raise ValueError("should be names joined by single slashes, like 'partners/acme/'")
        if RESERVED.decode() in names:
            raise ValueError(
                f"may not lead below {RESERVED.decode()}, which is kept for the server's own objects"
            )
        if len(value.encode()) > 900:
            raise ValueError("should leave room for names below it (at most 900 bytes)")
        return "/".join(names) + "/"

    @field_validator("endpoint_url")
    @classmethod
    def _endpoint_is_http(cls, value: str | None) -> str | None:
        if value is not None and (
            urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).netloc
        ):
            raise ValueError("should be an address like 'https://s3.example.com'")
        return value

    @field_validator("sts_endpoint_url")
    @classmethod
    def _sts_is_http(cls, value: str | None) -> str | None:
        return cls._endpoint_is_http(value)

    @field_validator("role_arn")
    @classmethod
    def _role_is_one(cls, value: str | None) -> str | None:
        if value is not None and (problem := role_problem(value)) is not None:
            raise ValueError(problem)
        return value

    @field_validator("mount_roles")
    @classmethod
    def _mount_roles_are_some(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if (problem := role_pattern_problem(value)) is not None:
                raise ValueError(problem)
        return values

    @field_validator("metadata")
    @classmethod
    def _metadata_fits_headers(cls, value: dict[str, str]) -> dict[str, str]:
        lowered = {name.lower(): text for name, text in value.items()}
        if taken := RESERVED_METADATA & lowered.keys():
            raise ValueError(f"may not set {', '.join(sorted(taken))}: s3sftp writes it itself")
        if not all(
            name and (name + text).isascii() and (name + text).isprintable() for name, text in lowered.items()
        ):
            raise ValueError("should be printable ASCII: it travels in HTTP headers")
        return lowered

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key go together")
        if self.permissions == "keep" and MODE_METADATA in self.metadata:
            raise ValueError("metadata may not set mode with permissions = 'keep': s3sftp writes it itself")
        if self.owner_metadata and (taken := OWNER_METADATA & self.metadata.keys()):
            raise ValueError(f"metadata may not set {', '.join(sorted(taken))} with owner_metadata = true")
        if self.permissions == "keep" and self.times == "stored":
            raise ValueError("permissions = 'keep' needs times = 'kept': they are in the same metadata")
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("session_token needs access_key_id")
        if self.sse != "aws:kms" and (self.sse_kms_key_id is not None or self.bucket_key_enabled is not None):
            raise ValueError("sse_kms_key_id and bucket_key_enabled need sse = 'aws:kms'")
        if self.part_bytes < self.min_part_bytes:
            raise ValueError(f"part_bytes should be at least min_part_bytes ({self.min_part_bytes})")
        if self.copy_part_bytes < self.min_part_bytes:
            raise ValueError(f"copy_part_bytes should be at least min_part_bytes ({self.min_part_bytes})")
        if self.external_id is not None and self.role_arn is None:
            raise ValueError("external_id needs role_arn")
        if self.sts_endpoint_url is not None and not self.assumes_roles:
            raise ValueError("sts_endpoint_url needs role_arn or mount_roles")
        if self.session_policies and self.role_arn is None:
            raise ValueError("session_policies needs role_arn")
        for name in ("session_policies", "mount_roles"):
            if getattr(self, name) and (problem := self._policies_problem) is not None:
                raise ValueError(f"{name} {problem}")
        if (
            self.sts_endpoint_url is not None
            and is_exposed(self.sts_endpoint_url)
            and not self.allow_plain_http
        ):
            raise ValueError("sts_endpoint_url is plain http: use https, or say allow_plain_http = true")
        if self._is_exposed and not self.allow_plain_http:
            raise ValueError("endpoint_url is plain http: use https, or say allow_plain_http = true")
        return self

    @property
    def keeps_modes(self) -> bool:
        return self.permissions == "keep"

    @property
    def keeps_times(self) -> bool:
        return self.times == "kept"

    @property
    def assumes_roles(self) -> bool:
        """Whether any request is signed with the credentials of a role."""
        return self.role_arn is not None or bool(self.mount_roles)

    @property
    def has_user_sessions(self) -> bool:
        """Whether what users do may need credentials other than the server's own."""
        return self.session_policies or bool(self.mount_roles)

    @property
    def _policies_problem(self) -> str | None:
        """Why there can be no session policies for this bucket."""
        if self.bucket.endswith("-s3alias"):
            return "needs the ARN of the access point instead of its alias"
        if is_directory_bucket(self.bucket):
            return "is not for directory buckets, whose sessions have no prefixes"
        return None

    @property
    def _is_exposed(self) -> bool:
        return self.endpoint_url is not None and is_exposed(self.endpoint_url)


_ACCESS = (
    "endpoint_url",
    "profile",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "role_arn",
    "external_id",
    "session_policies",
    "mount_roles",
)


def has_same_access(one: S3Options, other: S3Options) -> bool:
    """Whether requests for either bucket go to the same store with the same credentials, and for the same
    users, so that the store can copy from one to the other. The regions may differ.

    Not if either is an access point: it may be one of the other bucket, whose objects the store would copy
    onto themselves.
    """
    if is_access_point(one.bucket) or is_access_point(other.bucket):
        return False
    return all(getattr(one, name) == getattr(other, name) for name in _ACCESS)
