"""`python -m graphc`: every command on good input, and on bad input one error and exit code 2."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dumps import check_texts
from fresh import ROOT
from graphs import sgd
from nets import F32, mlp

from graphc.__main__ import main
from graphc.compiler import apply_passes
from graphc.insight.roof import keep_roof
from graphc.ir.builder import Builder
from graphc.ir.cost import Roof
from graphc.ir.interpret import interpret
from graphc.ir.op import REGISTRY
from graphc.ir.parse import parse_graph, read_graph
from graphc.ir.structure import structural_key
from graphc.ir.text import print_graph, write_graph
from graphc.ir.types import TensorType
from graphc.primitives import functions as fn

TEXT = """\
graph @twice (n = 4) {
  input %x : f32[n,3]
  param %w : f32[3]
  %0 = broadcast(%w) {shape=(n, 3), axes=(1,)} : f32[n,3]
  %1 = add(%x, %0) : f32[n,3]
  %2 = add(%x, %0) : f32[n,3]
  %3 = mul(%1, %2) : f32[n,3]
  return %3 as y
}
"""

SCRIPT = """
from graphc.ir.builder import Builder
from graphc.ir.types import TensorType
from graphc.primitives import functions as fn

b = Builder("scripted")
x = b.input("x", TensorType((6, 5)))
graph = b.build((fn.softmax(b, x),))
number = 5
"""

MODEL = """
import graphc as keras

model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, activation="relu")])
"""


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("GRAPHC_THREADS", "2")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "twice.graph"
    path.write_text(TEXT)
    return path


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The error a command ends with."""
    assert main([str(argument) for argument in arguments]) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith("error: ")
    return errors.removeprefix("error: ").rstrip("\n")


def prints(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a command prints."""
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


# opt


def test_opt_runs_the_passes_of_the_compiler(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prints(capsys, "opt", file) == print_graph(apply_passes(parse_graph(TEXT, REGISTRY)))


def test_opt_runs_the_passes_asked_for(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = TEXT.replace("  %2 = add(%x, %0) : f32[n,3]\n", "").replace("mul(%1, %2)", "mul(%1, %1)")
    assert prints(capsys, "opt", file, "-p", "cse,dce") == expected
    monkeypatch.setattr("sys.stdin", io.StringIO(TEXT))
    assert prints(capsys, "opt", "-", "--passes", "cse") == expected
    assert prints(capsys, "opt", file, "-p", "") == TEXT


def test_opt_writes_a_file_with_its_constants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    b = Builder("table")
    x = b.input("x", TensorType((50,)))
    graph = b.build((fn.add(b, x, fn.constant(b, np.arange(50), F32)),))
    write_graph(tmp_path / "in.graph", graph)
    assert prints(capsys, "opt", tmp_path / "in.graph", "-p", "cse", "-o", tmp_path / "out.graph") == ""
    assert structural_key(read_graph(tmp_path / "out.graph", REGISTRY)) == structural_key(graph)
    assert main(["opt", str(tmp_path / "in.graph"), "-p", "cse"]) == 0
    assert capsys.readouterr().err == "1 large constants are named, not printed; -o FILE writes them too\n"


def test_bad_graphs_are_reported_by_line_and_column(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(TEXT.replace("mul", "mull"))
    assert fails(capsys, "opt", file).splitlines() == [
        f"{file}: line 7, column 8: no op is called mull; did you mean mul?",
        "    %3 = mull(%1, %2) : f32[n,3]",
        "         ^",
    ]
    file.write_bytes(b"\xff\xfe graph")
    assert fails(capsys, "run", file).startswith(f"{file}: ")
    assert (
        fails(capsys, "show", file.parent / "none.graph") == f"{file.parent / 'none.graph'}: No such file or directory"
    )
    assert fails(capsys, "opt", file.parent).endswith(": Is a directory")


def test_unknown_passes(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = fails(capsys, "opt", file, "-p", "cse,melt")
    assert error.startswith("no pass is called 'melt'; the passes are ") and "fuse" in error


# run


def test_run_on_given_arrays(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, w = np.arange(12, dtype=np.float32).reshape(4, 3), np.ones(3, np.float32)
    np.savez(tmp_path / "in.npz", x=x, w=w)
    out = prints(capsys, "run", file, "--inputs", tmp_path / "in.npz", "--save", tmp_path / "out.npz")
    assert out == f"y : float32[4, 3] = \n{(x + 1) ** 2}\n"
    with np.load(tmp_path / "out.npz") as saved:
        np.testing.assert_array_equal(saved["y"], (x + 1) ** 2)
    np.savez(tmp_path / "in.npz", x=x[:2], w=w)
    assert "float32[2, 3]" in prints(capsys, "run", file, "--inputs", tmp_path / "in.npz")


def test_run_on_random_arrays_with_updates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from graphc.compiler import random_inputs

    graph = mlp(F32, 5)
    graph = sgd(graph, graph.outputs[0])
    write_graph(tmp_path / "mlp.graph", graph)
    out = prints(capsys, "run", tmp_path / "mlp.graph", "--seed", 3, "--save", tmp_path / "out.npz")
    assert "loss : float32[] = " in out and "updated hidden/kernel : float32[7, 6] = " in out
    wanted = interpret(graph, dict(zip(graph.inputs, random_inputs(graph, 3), strict=True)))
    names = [*graph.output_names, *(state.name for state, _ in graph.updates)]
    with np.load(tmp_path / "out.npz") as saved:
        for name, array in zip(names, wanted, strict=True):
            np.testing.assert_allclose(saved[name], array, rtol=1e-4, atol=1e-5, err_msg=name)


def test_run_says_what_is_missing_or_does_not_fit(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "in.npz"
    x, w = np.zeros((4, 3), np.float32), np.zeros(3, np.float32)
    ask = "give them by --inputs, or --seed for random ones"
    assert fails(capsys, "run", file) == f"twice also wants x : f32[n,3]; w : f32[3]: {ask}"
    np.savez(given, x=x)
    assert fails(capsys, "run", file, "--inputs", given) == f"twice also wants w : f32[3]: {ask}"
    np.savez(given, x=x, w=w, v=w)
    assert fails(capsys, "run", file, "--inputs", given) == "twice has no input 'v'; its inputs are x, w"
    np.savez(given, x=x.T, w=w)
    assert fails(capsys, "run", file, "--inputs", given) == "input 'x': expected shape (3, 3), got (3, 4)"
    np.savez(given, x=x, w=x)
    assert fails(capsys, "run", file, "--inputs", given).startswith("state 'w': expected a writable")
    np.savez(given, x=np.array([None]))
    assert fails(capsys, "run", file, "--inputs", given).startswith(f"{given}: not an .npz of plain arrays")
    given.write_text("not an archive")
    assert fails(capsys, "run", file, "--inputs", given).startswith(f"{given}: not an .npz of plain arrays")


# show


def test_show_stages_kernels_and_memory(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overview = prints(capsys, "show", file)
    assert "twice(x: f32[n,3]) -> y: f32[n,3]\n" in overview
    assert "canonicalize" in overview and "computes" in overview and "arena " in overview
    assert prints(capsys, "show", file, "--stage", "source") == TEXT
    assert prints(capsys, "show", file, "--stage", "0") == TEXT
    assert "  // output %" in prints(capsys, "show", file, "--stage", "planned")
    assert prints(capsys, "show", file, "--memory").startswith("buffer  place")
    kernel = next(line.split()[0] for line in overview.splitlines() if " for %" in line)
    assert prints(capsys, "show", file, "--kernel", kernel).startswith(f"kernel @{kernel}(")
    assert f"@{kernel}(" in prints(capsys, "show", file, "--kernel", kernel, "--as", "llvm")
    assert f"{kernel}:" in prints(capsys, "show", file, "--kernel", kernel, "--as", "asm")
    folder = Path(prints(capsys, "show", file, "--dump", file.parent / "dump").strip())
    assert (folder / "index.txt").is_file()


def test_show_what_is_not_there(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys, "show", file, "--stage", "melted").startswith("no stage 'melted'; the stages are source, ")
    assert fails(capsys, "show", file, "--kernel", "none").startswith("no kernel 'none'; the kernels are ")


def test_what_a_script_raises_is_shown_from_its_own_line_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "broken.py"
    script.write_text("def half(x):\n    return x / 0\n\n\nhalf(3)\n")
    lines = fails(capsys, "show", script).splitlines()
    assert lines[0] == f"{script} raised an error:" and lines[-1] == "ZeroDivisionError: division by zero"
    assert [line.strip() for line in lines if "line" in line] == [
        f'File "{script}", line 5, in <module>',
        f'File "{script}", line 2, in half',
    ]
    script.write_text("def half(:\n")
    assert fails(capsys, "memory", script).splitlines()[1].strip() == f'File "{script}", line 1'


def test_a_script_of_keras_is_read_as_one_of_graphc(tmp_path: Path) -> None:
    script = tmp_path / "net.py"
    script.write_text(MODEL.replace("graphc as keras", "keras"))
    done = python_m_graphc("memory", str(script))
    assert (done.returncode, done.stderr) == (0, "") and "total" in done.stdout


def test_the_batch_of_a_graph_can_be_another(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "graph @twice (n = 9) {\n" in prints(capsys, "show", file, "--stage", "source", "--batch", 9)
    assert "--mode is for models" in fails(capsys, "memory", file, "--mode", "train")
    file.write_text(TEXT.replace(" (n = 4)", "").replace("n,3", "4,3").replace("(n, 3)", "(4, 3)"))
    assert fails(capsys, "memory", file, "--batch", 9).startswith("twice counts no rows of a batch")
    assert fails(capsys, "diff", "-", "-").startswith("stdin can be read once")


def test_show_things_of_a_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "net.py"
    script.write_text(SCRIPT)
    assert prints(capsys, "show", f"{script}:graph", "--stage", "source").startswith("graph @scripted {\n")
    assert fails(capsys, "show", f"{script}:model") == f"{script} defines no 'model'"
    assert fails(capsys, "show", f"{script}:number") == "compile: wanted a Model or a Graph, got int"
    assert fails(capsys, "show", f"{tmp_path / 'none.py'}:model") == f"{tmp_path / 'none.py'}: no such file"


def test_show_a_model_of_a_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "net.py"
    script.write_text(MODEL)
    assert "dot + add + relu" in prints(capsys, "show", f"{script}:model").replace("broadcast + ", "")


# cache


def test_cache(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRAPHC_VERIFY", "1")
    assert (
        prints(capsys, "cache", "info")
        == f"folder  {tmp_path / 'cache'}\nholds   0 entries, 0.0 MB of at most 537 MB\n"
    )
    prints(capsys, "run", file, "--seed", 1)
    assert (
        "holds   " in (info := prints(capsys, "cache", "info")) and "holds   0" not in info and "used    from " in info
    )
    assert prints(capsys, "cache", "clear").startswith("deleted ")
    assert "holds   0 entries" in prints(capsys, "cache", "info")
    (tmp_path / "cache").chmod(0o755)
    assert "open to others" in fails(capsys, "cache", "info")


# The program itself


def python_m_graphc(*arguments: str, input: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "graphc", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80"},
        timeout=60,
        input=input,
    )


@pytest.mark.parametrize("command", [(), ("opt",), ("run",), ("show",), ("cache",)])
def test_help(command: tuple[str, ...]) -> None:
    done = python_m_graphc(*command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(" ".join(["usage: python -m graphc", *command]))
    assert max(map(len, done.stdout.splitlines())) <= 110


def test_errors_have_no_traceback(file: Path) -> None:
    done = python_m_graphc("opt", "-", input="graph @g {\n  return %x\n}\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == "error: stdin: line 2, column 10: %x is not defined before this line"
    assert python_m_graphc("melt").returncode == 2
    assert python_m_graphc().returncode == 2


def test_a_reader_that_has_seen_enough(file: Path) -> None:
    """`... | head -1`: no error, however much is still to come."""
    b = Builder("wide")
    x = b.input("x", TensorType((3,)))
    for _ in range(3000):
        x = fn.add(b, fn.exp(b, x), x)
    file.write_text(print_graph(b.build((x,))))
    command = [sys.executable, "-m", "graphc", "opt", str(file), "-p", "dce"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "graph @wide {\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 0


# Looking closer


@pytest.fixture
def roof() -> None:
    """A roof that is known: measuring takes seconds."""
    keep_roof(Roof(100.0, 20.0, "no measurement", "none either"), 2)


@pytest.mark.parametrize("command", ["explain", "profile", "memory", "compile", "diff", "check", "doctor"])
def test_help_of_the_tools(command: str) -> None:
    done = python_m_graphc(command, "--help")
    assert (done.returncode, done.stderr) == (0, "") and max(map(len, done.stdout.splitlines())) <= 110


@pytest.mark.usefixtures("roof")
def test_profile_and_its_trace(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = prints(capsys, "profile", file, "--runs", 3, "--trace", tmp_path / "trace.json")
    assert printed.splitlines()[0].split()[:2] == ["kernel", "layer"] and "(median of 3)" in printed
    assert "traceEvents" in (tmp_path / "trace.json").read_text()
    assert prints(capsys, "profile", file, "--by", "layer", "--runs", 1).startswith("layer ")
    with pytest.raises(SystemExit):
        main(["profile", str(file), "--runs", "0"])


@pytest.mark.usefixtures("roof")
def test_explain_writes_one_page(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert prints(capsys, "explain", file, "-o", page, "--runs", 1) == ""
    assert page.read_text().startswith("<!doctype html>") and "<title>twice</title>" in page.read_text()


def test_memory_of_a_graph_and_of_a_model(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "total" in prints(capsys, "memory", file)
    script = tmp_path / "net.py"
    script.write_text(MODEL)
    small, large = (prints(capsys, "memory", f"{script}:model", "--batch", n) for n in (8, 16))
    assert [f"{n * 5 * 4}" in text for n, text in ((8, small), (16, large))] == [True, True]
    assert prints(capsys, "memory", script) == prints(capsys, "memory", f"{script}:model", "--batch", 32)


def test_compile_says_where_the_time_went(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_VERIFY", "1")
    assert "compiled in" in prints(capsys, "compile", file)
    assert "from the cache in" in prints(capsys, "compile", file)


@pytest.mark.usefixtures("roof")
def test_diff_of_two_graphs(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "thrice.graph"
    other.write_text(TEXT.replace("mul(%1, %2)", "sub(%1, %2)"))
    assert "kernels: as before" in prints(capsys, "diff", file, file, "--exit-code")
    printed = prints(capsys, "diff", file, other)
    assert printed.startswith(f"--- {file}\n+++ {other}\n") and "  mul  1  ->  0  -1\n" in printed
    with pytest.raises(SystemExit) as exit:
        main(["diff", str(file), str(other), "--exit-code"])
    assert exit.value.code == 1


LOOP = """
import graphc as keras

model = keras.Sequential([keras.Input((6, 5)), keras.layers.SimpleRNN(3, activation="tanh"), keras.layers.Dense(2)])
"""


@pytest.mark.usefixtures("roof")
def test_diff_of_two_models_names_the_op_in_the_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scripts = [tmp_path / f"{name}.py" for name in ("old", "same", "new")]
    for script, text in zip(scripts, (LOOP, LOOP, LOOP.replace("tanh", "sigmoid")), strict=True):
        script.write_text(text)
    assert "kernels: as before" in prints(capsys, "diff", scripts[0], scripts[1], "--exit-code")
    lines = prints(capsys, "diff", scripts[0], scripts[2]).splitlines()
    assert "  sigmoid  0  ->  1  +1" in lines and "  tanh     1  ->  0  -1" in lines
    changed = [line for line in lines if line.startswith(("- ", "+ "))]
    assert [line[0] for line in changed] == ["-", "+"] and all("scan of " in line for line in changed)
    assert max(map(len, lines)) < 160


def test_check_of_a_graph_and_of_a_model(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "give the interpreter's numbers" in prints(capsys, "check", file)
    script = tmp_path / "net.py"
    script.write_text(MODEL)
    assert "runs of 3 and 2 rows" in prints(capsys, "check", f"{script}:model", "--batch", 3)


def test_doctor_without_measuring(capsys: pytest.CaptureFixture[str]) -> None:
    printed = prints(capsys, "doctor", "--quick")
    assert "processor\n" in printed and "LLVM" in printed and "cache\n" in printed


def test_models_that_cannot_be_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys, "show", tmp_path / "none.keras") == f"{tmp_path / 'none.keras'}: no such file"
    (tmp_path / "two.py").write_text(f"{MODEL}\nother = model\n")
    assert "2 models are defined; wanted one of model, other" in fails(capsys, "memory", tmp_path / "two.py")
    assert "ONNX files cannot be read yet" in fails(capsys, "show", "net.onnx")


GOLDEN = sorted((ROOT / "tests" / "passes").glob("*.graph"))


def test_golden_graphs_survive_opt_and_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(GOLDEN) > 10
    for path in GOLDEN:
        source = tmp_path / path.name
        source.write_text(path.read_text().split("// ----")[0])
        prints(capsys, "opt", source, "-o", tmp_path / "out.graph")
        once = prints(capsys, "opt", tmp_path / "out.graph", "-p", "")
        (tmp_path / "again.graph").write_text(once)
        if "#" not in once:  # a large constant is only in the .npz of a written file
            assert prints(capsys, "opt", tmp_path / "again.graph", "-p", "") == once


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_graphs_run(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / path.name
    source.write_text(path.read_text().split("// ----")[0])
    prints(capsys, "run", source, "--seed", 3, "--save", tmp_path / "results.npz")
    assert np.load(tmp_path / "results.npz").files


@pytest.mark.parametrize("length", [10, 60, 100, 180])
def test_a_truncated_file_says_where_it_ends(length: int, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(TEXT[:length])
    message = fails(capsys, "opt", file)
    assert message.startswith(f"{file}: line {TEXT[:length].count(chr(10)) + 1}, column ")


TRAINED = """
import graphc as keras
from graphc import layers

model = keras.Sequential([
    keras.Input((9, 8, 2)),
    layers.Conv2D(3, 3, activation="relu"),
    layers.MaxPooling2D(2),
    layers.Flatten(),
    layers.Dropout(0.5),
    layers.Dense(4, activation="softmax"),
])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
"""


def test_dumps_of_a_model_round_trip_and_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "net.py"
    script.write_text(TRAINED)
    folder = Path(prints(capsys, "show", f"{script}:model", "--batch", 3, "--dump", tmp_path / "out").strip())
    check_texts(folder)
    files = sorted(folder.glob("*.graph"))
    for path in (files[0], next(path for path in files if "fuse" in path.stem)):
        prints(capsys, "run", path, "--seed", 1, "--save", tmp_path / f"{path.stem}.npz")
    results = [np.load(path) for path in sorted(tmp_path.glob("*.npz"))]
    assert results[0].files == results[1].files and len(results) == 2
    for name in results[0].files:
        np.testing.assert_allclose(results[0][name], results[1][name], rtol=1e-3, atol=1e-5)
