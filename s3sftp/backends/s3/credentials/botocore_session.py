"""botocore's sessions: what the AWS environment and the profile say, with bounds for where it comes from.

the client's session       signs with the options' keys, or with RenewableCredentials
a session of the chain     made for each time that credentials are asked for, so that files are read anew
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials, AioProcessProvider
from aiobotocore.session import AioSession, get_session

from s3sftp.backends.s3.credentials.credential_process import BoundedProcess
from s3sftp.backends.s3.credentials.endpoints import address_of
from s3sftp.backends.s3.credentials.errors import CredentialSourceFailed
from s3sftp.backends.s3.credentials.renewal import RenewableCredentials
from s3sftp.backends.s3.http.aiohttp_session import BoundedAiohttpSession, send_bounded
from s3sftp.backends.s3.http.response_fields import parse_date_or_none
from s3sftp.backends.s3.http.service_model import model_loader
from s3sftp.backends.s3.options import S3Options, is_exposed

_MOST_AGENT_BYTES: Final = 1 << 20
"""The longest answer of a metadata service: credentials take some thousands."""
_FETCHERS: Final = ("_fetcher", "_role_fetcher")
"""Where botocore's links to the services of a container and of an instance keep what asks them."""


def make_session(options: S3Options) -> tuple[AioSession, RenewableCredentials | None]:
    """A session that signs as the options say; fixed keys have nothing to renew."""
    session = _session(options.profile)
    renewable = None
    if options.access_key_id is not None and options.secret_access_key is not None:
        token = options.session_token.get_secret_value() if options.session_token else None
        session.set_credentials(
            options.access_key_id.get_secret_value(), options.secret_access_key.get_secret_value(), token
        )
    else:
        patience = options.metadata_timeout.total_seconds() / 3
        renewable = RenewableCredentials(partial(_session_of_chain, options), patience)
        session.register_component("credential_provider", _Provider(renewable))
    return session, renewable


class _Provider:
    """Stands where botocore's chain of providers stands, and hands out the renewable ones."""

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


def _session_of_chain(options: S3Options) -> AioSession:
    """One whose chain is asked for credentials, once."""
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
    """Bound what a link of the chain runs or asks: in its own fields, as botocore has no place to say so."""
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
    """Tokens and keys are not for everybody on the way."""
    if is_exposed(request.url):
        raise CredentialSourceFailed(
            f"{address_of(request.url)} is plain http to another machine: use https, or say"
            " s3.allow_plain_http = true"
        )
