"""The model against measurements of the same file: of the mixed sets, of which it knows nothing."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from bench.capacity.coefficients import Coefficients
from bench.capacity.requirements import file_seconds
from bench.records import Results


@dataclass(frozen=True)
class Comparison:
    """CPU seconds that the model expects of a work, and that it took."""

    work: str
    expected: float
    measured: float

    @property
    def ratio(self) -> float:
        return self.expected / self.measured


def comparisons(results: Results, costs: Coefficients) -> Iterator[Comparison]:
    """Of the works that the coefficients are not from. Nothing where they were not measured."""
    for work, per_file, per_gib in (
        ("mixed-put", costs.put_file, costs.put_gib),
        ("mixed-get", costs.get_file, costs.get_gib),
    ):
        samples = results.of(work, "plain", "s3sftp")
        if samples and per_file.measured and per_gib.measured:
            files, size = samples[0].files, samples[0].bytes
            expected = files * file_seconds(size // files, per_file.value, per_gib.value)
            yield Comparison(work, expected, statistics.median(sample.cpu_seconds for sample in samples))
