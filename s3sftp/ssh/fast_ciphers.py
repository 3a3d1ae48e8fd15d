"""Replaces asyncssh's cipher of a direction by the one of the fast path, where there is one."""

from __future__ import annotations

from asyncssh.encryption import BasicEncryption, Encryption, ETMEncryption, GCMEncryption
from asyncssh.mac import _HMAC
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from s3sftp.ssh.aes_ctr import AesCtrEncryptAndMac, AesCtrEncryptThenMac
from s3sftp.ssh.aes_gcm import AesGcm


def upgraded(encryption: Encryption | None) -> Encryption | None:
    """The same direction with a `PacketCipher` if its cipher is AES-GCM, or AES in counter mode with an HMAC;
    else unchanged."""
    if type(encryption) is GCMEncryption:
        return AesGcm(encryption)
    if type(encryption) is ETMEncryption and _is_aes_ctr_with_hmac(encryption):
        return AesCtrEncryptThenMac(encryption)
    if type(encryption) is BasicEncryption and _is_aes_ctr_with_hmac(encryption):
        return AesCtrEncryptAndMac(encryption)
    return encryption


def _is_aes_ctr_with_hmac(encryption: BasicEncryption) -> bool:
    cipher = encryption._cipher._cipher
    is_aes_ctr = isinstance(cipher.algorithm, AES) and isinstance(cipher.mode, CTR)
    return is_aes_ctr and type(encryption._mac) is _HMAC
