"""SeaweedFS with roles that its STS lets anybody assume, and that enforces session policies."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.processes import temporary_directory
from testbed.s3_store import Store
from testbed.seaweed import SeaweedFS

ROLE = "arn:aws:iam::123456789012:role/sftp"
"""May do everything in every bucket: what a session may not do, its policy has refused."""


ROLE_TO_READ = "arn:aws:iam::123456789012:role/partner-reader"
"""May read and list everything, and change nothing."""
ROLE_OF_INBOX = "arn:aws:iam::123456789012:role/partner-inbox"
"""May do everything in directories named `inbox`, and nothing elsewhere."""


@contextmanager
def running_seaweed_with_roles() -> Iterator[Store]:
    """Run it on a fresh directory; ends with everything deleted. STS is at the same address as S3."""
    with temporary_directory("seaweed-roles-") as directory, SeaweedWithRoles(directory) as server:
        yield server.quick_store


class SeaweedWithRoles(SeaweedFS):
    """A SeaweedFS with a configuration of roles."""

    def _command(self) -> list[str]:
        everything = {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["*"]}
        reading = {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": ["*"]}
        inbox = {
            "Effect": "Allow",
            "Action": ["s3:*"],
            "Resource": ["arn:aws:s3:::*/inbox", "arn:aws:s3:::*/inbox/*"],
        }
        listing = {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["*"]}
        anybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["sts:AssumeRole"]}
        roles = {
            "sts": {
                "tokenDuration": "1h",
                "maxSessionLength": "12h",
                "issuer": "seaweedfs-sts",
                "signingKey": base64.b64encode(b"k" * 32).decode(),
            },
            "policy": {"defaultEffect": "Deny", "storeType": "memory"},
            "policies": [
                {"name": "Everything", "document": _document(everything)},
                {"name": "Reading", "document": _document(reading)},
                {"name": "Inbox", "document": _document(inbox, listing)},
            ],
            "roles": [
                {
                    "roleName": arn.rpartition("/")[2],
                    "roleArn": arn,
                    "trustPolicy": _document(anybody),
                    "attachedPolicies": [policy],
                }
                for arn, policy in (
                    (ROLE, "Everything"),
                    (ROLE_TO_READ, "Reading"),
                    (ROLE_OF_INBOX, "Inbox"),
                )
            ],
        }
        file = self.directory / "roles.json"
        file.write_text(json.dumps(roles))
        return [*super()._command(), f"-s3.iam.config={file}"]


def _document(*statements: dict[str, object]) -> dict[str, object]:
    return {"Version": "2012-10-17", "Statement": list(statements)}
