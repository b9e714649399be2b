"""`model.summary()`: a table of layers, output shapes and numbers of parameters, as Keras prints it."""

from __future__ import annotations

import io
import math
import re
import shutil
from collections.abc import Callable, Sequence
from typing import Any

from graphc import tree
from graphc.layers.core import InputLayer
from graphc.utils.messages import print_message


def readable_memory_size(weights: Sequence[Any]) -> str:
    """The bytes of these variables in powers of 1024, two decimals."""
    size = float(sum(variable.array.nbytes for variable in weights))
    for unit in ("B", "KB", "MB", "GB", "TB", "PB"):
        if size < 1024 or unit == "PB":
            return f"{size:.2f} {unit}"
        size /= 1024
    raise AssertionError("the loop ends at PB")


def count_params(weights: Sequence[Any]) -> int:
    """The number of scalars in these variables."""
    return sum(math.prod(variable.shape) for variable in weights)


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Print the table (to `print_fn` in one call, if given).

    positions: the right edges of the columns as shares of the width. layer_range: names (or patterns) of the first and
    last layer to show.
    """
    table = _Table(model, line_length, positions, expand_nested, show_trainable)
    text = table.render(_in_range(_listed_operations(model), layer_range), wide_colours=print_fn is None)
    (print_fn or (lambda line: print_message(line, line_break=False)))(text)


def _listed_operations(model: Any) -> list[Any]:
    if hasattr(model, "_functional"):
        return list(model.layers)
    return list(getattr(model, "operations", None) or model.layers)


def _in_range(operations: list[Any], layer_range: Sequence[str] | None) -> list[Any]:
    if layer_range is None:
        return operations
    if len(layer_range) != 2:
        raise ValueError(
            f"layer_range must be a list or tuple of length 2. Received: layer_range = {layer_range} of length "
            f"{len(layer_range)}"
        )
    found = [
        [i for i, operation in enumerate(operations) if re.match(pattern, operation.name)] for pattern in layer_range
    ]
    if not all(found):
        raise ValueError(f"Passed layer_names do not match the layer names in the model. Received: {list(layer_range)}")
    edges = (min(found[0]), max(found[1]))
    return operations[min(edges) : max(edges) + 1]


class _Table:
    """The layout of one summary and the rows of its operations."""

    def __init__(
        self, model: Any, line_length: int | None, positions: Sequence[float] | None, expand: bool, show_trainable: bool
    ) -> None:
        self.model = model
        self.expand = expand
        self.show_trainable = show_trainable
        self.is_linear = not hasattr(model, "operations") or hasattr(model, "_functional") or _is_chain(model)
        width, cuts = (88, [0.45, 0.80, 1.0]) if self.is_linear else (108, [0.30, 0.56, 0.74, 1.0])
        if show_trainable:
            width += 12
            cuts = [cut * 0.9 for cut in cuts] + [1.0]
        terminal = shutil.get_terminal_size().columns - 4
        self.width = line_length or max(min(width, terminal), 40)
        self.cuts = list(positions or cuts)

    @property
    def titles(self) -> list[str]:
        titles = ["Layer (type)", "Output Shape", "Param #"]
        return titles + ([] if self.is_linear else ["Connected to"]) + (["Trainable"] if self.show_trainable else [])

    def render(self, operations: list[Any], wide_colours: bool) -> str:
        """The title, the table and the totals as one text; colours where the terminal has them."""
        # only here: the package must import without rich
        import rich.box
        import rich.console
        import rich.markup
        import rich.table

        edges = [int(self.width * cut) for cut in self.cuts]
        widths = [right - left for left, right in zip([0, *edges[:-1]], edges, strict=True)]
        table = rich.table.Table(box=rich.box.HEAVY_HEAD, show_lines=True, width=self.width)
        for title, width in zip(self.titles, widths, strict=True):
            justify: Any = {"Param #": "right", "Trainable": "center"}.get(title, "left")
            table.add_column(title, justify=justify, width=max(width, 4))
        for operation in operations:
            self._add(table, operation, 0, rich.markup.escape)
        name = rich.markup.escape(self.model.name)
        out = io.StringIO()
        console = rich.console.Console(
            file=out,
            width=self.width + 4,
            highlight=False,
            force_terminal=wide_colours and _is_tty(),
            color_system="auto",
        )
        console.print(f'[bold]Model: "{name}"[/bold]')
        console.print(table)
        for label, weights in self._totals():
            amount = f"[color(34)]{count_params(weights):,}[/] ({readable_memory_size(weights)})"
            console.print(f"[bold] {label}: [/bold]{amount}")
        return out.getvalue()

    def _totals(self) -> list[tuple[str, Sequence[Any]]]:
        own = self.model.weights
        optimizer = self.model.optimizer.variables if self._has_trained() else []
        rows = [
            ("Total params", [*own, *optimizer]),
            ("Trainable params", self.model.trainable_weights),
            ("Non-trainable params", self.model.non_trainable_weights),
        ]
        return rows + ([("Optimizer params", optimizer)] if optimizer else [])

    def _has_trained(self) -> bool:
        optimizer = getattr(self.model, "optimizer", None)
        return optimizer is not None and optimizer.built

    def _add(self, table: Any, operation: Any, depth: int, escape: Callable[[str], str]) -> None:
        indent = " " * (3 * depth - 1 + 1) + "└ " if depth else ""
        kind = f"[color(33)]{escape(operation.kind)}[/]"
        cells = [f"{indent}{escape(operation.name)} ({kind})", _shape_text(operation), _params_text(operation)]
        if not self.is_linear:
            cells.append(escape(self._connections(operation)) or "-")
        if self.show_trainable:
            cells.append(_trainable_text(operation))
        table.add_row(*cells)
        if self.expand and depth < 5 and hasattr(operation, "compile") and getattr(operation, "layers", None):
            for inner in operation.layers:
                self._add(table, inner, depth + 1, escape)

    def _connections(self, operation: Any) -> str:
        nodes = getattr(getattr(self.model, "_graph", None), "depths", {})
        sources = [
            tensor._keras_history
            for node in operation._inbound_nodes
            if node in nodes and not (isinstance(operation, InputLayer))
            for tensor in node.input_tensors
        ]
        return ", ".join(f"{s.operation.name}[{s.node_index}][{s.tensor_index}]" for s in sources)


def _is_tty() -> bool:
    import sys

    return sys.stdout.isatty()


def _is_chain(model: Any) -> bool:
    """Whether every operation has one input tensor, from the operation before it."""
    depths = list(model._graph.depths.values())
    single = all(len(node.input_tensors) <= 1 for node in model._graph.nodes)
    return single and len(set(depths)) == len(depths)


def _shape_text(operation: Any) -> str:
    nodes = operation._inbound_nodes
    shapes = [tensor.shape for tensor in nodes[-1].outputs] if nodes else _known_shapes(operation)
    if not shapes:
        return "?"
    texts = ", ".join(_coloured(shape) for shape in shapes)
    return texts if len(shapes) == 1 else f"\\[{texts}]"


def _known_shapes(operation: Any) -> list[Any]:
    """What the last call returned; without one, what a call on the shapes it was built for would return."""
    if operation._called_shapes or not getattr(operation, "_build_shapes", None):
        return list(operation._called_shapes)
    try:
        shapes = operation.compute_output_shape(*operation._build_shapes.values())
    except (NotImplementedError, TypeError):  # of layers whose call takes more than tensors
        return []
    found: list[Any] = []
    tree.map_shape_structure(found.append, shapes)
    return found


def _coloured(shape: Sequence[int | None]) -> str:
    sizes = [f"[color({45 if size is None else 34})]{size}[/]" for size in shape]
    return f"({', '.join(sizes)})" if len(sizes) != 1 else f"({sizes[0]},)"


def _params_text(operation: Any) -> str:
    if not hasattr(operation, "weights"):
        return "[color(34)]0[/]"
    if not operation.built:
        return "[color(34)]0[/] (unbuilt)"
    return f"[color(34)]{count_params(operation.weights):,}[/]"


def _trainable_text(operation: Any) -> str:
    if not getattr(operation, "weights", None):
        return "[bold]-[/]"
    return "[bold color(34)]Y[/]" if operation.trainable else "[bold color(9)]N[/]"
