"""Finds the address that the AWS environment gives for a service, so that it can be refused if it is unsafe.

botocore also takes the address of a service from variables and profiles. Plain HTTP to another machine is
refused there as it is in `s3.endpoint_url`, with an error that names the source.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit


def configured_endpoint(session: Any, service: str) -> tuple[str, str] | None:
    """Return the address that the environment or the profile of a session gives for a service, and the
    source's name.

    `service` is a name as in the `services` section of a profile: `s3`, `sts`.
    """
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    return next(((url, source) for url, source in _said(session, service) if url), None)


def address_of(url: str) -> str:
    """Format a URL for display, without any password in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _said(session: Any, service: str) -> Iterator[tuple[str | None, str]]:
    """Yield the candidates in botocore's order."""
    for name in (f"AWS_ENDPOINT_URL_{service.upper()}", "AWS_ENDPOINT_URL"):
        yield os.environ.get(name), name
    profile = session.get_scoped_config()
    called = f"profile {session.get_config_variable('profile') or 'default'!r}"
    if section := profile.get("services"):
        services = session.full_config.get("services", {}).get(section, {}).get(service, {})
        yield services.get("endpoint_url"), f"services section {section!r} of {called}"
    yield profile.get("endpoint_url"), f"endpoint_url of {called}"
