"""The options of the S3 backend: what an operator may say about the bucket and how to treat it."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from s3sftp.backends.s3.bucket_names import bucket_name_problem
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.keys import RESERVED
from s3sftp.config import DIVIDED, ByteSize, Duration, Options, PositiveDuration

MIB = 1 << 20
GIB = 1 << 30

MTIME_METADATA = "mtime"
"""Object metadata with the modification time, under the name and in the format of rclone."""
MODE_METADATA = "mode"
"""Object metadata with the permission bits: octal, with the type of the file, as rclone and s3fs read it."""
UPLOAD_METADATA = "s3sftp-upload"
"""Object metadata that says which write made the object."""
FORMERLY_METADATA = "s3sftp-formerly"
"""Object metadata that says which ETags the same content had before it was copied onto itself."""
RESERVED_METADATA = frozenset({MTIME_METADATA, UPLOAD_METADATA, FORMERLY_METADATA})


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine itself."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_exposed(url: str) -> bool:
    """Whether what is sent there can be read and changed on its way."""
    return urlsplit(url).scheme == "http" and not is_loopback(url)


class S3Options(Options):
    """Which bucket, how to reach it, what to write and how hard to try."""

    bucket: str = Field(min_length=1)
    """Name of the bucket, or the ARN or alias of an access point."""
    prefix: str = ""
    """Everything lives below this prefix; nothing outside it is ever named in a request. Empty: the whole
    bucket. A slash at the end is added when it is missing."""
    region: str | None = None
    """Region of the bucket. Default: what the AWS environment says, else `us-east-1`."""
    endpoint_url: str | None = None
    """Address of an S3-compatible store, such as `https://s3.example.com`. Default: AWS."""
    addressing: Literal["auto", "path", "virtual"] = "auto"
    """Where the bucket's name stands: in the path or in the host name. Most S3-compatible stores need
    `path`."""
    allow_plain_http: bool = False
    """Accept an endpoint with `http://` that is not on this machine, by `endpoint_url` or by what the AWS
    environment says. TLS is what protects downloaded bytes on their way: without it nobody notices one that
    was changed."""

    profile: str | None = None
    """Profile of the AWS configuration files to take credentials and region from."""
    access_key_id: SecretStr | None = None
    """Access key. Default: the standard AWS chain (environment, profile, web identity, container,
    instance), renewed when they expire."""
    secret_access_key: SecretStr | None = None
    """Secret of `access_key_id`."""
    session_token: SecretStr | None = None
    """Session token of `access_key_id`, when that is a temporary one."""
    requester_pays: bool = False
    """Say in each request that whoever asks pays for it, as buckets with Requester Pays want it of everybody
    but their owner."""
    signed_payloads: bool = False
    """Have the signature of each request cover the hash of its body, for a policy that denies
    `UNSIGNED-PAYLOAD`. Costs a SHA-256 of all that is uploaded; TLS and `checksum` protect it anyway."""

    sse: Literal["none", "AES256", "aws:kms"] = "none"
    """Server-side encryption to ask for. `none`: what the bucket does by default."""
    sse_kms_key_id: str | None = None
    """KMS key for `sse = "aws:kms"`. Default: the account's key for S3."""
    bucket_key_enabled: bool | None = None
    """Whether to use a bucket key with `aws:kms` (fewer KMS requests). Default: what the bucket says."""
    storage_class: str | None = None
    """Storage class of what is written, also by rename and copy. Default: the bucket's."""
    acl: str | None = None
    """Canned ACL of what is written, such as `bucket-owner-full-control`. Default: none sent."""
    metadata: dict[str, str] = Field(default_factory=dict)
    """Metadata for every object that is written. `mtime` and `s3sftp-upload` are taken."""
    tags: dict[str, str] = Field(default_factory=dict, max_length=10)
    """Tags for every object that is written."""
    content_types: bool = True
    """Give each file the Content-Type of its name's ending, which browsers and other programs go by. A rename
    keeps it. Off: the store's own, mostly `binary/octet-stream`."""
    checksum: Literal["crc32", "sha256", "md5", "none"] = "crc32"
    """What each request with data proves its bytes by. `md5` and `none` are for S3-compatible stores that
    refuse the newer ones."""

    lacks: tuple[Feature, ...] = ()
    """What the store is known to lack, so that no request has to find out: what `s3sftp check` names, such as
    `["conditional-writes"]`. Everything else is tried, and avoided once the store has refused it."""

    part_bytes: ByteSize = Field(default=8 * MIB, le=5 * GIB)
    """Size of the first 1 000 parts of an upload (5 000 where the store is not Amazon's); later ones grow so
    that 10 000 of them hold 5 TiB. A file up to this size is one request. A store that wants parts of one
    size takes files of at most 10 000 times this."""
    min_part_bytes: ByteSize = Field(default=5 * MIB, ge=1, le=5 * MIB)
    """The smallest part that the store accepts before the last one. Lower it only for an S3-compatible
    store that is known to take less."""
    parallel_parts: int = Field(default=16, ge=1, le=64)
    """The most parts of one upload under way at once. It begins with 4 and goes on to more while more are
    measured to be faster; fewer when parts are large (256 MiB together)."""
    copy_part_bytes: ByteSize = Field(default=5 * GIB, ge=1, le=5 * GIB)
    """A copy above this size is made in parts of at most this size. 5 GiB is what S3 copies at once."""
    parallel_copies: int = Field(default=16, ge=1, le=256)
    """Objects (of a directory that is renamed) or parts (of a large one) copied at once."""
    max_tree_objects: int = Field(default=100_000, ge=1)
    """The most objects a directory may hold to be renamed."""

    max_connections: Annotated[int, DIVIDED] = Field(default=200, ge=1)
    """Connections to the store in use at once, of which each worker has an equal share; a request beyond
    waits, within its time limit."""
    attempts: int = Field(default=6, ge=1, le=50)
    """How often a request is tried before its failure is believed."""
    connect_timeout: PositiveDuration = timedelta(seconds=5)
    """Time to get a connection to the store."""
    metadata_timeout: PositiveDuration = timedelta(seconds=30)
    """Time for a request that moves no data (HEAD, LIST, DELETE), all attempts together."""
    data_timeout: PositiveDuration = timedelta(seconds=60)
    """Time for a request that moves data, all attempts together, plus a second for each MiB that goes
    through and for each 64 MiB that the store copies or joins by itself."""
    stall_timeout: PositiveDuration = timedelta(seconds=15)
    """How long a download may deliver nothing before the rest is asked for again."""
    direct_requests: bool = True
    """Sign and send the frequent requests (reading, writing, looking, deleting, copying) on connections of
    s3sftp's own, between the socket and the memory that is read or written, which takes a fraction of the
    CPU. Off: by botocore and aiohttp, as all other requests. Where a proxy is configured it is not done,
    whatever this says."""

    cache_ttl: Duration = timedelta(seconds=2)
    """How long STAT may answer a session from what it has itself listed or changed; others' changes of these
    names may be unseen for this long. Everything else asks the store each time. 0: STAT does too."""
    cache_entries: int = Field(default=20_000, ge=0)
    """The most names that each worker remembers so."""

    times: Literal["kept", "stored"] = "kept"
    """Which modification time a file has. `kept`: the one that its client gave, which is kept in metadata.
    LIST does not tell it, so the first listing that shows a version asks for it by HEAD. `stored`: that of
    its upload, which S3 tells; a listing costs nothing but LIST, directories have one fixed time, and times
    that clients give are accepted and ignored."""
    late_mtime: Literal["copy", "ignore"] = "copy"
    """What to do with a modification time that comes after the object was made: `copy` the object onto
    itself with the new time (one more request, and a new version), or `ignore` it."""
    late_mtime_max_bytes: ByteSize = Field(default=GIB, ge=0, le=5 * GIB)
    """Objects above this size keep the time of their upload."""
    permissions: Literal["ignore", "keep"] = "ignore"
    """What to do with the permissions that a client gives to a file: `ignore` them, or `keep` them as
    metadata `mode` and show them. They grant and forbid nothing. Those that come after the object was made
    are kept as `late_mtime` says, in one copy with a time that comes with them. Directories have none."""
    backslash: Literal["escape", "keep"] = "escape"
    """A backslash in a name: `escape` it (U+F75C in the key; some stores take it for a slash), or `keep`."""
    keep_empty_directories: bool = False
    """Write a marker when the last file of a directory is removed or renamed away, so that the directory
    stays. Costs one LIST for each removal."""

    journal: Literal["disk", "bucket", "off"] = "disk"
    """Where unfinished uploads are noted, so that those which a crash leaves are found and aborted. `disk`:
    in the state directory, for the next start on it. `bucket`: as small objects below `.s3sftp/`, for every
    other replica; a file above `part_bytes` then costs three requests more. `off`: nowhere; a lifecycle rule
    of the bucket has to abort them."""
    janitor_interval: PositiveDuration = timedelta(minutes=15)
    """How often to look for unfinished uploads that a server which is gone has left behind."""
    janitor_min_age: Duration = timedelta(hours=1)
    """Such an upload is left alone until it is this old, and with `journal = "bucket"` until its server has
    given no sign of life for this long."""

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
    def _is_exposed(self) -> bool:
        return self.endpoint_url is not None and is_exposed(self.endpoint_url)
