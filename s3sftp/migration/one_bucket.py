"""Where in the server's storage a place in a bucket is. This alone knows that there is one bucket."""

from __future__ import annotations

from dataclasses import dataclass

from s3sftp.auth.sources.transfer_family import AnswerProblem, UserHomes
from s3sftp.errors import ConfigurationError


class NotInStorage(Exception):
    """The place cannot be reached by the server; the text says why."""


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """A prefix or a key in a bucket."""

    bucket: str
    key: str
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class OneBucket:
    """The bucket of the server that the users are for."""

    bucket: str
    prefix: str = ""
    """`s3.prefix` of the server, empty or ending in `/`."""
    endpoint: str | None = None
    """The endpoint that the export names for the bucket; None: whichever."""

    def prefix_of(self, place: BucketPlace, *, file: bool = False) -> str:
        """The prefix below that of the storage, or the key of a file.

        Raises NotInStorage: if the place is in another bucket, not below `prefix`, or not a usable prefix.
        """
        if place.bucket != self.bucket:
            raise NotInStorage(f"it is in the bucket {place.bucket!r}, and the server's is {self.bucket!r}")
        if self.endpoint is not None and place.endpoint != self.endpoint:
            named = repr(place.endpoint) if place.endpoint else "that of AWS"
            raise NotInStorage(f"its endpoint is {named}, and the server's another")
        names = place.key.removesuffix("/").split("/") if place.key else []
        if any(name in ("", ".", "..") for name in names):
            raise NotInStorage(f"{place.key[:200]!r} should be names joined by single '/', none of them '..'")
        try:
            return UserHomes(self.bucket, self.prefix).prefix_of(f"/{place.bucket}/{place.key}", file=file)
        except AnswerProblem as problem:
            raise NotInStorage(str(problem)) from None


def the_bucket(
    places: list[BucketPlace], bucket: str | None, prefix: str, endpoint: str | None = None
) -> OneBucket:
    """The bucket that the operator names, or the only one that the source has.

    Raises ConfigurationError: if the source has several buckets or endpoints, and none was named.
    """
    buckets = sorted({place.bucket for place in places if place.bucket})
    if bucket is None and len(buckets) > 1:
        raise ConfigurationError(
            f"the users are in {len(buckets)} buckets ({_listed(buckets)}), and a server has one: name it by"
            " --bucket; users of the others are reported and not enabled"
        )
    chosen = bucket if bucket is not None else "".join(buckets)
    endpoints = sorted({place.endpoint for place in places if place.bucket == chosen})
    if endpoint is None and len(endpoints) > 1:
        raise ConfigurationError(
            f"the bucket {chosen} is named with {len(endpoints)} endpoints ({_listed(endpoints)}): say with"
            " --endpoint which of them the server uses"
        )
    return OneBucket(chosen, prefix, endpoint if endpoint is not None else next(iter(endpoints), None))


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name[:80]) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown}, …"
