"""What happens after a commit: who is told of it, how, and what becomes of those who do not listen."""

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
