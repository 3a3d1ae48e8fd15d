"""Results as tables: one for each work and setting, a row for each peer."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records import Results, Spread
from bench.report.figures import LATE, Figure, figures_of, speed_of

REFERENCE = "rclone"
_RATIOS = ("× best", f"× {REFERENCE}")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows, the first one being the head, as Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], f"|{'---|' * len(rows[0])}", *lines[1:]])


def measured(results: Results) -> list[tuple[str, str]]:
    """Works and settings that were tried, in the order of the samples."""
    return list(dict.fromkeys((sample.work, sample.setting) for sample in results.samples))


def peers_of(results: Results, work: str, setting: str) -> list[str]:
    """Who tried, in the order of the list of peers."""
    tried = {s.peer for s in results.samples if (s.work, s.setting) == (work, setting)}
    return [name for name in results.about["peers"] if name in tried]


def work_table(results: Results, work: str, setting: str) -> str:
    """What every peer took for a work; a peer that failed every time has a row that says so."""
    peers = peers_of(results, work, setting)
    shown = [figure for figure in figures_of(work) if _anyone(results, figure, work, setting, peers)]
    compared = any(ratios(results, work, setting, peer)[0] for peer in peers)
    head = ["peer", *(figure.name for figure in shown), *(_RATIOS if compared else ()), "runs"]
    rows = [_row(results, work, setting, peer, shown, compared) for peer in peers]
    return table([head, *rows])


def _anyone(results: Results, figure: Figure, work: str, setting: str, peers: Sequence[str]) -> bool:
    return any(figure.median(results, work, setting, peer) for peer in peers)


def _row(
    results: Results, work: str, setting: str, peer: str, shown: Sequence[Figure], compared: bool
) -> list[str]:
    runs = len(results.of(work, setting, peer))
    failed = sum((s.work, s.setting, s.peer) == (work, setting, peer) for s in results.failures())
    count = f"{runs}, {failed} failed" if failed else str(runs)
    cells = [cell(figure, figure.spread(results, work, setting, peer)) for figure in shown]
    by = map(_shown_ratio, ratios(results, work, setting, peer)) if compared else ()
    return [peer, *cells, *by, count]


def cell(figure: Figure, spread: Spread | None) -> str:
    """Median, and the extremes when there is more than one run."""
    if spread is None:
        return "–"
    middle = figure.shown(spread.median)
    ends = (figure.shown(spread.least), figure.shown(spread.most))
    return middle if ends == (middle, middle) else f"{middle} ({ends[0]}–{ends[1]})"


def ratios(results: Results, work: str, setting: str, peer: str) -> tuple[float | None, float | None]:
    """A peer's speed by the best one's, and by the reference's. Who says OK too early is not the best."""
    figure = speed_of(work)
    own = figure.median(results, work, setting, peer)
    names = peers_of(results, work, setting)
    honest = [name for name in names if not is_early(results, work, setting, name)]
    best = max((figure.median(results, work, setting, name) or 0.0 for name in honest), default=0.0)
    reference = figure.median(results, work, setting, REFERENCE)
    if own is None:
        return None, None
    return own / best if best else None, own / reference if reference else None


def is_early(results: Results, work: str, setting: str, peer: str) -> bool:
    """Whether a server said OK before everything was stored."""
    return bool(LATE.median(results, work, setting, peer))


def _shown_ratio(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}"


def requests_table(results: Results, work: str, setting: str) -> str:
    """Requests to S3 by API, of the first run that succeeded; empty when nobody sent any."""
    rows = []
    for peer in peers_of(results, work, setting):
        samples = results.of(work, setting, peer)
        if samples and samples[0].requests:
            counts = sorted(samples[0].requests.items(), key=lambda item: (-item[1], item[0]))
            rows.append([peer, ", ".join(f"{count} {api}" for api, count in counts)])
    return table([["peer", "S3 requests by API"], *rows]) if rows else ""


def ciphers(results: Results, work: str, setting: str) -> str:
    """What the clients ended with at each peer, in a sentence; empty where no client said so."""
    peers_by_cipher: dict[str, list[str]] = {}
    for peer in peers_of(results, work, setting):
        for cipher in dict.fromkeys(s.cipher for s in results.of(work, setting, peer) if s.cipher):
            peers_by_cipher.setdefault(cipher, []).append(peer)
    parts = [
        f"{' and '.join(f'`{name}`' for name in cipher.split())} with {', '.join(peers)}"
        for cipher, peers in peers_by_cipher.items()
    ]
    return f"Client and server agreed on {'; '.join(parts)}." if parts else ""
