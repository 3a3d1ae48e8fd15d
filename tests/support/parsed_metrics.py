"""What metrics say, read by Prometheus' own parser."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from s3sftp.app.worker_memory import WorkerMemory
from s3sftp.telemetry.metrics import Metrics


class Numbers:
    """All samples of one exposition."""

    def __init__(self, text: bytes) -> None:
        self.samples: Counter[tuple[str, frozenset[tuple[str, str]]]] = Counter()
        self.kinds: dict[str, str] = {}
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                self.kinds[sample.name] = family.type
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self.samples
                self.samples[key] = sample.value  # type: ignore[assignment]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name, without `s3sftp_`, that have these labels."""
        wanted = set(labels.items())
        found = [
            value for (each, has), value in self.samples.items() if each == f"s3sftp_{name}" and wanted <= has
        ]
        assert found, (name, labels)
        return sum(found)

    def fallen_since(self, before: Numbers) -> list[object]:
        """Counters that say less than before."""
        return [
            key
            for key, value in self.samples.items()
            if self.kinds[key[0]] in ("counter", "histogram") and value < before.samples[key]
        ]


def of(metrics: Metrics) -> Numbers:
    return Numbers(metrics.render()[0])


class SharedMetrics:
    """The metrics of a server with several workers, looked at from outside: the memory that they share."""

    def __init__(self, supervisor: int, workers: int) -> None:
        descriptor = os.open(_counters_of(supervisor), os.O_RDWR)
        try:
            memory = WorkerMemory.of_supervisor(descriptor, workers)
        finally:
            os.close(descriptor)
        self._metrics = Metrics(memory.metrics, workers)

    def read(self) -> Numbers:
        return of(self._metrics)


def _counters_of(process: int) -> Path:
    for link in Path(f"/proc/{process}/fd").iterdir():
        if "s3sftp-counters" in os.readlink(link):
            return link
    raise AssertionError("the process has no table of counters")


def promtool(text: bytes) -> str:
    """What `promtool check metrics` finds: nothing, where all is well."""
    command = shutil.which("promtool")
    if command is None:
        if os.environ.get("CI"):
            pytest.fail("promtool is not installed, so nothing is known about it")
        pytest.skip("promtool is not installed: Debian's package prometheus has it")
    done = subprocess.run([command, "check", "metrics"], input=text, capture_output=True, check=False)
    found = (done.stdout + done.stderr).decode()
    return found or ("" if done.returncode == 0 else f"status {done.returncode}")
