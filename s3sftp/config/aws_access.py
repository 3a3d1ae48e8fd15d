"""The options with which any service of AWS is reached. Imports no library for AWS."""

from __future__ import annotations

from pydantic import field_validator

from s3sftp.config.addresses import service_address_problem
from s3sftp.config.options import Options


class AwsAccessOptions(Options):
    """Where a service of AWS is, and who asks it."""

    region: str | None = None
    """Region of the service. Default: the region of the AWS environment."""
    endpoint_url: str | None = None
    """Address of the service, such as that of a VPC endpoint; `http://` only on this machine. Default: AWS.
    """
    profile: str | None = None
    """Profile of the AWS configuration files that provides credentials and region. Default: the standard AWS
    chain (environment, profile, web identity, container, instance)."""

    @field_validator("endpoint_url")
    @classmethod
    def _endpoint_is_safe(cls, value: str | None) -> str | None:
        if value is not None and (problem := service_address_problem(value)) is not None:
            raise ValueError(problem)
        return value
