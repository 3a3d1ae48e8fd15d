"""AES-GCM for SSH packets (RFC 5647), with one cipher object for the life of a key.

The nonce counts packets and must never repeat under one key, so every way to encrypt a packet shares this one
counter: asyncssh's own (`encrypt_packet`, `decrypt_packet`) and the fast path's (`seal_into`, `open`).
"""

from __future__ import annotations

from asyncssh.encryption import GCMEncryption
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from s3sftp.ssh.packet_cipher import LENGTH_BYTES, PacketCipher

TAG_BYTES = 16
_FIXED_BYTES = 4
_WRAP = 0xFFFF_FFFF_FFFF_FFFF


class AesGcm(PacketCipher, GCMEncryption):
    """AES-GCM. The length is authenticated and not encrypted."""

    tag_bytes = TAG_BYTES

    def __init__(self, stock: GCMEncryption) -> None:
        """Take over from asyncssh's object, at its current counter."""
        cipher = stock._cipher
        super().__init__(cipher)
        self._aead = AESGCM(cipher._key)
        self._fixed = cipher._iv[:_FIXED_BYTES]
        self._invocation = int.from_bytes(cipher._iv[_FIXED_BYTES:], "big")
        self._opened: bytes | None = None

    def seal_into(self, seq: int, header: bytes, plain: bytes, packet: memoryview) -> None:
        packet[:LENGTH_BYTES] = header
        self._aead.encrypt_into(self._next_nonce(), plain, header, packet[LENGTH_BYTES:])

    def open(self, seq: int, packet: memoryview) -> bytes | None:
        return self._open(packet[:LENGTH_BYTES], packet[LENGTH_BYTES:])

    def put_back(self, plain: bytes | memoryview) -> None:
        self._opened = bytes(plain)

    def _open(self, header: bytes | memoryview, sealed: bytes | memoryview) -> bytes | None:
        try:
            return self._aead.decrypt(self._next_nonce(), sealed, header)
        except InvalidTag:
            return None

    def _next_nonce(self) -> bytes:
        nonce = self._fixed + self._invocation.to_bytes(8, "big")
        self._invocation = (self._invocation + 1) & _WRAP
        return nonce

    # asyncssh's interface

    def encrypt_packet(self, seq: int, header: bytes, packet: bytes) -> tuple[bytes, bytes]:
        sealed = self._aead.encrypt(self._next_nonce(), packet, header)
        return header + sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]

    def decrypt_header(self, seq: int, first_block: bytes, header_len: int) -> tuple[bytes, bytes]:
        return first_block, first_block[:header_len]

    def decrypt_packet(
        self, seq: int, first: bytes, rest: bytes, header_len: int, mac: bytes
    ) -> bytes | None:
        opened, self._opened = self._opened, None
        if opened is not None:
            return opened
        return self._open(first[:header_len], first[header_len:] + rest + mac)
