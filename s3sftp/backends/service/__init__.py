"""A storage that lives in its own task or process and answers messages; see docs of the modules."""

from s3sftp.backends.service.mailbox import Letter, Mailbox
from s3sftp.backends.service.serving import serve

__all__ = ["Letter", "Mailbox", "serve"]
