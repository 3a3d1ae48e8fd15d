"""Creates botocore sessions from the AWS environment and profile, with bounds on credential sources.

the client's session       signs with the options' keys, or with RenewableCredentials
a session of the chain     created each time credentials are requested, so that files are read again
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any, Final, Protocol

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials, AioProcessProvider
from aiobotocore.session import AioSession, get_session
from botocore.credentials import ReadOnlyCredentials
from pydantic import SecretStr

from s3sftp.backends.s3.credentials.assumed_role import (
    AssumableRole,
    FixedCredentials,
    RoleCredentials,
)
from s3sftp.backends.s3.credentials.credential_process import BoundedProcess
from s3sftp.backends.s3.credentials.endpoints import address_of
from s3sftp.backends.s3.credentials.errors import CredentialSourceFailed
from s3sftp.backends.s3.credentials.renewal import RenewableCredentials
from s3sftp.backends.s3.http.aiohttp_session import BoundedAiohttpSession, send_bounded
from s3sftp.backends.s3.http.response_fields import parse_date_or_none
from s3sftp.backends.s3.http.service_model import model_loader
from s3sftp.backends.s3.options import S3Options
from s3sftp.config.addresses import is_exposed

_MOST_AGENT_BYTES: Final = 1 << 20
"""Maximum size of a metadata service's reply; credentials take some thousand bytes."""
_FETCHERS: Final = ("_fetcher", "_role_fetcher")
"""Attributes in which botocore's providers for containers and instances hold what sends their requests."""


class CredentialOptions(Protocol):
    """The options that credentials depend on."""

    @property
    def profile(self) -> str | None:
        """As `S3Options.profile`."""

    @property
    def access_key_id(self) -> SecretStr | None:
        """As `S3Options.access_key_id`."""

    @property
    def secret_access_key(self) -> SecretStr | None:
        """As `S3Options.secret_access_key`."""

    @property
    def session_token(self) -> SecretStr | None:
        """As `S3Options.session_token`."""

    @property
    def metadata_timeout(self) -> timedelta:
        """The time limit of a request, a third of which it may wait for credentials."""

    @property
    def connect_timeout(self) -> timedelta:
        """As `S3Options.connect_timeout`."""

    @property
    def allow_plain_http(self) -> bool:
        """As `S3Options.allow_plain_http`."""


def make_session(options: S3Options) -> tuple[AioSession, RenewableCredentials | RoleCredentials | None]:
    """Create a session that signs as the options say; None for fixed keys, which need no renewal."""
    session, own = own_session(options)
    if not options.assumes_roles:
        return session, own
    role = RoleCredentials(
        AssumableRole(options, session),
        own or _fixed(options),
        _patience(options),
        signs_as_own=options.role_arn is None,
    )
    signing = _session(options.profile)
    signing.register_component("credential_provider", _Provider(role))
    return signing, role


def own_session(options: CredentialOptions) -> tuple[AioSession, RenewableCredentials | None]:
    """Create a session with the server's own credentials; None for fixed keys, which need no renewal."""
    session = _session(options.profile)
    renewable = None
    if (keys := _keys_of(options)) is not None:
        session.set_credentials(keys.access_key, keys.secret_key, keys.token)
    else:
        renewable = RenewableCredentials(partial(_session_of_chain, options), _patience(options))
        session.register_component("credential_provider", _Provider(renewable))
    return session, renewable


def _keys_of(options: CredentialOptions) -> ReadOnlyCredentials | None:
    """The keys that the options give; None: the chain has to be asked."""
    if options.access_key_id is None or options.secret_access_key is None:
        return None
    token = options.session_token.get_secret_value() if options.session_token else None
    return ReadOnlyCredentials(
        options.access_key_id.get_secret_value(), options.secret_access_key.get_secret_value(), token
    )


def _fixed(options: CredentialOptions) -> FixedCredentials | None:
    keys = _keys_of(options)
    return None if keys is None else FixedCredentials(keys)


def _patience(options: CredentialOptions) -> float:
    """Seconds that a request waits for credentials."""
    return options.metadata_timeout.total_seconds() / 3


class _Provider:
    """Replaces botocore's chain of providers and returns the renewable credentials."""

    def __init__(self, credentials: AioCredentials) -> None:
        self._credentials = credentials

    async def load_credentials(self) -> AioCredentials:
        return self._credentials


def _session(profile: str | None) -> AioSession:
    session = get_session()
    if profile is not None:
        session.set_config_variable("profile", profile)
    session.register_component("data_loader", model_loader(session.get_config_variable("data_path")))
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_date_or_none)
    return session


def _session_of_chain(options: CredentialOptions) -> AioSession:
    """Create a session whose chain will be asked for credentials once."""
    session = _session(options.profile)
    session.set_default_client_config(
        AioConfig(
            http_session_cls=BoundedAiohttpSession, connect_timeout=options.connect_timeout.total_seconds()
        )
    )
    if not options.allow_plain_http:
        session.register("before-send", _refuse_plain_http)
    for provider in session.get_component("credential_provider").providers:
        _bound(provider, session)
    return session


def _bound(provider: Any, session: AioSession) -> None:
    """Bound the processes and requests of a provider.

    That uses its private fields, because botocore has no options for it.
    """
    if isinstance(provider, AioProcessProvider):
        provider._popen = BoundedProcess.start
    if (builder := getattr(provider, "_profile_provider_builder", None)) is not None:
        builder._create_process_provider = lambda profile_name: AioProcessProvider(
            profile_name=profile_name, load_config=lambda: session.full_config, popen=BoundedProcess.start
        )
    for name in _FETCHERS:
        if (asking := getattr(getattr(provider, name, None), "_session", None)) is not None:
            asking.send = partial(send_bounded, asking.send, most_bytes=_MOST_AGENT_BYTES)


def _refuse_plain_http(request: Any, **_: Any) -> None:
    """Refuse to send tokens and keys to another machine in plain text."""
    if is_exposed(request.url):
        raise CredentialSourceFailed(
            f"{address_of(request.url)} is plain http to another machine: use https, or say"
            " s3.allow_plain_http = true"
        )
