"""Why a request to the admin API is refused, as RFC 9457 has it."""

from __future__ import annotations

from http import HTTPStatus

from s3sftp.admin.api_models import Problem
from s3sftp.errors import S3sftpError


class ApiRefusal(S3sftpError):
    """A request that is not done. The text is for the caller."""

    def __init__(self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}

    @property
    def problem(self) -> Problem:
        """The body of the answer."""
        return Problem(title=self.status.phrase, status=self.status.value, detail=str(self))
