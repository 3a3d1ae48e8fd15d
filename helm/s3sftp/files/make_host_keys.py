"""Make the Secret with the host keys unless it is there: run before each installation and upgrade.

A host key that changes makes every client refuse to connect. So what is there is never changed: one pod makes
the Secret, all others find it, and `helm uninstall` leaves it, as it is no part of the release.
"""

from __future__ import annotations

import os
import sys

import asyncssh
import kubernetes_secrets

_KINDS = {
    "ssh_host_ed25519_key": {"alg_name": "ssh-ed25519"},
    "ssh_host_ecdsa_key": {"alg_name": "ecdsa-sha2-nistp256"},
    "ssh_host_rsa_key": {"alg_name": "ssh-rsa", "key_size": 3072},
}


def main() -> None:
    name = os.environ["SECRET_NAME"]
    wanted = os.environ["SECRET_FILES"].split(",")
    found = kubernetes_secrets.find(name)
    if found is None:
        unknown = [file for file in wanted if file not in _KINDS]
        if unknown:
            sys.exit(
                f"There is no Secret {name} yet, and {', '.join(unknown)} cannot be generated: take it out "
                "of hostKeys.files, or name a Secret that has it in hostKeys.existingSecret."
            )
        if kubernetes_secrets.create(
            name, _new_keys(wanted), annotations={"helm.sh/resource-policy": "keep"}
        ):
            print(f"Secret {name} has been made")
            return
        found = kubernetes_secrets.find(name) or {}  # another was quicker
    missing = [file for file in wanted if file not in found]
    if missing:
        sys.exit(
            f"Secret {name} is there, but lacks {', '.join(missing)}. It is not changed: clients would no "
            "longer trust the server. Set hostKeys.files to what it has, or add the missing keys to it."
        )
    print(f"Secret {name} is there, and stays as it is")


def _new_keys(files: list[str]) -> dict[str, bytes]:
    made = {}
    for file in files:
        key = asyncssh.generate_private_key(**_KINDS[file], comment="s3sftp")
        made[file] = key.export_private_key("openssh")
        made[f"{file}.pub"] = key.export_public_key("openssh")
        print(f"{key.get_algorithm()} {key.get_fingerprint()}")
    return made


if __name__ == "__main__":
    try:
        main()
    except kubernetes_secrets.Refused as refused:
        sys.exit(str(refused))
