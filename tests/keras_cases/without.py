"""Classes of Keras that have no case here, with the reason."""

from __future__ import annotations

BASE = "a base class: tested by subclasses of users"
PREPROCESSING = "preprocessing: compared in tests/test_preprocessing.py"
RECURRENT = "recurrent: graphc does not have it yet"
ATTENTION = "attention: graphc does not have it yet"
FOREIGN = "runs another framework's code, which graphc does not contain"
RARE = "rare, and not in graphc yet"
NESTED = "holds other objects; compared within models"


def _of(reason: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), reason)


WITHOUT_CASE: dict[str, dict[str, str]] = {
    "activations": _of(RARE, "sparse_plus sparse_sigmoid sparsemax"),
    "constraints": _of(BASE, "Constraint"),
    "initializers": {**_of(BASE, "Initializer"), **_of(RARE, "STFT")},
    "layers": {
        **_of(BASE, "Layer Wrapper"),
        **_of("no layers to call: they say what models are built of", "Input InputLayer InputSpec"),
        **_of("a function of the user: tested in tests/test_layers.py", "Lambda"),
        **_of(RECURRENT, "LSTM GRU SimpleRNN RNN Bidirectional LSTMCell GRUCell SimpleRNNCell StackedRNNCells"),
        **_of(RECURRENT, "ConvLSTM1D ConvLSTM2D ConvLSTM3D"),
        **_of(ATTENTION, "MultiHeadAttention Attention AdditiveAttention GroupQueryAttention"),
        **_of(FOREIGN, "TFSMLayer FlaxLayer JaxLayer TorchModuleWrapper"),
        **_of(PREPROCESSING, "CategoryEncoding CenterCrop Discretization HashedCrossing Hashing IntegerLookup"),
        **_of(PREPROCESSING, "Normalization Pipeline Resizing StringLookup TextVectorization"),
        **_of(PREPROCESSING, "RandomBrightness RandomColorJitter RandomContrast RandomCrop RandomErasing RandomFlip"),
        **_of(PREPROCESSING, "RandomGrayscale RandomHue RandomInvert RandomRotation RandomSaturation RandomShear"),
        **_of(PREPROCESSING, "RandomTranslation RandomZoom RandomColorDegeneration RandomElasticTransform"),
        **_of(PREPROCESSING, "RandomGaussianBlur RandomPerspective RandomPosterization RandomSharpness RandAugment"),
        **_of(PREPROCESSING, "AugMix AutoContrast CutMix MixUp Equalization MaxNumBoundingBoxes Solarization"),
        **_of(PREPROCESSING, "ContrastLimitedAdaptiveHistogramEqualization"),
        **_of(RARE, "AdaptiveAveragePooling3D AdaptiveMaxPooling3D MelSpectrogram STFTSpectrogram"),
    },
    "losses": {**_of(BASE, "Loss"), **_of(RARE, "CTC Circle")},
    "metrics": {**_of(BASE, "Metric"), **_of(NESTED, "MeanMetricWrapper")},
    "optimizers": {**_of(BASE, "Optimizer"), **_of(RARE, "MultiOptimizer OptimizerMap")},
    "optimizers.schedules": _of(BASE, "LearningRateSchedule"),
    "regularizers": _of(BASE, "Regularizer"),
}
