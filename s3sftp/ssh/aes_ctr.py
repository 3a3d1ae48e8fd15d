"""AES in counter mode with an HMAC (RFC 4344, RFC 6668), with one context for the life of a key.

asyncssh derives the HMAC's inner state from the key anew for each packet, and copies each packet several
times. Here the state is copied, and a packet is encrypted into the buffer that is sent.

    encrypt-then-MAC   the length in the clear, the encrypted message, the HMAC of both
    encrypt-and-MAC    the encrypted length and message, the HMAC of their plaintext; its length can only be
                       read by decrypting the first block

The key stream continues from packet to packet, so nothing may be decrypted twice: a first block that was
decrypted is kept until its packet is complete.
"""

from __future__ import annotations

import hmac
from typing import Any

from asyncssh.encryption import BasicEncryption

from s3sftp.ssh.packet_cipher import BLOCK_BYTES, LENGTH_BYTES, PacketCipher

_SEQUENCE_BYTES = 4


class _AesCtr(PacketCipher, BasicEncryption):
    """What both orders of encryption and authentication share."""

    def __init__(self, stock: BasicEncryption) -> None:
        """Take over from asyncssh's object, at its place in the key stream."""
        super().__init__(stock._cipher, stock._mac)
        cipher, mac = stock._cipher, stock._mac
        cipher.encrypt(b"")  # makes the contexts, which asyncssh makes on first use
        cipher.decrypt(b"")
        self._encryptor: Any = cipher._encryptor
        self._decryptor: Any = cipher._decryptor
        self._keyed: hmac.HMAC = hmac.new(mac._key, digestmod=mac._hash_alg)  # type: ignore[attr-defined]
        self.tag_bytes = mac._hash_size
        self._opened: bytes | None = None

    def put_back(self, plain: bytes | memoryview) -> None:
        self._opened = bytes(plain)

    def _tag(self, seq: int, *pieces: bytes | memoryview) -> bytes:
        mac = self._keyed.copy()
        mac.update(seq.to_bytes(_SEQUENCE_BYTES, "big"))
        for piece in pieces:
            mac.update(piece)
        return mac.digest()[: self.tag_bytes]


class AesCtrEncryptThenMac(_AesCtr):
    """The order of the `-etm@openssh.com` codes."""

    def seal_into(self, seq: int, header: bytes, plain: bytes, packet: memoryview) -> None:
        packet[:LENGTH_BYTES] = header
        self._encryptor.update_into(plain, packet[LENGTH_BYTES:])
        packet[-self.tag_bytes :] = self._tag(seq, packet[: -self.tag_bytes])

    def open(self, seq: int, packet: memoryview) -> bytes | None:
        sealed = packet[: -self.tag_bytes]
        return self._open(seq, sealed, packet[-self.tag_bytes :])

    def _open(self, seq: int, sealed: bytes | memoryview, tag: bytes | memoryview) -> bytes | None:
        if not hmac.compare_digest(self._tag(seq, sealed), tag):
            return None
        plain: bytes = self._decryptor.update(sealed[LENGTH_BYTES:])
        return plain

    # asyncssh's interface

    def encrypt_packet(self, seq: int, header: bytes, packet: bytes) -> tuple[bytes, bytes]:
        sealed = header + self._encryptor.update(packet)
        return sealed, self._tag(seq, sealed)

    def decrypt_header(self, seq: int, first_block: bytes, header_len: int) -> tuple[bytes, bytes]:
        return first_block, first_block[:header_len]

    def decrypt_packet(
        self, seq: int, first: bytes, rest: bytes, header_len: int, mac: bytes
    ) -> bytes | None:
        opened, self._opened = self._opened, None
        return self._open(seq, first + rest, mac) if opened is None else opened


class AesCtrEncryptAndMac(_AesCtr):
    """The order of RFC 4253."""

    head_bytes = BLOCK_BYTES
    padded_head_bytes = LENGTH_BYTES

    def __init__(self, stock: BasicEncryption) -> None:
        super().__init__(stock)
        self._first: bytes | None = None
        """The decrypted first block of the packet that is being received."""

    def seal_into(self, seq: int, header: bytes, plain: bytes, packet: memoryview) -> None:
        self._encryptor.update_into(header, packet)
        self._encryptor.update_into(plain, packet[LENGTH_BYTES:])
        packet[-self.tag_bytes :] = self._tag(seq, header, plain)

    def length_of(self, head: memoryview) -> int:
        return int.from_bytes(self._first_block(head)[:LENGTH_BYTES], "big")

    def open(self, seq: int, packet: memoryview) -> memoryview | None:
        first = self._first_block(packet[:BLOCK_BYTES])
        return self._open(seq, first, packet[BLOCK_BYTES : -self.tag_bytes], packet[-self.tag_bytes :])

    def put_back(self, plain: bytes | memoryview) -> None:
        super().put_back(plain)
        head = len(plain).to_bytes(LENGTH_BYTES, "big")
        self._first = head + bytes(plain[: BLOCK_BYTES - LENGTH_BYTES])

    def _open(
        self, seq: int, first: bytes, rest: bytes | memoryview, tag: bytes | memoryview
    ) -> memoryview | None:
        self._first = None
        plain = b"".join((first, self._decryptor.update(rest)))
        if not hmac.compare_digest(self._tag(seq, plain), tag):
            return None
        return memoryview(plain)[LENGTH_BYTES:]

    def _first_block(self, sealed: bytes | memoryview) -> bytes:
        if self._first is None:
            self._first = self._decryptor.update(sealed)
        return self._first

    # asyncssh's interface

    def encrypt_packet(self, seq: int, header: bytes, packet: bytes) -> tuple[bytes, bytes]:
        return self._encryptor.update(header + packet), self._tag(seq, header, packet)

    def decrypt_header(self, seq: int, first_block: bytes, header_len: int) -> tuple[bytes, bytes]:
        first = self._first_block(first_block)
        return first, first[:header_len]

    def decrypt_packet(
        self, seq: int, first: bytes, rest: bytes, header_len: int, mac: bytes
    ) -> bytes | None:
        opened, self._opened = self._opened, None
        if opened is not None:
            self._first = None
            return opened
        plain = self._open(seq, first, rest, mac)
        return None if plain is None else bytes(plain)
