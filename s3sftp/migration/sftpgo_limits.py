"""Carries over the limits that SFTPGo gives a user with its groups. Pure.

max_sessions                        limits.max_sessions
upload_bandwidth (KiB a second)     limits.upload_bytes_per_second, of all sessions together
download_bandwidth                  limits.download_bytes_per_second
quota_size, quota_files             quota.bytes, quota.files
transfer limits                     there are none here: the user is disabled

Source: SFTPGo's `dataprovider/user.go`, and `common/transfer.go`, which takes 1 KB for 1024 bytes.
"""

from __future__ import annotations

from typing import Any

from s3sftp.auth.limits import MIN_RATE_BYTES
from s3sftp.migration.findings import UserFindings
from s3sftp.migration.sftpgo_dump import User

_NOWHERE = {
    "upload_data_transfer": "transfer",
    "download_data_transfer": "transfer",
    "total_data_transfer": "transfer",
}
"""Limits that users have nowhere here, and the name by which the operator gives them up."""
_RATES = {
    "upload_bandwidth": "upload_bytes_per_second",
    "download_bandwidth": "download_bytes_per_second",
}
_MAX_SESSIONS = 1_000_000


def limits_of(user: User, findings: UserFindings) -> dict[str, Any] | None:
    """The option `limits` of the user, who has the settings of its groups; None: there are none."""
    for name, kind in _NOWHERE.items():
        if (value := getattr(user, name)) > 0:
            findings.disable(name, f"{value}: users have no such limit here", unless_ignored=kind)
    if user.filters.bandwidth_limits:
        findings.disable(
            "filters.bandwidth_limits", "users have no limit by address here", unless_ignored="bandwidth"
        )
    limits: dict[str, Any] = {}
    if user.max_sessions > 0:
        limits["max_sessions"] = min(user.max_sessions, _MAX_SESSIONS)
    for name, option in _RATES.items():
        rate = getattr(user, name) << 10
        if 0 < rate < MIN_RATE_BYTES:
            findings.disable(
                name, f"{rate >> 10}: the smallest rate here is 16 KiB a second", unless_ignored="bandwidth"
            )
        elif rate > 0:
            limits[option] = rate
            findings.narrow(name, "all sessions of the user share it; in SFTPGo each transfer has it")
    return limits or None


def quota_of(size: int, files: int) -> dict[str, int] | None:
    """The option `quota` of a user or a folder that may store so many bytes and files; None: any number."""
    given = {"bytes": size, "files": files}
    return {name: most for name, most in given.items() if most > 0} or None
