"""Delivers events about committed and renamed files to the application's subscribers, with retries."""

from s3sftp.events.delivery import SubscriberCounts
from s3sftp.events.event_types import Committed, Renamed
from s3sftp.events.hub import EventHub, Subscribers
from s3sftp.events.publisher import Publish, Publisher
from s3sftp.events.subscriber import Subscriber

__all__ = [
    "Committed",
    "EventHub",
    "Publish",
    "Publisher",
    "Renamed",
    "Subscriber",
    "SubscriberCounts",
    "Subscribers",
]
