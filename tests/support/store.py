"""Where an S3 server is and how to get in."""

from __future__ import annotations

import dataclasses
import secrets
import time
from dataclasses import dataclass
from functools import cached_property

import botocore.session
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


@dataclass(frozen=True)
class Store:
    """An S3 server of the tests."""

    name: str
    endpoint_url: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def behind(self, endpoint_url: str) -> Store:
        """The same storage seen through another address, such as a proxy's."""
        return dataclasses.replace(self, endpoint_url=endpoint_url)

    def environment(self) -> dict[str, str]:
        """The standard AWS variables that let a program in."""
        return {
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
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

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

    def drop_bucket(self, name: str) -> None:
        """Delete a bucket with all that is in it, unfinished uploads included."""
        client = self.blocking_client
        for upload in client.list_multipart_uploads(Bucket=name).get("Uploads", []):
            client.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
            doomed = [{"Key": item["Key"]} for item in page.get("Contents", [])]
            if doomed:
                client.delete_objects(Bucket=name, Delete={"Objects": doomed, "Quiet": True})
        client.delete_bucket(Bucket=name)


def new_bucket_name() -> str:
    return f"test-{secrets.token_hex(6)}"
