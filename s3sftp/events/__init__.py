"""What happens after a commit: who is told of it, how, and what becomes of those who do not listen."""

from s3sftp.events.announcements import Announce, Announcements
from s3sftp.events.delivery import Counts
from s3sftp.events.records import Committed, Renamed
from s3sftp.events.stages import Events, Subscribers
from s3sftp.events.subscriber import Subscriber

__all__ = [
    "Announce",
    "Announcements",
    "Committed",
    "Counts",
    "Events",
    "Renamed",
    "Subscriber",
    "Subscribers",
]
