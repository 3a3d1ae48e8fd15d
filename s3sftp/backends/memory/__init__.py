"""A storage in memory with the manners of S3: the contract's reference, and the double of the tests."""

from s3sftp.backends.memory.backend import Fail, MemoryBackend

__all__ = ["Fail", "MemoryBackend"]
