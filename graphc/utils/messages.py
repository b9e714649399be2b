"""Messages for the user: stdout, or the `graphc` logger when interactive logging is off."""

from __future__ import annotations

import logging
import sys

from graphc.config import is_interactive_logging_enabled

logger = logging.getLogger("graphc")


def print_message(message: object, line_break: bool = True) -> None:
    """Show `message` at once. A character that stdout's encoding lacks is replaced, never an error."""
    text = f"{message}\n" if line_break else str(message)
    if not is_interactive_logging_enabled():
        logger.info(message)
        return
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.replace("━", "=").encode(encoding, errors="ignore").decode(encoding))
    sys.stdout.flush()
