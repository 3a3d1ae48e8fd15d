"""docs/stores.md tells operators what `lacks.py` declares, and nothing else."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from s3sftp.backends.s3.features import Feature
from tests.stores.lacks import LACKS, Trait

PAGE = Path(__file__).parents[2] / "docs/stores.md"
ON_PAGE = {
    "MinIO": ("minio",),
    "versitygw": ("versitygw",),
    "Garage": ("garage",),
    "S3Proxy": ("s3proxy", "s3proxy-files"),
    "rclone": ("rclone",),
    "s3s-fs": ("s3s-fs",),
}


def test_the_page_says_what_each_store_lacks() -> None:
    said: dict[str, set[str]] = defaultdict(set)
    store = ""
    for row in _section("What each lacks"):
        first, lacking = (cell.strip() for cell in row.strip("|").split("|")[:2])
        store = first or store
        said[store] |= set(re.findall(r"[`*]([a-z0-9-]+)[`*]", lacking))
    declared = {
        name: {str(need) for store in stores for need in LACKS[store]} for name, stores in ON_PAGE.items()
    }
    assert said == declared
    assert {store for stores in ON_PAGE.values() for store in stores} == set(LACKS)


def test_what_an_operator_may_set_is_a_feature() -> None:
    for row in _section("What to set"):
        for listed in re.findall(r"s3\.lacks = \[(.*?)\]", row):
            assert set(re.findall(r'"(.*?)"', listed)) <= {str(feature) for feature in Feature}


def test_a_trait_is_no_feature() -> None:
    assert not {str(trait) for trait in Trait} & {str(feature) for feature in Feature}


def _section(title: str) -> list[str]:
    """The rows of the first table below a heading."""
    text = PAGE.read_text("utf-8").split(f"## {title}\n")[1].split("\n## ")[0]
    return [line for line in text.splitlines() if line.startswith("|")][2:]
