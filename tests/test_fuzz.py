"""Random graphs: the host's code computes what the interpreter says, however it is compiled and run.

`pytest tests/test_fuzz.py --fuzz N` checks N graphs (seeds 0 to N - 1). A failure prints the seed, and the smallest
recipe found that still fails with its graph; `build(Recipe(...))` makes it again.
"""

from __future__ import annotations

import numpy as np
import pytest
from fuzz import check, fails, reduce
from random_graphs import Recipe, build

from graphc.ir.text import print_graph
from graphc.ir.verify import verify

SLICE = 100  # graphs checked by default
REDUCING_SECONDS = 60.0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(metafunc.config.getoption("--fuzz") or SLICE))


def test_a_random_graph_computes_the_same_every_way(seed: int) -> None:
    recipe = Recipe.random(seed)
    try:
        check(recipe)
    except Exception as error:
        small = reduce(recipe, fails, REDUCING_SECONDS)
        error.add_note(f"seed {seed}; reduced to {small}:\n{print_graph(build(small)[0])}")
        raise


def test_random_graphs_are_valid_and_repeatable() -> None:
    for number in range(40):
        recipe = Recipe.random(number)
        graph, inputs = build(recipe)
        verify(graph)
        again, others = build(recipe)
        assert print_graph(graph) == print_graph(again)
        arrays = others.arrays(again, number)
        for name, array in inputs.arrays(graph, number).items():
            np.testing.assert_array_equal(array, arrays[name])


def test_random_graphs_meet_every_kind_of_op() -> None:
    met = {node.op.mnemonic for number in range(900) for node in build(Recipe.random(number))[0].nodes}
    assert {"conv", "conv_input_grad", "conv_filter_grad", "max_pool", "max_pool_grad", "sum_pool", "dot", "gather",
            "scatter_add", "cum_sum", "arg_max", "arg_min", "prod", "concat", "pad", "flip", "slice", "transpose",
            "random_bits", "select", "iota", "row_count", "floor_div", "bit_xor", "and",
            "scan"} <= met  # fmt: skip


def test_the_reducer_finds_the_moves_that_matter() -> None:
    recipe = Recipe(0, tuple(range(20)), trains=True)
    small = reduce(recipe, lambda r: {7, 13} <= set(r.moves), seconds=60)
    assert small == Recipe(0, (7, 13))
