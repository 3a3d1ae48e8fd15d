"""All cores: several processes serve, one stands at the door.

client ──► supervisor ── door: bans, limits ──► least busy worker ──► asyncssh, SFTP, S3
               │ the connected socket goes over a Unix socket; then the supervisor is out of the way
               └ what the worker tells: logged in, failed, left

supervisor   reception (accepts) ─ watch (who answers) ─ process (one worker) ─┐
worker       post (the far end of the door)                                   ─┴ link ─ messages

starting (asks for workers) ─ template (forks them) ; children (when they end)
"""

from s3sftp.workers.available import default_workers
from s3sftp.workers.post import Post
from s3sftp.workers.pulse import Patience
from s3sftp.workers.starting import Template
from s3sftp.workers.supervisor import Crew, Supervisor, WorkersFailed

__all__ = ["Crew", "Patience", "Post", "Supervisor", "Template", "WorkersFailed", "default_workers"]
