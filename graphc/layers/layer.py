"""The base class of layers: weights, building, calling, configuration."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from graphc import config, dtype_policies, regularizers, tree
from graphc.ir.types import Rows
from graphc.layers.input_spec import check_inputs
from graphc.layers.state import LayerState
from graphc.legacy.deprecation import deprecated
from graphc.legacy.keywords import accepting_old_keywords
from graphc.random import SeedGenerator
from graphc.scope import absolute_scope, current_path, name_scope
from graphc.tensor import KerasTensor, Tensor, current_tracer
from graphc.tracing import contains, infer_spec, map_leaves, run_eagerly
from graphc.variables import Variable, autocasting

# Whether the layers being called are training; None: nobody has said.
_training: contextvars.ContextVar[bool | None] = contextvars.ContextVar("training", default=None)
# Whether a layer is being called, so that calls from here on are of layers inside it.
_inside: contextvars.ContextVar[bool] = contextvars.ContextVar("inside", default=False)
TENSORS = (KerasTensor, Tensor, np.ndarray, Variable)


@contextlib.contextmanager
def training_phase(training: bool | None) -> Iterator[None]:
    """Layers called inside that are not told otherwise run in training (True) or inference (False) mode."""
    token = _training.set(training)
    try:
        yield
    finally:
        _training.reset(token)


class Layer(LayerState):
    """Base of all layers: `build(input_shape)` makes the weights, `call(inputs)` computes.

    Called on KerasTensors it records itself in a functional model; on Tensors of a traced graph it adds to that graph;
    on numpy arrays it computes at once.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = _building(cls.__dict__["build"])  # type: ignore[method-assign]
        if "__init__" in cls.__dict__ and cls.__module__.startswith("graphc.layers"):
            cls.__init__ = accepting_old_keywords(cls.__dict__["__init__"])  # type: ignore[method-assign]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls)
        object.__setattr__(self, "_init_arguments", (args, kwargs))
        return self

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name)
        self._trainable_variables: list[Variable] = []
        self._non_trainable_variables: list[Variable] = []
        self._layers: list[Layer] = []
        self._metrics: list[Any] = []
        self._seed_generators: list[SeedGenerator] = []
        self._losses: list[Any] = []
        self._input_shape_arg = _input_shape_argument(type(self).__name__, kwargs)
        if kwargs:
            raise ValueError(
                f"Unrecognized keyword arguments passed to {type(self).__name__}: "
                f"{kwargs}{_nearest_argument(self, kwargs)}"
            )
        self.activity_regularizer = regularizers.get(activity_regularizer)
        if not isinstance(trainable, bool):
            raise ValueError(
                f"Expected `trainable` to be a boolean. Received: trainable={trainable} (of type {type(trainable)})"
            )
        self._trainable = trainable
        self.dtype_policy = dtype_policies.get(dtype)
        self.autocast = autocast
        self.input_spec: Any = None
        self.supports_masking = False
        # a layer of this package without `build` has nothing to build
        self.built = type(self).build is Layer.build and type(self).__module__.startswith("graphc.layers")
        self._path: str | None = None
        self._build_shapes: dict[str, Any] | None = None

    # ---- building

    def build(self, input_shape: Any) -> None:
        """Make the weights for this input shape (None: any size). Subclasses override it."""
        self.built = True

    def build_from_config(self, config: dict[str, Any]) -> None:
        if config and "input_shape" in config:
            self.build(_as_tuple(config["input_shape"]))
        elif config and "shapes_dict" in config:
            self.build(**{name: _as_tuple(shape) for name, shape in config["shapes_dict"].items()})

    def get_build_config(self) -> dict[str, Any] | None:
        if self._build_shapes is None:
            return None
        if len(self._build_shapes) == 1:
            return {"input_shape": next(iter(self._build_shapes.values()))}
        return {"shapes_dict": self._build_shapes}

    def _maybe_build(self, arguments: dict[str, Any]) -> None:
        if self.built:
            return
        shapes = {f"{name}_shape": _shape_of(value) for name, value in arguments.items() if contains_tensor(value)}
        parameters = [p for p in inspect.signature(self.build).parameters.values() if p.kind is not p.VAR_KEYWORD]
        if len(parameters) == 1:
            self.build(next(iter(shapes.values()), None))
        else:
            self.build(**{p.name: shapes[p.name] for p in parameters if p.name in shapes})
        self.built = True

    # ---- calling

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._check_super_called()
        if "training" in kwargs and not self._call_takes("training"):
            # said to the layers inside
            with training_phase(kwargs.pop("training")):
                return self(*args, **kwargs)
        _check_positional(args)
        args, kwargs = map_leaves(self._cast_array, np.ndarray, (args, kwargs))
        arguments = self._bind(args, kwargs)
        kwargs = self._with_mask(arguments, kwargs)
        with name_scope(self.name) if self._path is None else absolute_scope(self._path):
            if self.input_spec is not None:
                check_inputs(self.input_spec, next(iter(arguments.values()), None), self.name)
            self._maybe_build(arguments)
            if contains(KerasTensor, (args, kwargs)):
                return self._call_symbolic(args, kwargs, arguments)
            if current_tracer() is None:
                return run_eagerly(self._traced_call, args, kwargs)
            return self._traced_call(*args, **kwargs)

    def _check_super_called(self) -> None:
        if "_seed_generators" not in self.__dict__:
            raise RuntimeError(
                f"In layer '{type(self).__name__}', you forgot to call `super().__init__()` as the first statement in "
                "the "
                "`__init__()` method. Go add it!"
            )

    def _cast_array(self, array: Any) -> Any:
        if self.autocast and array.dtype.kind == "f":
            return np.asarray(array, self.compute_dtype)
        return array

    def _cast_tensor(self, tensor: Tensor) -> Tensor:
        from graphc import ops  # written with tensors itself

        if not self.autocast or "float" not in tensor.dtype or tensor.dtype == self.compute_dtype:
            return tensor
        cast: Tensor = ops.cast(tensor, self.compute_dtype)
        return cast

    def _bind(self, args: Any, kwargs: Any) -> dict[str, Any]:
        """The arguments of `call` by name."""
        signature = self._call_signature()
        arguments = dict(signature.bind(*args, **kwargs).arguments)
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                arguments.update(arguments.pop(parameter.name, {}))
            elif parameter.kind is parameter.VAR_POSITIONAL and parameter.name in arguments:
                values = arguments.pop(parameter.name)
                arguments = {**{f"{parameter.name}_{i}": v for i, v in enumerate(values)}, **arguments}
        return arguments

    def _with_mask(self, arguments: dict[str, Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Hand the mask of the first argument to a `call` that takes one."""
        if not self._call_takes("mask") or arguments.get("mask") is not None or not arguments:
            return kwargs
        masks = tree.map_structure(lambda x: getattr(x, "_keras_mask", None), next(iter(arguments.values())))
        return kwargs if all(mask is None for mask in tree.flatten(masks)) else {**kwargs, "mask": masks}

    def _call_takes(self, name: str) -> bool:
        return name in self._call_signature().parameters

    def _call_signature(self) -> inspect.Signature:
        """The signature of `call`, without `self`."""
        function = getattr(self.call, "__func__", None)
        return _signature_without_self(function) if inspect.isfunction(function) else inspect.signature(self.call)

    def _call_symbolic(self, args: Any, kwargs: Any, arguments: dict[str, Any]) -> Any:
        outputs = self.symbolic_call(*args, **kwargs)
        self._set_masks(arguments, outputs, kwargs)
        return outputs

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return infer_spec(self._traced_call, args, kwargs)

    def _traced_call(self, *args: Any, **kwargs: Any) -> Any:
        """The call itself, on Tensors: training mode, location, masks and activity penalty around `call`."""
        training = kwargs.get("training")
        if training is None:
            training = _training.get()
        if self._call_takes("training") and training is not None:
            kwargs = {**kwargs, "training": training}
        tracer = current_tracer()
        assert tracer is not None
        dtype = self.compute_dtype if self.autocast else None
        with (
            training_phase(training),
            tracer.builder.layer(current_path() or self.path),
            self._entered(tracer),
            autocasting(dtype),
        ):
            args, kwargs = map_leaves(self._cast_tensor, Tensor, (args, kwargs))
            outputs = self.call(*args, **kwargs)
            outputs = map_leaves(tracer.read, Variable, outputs)
            self._called_shapes = [static_shape(x.shape) for x in tree.flatten(outputs) if isinstance(x, Tensor)]
            if self.activity_regularizer is not None:
                for output in tree.flatten(outputs):
                    self.add_loss(self._activity_penalty(output))
            self._set_masks(self._bind(args, kwargs), outputs, kwargs)
        return outputs

    @contextlib.contextmanager
    def _entered(self, tracer: Any) -> Iterator[None]:
        """A call that no other layer makes begins anew: what the call before added to the loss is forgotten."""
        if not _inside.get():
            own = self._flatten_layers()
            tracer.losses[:] = [(layer, loss) for layer, loss in tracer.losses if not any(layer is o for o in own)]
        token = _inside.set(True)
        try:
            yield
        finally:
            _inside.reset(token)

    def _activity_penalty(self, output: Any) -> Any:
        """The regularizer's value per sample."""
        from graphc import ops  # written with tensors itself

        penalty = self.activity_regularizer(output)
        return penalty / ops.cast(ops.shape(output)[0], penalty.dtype) if output.shape else penalty

    def _set_masks(self, arguments: dict[str, Any], outputs: Any, kwargs: dict[str, Any]) -> None:
        """Give the outputs the mask that `compute_mask` makes of the inputs' masks."""
        inputs = next(iter(arguments.values()), None)
        previous = tree.map_structure(lambda x: getattr(x, "_keras_mask", None), inputs)
        if kwargs.get("mask") is not None:
            previous = kwargs["mask"]
        has_mask = any(mask is not None for mask in tree.flatten(previous))
        if not self.supports_masking:
            if has_mask:
                self._warn_lost_mask()
            return
        if not has_mask and not self._makes_mask:
            return
        masks = tree.flatten(self.compute_mask(inputs, previous))
        for output, mask in zip(tree.flatten(outputs), masks, strict=False):
            if isinstance(output, (Tensor, KerasTensor)) and getattr(output, "_keras_mask", None) is None:
                output._keras_mask = mask

    # Whether `compute_mask` makes a mask where the inputs have none.
    _makes_mask = False

    def _warn_lost_mask(self) -> None:
        warnings.warn(
            f"Layer '{self.name}' (of type {type(self).__name__}) was passed an input with a mask attached to it. "
            "However, "
            "this layer does not support masking and will therefore destroy the mask information. Downstream layers "
            "will "
            "not see the mask.",
            stacklevel=4,
        )

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the outputs; by default that of the inputs."""
        return previous_mask

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The shape of the outputs for an input shape (None: any size)."""
        inputs = tree.map_shape_structure(lambda s: KerasTensor(s, self.compute_dtype), args[0] if args else None)
        with name_scope(self.name):
            self._maybe_build({"input": inputs})
            return tree.map_structure(lambda x: x.shape, infer_spec(self._traced_call, (inputs,), {}))

    def call(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"Layer {type(self).__name__} does not have a `call` method implemented.")

    def quantize(self, mode: str | None = None, type_check: bool = True, config: Any = None) -> None:
        """NotImplementedError: graphc computes with the weights as they are."""
        raise NotImplementedError(
            f"Layer {self.name} (of type {type(self).__name__}): quantize(mode={mode!r}) is not supported by graphc. "
            "Leave the call out; the model runs with its float weights"
        )

    def enable_lora(self, rank: int, *args: Any, **kwargs: Any) -> None:
        """NotImplementedError: graphc has no low-rank adapters."""
        raise NotImplementedError(
            f"Layer {self.name} (of type {type(self).__name__}): enable_lora(rank={rank}) is not supported by graphc. "
            "Freeze the layers before it with `trainable = False` and train the full weights of this one"
        )

    # ---- losses

    def add_loss(self, loss: Any) -> None:
        """Add a term (or a list of them) to the loss of the training step that is being traced."""
        tracer = current_tracer()
        terms = tree.flatten(loss)
        if tracer is None:
            self._losses.extend(terms)
        else:
            tracer.losses.extend((self, term) for term in terms)

    @property
    def losses(self) -> list[Any]:
        """Penalties of regularized weights, and what `add_loss` was given in this layer or those inside it."""
        penalties = [v.regularizer(v) for v in self.trainable_weights if v.regularizer is not None]
        own = self._flatten_layers()
        added = [loss for layer in own for loss in layer._losses]
        tracer = current_tracer()
        traced = [loss for layer, loss in tracer.losses if any(layer is o for o in own)] if tracer else []
        return [*added, *traced, *penalties]

    # ---- configuration

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer.

        Subclasses add theirs; a subclass that does not override this gets the arguments its constructor was given.
        """
        base = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": dtype_policies.serialize(self.dtype_policy),
        }
        if self.activity_regularizer is not None:
            base["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        if type(self).get_config is not Layer.get_config:
            return base
        known = inspect.signature(type(self).__init__).parameters.values()
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known)
        accepted = base if takes_any else {p.name: base[p.name] for p in known if p.name in base}
        return {**accepted, **self._constructor_arguments()}

    def _constructor_arguments(self) -> dict[str, Any]:
        args, kwargs = self._init_arguments  # type: ignore[attr-defined]
        bound = inspect.signature(type(self).__init__).bind(self, *args, **kwargs).arguments
        names = list(bound)[1:]
        values = {name: bound[name] for name in names if name != "kwargs"}
        values.update(bound.get("kwargs", {}))
        if not all(_is_plain(value) for value in values.values()):
            raise NotImplementedError(
                f"Object {type(self).__name__} was created by passing non-serializable argument values in "
                "`__init__()`, "
                "and therefore the object must override `get_config()` in order to be serializable."
            )
        return values

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`."""
        try:
            return cls(**config)
        except TypeError as error:
            raise TypeError(
                f"Error when deserializing class '{cls.__name__}' using config={config}.\n\nException encountered: "
                f"{error}"
            ) from error

    @property
    def input(self) -> Any:
        """The KerasTensor(s) the layer was called on in a functional model."""
        return _single(self._node_of_only_call("input").input_tensors)

    @property
    def output(self) -> Any:
        """The KerasTensor(s) the layer returned in a functional model."""
        return _single(self._node_of_only_call("output").outputs)

    def _node_of_only_call(self, what: str) -> Any:
        if not self._inbound_nodes:
            raise AttributeError(f"The layer {self.name} has never been called and thus has no defined {what}.")
        return self._inbound_nodes[0]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _building(build: Callable[..., Any]) -> Callable[..., Any]:
    """`build` inside the layer's name scope; the outermost call (not those by super()) marks the layer as built."""

    @functools.wraps(build)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.__dict__.get("_is_building"):
            return build(self, *args, **kwargs)
        path = self._path or _own_path(self)
        object.__setattr__(self, "_path", path)
        object.__setattr__(self, "_is_building", True)
        try:
            with absolute_scope(path):
                result = build(self, *args, **kwargs)
        finally:
            object.__setattr__(self, "_is_building", False)
        names = [
            n for n, p in inspect.signature(build).parameters.items() if n != "self" and p.kind is not p.VAR_KEYWORD
        ]
        self._build_shapes = {**dict(zip(names, args, strict=False)), **kwargs}
        self.built = True
        return result

    return wrapped


@functools.lru_cache(maxsize=256)
def _signature_without_self(method: Callable[..., Any]) -> inspect.Signature:
    signature = inspect.signature(method)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _own_path(layer: Layer) -> str:
    """The path for a layer built now: inside a call its own scope is open already."""
    open_path = current_path()
    if open_path == layer.name or open_path.endswith("/" + layer.name):
        return open_path
    return "/".join(filter(None, (open_path, layer.name)))


def contains_tensor(value: Any) -> bool:
    """Whether a structure holds something with a shape that a layer can be built for."""
    return any(contains(kind, value) for kind in TENSORS)


def _shape_of(value: Any) -> Any:
    return map_leaves(lambda x: static_shape(x.shape), TENSORS, value)


def static_shape(shape: Any) -> tuple[int | None, ...]:
    """The shape with None where the size is only known when the graph runs."""
    return tuple(None if dim is None or isinstance(dim, Rows) else int(dim) for dim in shape)


def _check_positional(args: tuple[Any, ...]) -> None:
    for arg in tree.flatten(list(args)):
        if arg is not None and not isinstance(arg, (*TENSORS, np.generic)):
            raise ValueError(
                "Only input tensors may be passed as positional arguments. The following argument value should be "
                "passed "
                f"as a keyword argument: {arg} (of type {type(arg)})"
            )


def _as_tuple(shape: Any) -> Any:
    """Shapes as tuples again, which JSON has only lists for."""
    if isinstance(shape, dict):
        return {key: _as_tuple(part) for key, part in shape.items()}
    if not isinstance(shape, (list, tuple)):
        return shape
    is_shape = all(size is None or isinstance(size, int) for size in shape)
    return tuple(shape) if is_shape else [_as_tuple(part) for part in shape]


def _single(items: Sequence[Any]) -> Any:
    return items[0] if len(items) == 1 else list(items)


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    return value is None or isinstance(value, (bool, int, float, str))


def _input_shape_argument(cls: str, kwargs: dict[str, Any]) -> tuple[int | None, ...] | None:
    """The shape given by Keras 2's `input_shape=`, `input_dim=` or `batch_input_shape=`, which are taken out."""
    width, shape = kwargs.pop("input_dim", None), kwargs.pop("input_shape", None)
    if "batch_input_shape" in kwargs and config.legacy_names():
        shape = tuple(kwargs.pop("batch_input_shape"))[1:]
        deprecated("`batch_input_shape` is deprecated; use an `Input` object.")
    if shape is None and width is not None:
        shape = (width,)
    if shape is None:
        return None
    deprecated(
        "Do not pass an `input_shape`/`input_dim` argument to a layer. When using Sequential models, prefer using an "
        "`Input(shape)` object as the first layer in the model instead.",
        UserWarning,
    )
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _nearest_argument(layer: Layer, kwargs: dict[str, Any]) -> str:
    import difflib

    known = [*inspect.signature(type(layer).__init__).parameters, "name", "dtype", "trainable", "activity_regularizer"]
    nearest = difflib.get_close_matches(next(iter(kwargs)), [n for n in known if n not in ("self", "kwargs")], n=1)
    return f". Did you mean '{nearest[0]}'?" if nearest else ""
