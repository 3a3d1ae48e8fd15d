"""The files of the console."""

from __future__ import annotations

from pathlib import Path


def test_no_file_of_the_page_makes_html_of_text_or_is_long() -> None:
    files = sorted((Path(__file__).parents[2] / "s3sftp/admin/console").iterdir())
    assert len(files) > 10
    for file in files:
        text = file.read_text("utf-8")
        forbidden = (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "localStorage",
        )
        assert [word for word in forbidden if word in text] == [], file
        assert len(text.splitlines()) < 300, file
