"""Spellings of older Keras: accepted with a DeprecationWarning that points at the user's line, or refused in words."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fresh import run_fresh

import graphc as k
from graphc import layers
from graphc.legacy import text as old_text
from graphc.legacy.names import GONE

# by names that type checkers do not know
n: Any = layers
optimizers: Any = k.optimizers

X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
LABELS = np.arange(12) % 3


@pytest.fixture
def strict() -> Iterator[None]:
    k.config.set_legacy_names(False)
    yield
    k.config.set_legacy_names(True)


def net(units: int = 3) -> Any:
    model = k.Sequential([k.Input((4,)), n.Dense(units, activation="softmax" if units > 1 else "sigmoid")])
    model.compile("sgd", "sparse_categorical_crossentropy" if units > 1 else "binary_crossentropy")
    return model


# ---- modules and names

MODULES = {
    "layers.convolutional": ("Conv2D", "Convolution2D", "MaxPooling2D", "ZeroPadding2D"),
    "layers.core": ("Dense", "Dropout", "Activation", "Flatten", "Reshape", "Lambda"),
    "layers.embeddings": ("Embedding",),
    "layers.advanced_activations": ("LeakyReLU", "PReLU"),
    "layers.merge": ("concatenate", "Add"),
    "layers.normalization": ("BatchNormalization",),
    "layers.pooling": ("GlobalAveragePooling1D",),
    "engine": ("Layer", "Model", "InputSpec"),
    "objectives": ("categorical_crossentropy",),
    "optimizers.legacy": ("Adam",),
    "preprocessing.text": ("Tokenizer", "one_hot"),
    "utils.np_utils": ("to_categorical",),
    "utils.vis_utils": ("plot_model",),
}


# These have the names themselves.
SAME = ("layers.normalization", "layers.pooling")


def test_old_modules_have_todays_names() -> None:
    """In a process of its own, where nothing was imported or warned of before."""
    lines = [f"from graphc.{module} import {', '.join(names)}" for module, names in MODULES.items()]
    code = "\n".join(
        [
            "import warnings",
            "with warnings.catch_warnings(record=True) as seen:",
            "    warnings.simplefilter('always')",
            *(f"    {line}" for line in lines),
            "import graphc",
            "assert Dense is graphc.layers.Dense and Layer is graphc.layers.Layer and Adam is graphc.optimizers.Adam",
            "assert {str(w.filename) for w in seen} == {'<string>'}, seen",
            "assert {w.category for w in seen} == {DeprecationWarning}",
            "text = ' '.join(str(w.message) for w in seen)",
            *(
                f"assert '`keras.{module}` is deprecated' in text, {module!r}"
                for module in MODULES
                if module not in SAME
            ),
        ]
    )
    run_fresh(code)


def test_old_modules_may_be_refused(strict: None) -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'graphc.layers.local'"):
        importlib.import_module("graphc.layers.local")
    with pytest.raises(AttributeError, match="'graphc.layers.core' has no attribute 'Flatten'"):
        importlib.import_module("graphc.layers.core").Flatten  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'predict_classes'; use `predict"):
        net().predict_classes(X)
    with pytest.raises(ValueError, match="Unrecognized keyword arguments passed to Dense: {'init': 'uniform'}"):
        n.Dense(3, init="uniform")
    with pytest.raises(TypeError, match=r"fit\(\) got an unexpected keyword argument 'nb_epoch'"):
        net().fit(X, LABELS, nb_epoch=2)


def test_names_that_moved() -> None:
    with pytest.warns(
        DeprecationWarning, match="`keras.layers.Deconvolution2D` is deprecated; use `keras.layers.Conv2DTr"
    ):
        assert k.layers.Deconvolution2D is k.layers.Conv2DTranspose  # type: ignore[attr-defined]
    with pytest.warns(DeprecationWarning, match="`keras.constraints.maxnorm` is deprecated"):
        assert k.constraints.maxnorm is k.constraints.MaxNorm  # type: ignore[attr-defined]


MISSING: dict[str, tuple[str, str]] = {
    "layers.TFSMLayer": ("graphc.layers", "keras.layers.TFSMLayer is part of Keras 3.15 but not supported by graphc: "
                         "it runs a SavedModel of TensorFlow"),
    "layers.Merge": ("graphc.layers", "keras.layers.Merge is gone since Keras 3: use Add, Concatenate, Multiply, ... on "
                     "tensors"),
    "layers.Dens": ("graphc.layers", "module 'graphc.layers' has no attribute 'Dens'. Did you mean: 'Dense'?"),
    "optimizers.Adamm": ("graphc.optimizers", "module 'graphc.optimizers' has no attribute 'Adamm'. Did you mean: "
                         "'Adam'?"),
    "distribution": ("graphc", "keras.distribution is part of Keras 3.15 but not supported by graphc: it spreads JAX "
                     "arrays over devices; a step here uses the cores of one machine"),
    "modles": ("graphc", "module 'graphc' has no attribute 'modles'. Did you mean: 'models'?"),
    "qqqq": ("graphc", "module 'graphc' has no attribute 'qqqq'"),
}  # fmt: skip


@pytest.mark.parametrize("path", list(MISSING))
def test_a_missing_name_is_explained_however_it_is_asked_for(path: str) -> None:
    module, message = MISSING[path]
    name = path.rpartition(".")[2]
    with pytest.raises(AttributeError) as caught:
        getattr(importlib.import_module(module), name)
    assert str(caught.value) == message
    with pytest.raises(ImportError) as also:
        exec(f"from {module} import {name}")
    assert str(also.value) == message
    assert not hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize("package", [k, k.callbacks, k.layers, k.models, k.utils], ids=lambda package: package.__name__)
def test_type_checkers_see_the_lazy_names(package: Any) -> None:
    """What a package lists for them is what it gives at run time."""
    source = ast.parse(Path(package.__file__).read_text())
    (listed,) = (node for node in source.body if isinstance(node, ast.If))
    names = [alias.name for node in listed.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    lazy = getattr(package, "_HOMES", {**k._NAMES, **dict.fromkeys(k._MODULES)})
    assert sorted(names) == sorted(lazy)
    assert set(names) <= set(package.__all__) <= set(dir(package))
    for node in listed.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == (alias.name if package is k else None)
            if node.module != "graphc":
                assert getattr(importlib.import_module(str(node.module)), alias.name) is getattr(package, alias.name)


# ---- keywords

OLD_LAYERS: dict[str, tuple[Callable[[], Any], Callable[[], Any], tuple[str, ...]]] = {
    "dense": (
        lambda: n.Dense(output_dim=3, init="uniform", W_regularizer="l2", b_constraint=None, bias=False),
        lambda: n.Dense(3, kernel_initializer="uniform", kernel_regularizer="l2", bias_constraint=None, use_bias=False),
        ("output_dim", "init", "W_regularizer", "b_constraint", "bias"),
    ),
    "convolution": (
        lambda: n.Convolution2D(4, 3, 5, border_mode="same", subsample=(2, 2), dim_ordering="tf"),
        lambda: n.Conv2D(4, (3, 5), padding="same", strides=(2, 2), data_format="channels_last"),
        ("border_mode", "subsample", "dim_ordering", "Convolution2D|Conv2D"),
    ),
    "convolution by words": (
        lambda: n.Conv2D(nb_filter=4, nb_row=3, nb_col=5),
        lambda: n.Conv2D(4, (3, 5)),
        ("nb_filter", "nb_row"),
    ),
    "pooling": (
        lambda: n.MaxPooling1D(pool_length=3, stride=2),
        lambda: n.MaxPooling1D(3, 2),
        ("pool_length", "stride"),
    ),
    "dropout": (lambda: n.Dropout(p=0.25), lambda: n.Dropout(0.25), ("p",)),
}  # fmt: skip


@pytest.mark.parametrize("name", list(OLD_LAYERS))
def test_old_keywords_of_layers(name: str) -> None:
    old, new, words = OLD_LAYERS[name]
    with pytest.warns(DeprecationWarning) as seen:
        found = old()
    assert {Path(w.filename).name for w in seen} == {"test_legacy.py"}
    assert len(seen) == len(words)
    wanted, got = new().get_config(), found.get_config()
    for config in (wanted, got):
        config.pop("name")
        _without_seeds(config)
    assert got == wanted


def _without_seeds(config: Any) -> None:
    for value in config.values():
        if isinstance(value, dict):
            value.pop("seed", None)
            _without_seeds(value)


def test_a_layer_of_the_users_own_keeps_its_words() -> None:
    class Own(layers.Layer):
        def __init__(self, p: float, init: str) -> None:
            super().__init__()
            self.given = (p, init)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Own(p=0.5, init="mine").given == (0.5, "mine")


def test_old_arguments_and_methods_of_models() -> None:
    def batches() -> Iterator[Any]:
        while True:
            yield X, LABELS

    model = net()
    with pytest.warns(DeprecationWarning, match=r"fit\(\): `nb_epoch` is deprecated; use `epochs`"):
        assert len(model.fit(X, LABELS, nb_epoch=2, verbose=0).epoch) == 2
    with pytest.warns(DeprecationWarning, match=r"fit\(\): `workers` is deprecated and does nothing"):
        model.fit(X, LABELS, workers=4, verbose=0)
    with pytest.warns(DeprecationWarning, match="`fit_generator` is deprecated; use `fit`"):
        assert len(model.fit_generator(batches(), 2, nb_epoch=3, verbose=0, max_q_size=3).epoch) == 3
    with pytest.warns(DeprecationWarning, match="`evaluate_generator` is deprecated"):
        assert model.evaluate_generator(batches(), 2) == pytest.approx(model.evaluate(X, LABELS, verbose=0))
    with pytest.warns(DeprecationWarning, match="`predict_generator` is deprecated"):
        assert model.predict_generator(batches(), 2).shape == (24, 3)
    with pytest.warns(DeprecationWarning, match="`predict_classes` is deprecated"):
        np.testing.assert_array_equal(model.predict_classes(X), model.predict(X, verbose=0).argmax(-1))
    with pytest.warns(DeprecationWarning):
        single = net(1)
        np.testing.assert_array_equal(single.predict_classes(X), single.predict(X, verbose=0) > 0.5)
    with pytest.raises(ValueError, match="`samples_per_epoch` counts samples; give `steps_per_epoch`"):
        model.fit_generator(batches(), samples_per_epoch=100)
    with pytest.warns(DeprecationWarning, match="`lr` is deprecated"):
        assert float(optimizers.SGD(lr=0.5).learning_rate) == 0.5


# ---- text

TEXTS = ["The cat sat on the mat!", "The dog, the cat."]


def test_a_tokenizer_numbers_words_by_how_frequent_they_are() -> None:
    words = old_text.Tokenizer()
    words.fit_on_texts(TEXTS)
    assert words.word_index == {"the": 1, "cat": 2, "sat": 3, "on": 4, "mat": 5, "dog": 6}
    assert (words.word_counts["the"], words.word_docs["the"], words.index_docs[2], words.document_count) == (4, 2, 2, 2)
    assert words.texts_to_sequences(["a cat the DOG", ["mat"]]) == [[2, 1, 6], [5]]
    few = old_text.Tokenizer(num_words=4, oov_token="?")
    few.fit_on_texts(TEXTS)
    assert few.texts_to_sequences(["the cat saw a dog"]) == [[2, 3, 1, 1, 1]]
    assert few.sequences_to_texts([[2, 3, 5, 99]]) == ["the cat ? ?"]
    letters = old_text.Tokenizer(char_level=True)
    letters.fit_on_texts(["abba"])
    assert letters.texts_to_sequences(["BAc"]) == [[2, 1]]


def test_matrices_of_words() -> None:
    words = old_text.Tokenizer(num_words=4)
    words.fit_on_texts(TEXTS)
    text = ["the cat the dog"]
    np.testing.assert_array_equal(words.texts_to_matrix(text), [[0, 1, 1, 0]])
    np.testing.assert_array_equal(words.texts_to_matrix(text, "count"), [[0, 2, 1, 0]])
    np.testing.assert_allclose(words.texts_to_matrix(text, "freq"), [[0, 2 / 3, 1 / 3, 0]])
    wanted = [[0, (1 + np.log(2)) * np.log(1 + 2 / 3), np.log(1 + 2 / 3), 0]]
    np.testing.assert_allclose(words.texts_to_matrix(text, "tfidf"), wanted)
    with pytest.raises(ValueError, match="Unknown vectorization mode"):
        words.texts_to_matrix(text, "often")
    with pytest.raises(ValueError, match="fit on some text data first"):
        old_text.Tokenizer().texts_to_matrix(text)


def test_tokenizers_travel_as_json() -> None:
    words = old_text.Tokenizer(num_words=5, lower=False)
    words.fit_on_texts(TEXTS)
    again = old_text.tokenizer_from_json(words.to_json())
    assert again.get_config() == words.get_config()
    assert again.texts_to_sequences(TEXTS) == words.texts_to_sequences(TEXTS)
    np.testing.assert_array_equal(again.texts_to_matrix(TEXTS, "tfidf"), words.texts_to_matrix(TEXTS, "tfidf"))
    assert json.loads(words.to_json())["config"]["lower"] is False


def test_hashed_words() -> None:
    assert old_text.text_to_word_sequence("One, two--THREE") == ["one", "two", "three"]
    first = old_text.hashing_trick("one two one", 50, "md5")
    assert first[0] == first[2] and all(1 <= number < 50 for number in first)
    assert first == [int(__import__("hashlib").md5(w.encode()).hexdigest(), 16) % 49 + 1 for w in ("one", "two", "one")]
    assert all(1 <= number < 9 for number in old_text.one_hot("a b c d e", 9))


# ---- scikit-learn


def build(units: int = 5) -> Any:
    model = k.Sequential([k.Input((4,)), n.Dense(units, activation="tanh"), n.Dense(3, activation="softmax")])
    model.compile(k.optimizers.Adam(0.05), "categorical_crossentropy")
    return model


def test_models_as_estimators() -> None:
    from sklearn.base import clone, is_classifier

    from graphc.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

    x = np.random.default_rng(0).normal(size=(90, 4)).astype("float32")
    names = np.array(["red", "green", "blue"])[x[:, :3].argmax(-1)]
    options: Any = {"epochs": 30, "verbose": 0, "batch_size": 16}
    found = SKLearnClassifier(lambda X, y, units: build(units), model_kwargs={"units": 8}, fit_kwargs=options)
    copy = clone(found).fit(x, names)
    assert copy.score(x, names) > 0.7 and set(copy.predict(x)) == {"red", "green", "blue"}
    assert not hasattr(found, "model_")

    def linear(X: Any, y: Any) -> Any:
        model = k.Sequential([k.Input((4,)), n.Dense(y.shape[1])])
        model.compile(k.optimizers.Adam(0.1), "mse")
        return model

    target = x @ [1.0, 2.0, 3.0, 4.0]
    line = SKLearnRegressor(linear).fit(x, target, epochs=60, verbose=0)
    assert line.score(x, target) > 0.99 and line.predict(x).shape == (90,)
    features = SKLearnTransformer(line.model_, warm_start=True).fit(x, target, epochs=1, verbose=0)
    assert features.model_ is line.model_ and features.transform(x).shape == (90, 1)

    with pytest.warns(DeprecationWarning):
        old = importlib.import_module("graphc.wrappers.scikit_learn").KerasClassifier(build, units=4, **options)
        other = clone(old).set_params(units=8)
    other.fit(x, names)
    assert is_classifier(other) and other.get_params()["units"] == 8 and other.model.layers[0].units == 8
    assert other.score(x, names) > 0.7 and other.predict_proba(x).shape == (90, 3)
    with pytest.raises(ValueError, match="unts is not a legal parameter"):
        other.set_params(unts=3)


# ---- scripts


def test_a_script_of_another_time_runs_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "old.py"
    path.write_text(
        "import sys\n"
        "import numpy as np\n"
        "from keras.models import Sequential\n"
        "from keras.layers.core import Dense, Dropout, Activation, Flatten\n"
        "from keras.layers.convolutional import Convolution2D, MaxPooling2D\n"
        "from keras.optimizers import SGD\n"
        "from keras.utils import np_utils\n"
        "from tensorflow import keras as tf_keras\n"
        "from tensorflow.keras.layers import Dense as other\n"
        "assert other is Dense and tf_keras.layers.Dense is Dense\n"
        "model = Sequential()\n"
        "model.add(Convolution2D(4, 3, 3, border_mode='valid', batch_input_shape=(None, 6, 6, 1)))\n"
        "model.add(Activation('relu'))\n"
        "model.add(MaxPooling2D(pool_size=(2, 2)))\n"
        "model.add(Flatten())\n"
        "model.add(Dropout(p=0.5))\n"
        "model.add(Dense(output_dim=2, init='uniform'))\n"
        "model.add(Activation('softmax'))\n"
        "model.compile(loss='categorical_crossentropy', optimizer=SGD(lr=0.1), metrics=['accuracy'])\n"
        "y = np_utils.to_categorical([0, 1, 0, 1])\n"
        "model.fit(np.zeros((4, 6, 6, 1)), y, nb_epoch=2, verbose=2)\n"
        "print(sys.argv[1:], model.count_params(), model.predict_classes(np.zeros((1, 6, 6, 1))).shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "graphc", "keras", str(path), "one", "--two"], capture_output=True, text=True, check=True
    )
    assert "Epoch 2/2" in done.stdout
    assert done.stdout.endswith("['one', '--two'] 74 (1,)\n")
    lines = [line for line in done.stderr.splitlines() if "DeprecationWarning" in line]
    assert lines and all(line.startswith(str(path)) for line in lines)


def test_what_a_script_raises_is_shown_as_python_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("import keras\nraise ValueError(keras.__name__)\n")
    done = subprocess.run(
        [sys.executable, "-m", "graphc", "keras", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr and done.stderr.endswith("ValueError: graphc\n")
    done = subprocess.run(
        [sys.executable, "-m", "graphc", "keras", "no.py"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "error: no.py: no such file\n")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("sum", "keras.ops.sum"),
        ("sigmoid", "keras.ops.sigmoid"),
        ("permute_dimensions", "keras.ops.transpose"),
        ("variable", "keras.Variable"),
        ("get_session", "there are no sessions and no graphs to set up; leave it out"),
    ],
)
def test_functions_of_the_old_backend_name_their_successors(name: str, advice: str) -> None:
    with pytest.raises(AttributeError, match=f"keras.backend.{name} is gone since Keras 3: .*{advice}$"):
        getattr(k.backend, name)


def test_the_successors_exist() -> None:
    places = [place for name, advice in GONE.items() if name.startswith("backend.") for place in advice.split()]
    for place in (place for place in places if place.startswith("keras.")):
        reduce(getattr, place.split(".")[1:], k)
