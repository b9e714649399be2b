"""Modules and names of Keras 1 and 2, and where they are now."""

from __future__ import annotations

# Old module: the module that has its names today. Names below `graphc`.
MODULES = {
    **dict.fromkeys(
        (
            "layers.core", "layers.convolutional", "layers.recurrent", "layers.embeddings", "layers.pooling",
            "layers.normalization", "layers.wrappers", "layers.merge", "layers.advanced_activations", "layers.noise",
            "layers.local", "layers.cudnn_recurrent", "layers.convolutional_recurrent", "layers.experimental",
            "layers.experimental.preprocessing", "engine.base_layer", "engine.input_layer",
        ),
        "layers",
    ),
    **dict.fromkeys(
        (
            "utils.np_utils", "utils.vis_utils", "utils.generic_utils", "utils.data_utils", "utils.layer_utils",
            "utils.io_utils", "utils.visualize_util",
        ),
        "utils",
    ),
    "engine": "legacy.engine",
    "engine.topology": "legacy.engine",
    "engine.training": "models",
    "engine.sequential": "models",
    "initializations": "initializers",
    "objectives": "losses",
    "optimizers.legacy": "optimizers",
    "preprocessing.text": "legacy.text",
    "wrappers.scikit_learn": "legacy.scikit_learn",
    "backend.tensorflow_backend": "backend",
}  # fmt: skip

# Module: old name -> the name there today.
NAMES = {
    "layers": {
        "AtrousConvolution2D": "Conv2D",
        "CuDNNGRU": "GRU",
        "CuDNNLSTM": "LSTM",
        "Deconvolution2D": "Conv2DTranspose",
        "SpatialDropout1d": "SpatialDropout1D",
        "merge": "concatenate",
    },
    "regularizers": {"l1l2": "L1L2", "WeightRegularizer": "L1L2"},
    "constraints": {"maxnorm": "MaxNorm", "nonneg": "NonNeg", "unitnorm": "UnitNorm"},
    "utils": {"plot": "plot_model"},
}

# Names that are gone, and what to do instead. Names below `graphc`.
GONE = {
    "layers.Highway": "write it as a Layer of your own",
    "layers.LocallyConnected1D": "use Conv1D, or extract patches with keras.ops",
    "layers.LocallyConnected2D": "use Conv2D, or extract patches with keras.ops",
    "layers.MaxoutDense": "use Dense, Reshape and keras.ops.max",
    "layers.Merge": "use Add, Concatenate, Multiply, ... on tensors",
    "layers.ThresholdedReLU": "use ReLU(threshold=theta)",
    "layers.TimeDistributedDense": "use Dense, which works on the last axis",
    "models.Graph": "use Model(inputs, outputs)",
    "preprocessing.image.ImageDataGenerator": "use Rescaling, RandomFlip, RandomRotation, ... in the model, and "
    "keras.utils.image_dataset_from_directory for folders",
    "utils.multi_gpu_model": "the compiled step already uses all cores",
}

# Public names of Keras 3 that cannot be compiled, and why.
UNSUPPORTED = {
    "layers.FlaxLayer": "it runs code of Flax",
    "layers.JaxLayer": "it runs code of JAX",
    "layers.TFSMLayer": "it runs a SavedModel of TensorFlow",
    "layers.TorchModuleWrapper": "it runs code of PyTorch",
    "callbacks.OrbaxCheckpoint": "it writes checkpoints of JAX; use ModelCheckpoint",
    "distribution": "it spreads JAX arrays over devices; a step here uses the cores of one machine",
    "distillation": "write a `train_step` with `graphc.gradients`",
    "quantizers": "kernels compute in floating point",
    "visualization": "it draws with matplotlib what is in arrays",
    "StatelessScope": "a step is traced from code that assigns variables",
    "SymbolicScope": "use `KerasTensor`s",
    "device": "there is one device, the CPU",
}
