"""Where an S3 server is and how to get in."""

from __future__ import annotations

import dataclasses
import secrets
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import botocore.session
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


@dataclass(frozen=True)
class Store:
    """An S3 server to test against."""

    name: str
    endpoint_url: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"
    bucket: str | None = None
    """The one bucket that the tests may use, where they may make none."""
    checksums: bool = True
    """Whether clients of the tests prove what they put by checksums; not every store takes those headers."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What an operator sets for it, of the group `s3`."""
    authority: Path | None = None
    """Certificates to trust for `https`, where they are not the system's."""
    grow_url: str | None = None
    """Where SeaweedFS makes the storage of a new bucket when it is asked. By default it does so for the first
    object, which then waits for 200 ms."""

    def behind(self, endpoint_url: str) -> Store:
        """The same storage seen through another address, such as a proxy's."""
        return dataclasses.replace(self, endpoint_url=endpoint_url)

    def environment(self) -> dict[str, str]:
        """The standard AWS variables that let a program in."""
        trusted = {"AWS_CA_BUNDLE": str(self.authority)} if self.authority else {}
        return {
            **trusted,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @cached_property
    def blocking_client(self) -> BaseClient:
        """A synchronous client, for fixtures that run without an event loop."""
        return botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            verify=str(self.authority) if self.authority else None,
            config=Config(retries={"total_max_attempts": 1}, **self.client_options),
        )

    @property
    def client_options(self) -> dict[str, Any]:
        """Options of botocore for every client of it."""
        when = "when_supported" if self.checksums else "when_required"
        return {
            "s3": {"addressing_style": "path"},
            "request_checksum_calculation": when,
            "response_checksum_validation": when,
        }

    @contextmanager
    def space(self) -> Iterator[Space]:
        """Room for one test or server, empty, and empty again afterwards."""
        if self.bucket is not None:
            space = Space(self.bucket, f"{new_bucket_name()}/")
            yield space
            self.empty(space)
        else:
            space = Space(new_bucket_name(), "")
            self.make_bucket(space.bucket)
            yield space
            self.drop_bucket(space.bucket)

    def wait_writable(self, timeout: float = 60) -> None:
        """Block until a bucket can be made and written: ports open before that works."""
        deadline = time.monotonic() + timeout
        bucket = new_bucket_name()
        while True:
            try:
                self.make_bucket(bucket)
                self.blocking_client.put_object(Bucket=bucket, Key="ready", Body=b"ready")
                self.blocking_client.delete_object(Bucket=bucket, Key="ready")
                self.blocking_client.delete_bucket(Bucket=bucket)
            except (BotoCoreError, ClientError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def make_bucket(self, name: str) -> None:
        """Make a bucket; one that is there already, and ours, is fine."""
        try:
            self.blocking_client.create_bucket(Bucket=name)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise
        if self.grow_url is not None:
            with urllib.request.urlopen(f"{self.grow_url}?collection={name}&count=1", timeout=60) as answer:
                answer.read()

    def drop_bucket(self, name: str) -> None:
        """Delete a bucket with all that is in it, unfinished uploads included."""
        self.empty(Space(name, ""))
        with _where_possible("DeleteBucket"):
            self.blocking_client.delete_bucket(Bucket=name)

    def empty(self, space: Space) -> None:
        """Delete all that is in it, unfinished uploads included."""
        client, where = self.blocking_client, {"Bucket": space.bucket, "Prefix": space.prefix}
        with _where_possible("ListMultipartUploads"):
            for upload in client.list_multipart_uploads(**where).get("Uploads", []):
                client.abort_multipart_upload(
                    Bucket=space.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )
        for page in client.get_paginator("list_objects_v2").paginate(**where):
            self._delete(space.bucket, [item["Key"] for item in page.get("Contents", [])])

    def _delete(self, bucket: str, keys: list[str]) -> None:
        if self.checksums:  # which a batch has to have
            if keys:
                doomed = [{"Key": key} for key in keys]
                self.blocking_client.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True})
            return
        for key in reversed(keys):  # what is in a directory before the directory
            self.blocking_client.delete_object(Bucket=bucket, Key=key)


@dataclass(frozen=True)
class Space:
    """Where a test may write: below a prefix, which is empty when the bucket is its own."""

    bucket: str
    prefix: str


@contextmanager
def _where_possible(api: str) -> Iterator[None]:
    """Go on where a store cannot do a request that only cleans up."""
    try:
        yield
    except ClientError as error:
        known = error.response["Error"]["Code"] in ("NotImplemented", "NoSuchUpload", "BucketNotEmpty")
        if error.operation_name != api or not known:
            raise


def new_bucket_name() -> str:
    return f"test-{secrets.token_hex(6)}"
