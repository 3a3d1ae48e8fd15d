"""All cores: several processes serve, one stands at the door.

client ──► supervisor ── door: bans, limits ──► least busy worker ──► asyncssh, SFTP, S3
               │ the connected socket goes over a Unix socket; then the supervisor is out of the way
               └ what the worker tells: logged in, failed, left

supervisor   reception (accepts) ─ watch (who answers) ─ process (one worker) ─┐
worker       post (the far end of the door)                                   ─┴ link ─ messages

starting (asks for workers) ─ template (forks them) ; children (when they end)
"""

from s3sftp.workers.cpu_count import default_workers
from s3sftp.workers.heartbeat import HeartbeatPolicy
from s3sftp.workers.supervisor import Supervisor, WorkersFailed, WorkerSpec
from s3sftp.workers.template_client import TemplateClient
from s3sftp.workers.worker_gate import WorkerGate

__all__ = [
    "HeartbeatPolicy",
    "Supervisor",
    "TemplateClient",
    "WorkerGate",
    "WorkerSpec",
    "WorkersFailed",
    "default_workers",
]
