"""What this machine is, for the record beside the numbers."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path


def machine() -> str:
    """One line: CPU, cores this process may use, memory, system, Python."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [_cpu(), f"{cores} cores", *_memory(), f"{platform.system()} {platform.machine()}"]
    return ", ".join([*parts, f"Python {platform.python_version()}"])


def _cpu() -> str:
    found = _search("/proc/cpuinfo", r"model name\s*:\s*(.+)")
    family = _search("/proc/cpuinfo", r"cpu family\s*:\s*(\d+)")
    if found is None:
        return platform.processor() or "unknown CPU"
    return f"{found} (family {family})" if family else found


def _memory() -> list[str]:
    found = _search("/proc/meminfo", r"MemTotal:\s*(\d+) kB")
    return [f"{int(found) / 2**20:.0f} GiB"] if found else []


def _search(path: str, pattern: str) -> str | None:
    file = Path(path)
    found = re.search(pattern, file.read_text()) if file.exists() else None
    return found[1].strip() if found else None
