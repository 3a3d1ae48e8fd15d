"""Reports the fields of SFTPGo that have no equivalent: the harmless by name, all others as restrictions.

A field that is not known here may come from a newer SFTPGo and restrict the user, so the user is disabled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from s3sftp.migration.findings import UserFindings
from s3sftp.migration.sftpgo_dump import S3_PROVIDER, Filesystem, Folder, Group, IpListEntry, User

_MEMBERSHIP = 3
_ALLOW_LIST, _DEFENDER = 1, 2


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OF_USERS = _names("description additional_info email oidc_custom_fields")
_OF_FILTERS = _names(
    """
    tls_username tls_certs hooks disable_fs_checks web_client allow_api_key_auth user_type
    external_auth_cache_time start_directory ftp_security default_shares_expiration max_shares_expiration
    password_strength recovery_codes additional_emails
    """
)
_OF_STORAGE = _names("storage_class acl sse_customer_key")
_INTERNAL = _names(
    """
    id has_password home_dir uid gid deleted_at created_at updated_at last_login first_download first_upload
    used_quota_size used_quota_files last_quota_update used_upload_data_transfer used_download_data_transfer
    """
)
_INTERNAL_OF_STORAGE = _names(
    """
    region access_secret session_token upload_part_size upload_concurrency download_part_size
    download_concurrency upload_part_max_time download_part_max_time force_path_style skip_tls_verify
    """
)
_INTERNAL_OF_FILESYSTEMS = _names("osconfig gcsconfig azblobconfig cryptconfig sftpconfig httpconfig")
_INTERNAL_OF_FOLDERS = _INTERNAL | _names("mapped_path description users groups")
_INTERNAL_OF_GROUPS = _INTERNAL | _names("description users admins")
_NONE = _names("")


def report_lists(entries: Sequence[IpListEntry], findings: UserFindings) -> None:
    """The server's own lists of addresses, which hold for all users if its configuration uses them."""
    if any(each.type in (_ALLOW_LIST, _DEFENDER) for each in entries):
        findings.disable(
            "ip_lists",
            "the server admits or bans addresses: set auth.networks accordingly",
            unless_ignored="ip-lists",
        )


def report_fields(user: User, groups: Mapping[str, Group], findings: UserFindings) -> None:
    """What `sftpgo_dump` does not declare, of the user and of its groups and folders."""
    _others(user.others, _OF_USERS, _INTERNAL, "", findings)
    for name in ("created_at", "last_password_change"):
        if getattr(user, name):
            findings.keep_internal(name)
    if user.role:
        findings.leave_out("role", "is about who may administer the user")
    _others(user.filters.others, _OF_FILTERS, _NONE, "filters.", findings)
    _storage(user.filesystem, "filesystem.", findings)
    _folders(user.virtual_folders, "", findings)
    for mapping in user.groups:
        if mapping.type == _MEMBERSHIP:
            findings.leave_out("groups", f"{mapping.name!r} is a membership, which gives nothing to the user")
        elif (group := groups.get(mapping.name)) is not None:
            _group(group, f"groups[{mapping.name}].", findings)


def _group(group: Group, place: str, findings: UserFindings) -> None:
    settings = group.user_settings
    _others(group.others, _NONE, _INTERNAL_OF_GROUPS, place, findings)
    _folders(group.virtual_folders, place, findings)
    _others(settings.others, _NONE, _INTERNAL, f"{place}user_settings.", findings)
    _others(settings.filters.others, _OF_FILTERS, _NONE, f"{place}user_settings.filters.", findings)
    _storage(settings.filesystem, f"{place}user_settings.filesystem.", findings)


def _folders(folders: Sequence[Folder], place: str, findings: UserFindings) -> None:
    for index, folder in enumerate(folders):
        where = f"{place}virtual_folders[{index}]."
        _others(folder.others, _NONE, _INTERNAL_OF_FOLDERS, where, findings)
        _storage(folder.filesystem, f"{where}filesystem.", findings)


def _storage(filesystem: Filesystem, place: str, findings: UserFindings) -> None:
    _others(filesystem.others, _NONE, _INTERNAL_OF_FILESYSTEMS, place, findings)
    if filesystem.provider == S3_PROVIDER:
        config = filesystem.s3config
        _others(config.others, _OF_STORAGE, _INTERNAL_OF_STORAGE, f"{place}s3config.", findings)


def _others(
    others: Mapping[str, Any],
    known: frozenset[str],
    internal: frozenset[str],
    place: str,
    findings: UserFindings,
) -> None:
    for name in sorted(others):
        if name in internal:
            findings.keep_internal(f"{place}{name}")
        elif name in known:
            findings.leave_out(f"{place}{name}")
        else:
            findings.disable(f"{place}{name[:100]}", "is unknown here, and may be a restriction")
