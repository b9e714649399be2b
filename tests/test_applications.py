"""Image classifiers: layers, weights and options as Keras has them, and that they train."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as k
from graphc import applications

# With 32 x 32 (Inception 75, Xception 71) pixels and seven classes, from Keras 3.15.1: number of layers, of weights'
# scalars, and the start of the SHA-256 of the layers' names, one a line.
KERAS = {
    "ConvNeXtBase": (261, 87573639, "a37bfac5c69a"),
    "ConvNeXtLarge": (261, 196241095, "1aa56b6c023a"),
    "ConvNeXtSmall": (261, 49460071, "dfd1f42dd0d1"),
    "ConvNeXtTiny": (135, 27825511, "a20b4ada36fd"),
    "ConvNeXtXLarge": (261, 348162311, "6913f5c410f2"),
    "DenseNet121": (429, 7044679, "cc5636a449fe"),
    "DenseNet169": (597, 12654535, "639c81b2afb1"),
    "DenseNet201": (709, 18335431, "b75a1544879d"),
    "EfficientNetB0": (240, 4058538, "7cf19367d2ee"),
    "EfficientNetB1": (342, 6584206, "a4fcc4e105f9"),
    "EfficientNetB2": (342, 7778432, "a4fcc4e105f9"),
    "EfficientNetB3": (387, 10794294, "30010b147551"),
    "EfficientNetB4": (477, 17686374, "9664c71373dc"),
    "EfficientNetB5": (579, 28527870, "7cf0c46bb53a"),
    "EfficientNetB6": (669, 40976278, "330148535990"),
    "EfficientNetB7": (816, 64115614, "27a71c807121"),
    "EfficientNetV2B0": (273, 5928279, "dd7ad1b5eec2"),
    "EfficientNetV2B1": (337, 6940091, "967d9da578b0"),
    "EfficientNetV2B2": (352, 8779237, "6febea67313e"),
    "EfficientNetV2B3": (412, 12941381, "84dc391d70a3"),
    "EfficientNetV2L": (1031, 117755815, "265bab3010a5"),
    "EfficientNetV2M": (743, 53159355, "ccc89a45ead5"),
    "EfficientNetV2S": (516, 20340327, "4ae376171108"),
    "InceptionResNetV2": (782, 54347495, "45e8663620a5"),
    "InceptionV3": (313, 21817127, "21d32daafca7"),
    "MobileNet": (91, 3236039, "42b219e63a8d"),
    "MobileNetV2": (156, 2266951, "c012b6e1f9c8"),
    "MobileNetV3Large": (194, 4235399, "714073e60b99"),
    "MobileNetV3Small": (164, 1537143, "775bfb33f6f6"),
    "NASNetLarge": (1041, 84945049, "430d5cc571d5"),
    "NASNetMobile": (771, 4277115, "726ef9113a33"),
    "ResNet101": (347, 42672519, "dfec9a333159"),
    "ResNet101V2": (379, 42640903, "abf910988682"),
    "ResNet152": (517, 58385287, "eac14d889472"),
    "ResNet152V2": (566, 58345991, "38caa8bfcf8f"),
    "ResNet50": (177, 23602055, "bb97e61fb3ad"),
    "ResNet50V2": (192, 23579143, "cef3fe1280b5"),
    "VGG16": (23, 33625927, "6ba21e72e9d8"),
    "VGG19": (26, 38935623, "4d24e159bf72"),
    "Xception": (134, 20875823, "a65ec06ca9be"),
}
QUICK = ("EfficientNetB0", "MobileNet", "MobileNetV2", "MobileNetV3Small", "NASNetMobile", "ResNet50")


def _small(name: str, **options: Any) -> Any:
    size = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}.get(name, 32)
    return getattr(applications, name)(**{"weights": None, "input_shape": (size, size, 3), "classes": 7, **options})


def _summary(model: Any) -> tuple[int, int, str]:
    names = "\n".join(layer.name for layer in model.layers)
    return len(model.layers), model.count_params(), hashlib.sha256(names.encode()).hexdigest()[:12]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.long]) for name in KERAS]
)
def test_layers_and_weights_are_those_of_keras(name: str) -> None:
    k.backend.clear_session()
    assert _summary(_small(name)) == KERAS[name]


def test_every_application_of_the_package_is_compared() -> None:
    assert {name for name in applications.__all__ if name[0].isupper()} == set(KERAS)


@pytest.mark.long
def test_steps_of_training_move_a_network(rng: np.random.Generator) -> None:
    model = _small("MobileNet", alpha=0.25)
    model.compile(k.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    x, y = rng.uniform(-1, 1, (6, 32, 32, 3)).astype("float32"), np.array([0, 1, 2, 3, 4, 6])
    kernel = model.get_layer("conv_dw_5").kernel.numpy()
    losses = [float(model.train_on_batch(x, y)) for _ in range(10)]
    assert losses[-1] < losses[0]
    assert not np.array_equal(model.get_layer("conv_dw_5").kernel.numpy(), kernel)
    outputs = model.predict(x, verbose=0)
    np.testing.assert_allclose(outputs, model(x, training=False), atol=1e-4)
    np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("pooling", "shape"), [(None, (None, 1, 1, 1280)), ("avg", (None, 1280)), ("max", (None, 1280))]
)
def test_without_the_top(pooling: str | None, shape: tuple[int | None, ...]) -> None:
    model = _small("MobileNetV2", alpha=0.35, include_top=False, pooling=pooling)
    assert tuple(model.output_shape) == shape


def test_images_of_any_size_without_the_top() -> None:
    model = applications.MobileNet(alpha=0.25, include_top=False, weights=None)
    assert tuple(model.input_shape) == (None, None, None, 3)
    assert model.name == "mobilenet_0.25_None"


def test_a_tensor_to_begin_with() -> None:
    pixels = k.Input((32, 32, 3), name="pixels")
    model = _small("MobileNet", alpha=0.25, input_tensor=k.layers.Rescaling(1 / 255)(pixels))
    assert [layer.name for layer in model.layers[:3]] == ["pixels", "rescaling", "conv1"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"weights": "no such file"}, "path to the weights file"),
        ({"weights": "imagenet", "classes": 10}, "`classes` should be 1000"),
        ({"input_shape": (31, 32, 3)}, "at least 32x32"),
        ({"input_shape": (32, 3)}, "three integers"),
        ({"input_shape": (None, None, 3)}, "static `input_shape`"),
        ({"weights": "imagenet", "classes": 1000, "input_shape": (32, 32, 3)}, r"should be \(224, 224, 3\)"),
    ],
)
def test_bad_arguments(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        _small("ResNet50", **options)


def test_imagenet_needs_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"mobilenet_v2_weights.*0\.35_224_no_top\.h5 in .*models"):
        applications.MobileNetV2(alpha=0.35, include_top=False, input_shape=(224, 224, 3))


def test_pixels_as_networks_want_them(rng: np.random.Generator) -> None:
    x = rng.integers(0, 256, (2, 3, 4, 3)).astype("uint8")
    np.testing.assert_allclose(applications.mobilenet.preprocess_input(x), x / 127.5 - 1, atol=1e-6)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(applications.densenet.preprocess_input(x), (x / 255 - mean) / deviation, atol=1e-5)
    blue_first = x[..., ::-1] - np.array([103.939, 116.779, 123.68])
    np.testing.assert_allclose(applications.vgg16.preprocess_input(x), blue_first, atol=1e-4)
    first = applications.vgg16.preprocess_input(x.transpose(0, 3, 1, 2), data_format="channels_first")
    np.testing.assert_allclose(first.transpose(0, 2, 3, 1), blue_first, atol=1e-4)
    pixels = k.Input((3, 4, 3), dtype="uint8")
    model = k.Model(pixels, applications.resnet50.preprocess_input(pixels))
    np.testing.assert_allclose(model.predict(x, verbose=0), blue_first, atol=1e-4)


def test_predictions_are_named_by_the_file_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    scores = rng.permutation(2000).reshape(2, 1000) / 2000
    with pytest.raises(FileNotFoundError, match=r"imagenet_class_index\.json"):
        applications.imagenet_utils.decode_predictions(scores)
    (tmp_path / "models").mkdir()
    table = {str(index): [f"n{index:08}", f"name {index}"] for index in range(1000)}
    (tmp_path / "models" / "imagenet_class_index.json").write_text(json.dumps(table))
    named = applications.imagenet_utils.decode_predictions(scores, top=3)
    best = np.argsort(-scores, axis=1)[:, :3]
    assert [[entry[0] for entry in row] for row in named] == [[f"n{i:08}" for i in row] for row in best.tolist()]
    assert named[1][2][2] == np.sort(scores[1])[-3]
    with pytest.raises(ValueError, match="2D array"):
        applications.imagenet_utils.decode_predictions(scores[0])
