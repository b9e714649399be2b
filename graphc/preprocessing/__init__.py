"""`keras.preprocessing`: images, sequences and data sets in directories."""

from graphc.preprocessing import image, sequence
from graphc.utils.directories import image_dataset_from_directory, text_dataset_from_directory
from graphc.utils.timeseries import timeseries_dataset_from_array

__all__ = [
    "image",
    "image_dataset_from_directory",
    "sequence",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]
