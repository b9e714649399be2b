"""Saving and loading: what comes back is what was saved, and a file that is not sound changes nothing.

What Keras makes of the files is in `test_saving_keras.py`, what hostile files can do in `test_hostile_files.py`.
"""

from __future__ import annotations

import copy
import functools
import io
import json
import os
import pickle
import random
import resource
import signal
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as keras
from graphc import layers, models, saving

X = np.random.default_rng(0).normal(size=(24, 5)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 24)


def classifier(width: int = 4, optimizer: Any = "adam") -> Any:
    """Compiled, with batch statistics and dropout."""
    made = models.Sequential(
        [
            layers.Input((5,)),
            layers.Dense(width, activation="relu", name="first"),
            layers.BatchNormalization(),
            layers.Dropout(0.4),
            layers.Dense(3, activation="softmax", name="last"),
        ]
    )
    made.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


@functools.cache
def fitted(seed: int) -> Any:
    keras.utils.set_random_seed(seed)
    made = classifier()
    made.fit(X, Y, batch_size=7, verbose=0)
    return made


def trained(seed: int = 1) -> Any:
    """A classifier after an epoch; another seed gives other weights."""
    return copy.deepcopy(fitted(seed))


def assert_same_state(a: Any, b: Any) -> None:
    """Weights, random counters and optimizer state, bit by bit."""
    for left, right in ((a.variables, b.variables), (a.optimizer.variables, b.optimizer.variables)):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=one.path)


# ---- what comes back


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_loaded_model_goes_on_as_if_it_had_never_been_saved(ending: str, tmp_path: Path) -> None:
    made = trained()
    made.save(tmp_path / f"m.{ending}")
    loaded = models.load_model(tmp_path / f"m.{ending}")
    if ending == "keras":
        assert_same_state(made, loaded)
    np.testing.assert_array_equal(made.predict(X, verbose=0), loaded.predict(X, verbose=0))
    assert made.evaluate(X, Y, verbose=0, return_dict=True) == loaded.evaluate(X, Y, verbose=0, return_dict=True)
    if ending == "keras":
        for one in (made, loaded):
            one.fit(X, Y, batch_size=7, verbose=0, shuffle=False, epochs=2)
        assert_same_state(made, loaded)


def test_weights_alone(tmp_path: Path) -> None:
    made, other = trained(), trained(2)
    made.save_weights(tmp_path / "w.weights.h5")
    other.load_weights(tmp_path / "w.weights.h5")
    assert_same_state(made, other)
    made.save(tmp_path / "m.keras")
    third = trained(2)
    third.load_weights(tmp_path / "m.keras")
    assert_same_state(made, third)


def test_an_uncompiled_model_is_loaded_uncompiled(tmp_path: Path) -> None:
    trained().save(tmp_path / "m.keras")
    assert not models.load_model(tmp_path / "m.keras", compile=False).compiled


def test_copies() -> None:
    made = trained()
    for one in (copy.deepcopy(made), pickle.loads(pickle.dumps(made)), copy.copy(made)):
        assert one is not made and one.layers[0] is not made.layers[0]
        assert_same_state(made, one)
    clone = models.clone_model(made)
    assert clone.to_json() == made.to_json()
    assert not np.array_equal(clone.layers[0].kernel, made.layers[0].kernel)
    assert models.model_from_json(made.to_json()).to_json() == made.to_json()


def test_a_clone_can_change_layers_and_calls() -> None:
    x = layers.Input((4,))
    shared = layers.Dense(4, name="shared")
    made = models.Model(x, shared(layers.Dropout(0.5, name="drop")(shared(x))) + 1.0)

    def without_dropout(layer: Any) -> Any:
        return (
            layers.Identity(name="id")
            if isinstance(layer, layers.Dropout)
            else type(layer).from_config(layer.get_config())
        )

    clone = models.clone_model(made, clone_function=without_dropout)
    assert [type(layer).__name__ for layer in clone.layers] == ["InputLayer", "Dense", "Identity"]
    assert len(clone.get_layer("shared")._inbound_nodes) == 2
    clone.set_weights(made.get_weights())
    values = X[:, :4]
    np.testing.assert_array_equal(clone.predict(values, verbose=0), made.predict(values, verbose=0))
    twice = models.clone_model(made, call_function=lambda layer, *args, **kwargs: layer(*args, **kwargs) * 2.0)
    twice.set_weights([np.eye(4, dtype="float32"), np.zeros(4, "float32")])
    np.testing.assert_allclose(twice.predict(values, verbose=0), values * 8 + 1, rtol=1e-6)


def test_layers_that_write_their_own_variables(tmp_path: Path) -> None:
    @saving.register_keras_serializable("tests")
    class Table(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.table = self.add_weight((5, 3), "ones", name="table")

        def call(self, x: Any) -> Any:
            return keras.ops.matmul(x, self.table)

        def save_own_variables(self, store: Any) -> None:
            super().save_own_variables(store)
            store["half"] = self.table.numpy() / 2
            del store["0"]

        def load_own_variables(self, store: Any) -> None:
            self.table.assign(store["half"] * 2)

    made = models.Sequential([layers.Input((5,)), Table()])
    made.get_layer(index=0).weights[0].assign(np.arange(15.0).reshape(5, 3))
    made.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(models.load_model(tmp_path / "m.keras").weights[0], made.weights[0])


def test_custom_objects_by_name(tmp_path: Path) -> None:
    class Doubled(layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2.0

    def distance(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.abs(y_true - y_pred)

    made = models.Sequential([layers.Input((5,)), Doubled(), layers.Dense(1)])
    made.compile("sgd", loss=distance)
    made.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"m.keras: Could not locate class 'Doubled'.*register_keras_serializable"):
        models.load_model(tmp_path / "m.keras")
    loaded = models.load_model(tmp_path / "m.keras", custom_objects={"Doubled": Doubled, "distance": distance})
    assert loaded.loss is distance
    with saving.custom_object_scope({"Doubled": Doubled, "distance": distance}):
        np.testing.assert_array_equal(
            models.load_model(tmp_path / "m.keras").predict(X, verbose=0), made.predict(X, verbose=0)
        )


def test_a_lambda_is_not_run_but_can_be_given(tmp_path: Path) -> None:
    made = models.Sequential([layers.Input((5,)), layers.Lambda(lambda x: x * 3.0, name="thrice"), layers.Dense(2)])
    with pytest.warns(UserWarning, match="Layer 'thrice' holds a Python lambda"):
        made.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"'thrice' holds a Python lambda, .*`safe_mode=True`.*custom_objects"):
        models.load_model(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="never runs code that is stored in a file"):
        models.load_model(tmp_path / "m.keras", safe_mode=False)
    loaded = models.load_model(tmp_path / "m.keras", custom_objects={"thrice": lambda x: x * 3.0})
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), made.predict(X, verbose=0))
    np.testing.assert_array_equal(copy.deepcopy(made).predict(X, verbose=0), made.predict(X, verbose=0))


def test_objects_and_values_survive_serialisation() -> None:
    values = {
        "array": np.arange(3, dtype="int32"), "bytes": b"ab", "slice": slice(1, None, 2), "dots": ...,
        "list": [1, 2.5, None, "text", True], "number": np.float32(0.5),
    }  # fmt: skip
    back = saving.deserialize_keras_object(json.loads(json.dumps(saving.serialize_keras_object(values))))
    np.testing.assert_array_equal(back.pop("array"), values.pop("array"))
    assert back == values
    loss = keras.losses.Huber(0.25, name="mine")
    again = saving.deserialize_keras_object(saving.serialize_keras_object(loss))
    assert isinstance(again, keras.losses.Huber) and again.get_config() == loss.get_config()
    with pytest.raises(TypeError, match="Cannot serialize object"):
        saving.serialize_keras_object(object())
    with pytest.raises(ValueError, match="A lambda has no name"):
        saving.serialize_keras_object(lambda x: x)


def test_shared_objects_are_one_object_again(tmp_path: Path) -> None:
    inner = layers.Dense(5, name="inner")
    a, b = layers.Input((5,)), layers.Input((5,))
    one = models.Model(a, inner(a), name="one")
    two = models.Model(b, layers.Activation("tanh")(inner(b)), name="two")
    x = layers.Input((5,))
    made = models.Model(x, two(one(x)))
    made.save(tmp_path / "m.keras")
    loaded = models.load_model(tmp_path / "m.keras")
    assert loaded.get_layer("one").get_layer("inner") is loaded.get_layer("two").get_layer("inner")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), made.predict(X, verbose=0))


# ---- weights that do not fit


def test_weights_of_another_shape_change_nothing(tmp_path: Path) -> None:
    classifier(width=6).save_weights(tmp_path / "w.weights.h5")
    made = trained()
    before = copy.deepcopy(made)
    with pytest.raises(
        ValueError, match=r"(?s)w.weights.h5: A total of 3 objects.*layers/dense/vars/0 has shape \(5, 6\)"
    ):
        made.load_weights(tmp_path / "w.weights.h5")
    assert_same_state(made, before)


def test_layers_that_do_not_fit_are_skipped_if_asked(tmp_path: Path) -> None:
    source = models.Sequential([layers.Input((5,)), layers.Dense(4), layers.Dense(7)])
    target = models.Sequential([layers.Input((5,)), layers.Dense(4), layers.Dense(3)])
    kept = target.layers[1].get_weights()
    source.save_weights(tmp_path / "w.weights.h5")
    with pytest.warns(UserWarning, match="A total of 1 objects could not be loaded"):
        target.load_weights(tmp_path / "w.weights.h5", skip_mismatch=True)
    np.testing.assert_array_equal(target.weights[0], source.weights[0])
    np.testing.assert_array_equal(target.weights[2], kept[0])


def test_older_files_are_loaded_by_name(tmp_path: Path) -> None:
    source = models.Sequential([layers.Input((5,)), layers.Dense(4, name="a"), layers.Dense(5, name="b")])
    target = models.Sequential([layers.Input((5,)), layers.Dense(5, name="x"), layers.Dense(4, name="a")])
    source.save(tmp_path / "m.h5")
    with pytest.raises(ValueError, match=r"tensor model_weights/a/\S+kernel has shape \(5, 4\), .* \(5, 5\)"):
        target.load_weights(tmp_path / "m.h5")
    target.load_weights(tmp_path / "m.h5", by_name=True)
    np.testing.assert_array_equal(target.weights[2], source.weights[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, p: m.save(p / "m.pt"), "Invalid filepath extension for saving"),
        (lambda m, p: m.save_weights(p / "m.h5"), "must end in `.weights.h5`"),
        (lambda m, p: m.load_weights(p / "m.pt"), "File format not supported"),
        (lambda m, p: m.load_weights(p / "m.keras", by_name=True), "`by_name` only supports"),
        (lambda m, p: models.load_model(p / "none.keras"), "File not found"),
        (lambda m, p: models.load_model(p / "none.h5"), "File not found"),
        (lambda m, p: models.load_model(p / "m.txt"), "File format not supported"),
        (lambda m, p: models.load_model(p / "empty.keras"), "empty.keras is not a readable zip archive"),
        (lambda m, p: models.load_model(p / "text.keras"), "text.keras is not a readable zip archive"),
        (lambda m, p: m.load_weights(p / "text.weights.h5"), "is not a readable HDF5 file"),
        (lambda m, p: models.Sequential([layers.Dense(2)]).load_weights(p / "m.keras"), "not yet been built"),
        (lambda m, p: models.Sequential([layers.Dense(2)]).save_weights(p / "a.weights.h5"), "not yet been built"),
    ],
)  # fmt: skip
def test_refusals(call: Callable[[Any, Path], Any], message: str, tmp_path: Path) -> None:
    made = classifier()
    made.save(tmp_path / "m.keras")
    (tmp_path / "empty.keras").write_bytes(b"")
    for name in ("text.keras", "text.weights.h5"):
        (tmp_path / name).write_text("no model " * 40)
    with pytest.raises(ValueError, match=message):
        call(made, tmp_path)


# ---- without h5py


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    made = trained()
    made.save(tmp_path / "m.keras")
    assert "pip install 'graphc-compiler[keras]'" in capsys.readouterr().out
    assert "model.weights.npz" in zipfile.ZipFile(tmp_path / "m.keras").namelist()
    assert_same_state(models.load_model(tmp_path / "m.keras"), made)
    with pytest.raises(ImportError, match=r"graphc-compiler\[keras\]"):
        made.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ImportError, match=r"graphc-compiler\[keras\]"):
        made.fit(X, Y, verbose=0, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "b")])


# ---- files that are replaced


def in_child(action: Callable[[], Any]) -> int:
    """The exit status of a forked process that does this: 0, or 1 if it raised."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        action()
        status = 0
    finally:
        os._exit(status)


def test_a_process_killed_while_saving_leaves_the_old_file_or_the_new(tmp_path: Path) -> None:
    old, new = classifier(width=80), classifier(width=80)
    paths = [tmp_path / "m.keras", tmp_path / "m.weights.h5"]
    old.save(paths[0])
    old.save_weights(paths[1])
    moments, seen, tries = random.Random(3), set[bool](), 0
    # longer and longer, until a new file was seen, however slow this machine is
    while tries < 16 or (True not in seen and tries < 100):
        tries += 1
        child = os.fork()
        if not child:
            while True:
                new.save(paths[0])
                new.save_weights(paths[1])
        time.sleep(moments.uniform(0.001, 0.005 * tries))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for path in paths:
            found = classifier(width=80)
            found.load_weights(path)
            is_new = np.array_equal(found.layers[0].kernel, new.layers[0].kernel)
            assert is_new or np.array_equal(found.layers[0].kernel, old.layers[0].kernel)
            seen.add(is_new)
    assert True in seen


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5"])
def test_a_full_disk_leaves_the_old_file_and_no_other(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    made = classifier(width=50)

    def save() -> None:
        (made.save_weights if name.endswith(".weights.h5") else made.save)(path)

    def save_on_a_full_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        with pytest.raises(OSError, match="File too large"):
            save()

    save()
    before = path.read_bytes()
    assert in_child(save_on_a_full_disk) == 0
    assert path.read_bytes() == before and os.listdir(tmp_path) == [name]


def test_an_existing_file_is_kept_if_nobody_can_be_asked(tmp_path: Path) -> None:
    made = classifier()
    made.save(tmp_path / "m.keras")
    with pytest.raises(FileExistsError, match="m.keras exists already"):
        made.save(tmp_path / "m.keras", overwrite=False)


# ---- damage


def flipped(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) * 8)
    changed = bytearray(content)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.h5"])
def test_a_flipped_bit_is_an_error_or_nothing(name: str, tmp_path: Path) -> None:
    made = trained()
    path = tmp_path / name
    (made.save_weights if name.endswith(".weights.h5") else made.save)(path)
    content, rng, errors = path.read_bytes(), random.Random(4), 0
    target = trained(2)
    others, wanted = copy.deepcopy(target).get_weights(), made.get_weights()
    for _ in range(150):
        path.write_bytes(flipped(content, rng))
        target.set_weights(others)
        try:
            target.load_weights(path)
        except ValueError as error:
            assert name in str(error)
            errors += 1
            expected = others
        else:
            expected = wanted
        for got, right in zip(target.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(got, right)
    assert errors > 100


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_damage_names_the_tensor(name: str, tmp_path: Path) -> None:
    made = trained()
    path = tmp_path / name
    (made.save_weights if name.endswith(".weights.h5") else made.save)(path)
    content = path.read_bytes()
    place = content.index(made.layers[0].kernel.numpy().tobytes()) + 5
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(ValueError, match="tensor layers/dense/vars/0 is not what was saved"):
        made.load_weights(path)


def test_every_truncation_is_an_error(tmp_path: Path) -> None:
    made = trained()
    for name in ("m.keras", "m.weights.h5"):
        path = tmp_path / name
        (made.save_weights if name.endswith(".weights.h5") else made.save)(path)
        content = path.read_bytes()
        # behind an HDF5 file are its checksums
        end = content.index(b'{"sha256"') if name == "m.weights.h5" else len(content)
        for length in random.Random(5).sample(range(end), 60):
            path.write_bytes(content[:length])
            with pytest.raises(ValueError, match=name):
                made.load_weights(path)


# ---- callbacks


def test_backup_goes_on_bit_by_bit_after_a_kill(tmp_path: Path) -> None:
    class Kill(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if int(self.model.optimizer.iterations) == 9:
                os.kill(os.getpid(), signal.SIGKILL)

    def fit(made: Any, *callbacks: Any) -> Any:
        return made.fit(X, Y, batch_size=7, epochs=4, verbose=0, callbacks=list(callbacks))

    def prepared() -> Any:
        keras.utils.set_random_seed(8)
        return classifier()

    whole = prepared()
    fit(whole)
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
    assert in_child(lambda: fit(prepared(), backup, Kill())) == -signal.SIGKILL
    resumed = classifier()
    history = fit(resumed, keras.callbacks.BackupAndRestore(tmp_path / "backup"))
    assert history.epoch == [2, 3]
    assert_same_state(resumed, whole)
    assert not (tmp_path / "backup").exists()


def interrupted(folder: Path, **options: Any) -> None:
    """Two epochs of four, then Ctrl-C."""

    class Interruption(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    backup = keras.callbacks.BackupAndRestore(folder, **options)
    with pytest.raises(KeyboardInterrupt):
        classifier().fit(X, Y, epochs=4, verbose=0, callbacks=[backup, Interruption()])


def test_backup_tells_keras_how_far_it_is_and_deletes_only_its_own_files(tmp_path: Path) -> None:
    interrupted(tmp_path)
    assert json.loads((tmp_path / "training_metadata.json").read_text()) == {"epoch": 2, "batch": 0}
    (tmp_path / "thesis.txt").write_text("mine")
    made = classifier()
    assert made.fit(X, Y, epochs=4, verbose=0, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)]).epoch == [2, 3]
    assert os.listdir(tmp_path) == ["thesis.txt"]
    assert made.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]


def test_a_damaged_backup_falls_back_to_the_one_before(tmp_path: Path) -> None:
    interrupted(tmp_path, double_checkpoint=True)
    (tmp_path / "latest.weights.h5").write_text("cut")
    backup = keras.callbacks.BackupAndRestore(tmp_path)
    assert classifier().fit(X, Y, epochs=2, verbose=0, callbacks=[backup]).epoch == [1]


def test_backup_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Empty `backup_dir`"):
        keras.callbacks.BackupAndRestore("")
    backup = keras.callbacks.BackupAndRestore(tmp_path)
    backup.set_model(models.Sequential([layers.Dense(2)]))
    with pytest.raises(ValueError, match="your model must be built before"):
        backup.on_train_begin()
    (tmp_path / "latest.weights.h5").write_text("cut")
    with pytest.raises(ValueError, match="not a readable HDF5 file"):
        classifier().fit(X, Y, verbose=0, callbacks=[backup])


def test_averages_stand_in_for_the_weights(tmp_path: Path) -> None:
    made = classifier(optimizer=keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    path = tmp_path / "{epoch}.weights.h5"
    made.fit(X, Y, epochs=2, verbose=0, callbacks=[swap, keras.callbacks.ModelCheckpoint(path, save_weights_only=True)])
    last = classifier()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        last.load_weights(tmp_path / "2.weights.h5")
    np.testing.assert_array_equal(last.layers[0].kernel, made.layers[0].kernel)
    average = made.optimizer._averages[0]
    average.assign(average.numpy() + 1)
    weights = made.get_weights()
    averaged = copy.deepcopy(made)
    for weight, value in zip(averaged.trainable_variables, made.optimizer._averages, strict=True):
        weight.assign(value)
    swap = keras.callbacks.SwapEMAWeights()
    got = made.evaluate(X, Y, verbose=0, callbacks=[swap], return_dict=True)
    assert got == averaged.evaluate(X, Y, verbose=0, return_dict=True)
    np.testing.assert_array_equal(made.get_weights()[0], weights[0])
    with pytest.raises(ValueError, match="`use_ema=True`"):
        classifier().fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=[keras.callbacks.SwapEMAWeights()])


def test_checkpoints_of_the_best(tmp_path: Path) -> None:
    made = classifier()
    keep = keras.callbacks.ModelCheckpoint(
        tmp_path / "{epoch:02d}-{loss:.3f}.keras", monitor="loss", save_best_only=True, initial_value_threshold=1e-9
    )
    every = keras.callbacks.ModelCheckpoint(
        tmp_path / "{epoch}-{batch}.weights.h5", save_weights_only=True, save_freq=3
    )
    made.fit(X, Y, batch_size=6, epochs=2, verbose=0, callbacks=[keep, every])
    assert sorted(os.listdir(tmp_path)) == ["1-3.weights.h5", "2-2.weights.h5"]


def test_models_are_saved_to_open_files() -> None:
    made, buffer = trained(), io.BytesIO()
    saving.save_model(made, buffer)
    assert_same_state(saving.load_model(buffer), made)
