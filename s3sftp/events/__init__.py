"""Delivers events about committed and renamed files to the application's subscribers, with retries."""

from s3sftp.events.delivery import SubscriberCounts
from s3sftp.events.hub import EventHub, Publish, Publisher, Subscribers
from s3sftp.events.subscriber import Committed, Renamed, Subscriber

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
