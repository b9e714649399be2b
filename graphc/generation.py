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
from graphc.variables import Variable

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
    block: prompts are read in blocks of so many steps, by a second executable; worth it for long prompts, one by one if
    None. ValueError for a model whose steps are not computed one by one, which is found out by comparing a few.
    """

    def __init__(
        self,
        model: Any,
        batch_size: int = 1,
        length: int | None = None,
        top_k: int | None = None,
        threads: int | None = None,
        block: int | None = None,
    ) -> None:
        known = _known_length(model)
        self.length = known if length is None else length
        if not 0 < self.length <= known:
            raise ValueError(f"Decoder: length={length}, but {model.name} takes texts of 1 to {known} steps")
        if block is not None and not 1 < block < self.length:
            raise ValueError(f"Decoder: wanted a block of 2 to {self.length - 1} steps, got {block}")
        self.model, self.batch_size, self.top_k, self.block = model, batch_size, top_k, block
        self._seeds = random.SeedGenerator(0)
        self._memories: list[Variable] = []
        options = compile_options(**({"threads": threads} if threads else {}))
        self._step = self._traced(1)
        self.executable = compiler.compile_graph(self._step.graph, options, self._step.bindings, watched=True)
        if block is not None:
            self._reading = self._traced(block)
            self._reader = compiler.compile_graph(self._reading.graph, options, self._reading.bindings, watched=True)
        self.position = 0
        self._compare()

    # ---- the step

    def _traced(self, steps: int) -> Step:
        """One step, which gives logits and words drawn by them, or several, which are only remembered."""
        tracer = Tracer(Builder(f"{self.model.name}_{'decode' if steps == 1 else 'read'}"))
        with tracing(tracer):
            words = tracer.input("words", (self.batch_size, steps), "int32")
            position = tracer.input("position", (1,), "int32")
            results = []
            logits = self._logits(words, position)
            if steps == 1:
                temperature = tracer.input("temperature", (1,), "float32")
                last = ops.cast(ops.squeeze(logits, axis=1), "float32")
                results = [last.value, self._drawn(last, temperature).value]
            tracer.finish()
        return Step(tracer.builder.build(results), tracer.bindings, None, tuple(tracer.bounds))

    def _logits(self, words: Any, position: Any) -> Any:
        """(batch, steps, words) for the steps from `position` on."""
        state = Decoding(ops.reshape(position, ()), words.shape[1], self.length, self._memories)
        with decoding(state):
            logits = self.model.call(words, training=False)
        self._memories = state.memories
        if len(logits.shape) != 3 or tuple(logits.shape[:2]) != tuple(words.shape):
            raise ValueError(
                f"{self.model.name} gives {tuple(logits.shape)} for {words.shape[1]} steps of {self.batch_size} texts, "
                f"wanted {(*words.shape, 'words')}: some layer does not go step by step"
            )
        return logits

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
        logits, drawn = _run(self.executable, self._step, arrays)
        self.position += 1
        return logits, drawn

    def read(self, texts: Any) -> None:
        """The next words of each text, (batch, time), for which nothing is drawn. ValueError as from `step`."""
        texts = np.asarray(texts, np.int32).reshape(self.batch_size, -1)
        end = self.position + texts.shape[1]
        if end > self.length:
            raise ValueError(f"this decoder holds texts of {self.length} steps, these would be {end}")
        while (rest := texts[:, texts.shape[1] - end + self.position :]).shape[1]:
            if self.block is None or rest.shape[1] == 1:
                self.step(rest[:, 0])
            else:
                self._read_block(rest[:, : self.block])

    def _read_block(self, words: Array) -> None:
        """What a block that is not full leaves behind its words is written over by the steps that follow."""
        full = np.zeros((self.batch_size, self.block or 0), np.int32)
        full[:, : words.shape[1]] = words
        _run(self._reader, self._reading, [full, np.array([self.position], np.int32)])
        self.position += words.shape[1]

    def reset(self) -> None:
        """Begin new texts."""
        self.position = 0
        # Not by `assign`, after which what is computed from weights alone would be computed again.
        for memory in self._memories:
            memory.array.fill(0)

    def generate(self, prompt: Any, length: int, temperature: float = 1.0, seed: int | None = None) -> Array:
        """As `graphc.generation.generate`, int32 of the prompt's rank."""
        begun = np.asarray(prompt, np.int32)
        texts = begun.reshape(1, -1) if begun.ndim < 2 else begun
        self._check(texts, length, temperature)
        self.reset()
        found = list(texts.T)
        self.read(texts[:, :-1])
        self._seeds.state.array[...] = random.SeedGenerator(seed).state.array
        for _ in range(length):
            _, drawn = self.step(found[-1], temperature)
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
        probed = range(min(PROBED, self.length))
        if self.block is not None:
            self.read(texts[:, : self.block])
            probed = range(self.block, self.block + 1)
        got = np.stack([self.step(texts[:, i])[0].copy() for i in probed], axis=1)
        self.reset()
        off = np.abs(got - wanted[:, list(probed)]).max(initial=0)
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


def _run(executable: Any, step: Step, arrays: list[Array]) -> list[Array]:
    """ValueError for a word out of range, which names it."""
    try:
        found: list[Array] = executable.run(arrays)
    except compiler.CheckError as error:
        raise ValueError(step.explain(error.message, arrays)) from None
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
