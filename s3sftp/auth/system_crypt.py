"""Hashes passwords with the system's crypt(3): SHA-crypt (`$5$`, `$6$`) and yescrypt (`$y$`).

libxcrypt, which distributions of Linux have for their own logins, is maintained with them, releases Python's
lock while it computes, and is the only implementation of yescrypt in wide use. Python has no module for it
since 3.13, so ctypes calls it. musl, of Alpine, has SHA-crypt without yescrypt.
"""

from __future__ import annotations

import ctypes
from functools import cache

MOST_BYTES = 511
"""libxcrypt takes no longer passwords (CRYPT_MAX_PASSPHRASE_SIZE)."""
_LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2", None)
"""None: the C library itself, as in musl."""
_DATA_BYTES = 256 * 1024
"""At least sizeof(struct crypt_data): 32 KiB in libxcrypt, 128 KiB in old versions of glibc."""


def crypt(password: bytes, setting: str) -> str | None:
    """The hash of a password with the setting of another hash; None if this system cannot compute it."""
    library = _library()
    if library is None or b"\0" in password:
        return None
    data = ctypes.create_string_buffer(_DATA_BYTES)
    made: bytes | None = library.crypt_r(password, setting.encode("ascii"), data)
    # a failure is NULL, or a text that no hash begins with
    return made.decode("ascii") if made is not None and made.startswith(b"$") else None


@cache
def can_compute(setting: str) -> bool:
    """Whether this system can compute hashes with such a setting; computes one."""
    return crypt(b"", setting) is not None


@cache
def _library() -> ctypes.CDLL | None:
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
            library.crypt_r.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p]
            library.crypt_r.restype = ctypes.c_char_p
        except (OSError, AttributeError):
            continue
        return library
    return None
