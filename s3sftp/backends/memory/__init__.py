"""A storage in memory that behaves like S3: the reference implementation of the contract, and the tests'
fake."""

from s3sftp.backends.memory.backend import Fail, MemoryBackend

__all__ = ["Fail", "MemoryBackend"]
