"""A storage in memory that behaves like S3: the contract's reference implementation, and a fake for tests."""

from s3sftp.backends.memory.backend import Fail, MemoryBackend

__all__ = ["Fail", "MemoryBackend"]
