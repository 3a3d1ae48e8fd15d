"""Plots as SVG, written by hand: the same results make the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from bench.records import Results, Spread
from bench.report.figures import CPU_PER_FILE, CPU_PER_GIB, FILES_RATE, MEMORY, PSS, THROUGHPUT, Figure
from bench.report.tables import is_early, peers_of

_WIDTH, _LEFT, _RIGHT = 760, 130, 150
_BAR, _GAP, _TOP = 18, 4, 34
_GROUP_HEAD = 26
_OURS, _OTHERS = "#0b6e99", "#a8b1bb"


@dataclass(frozen=True)
class Plot:
    """One picture: a figure, a setting, several works below each other."""

    name: str
    title: str
    figure: Figure
    setting: str
    works: Sequence[str]


STREAMS = ("get", "put", "get-parallel", "put-parallel")
SMALL = ("small-get", "small-put")
MANY = ("memory-idle", "memory-connections", "memory-busy", "memory-uploads")

PLOTS = (
    Plot("small", "Small files a second (more is better)", FILES_RATE, "plain", SMALL),
    Plot("small-shaped", "Small files a second, S3 far away (more is better)", FILES_RATE, "shaped", SMALL),
    Plot("small-cpu", "CPU of the server, ms per small file (less is better)", CPU_PER_FILE, "plain", SMALL),
    Plot("throughput", "Throughput, MB/s (more is better)", THROUGHPUT, "plain", STREAMS),
    Plot(
        "throughput-shaped", "Throughput, S3 far away, MB/s (more is better)", THROUGHPUT, "shaped", STREAMS
    ),
    Plot("cpu", "CPU of the server, seconds per GiB (less is better)", CPU_PER_GIB, "plain", STREAMS),
    Plot("cpu-tls", "CPU of the server, S3 over TLS, s/GiB (less is better)", CPU_PER_GIB, "tls", STREAMS),
    Plot("memory", "Peak memory of the server, MiB (less is better)", MEMORY, "plain", STREAMS),
    Plot("memory-many", "Proportional memory of the server, MiB (less is better)", PSS, "plain", MANY),
)


def drawn(results: Results) -> dict[str, str]:
    """Every plot that has something to show, by name."""
    pictures = ((plot.name, svg(plot, groups(plot, results))) for plot in PLOTS if groups(plot, results))
    return dict(pictures)


Group = tuple[str, list[tuple[str, Spread]]]


def groups(plot: Plot, results: Results) -> list[Group]:
    """Works with the peers that have the figure."""
    found = []
    for work in plot.works:
        rows = [
            (f"{peer} †" if is_early(results, work, plot.setting, peer) else peer, spread)
            for peer in peers_of(results, work, plot.setting)
            if (spread := plot.figure.spread(results, work, plot.setting, peer)) is not None
        ]
        if rows:
            found.append((work, rows))
    return found


def svg(plot: Plot, content: Sequence[Group]) -> str:
    """The picture as text."""
    most = max(spread.most for _, rows in content for _, spread in rows) or 1.0
    body, y = [], float(_TOP)
    for work, rows in content:
        body.append(_text(8, y + 16, work, weight="bold"))
        y += _GROUP_HEAD
        for peer, spread in rows:
            body += _bar(peer, spread, y, (_WIDTH - _LEFT - _RIGHT) / most, plot.figure)
            y += _BAR + _GAP
    if any(peer.endswith("†") for _, rows in content for peer, _ in rows):
        body.append(_text(8, y + 16, "† says OK before S3 has the file"))
        y += _GROUP_HEAD
    height = round(y + 8)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}"'
        f' height="{height}" font-family="sans-serif" font-size="12" role="img">'
    )
    title = [
        f"<title>{escape(plot.title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
    ]
    return "\n".join([head, *title, _text(8, 20, plot.title, size=15), *body, "</svg>", ""])


def _bar(peer: str, spread: Spread, y: float, scale: float, figure: Figure) -> Iterator[str]:
    color = _OURS if peer.startswith("s3sftp") else _OTHERS
    middle = y + _BAR / 2
    yield _text(_LEFT - 6, middle + 4, peer, anchor="end")
    yield f'<rect x="{_LEFT}" y="{y:g}" width="{spread.median * scale:.1f}" height="{_BAR}" fill="{color}"/>'
    least, most = (_LEFT + end * scale for end in (spread.least, spread.most))
    yield f'<path d="M{least:.1f} {middle:g}H{most:.1f}" stroke="#333"/>'
    yield _text(most + 6, middle + 4, figure.shown(spread.median))


def _text(
    x: float, y: float, content: str, *, anchor: str = "start", weight: str = "normal", size: int = 12
) -> str:
    style = f'text-anchor="{anchor}" font-weight="{weight}" font-size="{size}" fill="#222"'
    return f'<text x="{x:.1f}" y="{y:g}" {style}>{escape(content)}</text>'
