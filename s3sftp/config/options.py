"""The base class of all groups of options.

A group is a frozen pydantic model in the package that uses it; only the composition root knows all of them.
An option has the same name everywhere: TOML `part_bytes` in `[s3]`, environment `S3SFTP_S3__PART_BYTES`.
`config/types.py` has the types of options.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """A group of options: immutable; an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
