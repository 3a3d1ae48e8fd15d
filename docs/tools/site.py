"""What the site needs besides: links out of `docs/`, which work in the repository, lead nowhere in it."""

from __future__ import annotations

import posixpath
import re
from typing import Any

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)", re.S)


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Called by MkDocs for each page."""
    here = posixpath.dirname(page.file.src_uri)

    def inside(link: re.Match[str]) -> str:
        text, target = link.groups()
        if "://" in target or target.startswith("#"):
            return link[0]
        if not posixpath.normpath(posixpath.join(here, target)).startswith(".."):
            return link[0]
        return text if text.startswith("`") else f"`{posixpath.basename(target.rstrip('/'))}`"

    return _LINK.sub(inside, markdown)
