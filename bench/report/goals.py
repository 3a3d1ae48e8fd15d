"""The goals: each a comparison of medians, or of a median with a number; met or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.records import Results
from bench.report.figures import (
    CPU_PER_FILE,
    CPU_PER_GIB,
    FILES_RATE,
    FIRST_NAMES,
    MEMORY,
    PSS,
    REQUESTS_PER_FILE,
    THROUGHPUT,
    Figure,
)
from bench.report.tables import table
from bench.sizes import amount

BUDGET_OPTION = "S3SFTP_FILES__BUFFER_BYTES"
BUDGET_DEFAULT = "256MiB"


@dataclass(frozen=True)
class Point:
    """One median."""

    figure: Figure
    work: str
    setting: str
    peer: str

    def of(self, results: Results) -> float | None:
        return self.figure.median(results, self.work, self.setting, self.peer)


@dataclass(frozen=True)
class Goal:
    """`one` divided by `other` must be at most, or at least, a number."""

    says: str
    one: Point
    other: Point
    bound: float
    at_least: bool
    allowance: Callable[[Results], float] = lambda _: 0.0
    """Added to `other`."""

    def verdict(self, results: Results) -> tuple[str, str]:
        """What was measured, and whether that is enough."""
        one, other = self.one.of(results), self.other.of(results)
        if one is None or not other:
            return "–", "not measured"
        ratio = one / (other + self.allowance(results))
        met = ratio >= self.bound if self.at_least else ratio <= self.bound
        added = self.allowance(results)
        compared = self.other.figure.shown(other) + (f" + {self.other.figure.shown(added)}" if added else "")
        text = f"{ratio:.2f} × ({self.one.figure.shown(one)} : {compared} {self.one.figure.name})"
        return text, "**met**" if met else "not met"

    @property
    def target(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g} ×"


@dataclass(frozen=True)
class Ceiling:
    """A median must be at most a number."""

    says: str
    target: str
    one: Point
    most: Callable[[Results], float]

    def verdict(self, results: Results) -> tuple[str, str]:
        """What was measured, and whether that is little enough."""
        one = self.one.of(results)
        if one is None:
            return "–", "not measured"
        text = f"{self.one.figure.shown(one)} {self.one.figure.name}"
        return text, "**met**" if one <= self.most(results) else "not met"


def goals_table(results: Results) -> str:
    rows = [[goal.says, goal.target, *goal.verdict(results)] for goal in goals()]
    return table([["goal", "target", "measured", ""], *rows])


def goals() -> Iterator[Goal | Ceiling]:
    """All of them."""
    yield from _cheap()
    yield from _small_files()
    yield from _any_cipher()
    yield from _many_at_once()
    yield from _small_in_memory()
    yield from _far_away()
    yield from _alone()
    yield from _many_names()


def _cheap() -> Iterator[Goal]:
    for peer in ("rclone", "rclone-writes"):
        for work in ("get", "put"):
            says = f"{work}, CPU of the server: s3sftp by {peer}"
            yield _ratio(says, CPU_PER_GIB, (work, "plain", "s3sftp"), (work, "plain", peer), 0.6, False)


def _small_files() -> Iterator[Goal | Ceiling]:
    for work in ("small-get", "small-put", "small-get-64", "small-put-64"):
        ours, theirs = (work, "plain", "s3sftp"), (work, "plain", "rclone")
        yield _ratio(f"{work}, CPU of the server: s3sftp by rclone", CPU_PER_FILE, ours, theirs, 1.0, False)
        yield _ratio(f"{work}: s3sftp by rclone", FILES_RATE, ours, theirs, 1.5, True)
        far = f"{work} from S3 as far as the real one: s3sftp by rclone"
        yield _ratio(far, FILES_RATE, (work, "shaped", "s3sftp"), (work, "shaped", "rclone"), 3.0, True)
    put = Point(REQUESTS_PER_FILE, "small-put", "plain", "s3sftp")
    yield Ceiling("small-put, requests to S3", "≤ 4 a file", put, lambda _: 4.0)


def _any_cipher() -> Iterator[Goal]:
    ways = (("", "the client's own choice"), ("-ctr", "`aes128-ctr`"), ("-ctr256", "`aes256-ctr`"))
    for work in ("get", "put"):
        for suffix, cipher in ways:
            says = f"{work}, CPU of the server: {cipher} by `aes128-gcm`"
            one, other = (f"{work}{suffix}", "plain", "s3sftp"), (f"{work}-gcm", "plain", "s3sftp")
            yield _ratio(says, CPU_PER_GIB, one, other, 1.25, False)


def _many_at_once() -> Iterator[Ceiling]:
    uploads = Point(PSS, "memory-uploads", "plain", "s3sftp-many")
    yield Ceiling(
        "memory with uploads side by side",
        "≤ the configured budget + 250 MiB",
        uploads,
        lambda results: _budget_mib(results) + 250,
    )


def _small_in_memory() -> Iterator[Goal]:
    for work in ("get", "put", "get-parallel", "put-parallel"):
        says = f"{work}, peak memory: s3sftp by rclone plus the configured budget"
        one, other = Point(MEMORY, work, "plain", "s3sftp"), Point(MEMORY, work, "plain", "rclone")
        yield Goal(says, one, other, 1.0, False, _budget_mib)


def _far_away() -> Iterator[Goal]:
    for work in ("get", "put"):
        far = (work, "shaped", "s3sftp")
        says = f"{work} from S3 as far as the real one: s3sftp"
        yield _ratio(f"{says} by rclone", THROUGHPUT, far, (work, "shaped", "rclone"), 2.0, True)
        yield _ratio(
            f"{says} by itself without the distance", THROUGHPUT, far, (work, "plain", "s3sftp"), 0.9, True
        )


def _alone() -> Iterator[Goal]:
    for work, bound in (("get", 1.25), ("put", 1.5)):
        says = f"{work}, the SSH side alone: s3sftp (memory) by OpenSSH on a RAM disk"
        yield _ratio(
            says, THROUGHPUT, (work, "plain", "s3sftp-memory"), (work, "plain", "openssh"), bound, True
        )
    for work in ("pair-get", "pair-put"):
        says = f"{work}, two clients: two workers by one"
        two, one = (work, "plain", "s3sftp-2w"), (work, "plain", "s3sftp-1w")
        yield _ratio(says, THROUGHPUT, two, one, 1.6, True)
        # clients and S3 share the cores, so see too that two workers take no more for the same work
        yield _ratio(f"{work}, CPU of the server: two workers by one", CPU_PER_GIB, two, one, 1.25, False)


def _many_names() -> Iterator[Goal]:
    many, few = ("list-many-names", "plain", "s3sftp"), ("list-names", "plain", "s3sftp")
    yield _ratio(
        "first names of a directory ten times as large: no later", FIRST_NAMES, many, few, 1.25, False
    )
    yield _ratio("peak memory of listing it: flat", MEMORY, many, few, 1.1, False)


def _ratio(
    says: str,
    figure: Figure,
    one: tuple[str, str, str],
    other: tuple[str, str, str],
    bound: float,
    at_least: bool,
) -> Goal:
    return Goal(says, Point(figure, *one), Point(figure, *other), bound, at_least)


def _budget_mib(results: Results) -> float:
    text = results.about["options"].get(BUDGET_OPTION, BUDGET_DEFAULT)
    return amount(str(text).replace(" ", "")) / (1 << 20)
