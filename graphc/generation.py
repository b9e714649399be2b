"""Text from a language model, one step at a time: `generate`, and the compiled step behind it, `Decoder`.

The model maps word numbers (n, time) to logits (n, time, words), and every step depends on itself and the steps before
only: embeddings, `PositionEmbedding`, dense layers, norms, and self-attention with `use_causal_mask=True`. A step keeps
the keys and values of all attention layers, so it costs the same however much was said before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import compiler, ops, random
from graphc.ir.builder import Builder
from graphc.ir.op import Array
from graphc.layers.attention.decoding import Decoding, decoding
from graphc.layers.attention.decoding import PositionEmbedding as PositionEmbedding
from graphc.models.trace import Step
from graphc.options import compile_options
from graphc.tracing import Tracer, tracing

PROBED = 3  # steps that are compared with the whole model before anything is generated
TOLERANCE = 1e-3  # of the largest logit


def generate(
    model: Any,
    prompt: Any,
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int | None = None,
) -> Array:
    """The prompt, int (time,) or (n, time), with `length` more word numbers behind it.

    temperature: what logits are divided by; 0 takes the most likely word. top_k: only the k most likely words are
    drawn. seed: of the draws, at random if None. See `Decoder`, which compiles once for many prompts.
    """
    prompt = np.asarray(prompt)
    rows = 1 if prompt.ndim < 2 else len(prompt)
    return Decoder(model, rows, top_k=top_k).generate(prompt, length, temperature, seed)


class Decoder:
    """One step of a model for `batch_size` texts, compiled once; it reads the model's weights where they are.

    length: the longest text, at most that of the model's input, which is the default. `executable` takes word numbers
    (batch, 1), the position (1,) and the temperature (1,), and returns logits (batch, words) and drawn words (batch,).
    ValueError for a model whose steps are not computed one by one, which is found out by comparing a few.
    """

    def __init__(
        self,
        model: Any,
        batch_size: int = 1,
        length: int | None = None,
        top_k: int | None = None,
        threads: int | None = None,
    ) -> None:
        known = _known_length(model)
        self.length = known if length is None else length
        if not 0 < self.length <= known:
            raise ValueError(f"Decoder: length={length}, but {model.name} takes texts of 1 to {known} steps")
        self.model, self.batch_size, self.top_k = model, batch_size, top_k
        self._seeds = random.SeedGenerator(0)
        self._step, self._memories = self._traced()
        options = compile_options(**({"threads": threads} if threads else {}))
        self.executable = compiler.compile_graph(self._step.graph, options, self._step.bindings, watched=True)
        self.position = 0
        self._compare()

    # ---- the step

    def _traced(self) -> tuple[Step, list[Any]]:
        tracer = Tracer(Builder(f"{self.model.name}_decode"))
        with tracing(tracer):
            words = tracer.input("words", (self.batch_size, 1), "int32")
            position = tracer.input("position", (1,), "int32")
            temperature = tracer.input("temperature", (1,), "float32")
            state = Decoding(ops.reshape(position, ()), self.batch_size, self.length)
            with decoding(state):
                logits = self.model.call(words, training=False)
            if len(logits.shape) != 3 or tuple(logits.shape[:2]) != (self.batch_size, 1):
                raise ValueError(
                    f"{self.model.name} gives {tuple(logits.shape)} for one step of {self.batch_size} texts, wanted "
                    f"({self.batch_size}, 1, words): some layer does not go step by step"
                )
            logits = ops.cast(ops.squeeze(logits, axis=1), "float32")
            drawn = self._drawn(logits, temperature)
            tracer.finish()
        graph = tracer.builder.build([logits.value, drawn.value])
        return Step(graph, tracer.bindings, None, tuple(tracer.bounds)), state.memories

    def _drawn(self, logits: Any, temperature: Any) -> Any:
        """A word for each text, by its odds; the most likely one at temperature 0."""
        most_likely = ops.argmax(logits, axis=-1)
        if self.top_k is not None:
            least = ops.top_k(logits, self.top_k)[0][:, -1:]
            logits = ops.where(ops.greater_equal(logits, least), logits, -1e30)
        scaled = logits / ops.maximum(temperature, 1e-6)
        by_odds = random.categorical(scaled, 1, seed=self._seeds)[:, 0]
        return ops.where(ops.greater(temperature, 0.0), by_odds, ops.cast(most_likely, "int32"))

    def step(self, words: Any, temperature: float = 0.0) -> tuple[Array, Array]:
        """(logits (batch, words), drawn words (batch,)) after the next word of each text.

        ValueError for a word out of range, and when `length` steps are taken.
        """
        if self.position >= self.length:
            raise ValueError(f"this decoder holds texts of {self.length} steps; reset() begins new ones")
        given = np.asarray(words, np.int32).reshape(self.batch_size, 1)
        arrays = [given, np.array([self.position], np.int32), np.array([temperature], np.float32)]
        try:
            logits, drawn = self.executable.run(arrays)
        except compiler.CheckError as error:
            raise ValueError(self._step.explain(error.message, arrays)) from None
        self.position += 1
        return logits, drawn

    def reset(self) -> None:
        """Begin new texts."""
        self.position = 0
        for memory in self._memories:
            memory.assign(np.zeros(memory.shape, memory.dtype))

    def generate(self, prompt: Any, length: int, temperature: float = 1.0, seed: int | None = None) -> Array:
        """As `graphc.generation.generate`, int32 of the prompt's rank."""
        begun = np.asarray(prompt, np.int32)
        texts = begun.reshape(1, -1) if begun.ndim < 2 else begun
        self._check(texts, length, temperature)
        self.reset()
        self._seeds.state.assign(random.SeedGenerator(seed).state.numpy())
        found = list(texts.T)
        for number in range(texts.shape[1] + length - 1):
            _, drawn = self.step(found[number], temperature)
            if number + 1 >= len(found):
                found.append(drawn.copy())
        whole: Array = np.stack(found, axis=1)
        return whole[0] if begun.ndim < 2 else whole

    def _check(self, texts: Array, length: int, temperature: float) -> None:
        rows, steps = texts.shape
        if rows != self.batch_size or steps == 0:
            raise ValueError(f"generate: wanted a prompt (time,) or ({self.batch_size}, time), got shape {texts.shape}")
        if length < 0 or temperature < 0:
            raise ValueError(f"generate: length={length} and temperature={temperature} must not be negative")
        if steps + length > self.length:
            raise ValueError(
                f"generate: a prompt of {steps} steps and {length} more are longer than the {self.length} of "
                f"{self.model.name}"
            )

    def _compare(self) -> None:
        """Refuse a model whose steps one by one are not what it computes at once."""
        words = int(self.step(np.zeros(self.batch_size))[0].shape[-1])
        texts = np.random.default_rng(0).integers(0, words, (self.batch_size, _known_length(self.model)))
        wanted = self._at_once(texts.astype("int32"))
        self.reset()
        steps = min(PROBED, self.length)
        got = np.stack([self.step(texts[:, i])[0].copy() for i in range(steps)], axis=1)
        self.reset()
        off = np.abs(got - wanted[:, :steps]).max(initial=0)
        if not off <= TOLERANCE * max(1.0, float(np.abs(wanted).max())):
            raise ValueError(
                f"{self.model.name} cannot be generated from: its logits step by step differ by {off:.2g} from those "
                "of a whole text. A step may depend on those before it by causal self-attention only, and know its "
                "position from graphc.generation.PositionEmbedding only"
            )

    def _at_once(self, texts: Array) -> Array:
        """The logits of whole texts, interpreted: nothing is compiled for it."""
        tracer = Tracer(Builder("whole"))
        with tracing(tracer):
            logits = self.model.call(tracer.input("words", texts.shape, "int32"), training=False)
        graph = tracer.builder.build([logits.value])
        found: Array = compiler.InterpretedExecutable(graph, tracer.bindings).run([texts])[0]
        return found


def _known_length(model: Any) -> int:
    """How many steps the model's input has. ValueError for another kind of input."""
    inputs = model.inputs if getattr(model, "built", False) else []
    shapes = [tuple(tensor.shape) for tensor in inputs or []]
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] is None:
        raise ValueError(
            f"text is generated from a model of one input (n, time) with a fixed time; {model.name} has {shapes}"
        )
    return int(shapes[0][1])
