"""`keras.utils.plot_model`: the layers of a model as a picture, without Graphviz."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from graphc.utils.compiled_picture import compiled_diagram, compiled_graph
from graphc.utils.diagram import Box, Diagram, to_dot, to_png, to_svg

FORMATS = (".svg", ".png", ".dot")


def plot_model(
    model: Any,
    to_file: str | os.PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> Any:
    """Draw a model into a file, .svg, .png or .dot; inside of a notebook, return the picture.

    Beyond Keras: of an executable (`model.executable(...)`) or a graph its kernels are drawn, which only rankdir and
    dpi concern. rankdir: "TB" from top to bottom or "LR" from left to right. dpi: of a .png. Needs the extra `plot`.
    """
    path = Path(to_file)
    if path.suffix not in FORMATS:
        raise ValueError(f"plot_model writes {', '.join(FORMATS)} files; received: to_file={os.fspath(to_file)!r}")
    if (graph := compiled_graph(model)) is not None:
        picture = ModelPicture(compiled_diagram(graph, horizontal=rankdir == "LR"), dpi)
        path.write_bytes(picture.to_bytes(path.suffix))
        return _shown(picture) if path.suffix != ".dot" else None
    _check_built(model)
    picture = model_to_dot(
        model,
        show_shapes,
        show_dtype,
        show_layer_names,
        rankdir,
        expand_nested,
        dpi,
        show_layer_activations=show_layer_activations,
        show_trainable=show_trainable,
    )
    path.write_bytes(picture.to_bytes(path.suffix))
    return _shown(picture) if path.suffix != ".dot" else None


def _shown(picture: ModelPicture) -> Any:
    """The picture, if there is a notebook to show it in."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return picture if shell is not None else None


def _check_built(model: Any) -> None:
    if not model.built:
        raise ValueError(
            "This model has not yet been built. Build the model first by calling `build()` or by calling the model on "
            "a batch of data."
        )


class ModelPicture:
    """A drawing of a model."""

    def __init__(self, diagram: Diagram, dpi: int) -> None:
        self.diagram = diagram
        self.dpi = dpi

    def to_svg(self) -> str:
        """The drawing as an SVG document."""
        return to_svg(self.diagram)

    _repr_svg_ = to_svg

    def to_png(self) -> bytes:
        """The drawing as a PNG picture."""
        return to_png(self.diagram, self.dpi)

    def to_string(self) -> str:
        """The drawing in the language of Graphviz, without places."""
        return to_dot(self.diagram)

    def to_bytes(self, suffix: str) -> bytes:
        """The contents of a file of this kind."""
        if suffix == ".png":
            return self.to_png()
        return (self.to_svg() if suffix == ".svg" else self.to_string()).encode()


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> ModelPicture:
    """A drawing of a model: `to_string()` is what Graphviz reads, `to_svg()` and `to_png()` are pictures.

    subgraph: accepted; a model inside another is drawn by expand_nested.
    """
    _check_built(model)
    if rankdir not in ("TB", "LR"):
        raise ValueError(f"rankdir must be 'TB' or 'LR'; received: {rankdir!r}")
    shown = _Shown(show_shapes, show_dtype, show_layer_names, expand_nested, show_layer_activations, show_trainable)
    return ModelPicture(shown.diagram(model, rankdir == "LR"), dpi)


class _Shown:
    """What is to be seen of a layer."""

    def __init__(
        self, shapes: bool, dtype: bool, names: bool, nested: bool, activations: bool, trainable: bool
    ) -> None:
        self.shapes, self.dtype, self.names = shapes, dtype, names
        self.nested, self.activations, self.trainable = nested, activations, trainable

    def diagram(self, model: Any, horizontal: bool) -> Diagram:
        """A box for every operation; a model whose layers are called by code of its own is one box."""
        nodes = _nodes(model)
        if not nodes:
            return Diagram([self._box(model, horizontal, expand=False)], [], horizontal)
        operations = list(dict.fromkeys(node.operation for node in nodes))
        place = {operation: index for index, operation in enumerate(operations)}
        inside = set(nodes)
        arrows = [
            (place[parent.operation], place[node.operation])
            for node in nodes
            for parent in node.parent_nodes
            if parent in inside
        ]
        return Diagram([self._box(operation, horizontal) for operation in operations], arrows, horizontal)

    def _box(self, operation: Any, horizontal: bool, expand: bool = True) -> Box:
        title = f"{operation.name} ({operation.kind})" if self.names else operation.kind
        if expand and self.nested and _nodes(operation):
            return Box(title, inner=self.diagram(operation, horizontal))
        return Box(title, list(self._rows(operation)))

    def _rows(self, operation: Any) -> Any:
        activation = getattr(operation, "activation", None)
        if self.activations and activation is not None:
            yield [f"Activation: {getattr(activation, '__name__', getattr(activation, 'name', activation))}"]
        cells = [*self._shape_cells(operation)]
        if self.dtype:
            outputs = _outputs(operation)
            cells.append(f"Output dtype: {', '.join(dict.fromkeys(str(t.dtype) for t in outputs)) or '?'}")
        if self.trainable and getattr(operation, "weights", None):
            cells.append(f"Trainable: {operation.trainable}")
        if cells:
            yield cells

    def _shape_cells(self, operation: Any) -> Any:
        if not self.shapes:
            return
        nodes = operation._inbound_nodes
        if nodes and not nodes[0].is_input:
            yield f"Input shape: {_shapes(nodes[0].input_tensors)}"
        yield f"Output shape: {_shapes(_outputs(operation))}"


def _nodes(operation: Any) -> list[Any]:
    """The calls a functional or Sequential model consists of, in order; none for everything else."""
    functional = getattr(operation, "_functional", operation)
    graph = getattr(functional, "_graph", None)
    return list(graph.nodes) if graph is not None else []


def _outputs(operation: Any) -> list[Any]:
    return list(operation._inbound_nodes[0].outputs) if operation._inbound_nodes else []


def _shapes(tensors: Any) -> str:
    return ", ".join(str(tensor.shape) for tensor in tensors) or "?"
