"""The machine and the installation."""

from __future__ import annotations

import argparse
import sys
import time


def doctor(args: argparse.Namespace) -> None:
    """Prints what is known and measured of this machine."""
    from graphc.insight.doctor import examine

    sys.stdout.write(f"{examine(measure=not args.quick)}\n")


def cache(args: argparse.Namespace) -> None:
    """Says what the cache holds, or deletes it."""
    from graphc.compiler import persistent_cache

    found_cache = persistent_cache()
    found = found_cache.clear() if args.action == "clear" else found_cache.entries()
    total = f"{len(found)} entries, {sum(entry.nbytes for entry in found) / 1e6:.1f} MB"
    if args.action == "clear":
        sys.stdout.write(f"deleted {total}\n")
        return
    sys.stdout.write(f"folder  {found_cache.folder or 'none; set GRAPHC_CACHE_DIR'}\n")
    sys.stdout.write(f"holds   {total} of at most {found_cache.limit / 1e6:.0f} MB\n")
    if found:
        used = [time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used)) for entry in (found[0], found[-1])]
        sys.stdout.write(f"used    from {used[0]} to {used[1]}\n")
