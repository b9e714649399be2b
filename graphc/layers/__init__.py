"""`keras.layers`: all layers, and layers from configurations. A layer is loaded when it is first used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphc import lazy
from graphc.saving.registry import deserialize_object, serialize_object

_HOMES = lazy.homes({
    ".activation": "ELU Activation LeakyReLU PReLU ReLU Softmax",
    ".attention.attention": "AdditiveAttention Attention",
    ".attention.multi_head": "GroupedQueryAttention GroupQueryAttention MultiHeadAttention",
    ".convolutional": """Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose Convolution1D
    Convolution1DTranspose Convolution2D Convolution2DTranspose Convolution3D Convolution3DTranspose DepthwiseConv1D
    DepthwiseConv2D SeparableConv1D SeparableConv2D SeparableConvolution1D SeparableConvolution2D""",
    ".core": "Dense Embedding Identity Input InputLayer Lambda Masking Rescaling ReversibleEmbedding",
    ".einsum_dense": "EinsumDense",
    ".input_spec": "InputSpec",
    ".layer": "Layer",
    ".merging": """Add Average Concatenate Dot Maximum Minimum Multiply Subtract add average concatenate dot maximum
    minimum multiply subtract""",
    ".normalization": "BatchNormalization GroupNormalization LayerNormalization RMSNormalization UnitNormalization",
    ".pooling": """AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D
    AdaptiveMaxPooling2D AdaptiveMaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D
    AvgPool3D GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D
    GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling2D
    GlobalMaxPooling3D MaxPool1D MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D""",
    ".preprocessing.color": """RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast
    RandomGrayscale RandomHue RandomInvert RandomPosterization RandomSaturation RandomSharpness""",
    ".preprocessing.cropping": "CenterCrop RandomCrop Resizing",
    ".preprocessing.erasing": "RandomErasing",
    ".preprocessing.feature": "CategoryEncoding Discretization",
    ".preprocessing.geometry": "RandomFlip RandomRotation RandomShear RandomTranslation RandomZoom",
    ".preprocessing.hashing": "HashedCrossing Hashing",
    ".preprocessing.levels": "AutoContrast Equalization Solarization",
    ".preprocessing.lookup": "IntegerLookup StringLookup",
    ".preprocessing.mixing": "CutMix MixUp",
    ".preprocessing.normalization": "Normalization",
    ".preprocessing.pipeline": "Pipeline",
    ".preprocessing.rand_augment": "RandAugment",
    ".preprocessing.spectrogram": "MelSpectrogram STFTSpectrogram",
    ".preprocessing.text": "TextVectorization",
    ".recurrent.bidirectional": "Bidirectional",
    ".recurrent.cells": "GRUCell LSTMCell SimpleRNNCell",
    ".recurrent.conv_lstm": "ConvLSTM1D ConvLSTM2D ConvLSTM3D",
    ".recurrent.layers": "GRU LSTM SimpleRNN",
    ".recurrent.rnn": "RNN StackedRNNCells",
    ".regularization": """ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise SpatialDropout1D
    SpatialDropout2D SpatialDropout3D""",
    ".reshaping": """Cropping1D Cropping2D Cropping3D Flatten Permute RepeatVector Reshape UpSampling1D UpSampling2D
    UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D""",
    ".wrapper": "SpectralNormalization TimeDistributed Wrapper",
})  # fmt: skip

if TYPE_CHECKING:
    # what `__getattr__` finds, for type checkers and editors; a test compares the two
    from graphc.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
    from graphc.layers.attention.attention import AdditiveAttention, Attention
    from graphc.layers.attention.multi_head import GroupedQueryAttention, GroupQueryAttention, MultiHeadAttention
    from graphc.layers.convolutional import (
        Conv1D,
        Conv1DTranspose,
        Conv2D,
        Conv2DTranspose,
        Conv3D,
        Conv3DTranspose,
        Convolution1D,
        Convolution1DTranspose,
        Convolution2D,
        Convolution2DTranspose,
        Convolution3D,
        Convolution3DTranspose,
        DepthwiseConv1D,
        DepthwiseConv2D,
        SeparableConv1D,
        SeparableConv2D,
        SeparableConvolution1D,
        SeparableConvolution2D,
    )
    from graphc.layers.core import (
        Dense,
        Embedding,
        Identity,
        Input,
        InputLayer,
        Lambda,
        Masking,
        Rescaling,
        ReversibleEmbedding,
    )
    from graphc.layers.einsum_dense import EinsumDense
    from graphc.layers.input_spec import InputSpec
    from graphc.layers.layer import Layer
    from graphc.layers.merging import (
        Add,
        Average,
        Concatenate,
        Dot,
        Maximum,
        Minimum,
        Multiply,
        Subtract,
        add,
        average,
        concatenate,
        dot,
        maximum,
        minimum,
        multiply,
        subtract,
    )
    from graphc.layers.normalization import (
        BatchNormalization,
        GroupNormalization,
        LayerNormalization,
        RMSNormalization,
        UnitNormalization,
    )
    from graphc.layers.pooling import (
        AdaptiveAveragePooling1D,
        AdaptiveAveragePooling2D,
        AdaptiveAveragePooling3D,
        AdaptiveMaxPooling1D,
        AdaptiveMaxPooling2D,
        AdaptiveMaxPooling3D,
        AveragePooling1D,
        AveragePooling2D,
        AveragePooling3D,
        AvgPool1D,
        AvgPool2D,
        AvgPool3D,
        GlobalAveragePooling1D,
        GlobalAveragePooling2D,
        GlobalAveragePooling3D,
        GlobalAvgPool1D,
        GlobalAvgPool2D,
        GlobalAvgPool3D,
        GlobalMaxPool1D,
        GlobalMaxPool2D,
        GlobalMaxPool3D,
        GlobalMaxPooling1D,
        GlobalMaxPooling2D,
        GlobalMaxPooling3D,
        MaxPool1D,
        MaxPool2D,
        MaxPool3D,
        MaxPooling1D,
        MaxPooling2D,
        MaxPooling3D,
    )
    from graphc.layers.preprocessing.color import (
        RandomBrightness,
        RandomColorDegeneration,
        RandomColorJitter,
        RandomContrast,
        RandomGrayscale,
        RandomHue,
        RandomInvert,
        RandomPosterization,
        RandomSaturation,
        RandomSharpness,
    )
    from graphc.layers.preprocessing.cropping import CenterCrop, RandomCrop, Resizing
    from graphc.layers.preprocessing.erasing import RandomErasing
    from graphc.layers.preprocessing.feature import CategoryEncoding, Discretization
    from graphc.layers.preprocessing.geometry import (
        RandomFlip,
        RandomRotation,
        RandomShear,
        RandomTranslation,
        RandomZoom,
    )
    from graphc.layers.preprocessing.hashing import HashedCrossing, Hashing
    from graphc.layers.preprocessing.levels import AutoContrast, Equalization, Solarization
    from graphc.layers.preprocessing.lookup import IntegerLookup, StringLookup
    from graphc.layers.preprocessing.mixing import CutMix, MixUp
    from graphc.layers.preprocessing.normalization import Normalization
    from graphc.layers.preprocessing.pipeline import Pipeline
    from graphc.layers.preprocessing.rand_augment import RandAugment
    from graphc.layers.preprocessing.spectrogram import MelSpectrogram, STFTSpectrogram
    from graphc.layers.preprocessing.text import TextVectorization
    from graphc.layers.recurrent.bidirectional import Bidirectional
    from graphc.layers.recurrent.cells import GRUCell, LSTMCell, SimpleRNNCell
    from graphc.layers.recurrent.conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
    from graphc.layers.recurrent.layers import GRU, LSTM, SimpleRNN
    from graphc.layers.recurrent.rnn import RNN, StackedRNNCells
    from graphc.layers.regularization import (
        ActivityRegularization,
        AlphaDropout,
        Dropout,
        GaussianDropout,
        GaussianNoise,
        SpatialDropout1D,
        SpatialDropout2D,
        SpatialDropout3D,
    )
    from graphc.layers.reshaping import (
        Cropping1D,
        Cropping2D,
        Cropping3D,
        Flatten,
        Permute,
        RepeatVector,
        Reshape,
        UpSampling1D,
        UpSampling2D,
        UpSampling3D,
        ZeroPadding1D,
        ZeroPadding2D,
        ZeroPadding3D,
    )
    from graphc.layers.wrapper import SpectralNormalization, TimeDistributed, Wrapper
else:
    __getattr__ = lazy.loader(__name__, _HOMES)

_NO_LAYERS = ("Input", "InputSpec")
OBJECTS = lazy.LazyObjects(
    lazy.loader(__name__, _HOMES), (name for name in _HOMES if name[0].isupper() and name not in _NO_LAYERS)
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def serialize(layer: Any) -> dict[str, Any]:
    """The config of a layer, as Keras writes it."""
    return serialize_object(layer, "keras.layers")


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The layer of a config."""
    return deserialize_object(config, OBJECTS, custom_objects, kind="layer")


__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "ActivityRegularization",
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "Add",
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "AutoContrast",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "BatchNormalization",
    "Bidirectional",
    "CategoryEncoding",
    "CenterCrop",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "Convolution1D",
    "Convolution1DTranspose",
    "Convolution2D",
    "Convolution2DTranspose",
    "Convolution3D",
    "Convolution3DTranspose",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "CutMix",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Discretization",
    "Dot",
    "Dropout",
    "EinsumDense",
    "Embedding",
    "Equalization",
    "Flatten",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "GroupQueryAttention",
    "GroupedQueryAttention",
    "HashedCrossing",
    "Hashing",
    "Identity",
    "Input",
    "InputLayer",
    "InputSpec",
    "IntegerLookup",
    "LSTMCell",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "MelSpectrogram",
    "Minimum",
    "MixUp",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "Pipeline",
    "RMSNormalization",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Resizing",
    "ReversibleEmbedding",
    "STFTSpectrogram",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConvolution1D",
    "SeparableConvolution2D",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "Solarization",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "SpectralNormalization",
    "StackedRNNCells",
    "StringLookup",
    "Subtract",
    "TextVectorization",
    "TimeDistributed",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "Wrapper",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "serialize",
    "subtract",
]
