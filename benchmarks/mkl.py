"""The environment of the `torch-unlocked` row: PyTorch as fast as its libraries can be made on this machine.

MKL takes its AVX-512 kernels only where `mkl_serv_intel_cpu_true` says so; a one-line library loaded first answers yes.
glibc's malloc gives large buffers back to the system after every use; told to keep them, it saves the page faults.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_SOURCE = "int mkl_serv_intel_cpu_true(void) { return 1; }\n"
_KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 34), "MALLOC_TOP_PAD_": str(1 << 26)}


class Unavailable(Exception):
    """A system cannot take part on this machine; the text says why."""


def unlocked_environment(folder: Path) -> dict[str, str]:
    """Build the library in `folder` and return the variables that load it. Raises Unavailable without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise Unavailable("needs a C compiler named cc")
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "unlock.so"
    command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(command, input=_SOURCE, text=True, check=True)
    return {"LD_PRELOAD": str(library), **_KEEP_MEMORY}
