"""Cases of neural networks, signals and images."""

from __future__ import annotations

import numpy as np
from ops_cases import case, floats, of, whole
from ops_cases_numpy import CUBE, X

# ---- neural networks

ACTIVATIONS = (
    "relu", "relu6", "sigmoid", "log_sigmoid", "softplus", "softsign", "silu", "swish", "gelu", "elu", "selu", "celu",
    "leaky_relu", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "hard_shrink", "soft_shrink", "tanh_shrink",
    "squareplus", "softmax", "log_softmax", "sparse_plus", "sparse_sigmoid",
)  # fmt: skip
for name in ACTIVATIONS:
    case(name, floats(3, 5, low=-5, high=5), tolerance=1e-5)
case("gelu", X, approximate=False, tolerance=1e-5)
case("elu", X, alpha=0.5)
case("celu", X, alpha=0.5)
case("leaky_relu", X, negative_slope=0.3)
case("threshold", X, 0.5, -1.0)
case("softmax", CUBE, axis=1)
case("softmax", CUBE, axis=(0, 2))
case("softmax", CUBE, axis=None)
case("log_softmax", CUBE, axis=0)
case("glu", floats(3, 6))
case("glu", floats(4, 3), axis=0)
case("normalize", X)
case("normalize", X, axis=0, order=1)
case("normalize", X, order=3, tolerance=1e-5)
case("moments", CUBE, [0, 2])
case("moments", CUBE, [1], keepdims=True)
case("psnr", X, floats(3, 5), 2.0)
IMAGE, TALL = floats(2, 7, 6, 4), floats(2, 4, 7, 6)
SERIES, BLOCK = floats(2, 9, 4), floats(2, 5, 6, 7, 3)
for strides, padding, dilation in ((1, "valid", 1), (2, "same", 1), (1, "same", 2), ((2, 1), "valid", 1)):
    case("conv", IMAGE, floats(3, 2, 4, 5), strides, padding, dilation_rate=dilation, tolerance=1e-5)
    if strides != (2, 1):
        case("depthwise_conv", IMAGE, floats(3, 2, 4, 3), strides, padding, dilation_rate=dilation, tolerance=1e-5)
    case("conv_transpose", IMAGE, floats(3, 2, 5, 4), strides, padding, dilation_rate=dilation, tolerance=1e-5)
case("conv", IMAGE, floats(3, 2, 2, 6), 1, "valid", tolerance=1e-5)
case("conv", TALL, floats(3, 2, 4, 5), 1, "same", data_format="channels_first", tolerance=1e-5)
case("conv", SERIES, floats(3, 4, 5), 2, "same", tolerance=1e-5)
case("conv", BLOCK, floats(2, 3, 2, 3, 4), 1, "valid", tolerance=1e-5)
case("conv_transpose", SERIES, floats(3, 5, 4), 2, "same", tolerance=1e-5)
case("conv_transpose", SERIES, floats(3, 5, 4), 2, "valid", output_padding=1, tolerance=1e-5)
case("conv_transpose", SERIES, floats(2, 5, 4), 3, "same", tolerance=1e-5)
case("conv_transpose", TALL, floats(3, 2, 5, 4), 2, "same", data_format="channels_first", tolerance=1e-5)
case("conv_transpose", BLOCK, floats(2, 3, 2, 4, 3), 2, "valid", tolerance=1e-5)
case("separable_conv", IMAGE, floats(3, 2, 4, 2), floats(1, 1, 8, 5), 1, "same", tolerance=1e-5)
for name in ("max_pool", "average_pool"):
    case(name, IMAGE, 2, 2)
    case(name, IMAGE, (3, 2), (2, 1), "same")
    case(name, SERIES, 3, 2, "same")
    case(name, TALL, 2, 2, data_format="channels_first")
    case(name, BLOCK, 2, 1)
for name in ("adaptive_max_pool", "adaptive_average_pool"):
    case(name, SERIES, 4)
    case(name, IMAGE, (3, 4))
    case(name, TALL, 3, data_format="channels_first")
    case(name, BLOCK, (2, 4, 3))
case("batch_normalization", IMAGE, floats(4), floats(4, low=0.5), -1, tolerance=1e-5)
case("batch_normalization", TALL, floats(4), floats(4, low=0.5), 1, floats(4), floats(4), 0.1, tolerance=1e-5)
case("layer_normalization", CUBE, tolerance=1e-5)
case("layer_normalization", CUBE, floats(5), floats(5), tolerance=1e-5)
case("layer_normalization", CUBE, floats(3, 5), floats(3, 5), axis=(1, 2), epsilon=0.1, tolerance=1e-5)
case("rms_normalization", CUBE, tolerance=1e-5)
case("rms_normalization", CUBE, floats(5), epsilon=0.1, tolerance=1e-5)
Q, K = floats(2, 4, 6, 8), floats(2, 7, 6, 8)
case("dot_product_attention", Q, K, floats(2, 7, 6, 8), tolerance=1e-5)
case("dot_product_attention", Q, K, K, scale=0.3, bias=floats(2, 6, 4, 7), tolerance=1e-5)
case("dot_product_attention", Q, K, K, mask=of("bool", 2, 6, 4, 7), tolerance=1e-5)
case("dot_product_attention", Q, Q, Q, is_causal=True, tolerance=1e-5)
case("dot_product_attention", Q, floats(2, 7, 2, 8), floats(2, 7, 2, 8), tolerance=1e-5)
case("binary_crossentropy", floats(3, 5, low=0, high=1), floats(3, 5, low=0, high=1), tolerance=1e-5)
case("binary_crossentropy", floats(3, 5, low=0, high=1), X, from_logits=True, tolerance=1e-5)
case("categorical_crossentropy", floats(3, 5, low=0, high=1), floats(3, 5, low=0.1, high=1), tolerance=1e-5)
case("categorical_crossentropy", floats(3, 5, low=0, high=1), X, from_logits=True, tolerance=1e-5)
case("sparse_categorical_crossentropy", whole(3, high=5), floats(3, 5, low=0.1, high=1), tolerance=1e-5)
case("sparse_categorical_crossentropy", whole(3, 1, high=5), X, from_logits=True, tolerance=1e-5)
LABELS = np.array([[1, 2, 2], [3, 1, 0]], "int32")
case("ctc_loss", LABELS, floats(2, 7, 5), np.array([3, 2], "int32"), np.array([7, 5], "int32"), tolerance=1e-4)
case("ctc_decode", floats(2, 7, 5), np.array([7, 5], "int32"), tolerance=1e-5)
case("ctc_decode", floats(2, 7, 5), np.array([7, 5], "int32"), merge_repeated=False, mask_index=2, tolerance=1e-5)
case("ctc_decode", floats(2, 7, 4), np.array([7, 7], "int32"), "beam_search", beam_width=200, top_paths=3,
     tolerance=1e-4)  # fmt: skip
case("depth_to_space", floats(2, 3, 4, 8), 2)
case("depth_to_space", floats(2, 8, 3, 4), 2, data_format="channels_first")
case("space_to_depth", floats(2, 6, 4, 3), 2)
case("space_to_depth", floats(2, 3, 6, 4), 2, data_format="channels_first")
case("unfold", floats(2, 3, 7, 6), (3, 2))
case("unfold", floats(2, 3, 7, 6), 2, dilation=2, padding=1, stride=(2, 1))
case("fold", floats(2, 12, 12), (5, 4), 2)

# ---- signals

for name in ("fft", "fft2", "ifft2"):
    case(name, (floats(2, 4, 6), floats(2, 4, 6)), tolerance=1e-4)
case("rfft", floats(2, 9), tolerance=1e-4)
case("rfft", floats(2, 9), fft_length=12, tolerance=1e-4)
case("rfft", floats(2, 9), fft_length=6, tolerance=1e-4)
case("irfft", (floats(2, 5), floats(2, 5)), tolerance=1e-4)
case("irfft", (floats(2, 5), floats(2, 5)), fft_length=7, tolerance=1e-4)
case("stft", floats(2, 40), 8, 4, 10, tolerance=1e-4)
case("stft", floats(2, 40), 8, 4, 8, window="hamming", center=False, tolerance=1e-4)
case("stft", floats(2, 40), 8, 4, 8, window=None, tolerance=1e-4)
case("istft", (floats(2, 9, 5), floats(2, 9, 5)), 8, 4, 8, tolerance=1e-4)
case("istft", (floats(2, 9, 5), floats(2, 9, 5)), 8, 4, 8, length=30, tolerance=1e-4)
case("istft", (floats(2, 9, 5), floats(2, 9, 5)), 8, 2, 8, center=False, window=None, tolerance=1e-4)

# ---- images

PHOTO = floats(2, 7, 6, 3, low=0, high=1)
BYTES = whole(2, 7, 6, 3, high=256, dtype="uint8")
for method in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"):
    for size in ((9, 13), (4, 3), (7, 4)):
        for antialias in (False, True):
            case("image.resize", PHOTO, size, interpolation=method, antialias=antialias, tolerance=2e-5)
case("image.resize", BYTES, (9, 4))
case("image.resize", BYTES, (9, 4), interpolation="bicubic")
case("image.resize", PHOTO[0], (5, 8), tolerance=1e-5)
case("image.resize", PHOTO, (5, 8), crop_to_aspect_ratio=True, tolerance=1e-5)
case("image.resize", PHOTO, (5, 8), pad_to_aspect_ratio=True, fill_value=0.5, tolerance=1e-5)
case("image.resize", PHOTO, (9, 3), pad_to_aspect_ratio=True, tolerance=1e-5)
case("image.resize", PHOTO.transpose(0, 3, 1, 2).copy(), (5, 8), data_format="channels_first", tolerance=1e-5)
for method in ("linear", "cubic", "lanczos3"):
    case("image.scale_and_translate", PHOTO, (2, 9, 5, 3), np.array([1.5, 0.7], "float32"),
         np.array([-0.5, 1.0], "float32"), (1, 2), method, tolerance=5e-5)  # fmt: skip
TURNS = np.array([[0.9, 0.2, 0.5, -0.2, 0.9, 1, 0, 0], [1.1, 0, -1, 0.3, 1, 0, 0, 0]], "float32")
for mode in ("constant", "nearest", "wrap", "mirror", "reflect"):
    case("image.affine_transform", PHOTO, TURNS, fill_mode=mode, tolerance=2e-5)
    case("image.affine_transform", PHOTO, TURNS * 0.99, "nearest", fill_mode=mode, tolerance=1e-5)
    case("image.map_coordinates", X, floats(2, 4, 3, low=-4, high=9), 1, mode, 0.5, tolerance=2e-5)
    case("image.map_coordinates", whole(3, 5), floats(2, 4, 3, low=-4, high=9), 0, mode)
case("image.affine_transform", BYTES, TURNS * np.float32(0.97), fill_value=7)
case("image.affine_transform", PHOTO[0], TURNS[0], tolerance=1e-5)
case("image.affine_transform", PHOTO.transpose(0, 3, 1, 2).copy(), TURNS, data_format="channels_first",
     tolerance=2e-5)  # fmt: skip
START = np.array([[0, 0], [6, 0], [0, 5], [6, 5]], "float32")
END = np.array([[1, 0.5], [5, 0], [0.5, 4], [6, 5.5]], "float32")
case("image.perspective_transform", PHOTO[0], START, END, tolerance=1e-4)
case("image.perspective_transform", PHOTO, np.stack([START, START]), np.stack([END, END + 0.3]), "nearest")
case("image.rgb_to_grayscale", PHOTO)
case("image.rgb_to_grayscale", BYTES)
case("image.rgb_to_grayscale", PHOTO[0].transpose(2, 0, 1).copy(), data_format="channels_first")
case("image.rgb_to_hsv", PHOTO, tolerance=1e-5)
case("image.hsv_to_rgb", PHOTO, tolerance=1e-5)
case("image.extract_patches", PHOTO, (3, 2))
case("image.extract_patches", PHOTO[0], 2, strides=1, padding="same")
case("image.extract_patches", PHOTO, 2, dilation_rate=2, strides=1)
case("image.extract_patches_3d", BLOCK, 2)
case("image.pad_images", PHOTO, 1, 2, target_height=10, target_width=11)
case("image.pad_images", PHOTO[0], 1, 2, 3, 0)
case("image.crop_images", PHOTO, 1, 2, target_height=4, target_width=3)
case("image.crop_images", PHOTO[0], 1, 2, 2, 0)
case("image.gaussian_blur", PHOTO, (3, 5), (0.8, 1.3), data_format="channels_last", tolerance=1e-5)
case("image.gaussian_blur", PHOTO[0], data_format="channels_last", tolerance=1e-5)
case("image.sobel_edges", PHOTO, data_format="channels_last", tolerance=1e-5)
case("image.ssim", floats(2, 14, 13, 3, low=0, high=1), floats(2, 14, 13, 3, low=0, high=1), tolerance=1e-4)
case("image.elastic_transform", PHOTO, alpha=3.0, sigma=1.0, seed=7, tolerance=1e-3)
