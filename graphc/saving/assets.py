"""Files that layers keep beside their arrays, such as vocabularies: the folder `assets` of a `.keras` archive.

A layer takes part by methods `save_assets(folder)` and `load_assets(folder)`; its files lie under its arrays' path.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

from graphc.saving.archive import Archive
from graphc.saving.state import saveables

FOLDER = "assets"
LIMIT = 256 << 20


def write_assets(model: Any, archive: zipfile.ZipFile) -> None:
    """Add the files of all layers to an archive."""
    for path, subject in saveables(model):
        if not hasattr(subject, "save_assets"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            subject.save_assets(folder)
            for file in sorted(Path(folder).rglob("*")):
                if file.is_file():
                    name = file.relative_to(folder).as_posix()
                    archive.writestr("/".join(filter(None, (FOLDER, path, name))), file.read_bytes())


def read_assets(model: Any, archive: Archive) -> None:
    """Let every layer that has files in the archive read them. ValueError for one that is damaged or too long."""
    for path, subject in saveables(model):
        start = "/".join(filter(None, (FOLDER, path))) + "/"
        names = [name for name in archive.names if name.startswith(start) and not name.endswith("/")]
        if not hasattr(subject, "load_assets") or not names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                target = Path(folder, name.removeprefix(start))
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name, LIMIT))
            subject.load_assets(folder)
