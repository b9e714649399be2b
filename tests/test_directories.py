"""Images, sounds and texts from directories, windows of time series, and the batches they come in."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as k
from graphc.utils.batches import Batches

pytest.importorskip("PIL", reason="image files need Pillow")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Five pictures of one colour each: class b has the even numbers."""
    for index in range(5):
        folder = tmp_path / "ab"[index % 2 == 0]
        folder.mkdir(exist_ok=True)
        k.utils.save_img(folder / f"{index}.png", np.full((4, 6, 3), 10 * index), scale=False)
    (tmp_path / "a" / "notes.txt").write_text("not a picture")
    return tmp_path


def test_images_of_directories_with_their_classes(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    batches = k.utils.image_dataset_from_directory(pictures, image_size=(3, 2), batch_size=2, shuffle=False)
    assert capsys.readouterr().out == "Found 5 files belonging to 2 classes.\n"
    assert batches.class_names == ["a", "b"]
    assert [Path(path).name for path in batches.file_paths] == ["1.png", "3.png", "0.png", "2.png", "4.png"]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    assert images.shape == (5, 3, 2, 3)
    assert images.dtype == np.float32
    assert len(batches) == 3
    np.testing.assert_allclose(images[:, 0, 0, 0], [10, 30, 0, 20, 40], atol=1e-4)
    np.testing.assert_array_equal(labels, [0, 0, 1, 1, 1])


def test_directories_are_divided_without_overlap(pictures: Path) -> None:
    options: dict[str, Any] = {"image_size": 4, "validation_split": 0.4, "seed": 3, "label_mode": "categorical"}
    train, validation = k.utils.image_dataset_from_directory(pictures, subset="both", **options)
    assert len(train.file_paths) == 3
    assert sorted([*train.file_paths, *validation.file_paths]) == sorted(map(str, pictures.glob("*/*.png")))
    alone = k.utils.image_dataset_from_directory(pictures, subset="validation", **options)
    assert alone.file_paths == validation.file_paths
    (_, labels) = next(iter(train))
    assert labels.shape == (3, 2)
    with pytest.raises(ValueError, match="provide a `seed`"):
        k.utils.image_dataset_from_directory(pictures, validation_split=0.4, subset="training")


def test_order_is_drawn_every_pass(pictures: Path) -> None:
    batches = k.utils.image_dataset_from_directory(
        pictures, image_size=2, batch_size=None, seed=1, color_mode="grayscale"
    )
    passes = [[float(image.mean()) for image, _ in batches] for _ in range(4)]
    assert all(sorted(values) == pytest.approx([0, 10, 20, 30, 40], abs=1e-3) for values in passes)
    assert len({tuple(values) for values in passes}) > 1


def test_texts_train_a_model(tmp_path: Path) -> None:
    for name, word in (("cats", "meow"), ("dogs", "woof")):
        (tmp_path / name).mkdir()
        for index in range(4):
            (tmp_path / name / f"{index}.txt").write_text(f"{word} {word} {index}")
    texts = k.utils.text_dataset_from_directory(tmp_path, batch_size=3, label_mode="binary", seed=2, max_length=9)
    vectorize = k.layers.TextVectorization(output_mode="count", max_tokens=8, pad_to_max_tokens=True)
    vectorize.adapt(texts.map(lambda x, y: x))
    assert vectorize.get_vocabulary()[1:3] == ["woof", "meow"]
    model = k.Sequential([k.Input((8,)), k.layers.Dense(1, activation="sigmoid")])
    model.compile(k.optimizers.SGD(2.0), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(texts.map(lambda x, y: (vectorize(x), y)), epochs=3, verbose=0)
    assert history.history["accuracy"][-1] == 1.0


@pytest.mark.parametrize(("stride", "rate", "start"), [(1, 1, None), (2, 3, 4)])
def test_windows_of_a_series(stride: int, rate: int, start: int | None) -> None:
    series = np.arange(40).reshape(20, 2)
    batches = k.utils.timeseries_dataset_from_array(
        series, np.arange(20) * 100, 3, stride, rate, batch_size=4, start_index=start, end_index=19
    )
    windows, targets = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    first = start or 0
    wanted = list(range(first, 19 - 2 * rate, stride))
    assert len(batches) == -(-len(wanted) // 4)
    np.testing.assert_array_equal(targets, np.array(wanted) * 100)
    np.testing.assert_array_equal(windows, [series[[at, at + rate, at + 2 * rate]] for at in wanted])


def test_batches_are_chained() -> None:
    batches = Batches(lambda: ((np.full(2, i), np.array([i, -i])) for i in range(5)), 5)
    assert [int(x[0]) for x, _ in batches.take(2)] == [0, 1]
    assert [int(x[0]) for x, _ in batches.skip(3)] == [3, 4]
    assert sorted(int(x[0]) for x, _ in batches.shuffle(3, seed=0)) == list(range(5))
    assert len(list(batches.unbatch().batch(4))) == 3
    assert len(batches.batch(2, drop_remainder=True)) == 2
    assert [int(x[0]) for x, _ in batches.take(2).repeat(2)] == [0, 1, 0, 1]
    calls: list[int] = []

    def counting(x: Any, y: Any) -> Any:
        calls.append(1)
        return x

    counted = batches.map(counting).cache()
    assert [len(list(counted)), len(list(counted)), len(calls)] == [5, 5, 5]
    assert len(batches.prefetch(1).map(lambda x, y: x)) == 5


def test_images_as_arrays_and_files(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (5, 7, 3)).astype("float32")
    k.utils.save_img(tmp_path / "x.png", pixels, scale=False)
    np.testing.assert_array_equal(k.utils.img_to_array(k.utils.load_img(tmp_path / "x.png")), pixels)
    grey = k.utils.img_to_array(k.utils.load_img(tmp_path / "x.png", color_mode="grayscale"), "channels_first")
    assert grey.shape == (1, 5, 7)
    resized = k.utils.load_img(tmp_path / "x.png", target_size=(4, 3), keep_aspect_ratio=True, interpolation="bilinear")
    assert resized.size == (3, 4)
    stretched = np.asarray(k.utils.array_to_img(pixels / 1000))
    assert (stretched.min(), stretched.max()) == (0, 255)
    assert k.preprocessing.image.smart_resize(pixels, (3, 3)).shape == (3, 3, 3)
    with pytest.raises(ValueError, match="rank 3"):
        k.utils.array_to_img(pixels[0])


def test_settings_are_attributes() -> None:
    config = k.utils.Config(rate=0.1)
    config.layers, config["name"] = 3, "x"
    assert (config["layers"], config.name, config.as_dict()["rate"]) == (3, "x", 0.1)
    config.freeze()
    with pytest.raises(ValueError, match="frozen"):
        config.rate = 1
    with pytest.raises(AttributeError, match="Did you mean 'layers'"):
        _ = config.layer


def sound(path: Path, samples: list[list[int]], rate: int = 8000, width: int = 2) -> None:
    """A WAV file of samples (length, channels)."""
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(samples[0]))
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.array(samples, f"<i{width}").tobytes())


def test_sounds_of_directories(tmp_path: Path) -> None:
    sound(tmp_path / "hum" / "a.wav", [[1, -1], [16384, -32768], [0, 5]])
    sound(tmp_path / "hum" / "b.wav", [[7, 8]])
    sound(tmp_path / "zap" / "c.wav", [[9, 9], [3, 4]])
    load = k.utils.audio_dataset_from_directory
    ((sounds, labels),) = load(tmp_path, shuffle=False, label_mode="categorical", verbose=False)
    assert (sounds.shape, sounds.dtype) == ((3, 3, 2), np.float32)
    np.testing.assert_array_equal(sounds[0] * 32768, [[1, -1], [16384, -32768], [0, 5]])
    np.testing.assert_array_equal(sounds[1] * 32768, [[7, 8], [0, 0], [0, 0]])
    np.testing.assert_array_equal(labels, [[1, 0], [1, 0], [0, 1]])
    cut = list(load(tmp_path, labels=None, shuffle=False, batch_size=2, output_sequence_length=2, sampling_rate=8000))
    assert [batch.shape for batch in cut] == [(2, 2, 2), (1, 2, 2)]
    train, rest = load(tmp_path, validation_split=0.4, subset="both", seed=1, batch_size=None)
    assert sorted([*train.file_paths, *rest.file_paths]) == sorted(map(str, tmp_path.glob("*/*.wav")))
    assert next(iter(rest))[0].ndim == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampling_rate": 16000}, "wanted a sampling rate of 16000 Hz, got 8000"),
        ({"sampling_rate": 0}, "`sampling_rate` should be higher than 0. Received: sampling_rate=0"),
        ({"ragged": True, "output_sequence_length": 3}, "Cannot set both `ragged` and `output_sequence_length`"),
        ({"ragged": True}, "no ragged tensors"),
        ({"label_mode": "float"}, "`label_mode` argument must be one of"),
        ({"validation_split": 0.5, "subset": "test"}, "`subset` must be either"),
    ],
)
def test_what_cannot_be_done_with_sounds(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    sound(tmp_path / "hum" / "a.wav", [[1], [2]])
    with pytest.raises(ValueError, match=message):
        list(k.utils.audio_dataset_from_directory(tmp_path, verbose=False, **options))


def test_sound_files_of_other_kinds_are_named(tmp_path: Path) -> None:
    sound(tmp_path / "hum" / "a.wav", [[1], [2]], width=4)
    with pytest.raises(ValueError, match=r"a\.wav: wanted samples of 16 bits, got 32"):
        list(k.utils.audio_dataset_from_directory(tmp_path, verbose=False))
    (tmp_path / "hum" / "a.wav").write_bytes(b"RIFF....")
    with pytest.raises(ValueError, match=r"a\.wav: not a WAV file"):
        list(k.utils.audio_dataset_from_directory(tmp_path, verbose=False))
