"""Preprocessing layers: the numbers of Keras, inside compiled steps as on arrays, and what vocabularies do."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import preprocessing_reference as reference
import pytest

import graphc as k
from graphc import layers as n
from graphc.layers.preprocessing.fingerprints import fingerprint, join, keyed_fingerprint
from graphc.layers.preprocessing.image import RandomImageLayer
from graphc.tensor import KerasTensor

IMAGES = reference.read("images")
TEXTS = reference.read("texts")
# Pixels are 0 to 255; hue and saturation go through divisions.
PIXEL_TOLERANCE = 2e-3


# ---- images


def test_images_are_what_keras_makes_of_them_for_the_same_seed() -> None:
    found = dict(reference.images(k))
    assert list(found) == list(IMAGES)
    for case, wanted in IMAGES.items():
        for got, expected in zip(found[case], wanted, strict=True):
            np.testing.assert_allclose(got, expected, atol=PIXEL_TOLERANCE, err_msg=case)


AUGMENTATION = [case for case in reference.AUGMENTATION if case[1].get("data_format") is None]


def _layer(case: reference.Case) -> Any:
    return getattr(n, case[0])(**case[1], seed=reference.SEED)


@pytest.mark.parametrize("case", AUGMENTATION, ids=lambda case: case[0])
def test_nothing_is_drawn_in_inference(case: reference.Case) -> None:
    layer = _layer(case)
    out = layer(reference.IMAGES, training=False)
    if case[0] == "RandomCrop":
        assert out.shape == (3, 4, 5, 3)
    else:
        np.testing.assert_array_equal(out, reference.IMAGES)
    assert layer.generator.state.numpy().tolist() == [reference.SEED, 0]


@pytest.mark.parametrize("case", AUGMENTATION + reference.RESIZING, ids=lambda case: case[0])
def test_layer_made_from_its_config_draws_the_same(case: reference.Case) -> None:
    layer = _layer(case) if case in AUGMENTATION else getattr(n, case[0])(**case[1])
    copy = n.deserialize(json.loads(json.dumps(n.serialize(layer))))
    assert json.dumps(copy.get_config()) == json.dumps(layer.get_config())
    if case[0] != "RandomGrayscale":  # whose seed Keras does not save
        np.testing.assert_array_equal(copy(reference.IMAGES), layer(reference.IMAGES))


def _augmented_loss(augment: list[Any], x: Any, batch_size: int) -> list[float]:
    """The losses of a step on each batch, natively; the mean of the squares of all augmented pixels."""
    model = k.Sequential([k.Input(x.shape[1:]), *augment, n.Flatten(), n.Dense(1)])
    model.compile(k.optimizers.SGD(0.0), "mse")
    (kernel, _) = model.weights
    kernel.assign(np.linspace(0.5, 1.5, kernel.shape[0])[:, None] / kernel.shape[0])
    y = np.zeros((len(x), 1), "float32")
    return [
        model.train_on_batch(x[at : at + batch_size], y[at : at + batch_size]) for at in range(0, len(x), batch_size)
    ]


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param([0, 1, 2, 18], id="flip, colors, crop"),
        pytest.param([12], id="rotation"),
        pytest.param([3, 4, 5, 6], id="more colors", marks=pytest.mark.long),
        pytest.param([7, 8, 9, 10, 11], id="still more colors", marks=pytest.mark.long),
        pytest.param([13, 14, 15], id="zoom", marks=pytest.mark.long),
        pytest.param([16, 17, 19, 20], id="translation, shear, erasing", marks=pytest.mark.long),
        pytest.param([21], id="eleven operations", marks=pytest.mark.long),
    ],
)
def test_compiled_step_draws_what_arrays_get(cases: list[int]) -> None:
    chosen = [AUGMENTATION[index] for index in cases]
    x = np.concatenate([reference.IMAGES, reference.IMAGES[::-1]])
    losses = _augmented_loss([_layer(case) for case in chosen], x, batch_size=4)  # the second batch is short
    alone = [_layer(case) for case in chosen]
    for start, loss in zip((0, 4), losses, strict=True):
        out = x[start : start + 4]
        for layer in alone:
            out = layer(out, training=True)
        flat = out.reshape(len(out), -1)
        weights = np.linspace(0.5, 1.5, flat.shape[1]) / flat.shape[1]
        np.testing.assert_allclose(loss, np.mean((flat @ weights) ** 2), rtol=2e-4)


def test_a_model_in_inference_augments_nothing_though_its_layers_were_told_to() -> None:
    images = k.Input((7, 6, 3))
    model = k.Model(images, n.RandomBrightness(0.5, seed=2)(images, training=True))
    np.testing.assert_array_equal(model.predict(reference.IMAGES, verbose=0), reference.IMAGES)
    assert not np.array_equal(model(reference.IMAGES), reference.IMAGES)


def test_rows_do_not_depend_on_how_many_there_are() -> None:
    whole = n.RandomRotation(0.3, seed=3)(reference.IMAGES)
    np.testing.assert_array_equal(n.RandomRotation(0.3, seed=3)(reference.IMAGES[:2]), whole[:2])


def test_labels_and_masks_go_with_the_images() -> None:
    masks = np.broadcast_to(np.arange(7)[None, :, None, None], (3, 7, 6, 1)).astype("float32")
    out = n.RandomFlip("vertical", seed=7)(
        {"images": reference.IMAGES, "labels": np.arange(3), "segmentation_masks": masks}
    )
    flipped = out["segmentation_masks"][:, 0, 0, 0] == 6
    assert 0 < flipped.sum() < 3
    np.testing.assert_array_equal(out["labels"], np.arange(3))
    np.testing.assert_array_equal(out["images"][flipped], reference.IMAGES[flipped, ::-1])


def test_pipeline_tells_its_layers_whether_they_train() -> None:
    pipeline = n.Pipeline([n.RandomBrightness(0.5, seed=1), n.Rescaling(2.0)])
    np.testing.assert_array_equal(pipeline(reference.IMAGES, training=False), reference.IMAGES * 2)
    assert np.ptp(pipeline(reference.IMAGES, training=True) / reference.IMAGES) > 0.1
    copy = n.Pipeline.from_config(pipeline.get_config())
    assert [type(layer) for layer in copy.layers] == [n.RandomBrightness, n.Rescaling]


@pytest.mark.parametrize("make", [lambda: n.MixUp(0.4, seed=3), lambda: n.CutMix(seed=3)], ids=["mix up", "cut mix"])
def test_images_are_mixed_like_their_labels(make: Any) -> None:
    plain = np.arange(4, dtype="float32")[:, None, None, None] * np.ones((4, 16, 16, 3), "float32")
    mixed = make()({"images": plain, "labels": np.eye(4, dtype="float32")})
    assert not np.array_equal(mixed["images"], plain)
    np.testing.assert_allclose(mixed["labels"].sum(axis=1), 1, atol=1e-6)
    # the mean level is what the labels say, up to the pixels that the edges of boxes cut
    np.testing.assert_allclose(mixed["images"].mean((1, 2, 3)), mixed["labels"] @ np.arange(4), atol=0.3)
    np.testing.assert_array_equal(make()(plain, training=False), plain)
    with pytest.raises(TypeError, match="in the generator that feeds"):
        make()(KerasTensor((None, 16, 16, 3)))


def test_integers_are_resized_in_their_own_dtype() -> None:
    out = n.Resizing(3, 4)(reference.IMAGES.astype("uint8"))
    assert out.dtype == np.uint8
    np.testing.assert_allclose(out, n.Resizing(3, 4)(np.floor(reference.IMAGES)), atol=0.5001)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: n.RandomBrightness(1.5), r"range \[-1, 1\]"),
        (lambda: n.RandomContrast((0.1, 0.2, 0.3)), "two numbers"),
        (lambda: n.RandomZoom(-1.0), r"\(-1.0, 1.0\]"),
        (lambda: n.RandomShear(x_factor=-0.1), r"\[0.0, 1.0\]"),
        (lambda: n.RandomHue(0.1, value_range=3).value_range and n.RandomBrightness(0.1, 3), "list of two numbers"),
        (lambda: n.RandomErasing(fill_value=(1, 2)), "three numbers"),
        (lambda: n.RandomFlip()(np.zeros((4, 5))), "rank 3"),
    ],
)
def test_bad_arguments_of_image_layers(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_every_random_layer_is_compared_with_keras() -> None:
    known = {value.__name__ for value in n.OBJECTS.values() if issubclass(value, RandomImageLayer)}
    assert known == {name for name, _ in reference.AUGMENTATION}


# ---- sounds


def test_pictures_of_sounds_are_those_of_keras() -> None:
    wanted = reference.read("sounds")
    found = dict(reference.sounds(k))
    assert list(found) == list(wanted)
    for case, value in wanted.items():
        pairs = zip(found[case], value, strict=True)
        for got, want in pairs:
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=2e-5, err_msg=case)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: n.STFTSpectrogram(frame_step=300), "`frame_step` should be a positive integer not greater than"),
        (lambda: n.STFTSpectrogram(fft_length=128), "`fft_length` should be not less than `frame_length`"),
        (lambda: n.STFTSpectrogram("power"), "Output mode is invalid"),
        (lambda: n.STFTSpectrogram(scaling="psd"), "Scaling is invalid"),
        (lambda: n.STFTSpectrogram(padding="causal"), "Padding is invalid"),
        (lambda: n.STFTSpectrogram(window="haan"), "wanted a window of"),
        (lambda: n.MelSpectrogram(fft_length=8, sequence_length=9), "`fft_length` must be greater than or equal"),
    ],
)
def test_bad_arguments_of_sound_layers(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_spectra_are_part_of_models_and_learn() -> None:
    """A short last batch is as a batch of its own; the layers come back from their configs."""
    x = reference.SOUNDS.repeat(3, 0)[:5] * np.linspace(1, 2, 5, dtype="float32")[:, None, None]
    spectra = n.STFTSpectrogram("magnitude", frame_length=16, expand_dims=True)
    model = k.Sequential([k.Input((50, 3)), spectra, n.Flatten(), n.Dense(2)])
    model.compile("sgd", "mse")
    np.testing.assert_allclose(
        model.predict(x, batch_size=3, verbose=0)[3:], model.predict(x[3:], verbose=0), rtol=1e-4, atol=1e-5
    )
    before = spectra.real_kernel.numpy().copy()
    model.fit(x, np.ones((5, 2)), verbose=0)
    assert np.abs(spectra.real_kernel.numpy() - before).max() > 0
    mel = n.MelSpectrogram(fft_length=32, sequence_stride=8, num_mel_bins=5, top_db=20.0)
    inputs = k.Input((50,))
    compiled = k.Model(inputs, type(mel).from_config(mel.get_config())(inputs)).predict(x[..., 0], verbose=0)
    np.testing.assert_allclose(compiled, mel(x[..., 0]), rtol=1e-4, atol=1e-4)


# ---- features


def test_text_layers_give_what_keras_gives() -> None:
    found = dict(reference.texts(k))
    assert list(found) == list(TEXTS)
    for case, wanted in TEXTS.items():
        if case.endswith("vocabulary"):
            assert found[case] == wanted, case
        else:
            np.testing.assert_allclose(found[case], wanted, rtol=1e-6, err_msg=case)


def test_normalization_adapts_alike_to_arrays_and_to_batches(rng: np.random.Generator) -> None:
    x = rng.normal(3, 2, (37, 5)).astype("float32")
    whole, parts = n.Normalization(), n.Normalization()
    whole.adapt(x)
    parts.adapt([x[:11], x[11:13], x[13:]])
    np.testing.assert_allclose(whole(x), (x - x.mean(0)) / x.std(0), atol=1e-5)
    np.testing.assert_allclose(parts(x), whole(x), atol=1e-5)
    assert [weight.name for weight in whole.weights] == ["mean", "variance", "count"]
    inverse = n.Normalization(mean=x.mean(0), variance=x.var(0), invert=True)
    np.testing.assert_allclose(inverse(whole(x)), x, atol=1e-5)


def test_normalization_keeps_the_statistics_of_its_axes(rng: np.random.Generator) -> None:
    x = rng.normal(size=(6, 3, 4)).astype("float32")
    layer = n.Normalization(axis=(1, 2))
    layer.adapt(x)
    np.testing.assert_allclose(layer(x), (x - x.mean(0)) / x.std(0), atol=1e-5)
    with pytest.raises(ValueError, match="incompatible shape"):
        layer.adapt(x[:, :, :3])


def test_numeric_layers_are_compiled_into_models(rng: np.random.Generator) -> None:
    numbers, ids = rng.normal(size=(11, 3)).astype("float32"), rng.integers(0, 9, (11, 2))
    normal, bins = n.Normalization(), n.Discretization(num_bins=4, output_mode="multi_hot")
    lookup = n.IntegerLookup(vocabulary=[7, 2, 5], output_mode="count", num_oov_indices=2)
    encode = n.CategoryEncoding(9, "one_hot")
    normal.adapt(numbers)
    bins.adapt(numbers)
    x, i = k.Input((3,)), k.Input((2,), dtype="int32")
    model = k.Model([x, i], [normal(x), bins(x), lookup(i), encode(i[:, :1])])
    wanted = [normal(numbers), bins(numbers), lookup(ids), encode(ids[:, :1])]
    outputs = model.predict([numbers, ids.astype("int32")], batch_size=4, verbose=0)
    assert [tuple(t.shape) for t in model.outputs] == [(None, 3), (None, 4), (None, 5), (None, 9)]
    for got, expected in zip(outputs, wanted, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)
    counts = [[sum(v % 2 == p and v not in (7, 2, 5) for v in row) for p in (0, 1)] for row in ids]
    np.testing.assert_array_equal(wanted[2][:, :2], counts)


def test_an_integer_outside_of_the_vocabulary_is_refused() -> None:
    layer = n.IntegerLookup(vocabulary=[4, 9], num_oov_indices=0)
    np.testing.assert_array_equal(layer([9, 4, 4]), [1, 0, 0])
    with pytest.raises(ValueError, match="vocabulary"):
        layer([9, 5])
    with pytest.raises(ValueError, match="found OOV values"):
        n.StringLookup(vocabulary=["a"], num_oov_indices=0)(["a", "b"])


def test_vocabularies_are_inverted_saved_and_read(tmp_path: Path) -> None:
    words = n.StringLookup(mask_token="")
    words.adapt(["b", "a", "b", "\u00fc"])
    assert words.get_vocabulary() == ["", "[UNK]", "b", "\u00fc", "a"]
    words.save_assets(tmp_path)
    again, plain = (
        n.StringLookup(mask_token=""),
        n.StringLookup(mask_token="", vocabulary=str(tmp_path / "vocabulary.txt")),
    )
    again.load_assets(tmp_path)
    assert again.get_vocabulary() == words.get_vocabulary()
    assert plain.vocabulary_size() == 7  # a plain file holds tokens only
    back = n.StringLookup(vocabulary=words.get_vocabulary(), mask_token="", invert=True)
    assert back(words(["a", "q", "\u00fc"])).tolist() == ["a", "[UNK]", "\u00fc"]


def test_vocabularies_are_part_of_saved_models(tmp_path: Path, rng: np.random.Generator) -> None:
    ids = rng.integers(0, 9, (20, 2)).astype("int32")
    lookup = n.IntegerLookup(output_mode="tf_idf", mask_token=3)
    lookup.adapt(ids)
    inputs = k.Input((2,), dtype="int32")
    model = k.Model(inputs, lookup(inputs))
    model.save(tmp_path / "model.keras")
    loaded = k.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(ids, verbose=0), model.predict(ids, verbose=0))
    assert loaded.layers[1].get_vocabulary() == lookup.get_vocabulary()
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        lines = archive.read("assets/layers/integer_lookup/vocabulary.txt").decode().split("\n")
    assert lines == [str(token) for token in lookup.get_vocabulary()]
    with pytest.raises(RuntimeError, match="without its vocabulary"):
        n.IntegerLookup.from_config(lookup.get_config())(ids)
    broken = n.StringLookup(vocabulary=None)
    broken.adapt(["two\nlines"])
    with pytest.raises(ValueError, match="one token a line"):
        broken.save_assets(tmp_path)


def test_a_config_cannot_make_a_layer_read_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("token")
    config = {**n.StringLookup().get_config(), "vocabulary": str(tmp_path / "secret.txt")}
    with pytest.raises(ValueError, match="disallowed by default"):
        n.StringLookup.from_config(config)
    with pytest.raises(ValueError, match="disallowed by default"):
        n.TextVectorization.from_config({**n.TextVectorization().get_config(), "vocabulary": config["vocabulary"]})


def test_text_vectorization_with_functions_of_the_user() -> None:
    layer = n.TextVectorization(
        standardize=lambda texts: np.char.replace(texts, "x", ""), split=lambda texts: [t.split("|") for t in texts]
    )
    layer.adapt(["ax|b", "b|c"])
    assert layer.get_vocabulary() == ["", "[UNK]", "b", "c", "a"]
    np.testing.assert_array_equal(layer(["xb|zz|a", "c"]), [[2, 1, 4], [3, 0, 0]])
    np.testing.assert_array_equal(layer("c|b"), [3, 2])


def test_string_layers_refuse_to_be_compiled() -> None:
    for layer in (n.StringLookup(vocabulary=["a"]), n.TextVectorization(), n.Hashing(3)):
        with pytest.raises(TypeError, match="cannot be part of a compiled model"):
            layer(KerasTensor((None, 2), "int32"))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: n.StringLookup(vocabulary=["a", "a"]), "repeated term"),
        (lambda: n.StringLookup(vocabulary=["a", "m"], mask_token="m"), "reserved mask token"),
        (lambda: n.StringLookup(vocabulary=["a", "b"], max_tokens=2), "larger than the maximum"),
        (lambda: n.StringLookup(vocabulary="/no/such/file"), "does not exist"),
        (lambda: n.StringLookup(output_mode="tf_idf", vocabulary=["a"]), "idf_weights"),
        (lambda: n.StringLookup(invert=True, output_mode="count"), "`invert` is true"),
        (lambda: n.StringLookup(vocabulary=["a"]).adapt(["b"]), "static vocabulary"),
        (lambda: n.StringLookup(output_mode="count")(["a"]), "set the layer's vocabulary"),
        (lambda: n.TextVectorization(ngrams=[1]), "`ngrams` must be"),
        (lambda: n.TextVectorization(split="comma"), "`split`"),
        (lambda: n.CategoryEncoding(), "num_tokens must be set"),
        (lambda: n.CategoryEncoding(3, sparse=True), "sparse"),
        (lambda: n.Discretization(), "`num_bins` or `bin_boundaries`"),
        (lambda: n.Discretization(num_bins=3)([1.0]), "call `adapt"),
        (lambda: n.Hashing(0), "non-positive"),
        (lambda: n.HashedCrossing(3)([["a"]]), "at least two inputs"),
        (lambda: n.Normalization(mean=1.0), "both `mean` and `variance`"),
    ],
)
def test_bad_arguments_of_feature_layers(make: Any, text: str) -> None:
    with pytest.raises((ValueError, RuntimeError), match=text):
        make()


def test_fingerprints_are_the_published_ones() -> None:
    # FARM_FINGERPRINT in Google's SQL reference, as unsigned numbers; the SipHash authors' test vector
    known = {b"1footrue": -1541654101129638711, b"2applefalse": 2794438866806483259, b"3true": -4880158226897771312}
    assert {text: fingerprint(text) for text in known} == {text: value % 2**64 for text, value in known.items()}
    key = bytes(range(16))
    words = (int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little"))
    assert keyed_fingerprint(bytes(range(15)), words) == 0xA129CA6149BE45E5
    # made with Google's own library: one for each length class
    texts = {size: bytes(index % 251 for index in range(size)) for size in (0, 17, 33, 64, 65, 128, 200)}
    assert {size: fingerprint(text) for size, text in texts.items()} == LONG_FINGERPRINTS
    assert join(1, 2) != join(2, 1)


LONG_FINGERPRINTS = {
    0: 0x9AE16A3B2F90404F,
    17: 0xBBB6A6F8F20D1F1C,
    33: 0xE8756EC1CB75524E,
    64: 0xF58504BB53DECC4B,
    65: 0xC6A3282C3E793DBE,
    128: 0x1C484C95F0EA5DD3,
    200: 0x074C7FCC26D66FB3,
}
