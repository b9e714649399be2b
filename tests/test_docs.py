"""The documentation is true: its python runs, its dumps are what the code gives, its links and tables are right.

The python blocks of a page run one after another in one process. A block ```` ```text output ```` (or `asm output`)
after one holds what it prints. `pytest tests/test_docs.py --update-golden` writes those and the table of variables anew.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from graphc.options import VARIABLES

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
BLOCK = re.compile(r"^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?!https?://)(?P<target>[^)#\s]+)(?:#[^)]*)?\)")
TEST = re.compile(r"tests/(?P<file>test_\w+\.py)(?:::(?P<name>test_\w+))?")
TABLE = re.compile(r"(?<=<!-- variables: begin -->\n).*?(?=<!-- variables: end -->)", re.DOTALL)
SECONDS = 300
OUTPUT = {"text output", "asm output"}
ASSEMBLY_OF = "0.50."  # the llvmlite whose assembly the pages show

# Runs blocks of code from stdin in one namespace; prints a JSON list of what each printed.
RUNNER = """
import contextlib, io, json, sys
namespace, printed = {"__name__": "__main__"}, []
for place, code in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, place, "exec"), namespace)
    printed.append(out.getvalue())
print(json.dumps(printed))
"""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its info string, its text, and where the text is in the page."""

    language: str
    text: str
    start: int
    end: int


def blocks(page: str) -> list[Block]:
    return [Block(m["language"], m["text"], m.start("text"), m.end("text")) for m in BLOCK.finditer(page)]


def relative(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def run_blocks(page: Path, codes: list[tuple[str, str]], folder: Path) -> list[str]:
    """What each block printed. The page's program runs in a folder of its own, without the user's GRAPHC_ variables."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("GRAPHC_")}
    variables |= {"PYTHONPATH": str(ROOT), "GRAPHC_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER], input=json.dumps(codes), cwd=folder, env=variables, text=True,
        capture_output=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"a python block of {relative(page)} failed:\n{done.stderr}"
    printed: list[str] = json.loads(done.stdout.splitlines()[-1])
    return printed


def pages_with_python() -> list[Path]:
    return [page for page in PAGES if any(block.language == "python" for block in blocks(page.read_text("utf-8")))]


@pytest.mark.parametrize("page", pages_with_python(), ids=relative)
def test_python_blocks_run_and_print_what_the_page_says(page: Path, tmp_path: Path, update_golden: bool) -> None:
    text = page.read_text("utf-8")
    found = blocks(text)
    codes = [(f"{relative(page)}:{_line(text, b)}", b.text) for b in found if b.language == "python"]
    printed = iter(run_blocks(page, codes, tmp_path))
    expected = list(_outputs(found, printed))
    if update_golden:
        for block, output in reversed(expected):
            text = text[: block.start] + output + text[block.end :]
        page.write_text(text, "utf-8")
    for block, output in expected:
        assert update_golden or block.text == output


def _line(text: str, block: Block) -> int:
    return text.count("\n", 0, block.start) + 1


def _outputs(found: list[Block], printed: Iterator[str]) -> Iterator[tuple[Block, str]]:
    """The output blocks with what was printed by the python block before each."""
    last = None
    for block in found:
        if block.language == "python":
            last = next(printed)
        elif block.language in OUTPUT:
            assert last is not None, "an output block without a python block before it"
            if block.language != "asm output" or version("llvmlite").startswith(ASSEMBLY_OF):
                yield block, last.expandtabs(8).rstrip() + "\n"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    text = BLOCK.sub("", page.read_text("utf-8"))
    missing = [m["target"] for m in LINK.finditer(text) if not (page.parent / m["target"]).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_tests_that_are_named_exist(page: Path) -> None:
    for match in TEST.finditer(page.read_text("utf-8")):
        path = ROOT / "tests" / match["file"]
        assert path.is_file(), match[0]
        assert match["name"] is None or f"def {match['name']}(" in path.read_text("utf-8"), match[0]


def test_index_lists_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")} - {"index.md"}
    assert pages == {m["target"] for m in LINK.finditer(index) if m["target"].endswith(".md")} & pages


def test_the_table_of_variables_is_the_one_in_options(update_golden: bool) -> None:
    page = ROOT / "docs" / "options.md"
    rows = [f"| `{v.name}` | {v.meaning} | {v.default} |" for v in VARIABLES]
    table = "\n".join(["| variable | meaning | when it is unset |", "| --- | --- | --- |", *rows]) + "\n"
    text = page.read_text("utf-8")
    if update_golden:
        text = TABLE.sub(lambda _: table, text)
        page.write_text(text, "utf-8")
    found = TABLE.search(text)
    assert found is not None and found[0] == table


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_variables_that_are_named_exist(page: Path) -> None:
    assert set(re.findall(r"GRAPHC_[A-Z_]+", page.read_text("utf-8"))) <= {v.name for v in VARIABLES}
