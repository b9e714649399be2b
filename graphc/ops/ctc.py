"""Connectionist temporal classification (Graves et al., "Connectionist temporal classification: labelling unsegmented
sequence data with recurrent neural networks", ICML 2006)."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.op import Array
from graphc.ops.activations import log_softmax
from graphc.ops.arithmetic import logaddexp
from graphc.ops.control import scan
from graphc.ops.dispatch import arrays_only, convert, float_type, op
from graphc.ops.elementwise import (
    add,
    cast,
    equal,
    greater_equal,
    less,
    logical_and,
    logical_or,
    multiply,
    negative,
    not_equal,
    where,
)
from graphc.ops.indexing import take_along_axis
from graphc.ops.reductions import argmax, max, sum
from graphc.ops.shapes import arange, concatenate, expand_dims, full_like, moveaxis, pad, reshape, stack
from graphc.ops.sorting import argsort

__all__ = ["ctc_decode", "ctc_loss"]

NEVER = -1e5  # the logarithm of what cannot happen, as in Keras


@op
def ctc_loss(target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0) -> Any:
    """-log of the probability [n] of all ways to spell target[n, labels] in the logits output[n, time, classes].

    target_length, output_length: [n]; mask_index: the class of the blank.
    """
    logits = convert(output, float_type(output))
    labels, sizes, times = (convert(x, "int32") for x in (target, target_length, output_length))
    scores = log_softmax(logits, -1)
    count, steps = int(labels.shape[1]), int(scores.shape[1])
    spelled = _with_blanks(labels, mask_index)
    emitted = take_along_axis(scores, _repeated(expand_dims(spelled, 1), steps), -1)
    # a label may follow another one directly, unless it is the same
    direct = logical_and(not_equal(spelled, mask_index), not_equal(spelled, _moved(spelled, 2, mask_index)))
    place = arange(2 * count + 1)
    start = where(less(place, 2), emitted[:, 0], NEVER)

    def step(before: Any, now: Any) -> Any:
        here, time = now
        alone = logaddexp(before, _moved(before, 1, NEVER))
        both = logaddexp(alone, _moved(before, 2, NEVER))
        after = add(where(direct, both, alone), here)
        kept = where(expand_dims(less(time, times), -1), after, before)
        return kept, None

    rest = moveaxis(emitted[:, 1:], 1, 0)
    last, _ = scan(step, start, (rest, arange(1, steps))) if steps > 1 else (start, None)
    ends = reshape(multiply(sizes, 2), (-1, 1))
    final = where(logical_or(equal(place, ends), equal(place, add(ends, -1))), last, NEVER)
    return negative(_logsum(final))


def _logsum(x: Any) -> Any:
    from graphc.ops.reductions import logsumexp

    return logsumexp(x, -1)


def _with_blanks(labels: Any, blank: int) -> Any:
    """labels[n, count] with the blank before, between and behind: [n, 2 count + 1]."""
    pairs = stack([full_like(labels, blank), labels], -1)
    wide = reshape(pairs, (labels.shape[0], 2 * int(labels.shape[1])))
    return pad(wide, [(0, 0), (0, 1)], constant_values=blank)


def _repeated(x: Any, times: int) -> Any:
    return concatenate([x] * times, 1)


def _moved(x: Any, by: int, filler: float) -> Any:
    """The last axis moved on by some places."""
    return pad(x, [(0, 0), (by, 0)], constant_values=filler)[:, : int(x.shape[1])]


def _best_classes(inputs: Any, lengths: Any, merge_repeated: bool, mask_index: int) -> Any:
    scores = convert(inputs, float_type(inputs))
    steps = int(scores.shape[1])
    beyond = greater_equal(arange(steps), expand_dims(convert(lengths, "int32"), -1))
    best = where(beyond, mask_index, argmax(scores, -1))
    total = negative(sum(where(beyond, 0.0, max(scores, -1)), 1, keepdims=True))
    if merge_repeated:
        same = equal(best[:, 1:], best[:, :-1])
        best = where(cast(pad(cast(same, "int32"), [(0, 0), (1, 0)]), "bool"), mask_index, best)
    blank = equal(best, mask_index)
    found = take_along_axis(where(blank, -1, best), argsort(where(blank, steps, arange(steps)), -1), -1)
    return expand_dims(found, 0), total


_best_classes.__name__ = "ctc_decode"
_greedy = op(_best_classes)


def ctc_decode(
    inputs: Any,
    sequence_lengths: Any,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> Any:
    """(labels[paths, n, time] filled with -1, scores[n, paths]) of scores inputs[n, time, classes].

    strategy "greedy" takes the best class of every step and gives the negative sum of their scores; "beam_search", on
    arrays only, follows the beam_width likeliest spellings and gives the log probabilities of the top_paths best.
    """
    if strategy == "greedy":
        return _greedy(inputs, sequence_lengths, merge_repeated, mask_index)
    if strategy == "beam_search":
        return _beam_search(inputs, sequence_lengths, beam_width, top_paths, mask_index)
    raise ValueError(f"Invalid strategy {strategy}. Supported values are 'greedy' and 'beam_search'.")


@arrays_only("its beams are sets of spellings, which depend on values")
def _beam_search(inputs: Any, lengths: Any, width: int, top_paths: int, blank: int) -> tuple[Array, Array]:
    scores = np.asarray(inputs, np.float32).astype(np.float64)
    scores = scores - np.logaddexp.reduce(scores, -1, keepdims=True)
    labels = np.full((top_paths, *scores.shape[:2]), -1, np.int32)
    found = np.full((len(scores), top_paths), -np.inf, np.float32)
    for i, (line, length) in enumerate(zip(scores, np.asarray(lengths), strict=True)):
        for rank, (path, score) in enumerate(_beams(line[: int(length)], width, blank)[:top_paths]):
            labels[rank, i, : len(path)], found[i, rank] = path, score
    return labels, found


_beam_search.__name__ = "ctc_decode"


def _beams(line: Array, width: int, blank: int) -> list[tuple[tuple[int, ...], float]]:
    """The likeliest spellings of one sequence of log probabilities, the best first: prefix beam search."""
    # of every prefix the log probability of ending in a blank, and in its last label
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -np.inf)}
    for step in line:
        after: dict[tuple[int, ...], list[float]] = {}
        for path, (rested, spoken) in beams.items():
            both = np.logaddexp(rested, spoken)
            _collect(after, path, 0, both + step[blank])
            for label in (int(c) for c in np.flatnonzero(np.arange(len(step)) != blank)):
                if path and path[-1] == label:
                    _collect(after, path, 1, spoken + step[label])
                    _collect(after, (*path, label), 1, rested + step[label])
                else:
                    _collect(after, (*path, label), 1, both + step[label])
        best = sorted(after.items(), key=lambda item: -float(np.logaddexp(item[1][0], item[1][1])))[:width]
        beams = {path: (ends[0], ends[1]) for path, ends in best}
    return [(path, float(np.logaddexp(*ends))) for path, ends in beams.items()]


def _collect(after: dict[tuple[int, ...], list[float]], path: tuple[int, ...], place: int, score: float) -> None:
    ends = after.setdefault(path, [-np.inf, -np.inf])
    ends[place] = float(np.logaddexp(ends[place], score))
