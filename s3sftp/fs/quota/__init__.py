"""Quotas of mounts: how many files and bytes may be stored below a place, over all sessions and workers.

quotas       what a quota is, when it is exceeded, and how a count by listing corrects what is known. Pure.
counters     the protocol of the numbers that all workers share
shared_counts    these numbers in the memory of the workers
counting     counts by listing when it must
holds        what is held until a change is booked
ledger       which places are counted; admits, books or takes back each change
refusals     the metric of what is refused
renames      renames, which may take something out of one counted place and into another
backend      what a session with a quota stores through: finds out what each change adds and takes away
"""

from s3sftp.fs.quota.backend import QuotaBackend
from s3sftp.fs.quota.counters import QuotaCounters
from s3sftp.fs.quota.ledger import QuotaLedger
from s3sftp.fs.quota.quotas import NO_QUOTA, PlacedQuota, Quota
from s3sftp.fs.quota.shared_counts import SharedQuotaCounts

__all__ = [
    "NO_QUOTA",
    "PlacedQuota",
    "Quota",
    "QuotaBackend",
    "QuotaCounters",
    "QuotaLedger",
    "SharedQuotaCounts",
]
