"""AES-GCM for SSH packets (RFC 5647), with one cipher object for the life of a key.

The nonce counts packets and must never repeat under one key, so every way to encrypt a packet shares this one
counter: asyncssh's own (`encrypt_packet`, `decrypt_packet`) and the fast path's (`seal_into`, `open`).
"""

from __future__ import annotations

from asyncssh.encryption import Encryption, GCMEncryption
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TAG_BYTES = 16
BLOCK_BYTES = 16
_FIXED_BYTES = 4
_WRAP = 0xFFFF_FFFF_FFFF_FFFF


class AesGcm(GCMEncryption):
    """One direction of a connection under one key."""

    def __init__(self, stock: GCMEncryption) -> None:
        """Take over from asyncssh's object, at its current counter."""
        cipher = stock._cipher
        super().__init__(cipher)
        self._aead = AESGCM(cipher._key)
        self._fixed = cipher._iv[:_FIXED_BYTES]
        self._invocation = int.from_bytes(cipher._iv[_FIXED_BYTES:], "big")
        self._opened: bytes | None = None

    def seal_into(self, header: bytes, plain: bytes, out: memoryview) -> None:
        """Encrypt a packet and its tag into a buffer of the right size.

        `header` is the packet's length, which is authenticated and not encrypted.
        """
        self._aead.encrypt_into(self._next_nonce(), plain, header, out)

    def open(self, header: bytes | memoryview, sealed: bytes | memoryview) -> bytes | None:
        """Decrypt a packet with its tag; None if it is not authentic."""
        try:
            return self._aead.decrypt(self._next_nonce(), sealed, header)
        except InvalidTag:
            return None

    def put_back(self, plain: bytes) -> None:
        """Have the next `decrypt_packet` return a packet that `open` has already decrypted."""
        self._opened = plain

    def _next_nonce(self) -> bytes:
        nonce = self._fixed + self._invocation.to_bytes(8, "big")
        self._invocation = (self._invocation + 1) & _WRAP
        return nonce

    # asyncssh's interface

    def encrypt_packet(self, seq: int, header: bytes, packet: bytes) -> tuple[bytes, bytes]:
        sealed = self._aead.encrypt(self._next_nonce(), packet, header)
        return header + sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]

    def decrypt_packet(
        self, seq: int, first: bytes, rest: bytes, header_len: int, mac: bytes
    ) -> bytes | None:
        opened, self._opened = self._opened, None
        if opened is not None:
            return opened
        return self.open(first[:header_len], first[header_len:] + rest + mac)


def upgraded(encryption: Encryption | None) -> Encryption | None:
    """The same direction with an `AesGcm` if its cipher is AES-GCM; else unchanged."""
    return AesGcm(encryption) if type(encryption) is GCMEncryption else encryption
