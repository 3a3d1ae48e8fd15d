"""Advises the operator what to do about a failed S3 request."""

from __future__ import annotations

from collections.abc import Mapping

from s3sftp.backends.s3.credentials.errors import CredentialSourceFailed
from s3sftp.backends.s3.errors import UNMADE, request_error_behind
from s3sftp.backends.s3.iam_permissions import permission_for
from s3sftp.errors import StorageError

_UNREACHABLE = "nothing answers at the endpoint: check its address and the network"
_CREDENTIALS = (
    "give it credentials: s3.access_key_id, or what the AWS environment has for this machine or pod"
)
_CHECKSUM = 's3.checksum = "md5": the store does not know the newer checksums'
_REGION = "the bucket is in another region: set s3.region"

_BY_CODE: Mapping[str, str] = {
    "NoSuchBucket": "create the bucket, or correct its name",
    "InvalidAccessKeyId": "the access key is not known to the store",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
    "ExpiredToken": "the credentials have expired: renew them, or let the AWS environment do it",
    "RequestTimeTooSkewed": "set this machine's clock (NTP)",
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "NoCredentialsError": _CREDENTIALS,
    "PartialCredentialsError": _CREDENTIALS,
    "EndpointConnectionError": _UNREACHABLE,
    "ConnectTimeoutError": _UNREACHABLE,
    "ClientConnectorError": _UNREACHABLE,
    "ConnectionRefusedError": _UNREACHABLE,
    "SSLError": "see that s3.endpoint_url is right, and that its certificate is trusted here (AWS_CA_BUNDLE)",
}


def advice_for(error: StorageError) -> str:
    """Return the advice for an error; empty if there is none."""
    request_error = request_error_behind(error)
    if request_error is None:
        return ""
    if isinstance(request_error.__cause__, (CredentialSourceFailed, *UNMADE)):
        return str(request_error.__cause__)
    if request_error.code == "AccessDenied" or (
        request_error.status == 403 and request_error.code not in _BY_CODE
    ):
        return f"allow the server's role {permission_for(request_error.api)}"
    if request_error.status == 301:  # a reply to HEAD has no code
        return _REGION
    if request_error.status in (400, 501) and "checksum" in str(request_error).lower():
        return _CHECKSUM
    return _BY_CODE.get(request_error.code, "")
