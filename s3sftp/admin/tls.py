"""TLS of the admin port."""

from __future__ import annotations

import ssl

from s3sftp.admin.api_tokens import BadTokens, read_tokens
from s3sftp.admin.options import AdminOptions


def tls_context(options: AdminOptions) -> ssl.SSLContext | None:
    """The context of the port; None if it speaks plain HTTP. Blocking.

    Raises ValueError: if a file cannot be used; the text names the option.
    """
    if options.cert_file is None or options.key_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(options.cert_file, options.key_file, password=_no_password)
    except (OSError, ValueError) as error:
        raise ValueError(f"admin.cert_file, admin.key_file: {_reason(error)}") from None
    if options.client_ca_file is not None:
        # optional: health checks have no certificate, and the API looks for one itself
        context.verify_mode = ssl.CERT_OPTIONAL
        try:
            context.load_verify_locations(options.client_ca_file)
        except (OSError, ValueError) as error:
            raise ValueError(f"admin.client_ca_file: {_reason(error)}") from None
    return context


def access_problems(options: AdminOptions) -> list[str]:
    """What is wrong with the files that the options name. Blocking."""
    problems = []
    if options.token_file is not None:
        try:
            read_tokens(options.token_file)
        except BadTokens as problem:
            problems.append(f"admin.token_file = {str(options.token_file)!r}: {problem}")
    try:
        tls_context(options)
    except ValueError as problem:
        problems.append(str(problem))
    return problems


def _no_password() -> str:
    raise ValueError("the key has a passphrase, which nobody could type")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"not a certificate and its key in PEM ({error.reason or 'damaged'})"
    return getattr(error, "strerror", None) or str(error)
