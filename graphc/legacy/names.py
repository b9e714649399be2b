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

# Functions of `keras.backend` that have another name today, or none.
_OLD_BACKEND = {
    "batch_dot": "keras.ops.matmul or keras.ops.einsum",
    "batch_flatten": "keras.layers.Flatten",
    "batch_get_value": "model.get_weights()",
    "batch_set_value": "model.set_weights()",
    "bias_add": "x + bias",
    "bidirectional": "keras.layers.Bidirectional",
    "constant": "keras.ops.convert_to_tensor",
    "conv1d": "keras.ops.conv",
    "conv2d": "keras.ops.conv",
    "conv2d_transpose": "keras.ops.conv_transpose",
    "conv3d": "keras.ops.conv",
    "count_params": "layer.count_params()",
    "ctc_batch_cost": "keras.ops.ctc_loss",
    "dropout": "keras.random.dropout",
    "depthwise_conv2d": "keras.ops.depthwise_conv",
    "eval": "keras.ops.convert_to_numpy",
    "flatten": "keras.ops.ravel",
    "foldl": "keras.ops.scan",
    "foldr": "keras.ops.scan with reverse=True",
    "function": "Model(inputs, outputs)",
    "gather": "keras.ops.take",
    "get_value": "variable.numpy()",
    "get_variable_shape": "variable.shape",
    "gradients": "graphc.gradients(loss, variables)",
    "identity": "the tensor itself",
    "in_test_phase": "the `training` argument of `call`",
    "in_train_phase": "the `training` argument of `call`",
    "int_shape": "x.shape",
    "l2_normalize": "keras.ops.normalize",
    "learning_phase": "the `training` argument of `call`",
    "map_fn": "keras.ops.map",
    "name_scope": "keras.name_scope",
    "permute_dimensions": "keras.ops.transpose",
    "placeholder": "keras.Input",
    "pool2d": "keras.ops.max_pool or keras.ops.average_pool",
    "pool3d": "keras.ops.max_pool or keras.ops.average_pool",
    "pow": "keras.ops.power",
    "random_bernoulli": "keras.random.binomial",
    "random_binomial": "keras.random.binomial",
    "random_normal": "keras.random.normal",
    "random_uniform": "keras.random.uniform",
    "random_normal_variable": "keras.Variable",
    "random_uniform_variable": "keras.Variable",
    "repeat_elements": "keras.ops.repeat",
    "resize_images": "keras.ops.image.resize",
    "reverse": "keras.ops.flip",
    "rnn": "keras.layers.RNN or keras.ops.scan",
    "separable_conv2d": "keras.ops.separable_conv",
    "set_learning_phase": "the `training` argument of `call`",
    "set_value": "variable.assign(value)",
    "spatial_2d_padding": "keras.ops.pad",
    "temporal_padding": "keras.ops.pad",
    "truncated_normal": "keras.random.truncated_normal",
    "update": "variable.assign(value)",
    "update_add": "variable.assign_add(value)",
    "update_sub": "variable.assign_sub(value)",
    "variable": "keras.Variable",
}
_NO_SESSION = "there are no sessions and no graphs to set up; leave it out"
GONE |= {f"backend.{old}": f"use {new}" for old, new in _OLD_BACKEND.items()}
GONE |= {f"backend.{old}": _NO_SESSION for old in ("get_session", "set_session", "manual_variable_initialization")}

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
