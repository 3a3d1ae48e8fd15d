"""Delivers events about committed and renamed files to the application's subscribers, with retries.

EventHub ── Publisher, one for each kind of event ─┬─ SubscriberQueue ── Delivery ──► Subscriber.handler
                                                   └─ Delivery, awaited before CLOSE is answered
"""

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
