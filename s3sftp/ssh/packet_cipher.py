"""What the fast path for data packets needs from a cipher.

Each cipher is one object for the life of a key. asyncssh's own code (`encrypt_packet`, `decrypt_header`,
`decrypt_packet`) and the fast path use it in turn, and share its counter or key stream.
"""

from __future__ import annotations

from typing import ClassVar

from asyncssh.encryption import Encryption

LENGTH_BYTES = 4
"""Length of the field with which a packet begins (RFC 4253, 6)."""
BLOCK_BYTES = 16


class PacketCipher(Encryption):
    """One direction of a connection under one key. Packets are whole: length, message, tag.

    A message here begins with the length of its padding and ends with the padding.
    """

    head_bytes: ClassVar[int] = LENGTH_BYTES
    """How much of a packet `length_of` needs."""
    padded_head_bytes: ClassVar[int] = 0
    """How many bytes before the message the padding has to round up too."""
    tag_bytes: int

    def seal_into(self, seq: int, header: bytes, plain: bytes, packet: memoryview) -> None:
        """Encrypt a message and its length (`header`) into a buffer of the packet's size."""
        raise NotImplementedError

    def length_of(self, head: memoryview) -> int:
        """The length of the message in a packet that begins so. May be asked again for the same packet."""
        return int.from_bytes(head, "big")

    def open(self, seq: int, packet: memoryview) -> bytes | memoryview | None:
        """Decrypt the packet of which `length_of` was asked last; None if it is not authentic."""
        raise NotImplementedError

    def put_back(self, plain: bytes | memoryview) -> None:
        """Have the next `decrypt_packet` return a message that `open` has already decrypted."""
        raise NotImplementedError
