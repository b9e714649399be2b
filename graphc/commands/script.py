"""Keras scripts as programs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def keras(args: argparse.Namespace) -> None:
    """Runs a script whose `import keras` finds graphc; what it raises is shown as Python shows it (exit code 1)."""
    from graphc import script

    if not Path(args.script).is_file():
        raise ValueError(f"{args.script}: no such file")
    try:
        script.run(args.script, args.arguments)
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)
        raise SystemExit(1) from None
