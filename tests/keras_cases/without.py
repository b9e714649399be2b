"""Classes of Keras that have no case here, with the reason."""

from __future__ import annotations

BASE = "a base class: tested by subclasses of users"
PREPROCESSING = "preprocessing: compared in tests/test_preprocessing.py"
FOREIGN = "runs another framework's code, which graphc does not contain"
MISSING = "graphc does not have it"
NESTED = "holds other objects; compared within models"


def _of(reason: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), reason)


WITHOUT_CASE: dict[str, dict[str, str]] = {
    "activations": _of("Keras 3.15.1's own result does not add up to one", "sparsemax"),
    "constraints": _of(BASE, "Constraint"),
    "initializers": _of(BASE, "Initializer"),
    "layers": {
        **_of(BASE, "Layer Wrapper"),
        **_of("no layers to call: they say what models are built of", "Input InputLayer InputSpec"),
        **_of("a function of the user: tested in tests/keras_reference.py", "Lambda"),
        **_of("a cell: runs inside the case of RNN", "LSTMCell GRUCell SimpleRNNCell StackedRNNCells"),
        **_of(FOREIGN, "TFSMLayer FlaxLayer JaxLayer TorchModuleWrapper"),
        **_of(PREPROCESSING, "CategoryEncoding CenterCrop Discretization HashedCrossing Hashing IntegerLookup"),
        **_of(PREPROCESSING, "Normalization Pipeline Resizing StringLookup TextVectorization"),
        **_of(PREPROCESSING, "RandomBrightness RandomColorJitter RandomContrast RandomCrop RandomErasing RandomFlip"),
        **_of(PREPROCESSING, "RandomGrayscale RandomHue RandomInvert RandomRotation RandomSaturation RandomShear"),
        **_of(PREPROCESSING, "RandomTranslation RandomZoom RandomColorDegeneration"),
        **_of(PREPROCESSING, "RandomPosterization RandomSharpness RandAugment"),
        **_of(PREPROCESSING, "AutoContrast CutMix MixUp Equalization Solarization"),
        **_of(PREPROCESSING, "MelSpectrogram STFTSpectrogram"),
        **_of(MISSING, "AugMix ContrastLimitedAdaptiveHistogramEqualization MaxNumBoundingBoxes"),
        **_of(MISSING, "RandomElasticTransform RandomGaussianBlur RandomPerspective"),
    },
    "losses": _of(BASE, "Loss"),
    "metrics": {**_of(BASE, "Metric"), **_of(NESTED, "MeanMetricWrapper")},
    "optimizers": {**_of(BASE, "Optimizer"), **_of(MISSING, "MultiOptimizer OptimizerMap")},
    "optimizers.schedules": _of(BASE, "LearningRateSchedule"),
    "regularizers": _of(BASE, "Regularizer"),
}
