"""Where batches come from: data sets, generators, loaders of others, names, weights; all equal to plain arrays."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphc as k
from graphc import layers as n

_rng = np.random.default_rng(3)
X = _rng.normal(size=(22, 4)).astype("float32")
Y = _rng.normal(size=(22, 3)).astype("float32")
W = _rng.random(22).astype("float32")
LABELS = _rng.integers(0, 3, 22)
BATCH = 8


def net(loss: str = "mse", metrics: bool = True) -> Any:
    k.utils.set_random_seed(2)
    model = k.Sequential([k.Input((4,)), n.Dense(6, activation="relu"), n.Dense(3)])
    chosen: Any = {"metrics": ["mae"], "weighted_metrics": ["mse"]} if metrics else {}
    model.compile(k.optimizers.Adam(0.02), loss, **chosen)
    return model


def batches(*arrays: Any) -> Iterator[Any]:
    for start in range(0, len(arrays[0]), BATCH):
        yield tuple(array[start : start + BATCH] for array in arrays)


class Batches(k.utils.PyDataset):
    """Batches by number; knows which threads made them."""

    def __init__(self, endless: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.parts = list(batches(X, Y, W))
        self.endless = endless
        self.threads: set[int] = set()

    @property
    def num_batches(self) -> int | None:
        return None if self.endless else len(self.parts)

    def __getitem__(self, index: int) -> Any:
        self.threads.add(threading.get_ident())
        return self.parts[index % len(self.parts)]


class Foreign:
    """An array of another library: nothing but what numpy asks for."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self.shape = array.shape

    def __len__(self) -> int:
        return len(self._array)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self._array, dtype)


class Loader:
    """Lists of foreign arrays; may refuse to say how many."""

    def __init__(self, sized: bool) -> None:
        self.sized = sized

    def __len__(self) -> int:
        if not self.sized:
            raise TypeError("no length")
        return 3

    def __iter__(self) -> Iterator[Any]:
        return ([Foreign(part.astype("float64")) for part in batch] for batch in batches(X, Y, W))


def endless() -> Iterator[Any]:
    while True:
        yield from batches(X, Y, W)


SOURCES: dict[str, Callable[[], tuple[Any, dict[str, Any]]]] = {
    "data set": lambda: (Batches(), {"shuffle": False}),
    "workers": lambda: (Batches(workers=3, max_queue_size=2), {"shuffle": False}),
    "endless data set": lambda: (Batches(endless=True, workers=2), {"steps_per_epoch": 3}),
    "endless generator": lambda: (endless(), {"steps_per_epoch": 3}),
    "loader": lambda: (Loader(True), {}),
    "loader without length": lambda: (Loader(False), {}),
    "list of batches": lambda: (iter([*batches(X, Y, W), *batches(X, Y, W)]), {"steps_per_epoch": 3}),
}


@pytest.mark.parametrize("name", list(SOURCES))
def test_every_source_trains_like_arrays(name: str) -> None:
    data, options = SOURCES[name]()
    plain, fed = net(), net()
    plain.fit(X, Y, sample_weight=W, batch_size=BATCH, epochs=2, shuffle=False, verbose=0)
    fed.fit(data, epochs=2, verbose=0, validation_data=Loader(True), **options)
    for a, b in zip(plain.get_weights(), fed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for key, values in plain.history.history.items():
        np.testing.assert_array_equal(fed.history.history[key], values, err_msg=key)
    checked = plain.evaluate(X, Y, sample_weight=W, batch_size=BATCH, verbose=0, return_dict=True)
    assert {f"val_{key}": value for key, value in checked.items()}.items() <= {
        key: values[-1] for key, values in fed.history.history.items()
    }.items()
    np.testing.assert_array_equal(fed.predict(Loader(False), verbose=0), plain.predict(X, verbose=0, batch_size=BATCH))


def test_workers_compute_on_their_own_threads() -> None:
    data = Batches(workers=3)
    net().predict(data, verbose=0)
    assert len(data.threads - {threading.get_ident()}) >= 1


def test_the_length_of_sequences_may_change_from_batch_to_batch() -> None:
    model = k.Sequential([k.Input((None, 4)), n.GlobalAveragePooling1D(), n.Dense(3)])
    model.compile("sgd", "mse")
    x = _rng.normal(size=(8, 5, 4)).astype("float32")
    two = [(x, Y[:8]), (x[:, :3], Y[:8]), (x[:, :2], Y[:8]), (x, Y[:8])]
    model.fit(iter(two), verbose=0)
    losses = [model.evaluate(a, b, verbose=0) for a, b in two]
    assert model.evaluate(iter(two), verbose=0) == pytest.approx(np.mean(losses), rel=1e-5)


def test_a_generator_goes_on_where_an_epoch_stopped() -> None:
    """A generator that validates is not closed with the first epoch, nor loses a batch."""
    drawn: dict[str, list[int]] = {"train": [], "validation": []}

    def endless_numbers(name: str) -> Iterator[Any]:
        for number in itertools.count():
            drawn[name].append(number)
            yield X[:BATCH] + number, Y[:BATCH]

    options = {"validation_data": endless_numbers("validation"), "validation_steps": 2}
    logs = net().fit(endless_numbers("train"), steps_per_epoch=3, epochs=4, verbose=0, **options).history
    assert len(logs["val_loss"]) == 4
    assert drawn == {"train": list(range(12)), "validation": list(range(8))}


def two_headed(metrics: bool = True) -> Any:
    k.utils.set_random_seed(4)
    left, right = k.Input((4,), name="left"), k.Input((2,), name="right")
    joined = n.Concatenate()([left, right])
    outputs = [n.Dense(3, name="zeta")(joined), n.Dense(1, name="alpha")(joined)]
    model = k.Model([left, right], outputs)
    chosen: Any = {"metrics": {"alpha": ["mse"]}, "weighted_metrics": {"zeta": ["mae"]}} if metrics else {}
    model.compile("sgd", {"zeta": "mse", "alpha": "mae"}, {"zeta": 1.0, "alpha": 2.0}, **chosen)
    return model


def test_data_by_name_is_data_in_order() -> None:
    right, target = X[:, :2] + 1, W[:, None] * 3
    given: list[dict[str, Any]] = [
        dict(x=[X, right], y=[Y, target], sample_weight=[W, W * 2]),
        dict(x={"right": right, "left": X}, y={"alpha": target, "zeta": Y}, sample_weight={"alpha": W * 2, "zeta": W}),
        dict(x=(X, right), y=(Y, target), sample_weight=(W, W * 2)),
    ]
    models = [two_headed() for _ in given]
    for model, parts in zip(models, given, strict=True):
        model.fit(**parts, batch_size=BATCH, shuffle=False, validation_split=0.3, verbose=0)
    first = models[0].history.history
    assert sorted(first) == [
        *("alpha_loss", "alpha_mse", "loss", "val_alpha_loss", "val_alpha_mse", "val_loss", "val_zeta_loss"),
        *("val_zeta_mae", "zeta_loss", "zeta_mae"),
    ]
    for model in models[1:]:
        assert model.history.history == first


def test_a_target_may_be_missing_where_there_is_no_loss() -> None:
    model = two_headed(metrics=False)
    model.compile("sgd", {"alpha": "mae"})
    got = model.evaluate([X, X[:, :2]], {"alpha": W}, verbose=0, return_dict=True)
    assert got["loss"] == pytest.approx(np.abs(model.predict([X, X[:, :2]], verbose=0)[1][:, 0] - W).mean(), rel=1e-5)
    with pytest.raises(ValueError, match="has the loss 'mae', but y has no target for it"):
        model.evaluate([X, X[:, :2]], {"zeta": Y}, verbose=0)


@pytest.mark.parametrize("form", ["labels", "column", "one hot"])
def test_class_weights_are_sample_weights(form: str) -> None:
    weights = {0: 0.5, 2: 3.0}
    y = {"labels": LABELS, "column": LABELS[:, None], "one hot": np.eye(3, dtype="float32")[LABELS]}[form]
    loss = "categorical_crossentropy" if form == "one hot" else "sparse_categorical_crossentropy"
    models = [net(loss, metrics=False), net(loss, metrics=False)]
    models[0].fit(X, y, class_weight=weights, verbose=0, shuffle=False)
    per_sample = np.array([weights.get(int(label), 1.0) for label in LABELS])
    models[1].fit(X, y, sample_weight=per_sample, verbose=0, shuffle=False)
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(a, b)


def test_masks_and_weights_multiply() -> None:
    """Loss and metrics of a masked sequence, by hand."""
    ids = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [2, 1, 3, 1]])
    targets = _rng.normal(size=(3, 4, 2)).astype("float32")
    weights = np.array([1.0, 2.0, 0.5], "float32")
    model = k.Sequential([k.Input((4,), dtype="int32"), n.Embedding(5, 6, mask_zero=True), n.Dense(2)])
    model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mse"])
    got = model.evaluate(ids, targets, sample_weight=weights[:, None], verbose=0, return_dict=True)
    errors = model.predict(ids, verbose=0) - targets
    mask = ids != 0
    squares, absolute = (errors**2).mean(-1), np.abs(errors).mean(-1)
    weighted = mask * weights[:, None]
    assert got["loss"] == pytest.approx((squares * weighted).sum() / mask.sum(), rel=1e-5)
    assert got["mae"] == pytest.approx((absolute * mask).sum() / mask.sum(), rel=1e-5)
    assert got["mse"] == pytest.approx((squares * weighted).sum() / weighted.sum(), rel=1e-5)


def test_a_batch_of_another_kind_is_named() -> None:
    mixed = iter([(X[:4], Y[:4]), (X[4:8].astype("int32"), Y[4:8])])
    with pytest.raises(ValueError, match="A batch differs from the first one: wanted .*float32.*, got .*int32"):
        net().fit(mixed, verbose=0)


def test_what_a_source_holds_itself_is_not_passed_again() -> None:
    for data, name in ((Batches(), "PyDataset"), (endless(), "generator")):
        with pytest.raises(ValueError) as caught:
            net().fit(data, Y, verbose=0)
        assert str(caught.value) == (
            f"When providing `x` as a {name}, `y` should not be passed. Instead, the targets should be included as part "
            f"of the {name}."
        )
