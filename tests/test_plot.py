"""Pictures of models: boxes that do not overlap, arrows from box to box, and the same in every format."""

from __future__ import annotations

import itertools
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

import graphc as k
from graphc import layers as n
from graphc.utils.diagram import Box, Diagram


def branched() -> Any:
    image, extra = k.Input((8, 8, 1), name="image"), k.Input((10,), name="extra")
    x = n.Conv2D(4, 3, padding="same", activation="relu", name="first")(image)
    y = n.BatchNormalization(name="norm")(n.Conv2D(4, 3, padding="same", name="second")(x))
    x = n.ReLU(name="relu")(n.Add(name="total")([x, y]))
    head = k.Sequential([k.Input((8, 8, 4)), n.Flatten(name="flat"), n.Dense(10, name="wide")], name="head")
    outputs = [n.Softmax(name="soft")(head(x) + extra), n.Dense(3, name="aux")(n.GlobalAveragePooling2D(name="gap")(x))]
    return k.Model([image, extra], outputs, name="branched")


def boxes(diagram: Diagram) -> dict[str, Box]:
    return {box.title: box for box in diagram.boxes}


def overlap(a: Box, b: Box) -> bool:
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


@pytest.mark.parametrize("rankdir", ["TB", "LR"])
@pytest.mark.parametrize("expand", [False, True])
def test_boxes_lie_apart_and_arrows_go_forward(rankdir: str, expand: bool) -> None:
    diagram = k.utils.model_to_dot(branched(), show_shapes=True, rankdir=rankdir, expand_nested=expand).diagram
    diagram.layout()
    assert not [pair for pair in itertools.combinations(diagram.boxes, 2) if overlap(*pair)]
    assert len(diagram.paths) == len(set(diagram.arrows)) == 12
    axis = 0 if rankdir == "LR" else 1
    for path in diagram.paths:
        assert path[0][axis] < path[-1][axis]
        assert all(0 <= x <= diagram.width and 0 <= y <= diagram.height for x, y in path)
    for box in diagram.boxes:
        if box.inner is not None:
            assert box.inner.width <= box.width and box.inner.height < box.height


def test_boxes_say_what_was_asked_for() -> None:
    plain = boxes(k.utils.model_to_dot(branched(), show_layer_names=False).diagram)
    assert {"Conv2D", "Add", "Sequential"} <= set(plain) and not plain["Conv2D"].rows
    full = boxes(
        k.utils.model_to_dot(
            branched(), show_shapes=True, show_dtype=True, show_layer_activations=True, show_trainable=True
        ).diagram
    )
    assert [list(row) for row in full["first (Conv2D)"].rows] == [
        ["Activation: relu"],
        ["Input shape: (None, 8, 8, 1)", "Output shape: (None, 8, 8, 4)", "Output dtype: float32", "Trainable: True"],
    ]
    assert full["total (Add)"].rows[0][0] == "Input shape: (None, 8, 8, 4), (None, 8, 8, 4)"
    assert list(full["image (InputLayer)"].rows[0]) == ["Output shape: (None, 8, 8, 1)", "Output dtype: float32"]


def test_files(tmp_path: Path) -> None:
    model = branched()
    for suffix in ("svg", "png", "dot"):
        k.utils.plot_model(model, tmp_path / f"m.{suffix}", show_layer_names=True, expand_nested=True, dpi=96)
    root = ElementTree.fromstring((tmp_path / "m.svg").read_text())
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"head (Sequential)", "wide (Dense)", "soft (Softmax)"} <= set(texts) and len(texts) == 15
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 14
    from PIL import Image

    with Image.open(tmp_path / "m.png") as image:
        assert image.size == (int(root.attrib["width"]), int(root.attrib["height"]))
        colours = image.convert("L").histogram()
    assert colours[255] > sum(colours) / 2 and colours[26] > 1000
    dot = (tmp_path / "m.dot").read_text()
    assert dot.count("->") == 14 and dot.count("subgraph") == 1 and dot.count("{") == dot.count("}")


def test_a_model_of_code_is_one_box_and_an_unbuilt_one_is_refused() -> None:
    class Own(k.Model):
        def call(self, x: Any) -> Any:
            return x * 2.0

    model = Own(name="own")
    with pytest.raises(ValueError, match="This model has not yet been built"):
        k.utils.plot_model(model)
    model.build((None, 3))
    assert [box.title for box in k.utils.model_to_dot(model).diagram.boxes] == ["own (Own)"]


def test_mistakes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = branched()
    with pytest.raises(ValueError, match=re.escape("plot_model writes .svg, .png, .dot files; received: to_file=")):
        k.utils.plot_model(model, tmp_path / "m.pdf")
    with pytest.raises(ValueError, match="rankdir must be 'TB' or 'LR'; received: 'BT'"):
        k.utils.plot_model(model, tmp_path / "m.svg", rankdir="BT")
    monkeypatch.setitem(sys.modules, "grandalf.graphs", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'graphc-compiler[plot]'")):
        k.utils.plot_model(model, tmp_path / "m.svg")
