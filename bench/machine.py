"""What a run was measured on: the processor and the versions, nothing that names a machine."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from testbed.processes import program

_PACKAGES = ("s3sftp", "asyncssh", "aiobotocore", "aiohttp", "cryptography", "uvloop")


def machine() -> dict[str, object]:
    """Cores, processor, memory, kernel."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
    }


def versions() -> dict[str, str]:
    """Of everything that takes part."""
    found = {"Python": platform.python_version()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    found["commit"] = _said(["git", "rev-parse", "--short", "HEAD"], r"\w+") + _changed()
    found["rclone"] = _said([program("rclone") or "rclone", "version"], r"v[\d.]+")
    found["SeaweedFS"] = _said([program("weed") or "weed", "version"], r"\d+\.\d+")
    found["OpenSSH"] = _said([shutil.which("ssh") or "ssh", "-V"], r"OpenSSH_([\w.]+)")
    return {name: text for name, text in found.items() if text}


def options() -> dict[str, str]:
    """Options of s3sftp that the caller's environment sets."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith("S3SFTP_")}


def _processor() -> str:
    with suppress(OSError):
        match = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        if match:
            return match[1]
    return platform.machine()


def _changed() -> str:
    return " with changes" if _said(["git", "status", "--porcelain", "s3sftp"], r"\S+") else ""


def _said(command: list[str], pattern: str) -> str:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        match = re.search(pattern, done.stdout + done.stderr)
        if match and not done.returncode:
            return match[match.re.groups]
    return ""
