"""`keras.preprocessing.sequence`."""

from graphc.utils.arrays import pad_sequences

__all__ = ["pad_sequences"]
