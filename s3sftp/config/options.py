"""What every group of options has in common.

A group is a frozen pydantic model that lives beside the code it steers; only the composition root sees
them all. One word names an option everywhere: TOML `part_bytes` in `[s3]`, environment
`S3SFTP_S3__PART_BYTES`. The types that a group is made of are in `config/types.py`.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """A group of options: immutable, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
