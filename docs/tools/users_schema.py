"""Writes docs/users.schema.json, the JSON Schema of files of users: `python docs/tools/users_schema.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from s3sftp.auth.user_schema import user_schema

FILE = Path(__file__).parent.parent / "users.schema.json"


def main() -> None:
    FILE.write_text(text(), "utf-8")


def text() -> str:
    """The whole file, the same as `s3sftp users schema` prints."""
    return json.dumps(user_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
