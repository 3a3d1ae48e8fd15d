"""What partners do, in numbers that their operator knows; and the machines that are to serve them."""

from __future__ import annotations

from dataclasses import dataclass

from bench.capacity.command_options import option, refuse_negative

DAY_SECONDS = 86_400
HOUR_SECONDS = 3_600
MIB = 1 << 20
WORKER_BUFFER_BYTES = 32 * MIB
"""The least of `files.buffer_bytes` for each worker."""


@dataclass(frozen=True)
class Demand:
    """What partners do. ValueError, by name, for what cannot be."""

    partners: int = option("how many there are")
    files_per_day: float = option("of each partner, both directions")
    mean_bytes: int = option("mean size of a file, such as 2MiB")
    share_up: float = option("how many of the files are uploads", 0.7)
    peak_factor: float = option("how much busier the busiest minutes are than the mean of the day", 5.0)
    listings_per_hour: float = option("of each partner: clients that look whether something came", 1.0)
    names_per_listing: int = option("files in a directory that is listed", 100)
    logins_per_day: float = option("of each partner", 24.0)
    connected_share: float = option("how many of the partners are connected at the peak", 1.0)
    busy_share: float = option("how many of those move a file at the same moment", 0.1)
    stat_before_put: bool = option(
        "clients look whether a name is there before they upload it: most do", True
    )
    rename_share: float = option("uploads that come under another name and are renamed", 0.0)

    def __post_init__(self) -> None:
        refuse_negative(self, ("share_up", "connected_share", "busy_share", "rename_share"))
        if self.peak_factor < 1:
            raise ValueError("peak_factor is at least 1")

    @property
    def uploads(self) -> float:
        """A second, in the mean of the day."""
        return self.partners * self.files_per_day * self.share_up / DAY_SECONDS

    @property
    def downloads(self) -> float:
        return self.partners * self.files_per_day * (1 - self.share_up) / DAY_SECONDS

    @property
    def listings(self) -> float:
        return self.partners * self.listings_per_hour / HOUR_SECONDS

    @property
    def logins(self) -> float:
        return self.partners * self.logins_per_day / DAY_SECONDS

    @property
    def connections(self) -> float:
        """At the peak."""
        return self.partners * self.connected_share


@dataclass(frozen=True)
class Machine:
    """One replica, and how full it may be. ValueError, by name, for what cannot be."""

    processors: int = option("of each replica, with a worker for each", 2)
    utilization: float = option("how busy processors may be at the peak: what comes is never even", 0.6)
    spare: int = option("replicas that may be missing at the peak, because one dies or is replaced", 1)
    buffer_bytes: int = option("files.buffer_bytes of each replica", 256 * MIB)
    dollars_per_vcpu_hour: float = option("what a processor costs; the default is but a guess", 0.04)

    def __post_init__(self) -> None:
        refuse_negative(self, ("utilization",))
        if self.processors < 1:
            raise ValueError("processors is at least 1")
        if not self.utilization:
            raise ValueError("utilization is above 0")
        least = WORKER_BUFFER_BYTES * self.processors
        if self.processors > 1 and self.buffer_bytes < least:
            raise ValueError(f"buffer_bytes is at least {least // MIB}MiB for {self.processors} workers")
