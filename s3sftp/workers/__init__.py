"""Serves with several worker processes behind one supervisor, to use all cores.

client ──► supervisor ── admission gate: bans, limits ──► least busy worker ──► asyncssh, SFTP, S3
               │ passes the connected socket over a Unix socket and takes no further part
               └ receives what the worker reports: logged in, failed, closed

supervisor   Acceptor (accepts) ─ watchdog (heartbeats) ─ WorkerProcess (one worker) ─┐
worker       WorkerGate (the worker's end of the admission gate)                     ─┴ ipc ─ messages

template_client (asks for workers) ─ template (forks them); child_process (waits for their end)
"""

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
]
