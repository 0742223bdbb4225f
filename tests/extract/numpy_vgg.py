"""VGG networks in NumPy, in float64, channels last: slow, and nothing of ours or torch's in it."""

import numpy as np

VGGISH = {
    "features.0": (64, 1, 3, 3), "features.3": (128, 64, 3, 3), "features.6": (256, 128, 3, 3),
    "features.8": (256, 256, 3, 3), "features.11": (512, 256, 3, 3),
    "features.13": (512, 512, 3, 3), "embeddings.0": (4096, 12288), "embeddings.2": (4096, 4096),
    "embeddings.4": (128, 4096),
}  # fmt: skip
"""Names and shapes in torchvggish's published file (``.weight``; biases beside them)."""

VGG19 = {
    "block1_conv1": (0, 3, 64), "block1_conv2": (2, 64, 64),
    "block2_conv1": (5, 64, 128), "block2_conv2": (7, 128, 128),
    "block3_conv1": (10, 128, 256), "block3_conv2": (12, 256, 256),
    "block3_conv3": (14, 256, 256), "block3_conv4": (16, 256, 256),
    "block4_conv1": (19, 256, 512), "block4_conv2": (21, 512, 512),
    "block4_conv3": (23, 512, 512), "block4_conv4": (25, 512, 512),
    "block5_conv1": (28, 512, 512), "block5_conv2": (30, 512, 512),
    "block5_conv3": (32, 512, 512), "block5_conv4": (34, 512, 512),
}  # fmt: skip
"""Keras's names to torchvision's number among its features, and channels before and after."""


def convolved(x, kernel, bias):
    """A 3 x 3 convolution with zeros around it, and ReLU.

    x is [H, W, in], the kernel [3, 3, in, out].
    """
    height, width, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    found = np.zeros((height, width, kernel.shape[-1]), x.dtype) + bias
    for i in range(3):
        for j in range(3):
            found += padded[i : i + height, j : j + width] @ kernel[i, j]
    return np.maximum(found, 0)


def pooled(x):
    """The largest of each 2 x 2."""
    height, width, channels = x.shape
    return x.reshape(height // 2, 2, width // 2, 2, channels).max(axis=(1, 3))


def vggish_maps(window, weights):
    """Maps [6, 4, 512] (time, frequency, channel) of a window [96, 64]."""
    x = window[:, :, None].astype(np.float64)
    for name in ("features.0", "P", "features.3", "P", "features.6", "features.8", "P",
                 "features.11", "features.13", "P"):  # fmt: skip
        if name == "P":
            x = pooled(x)
        else:
            kernel = weights[f"{name}.weight"].transpose(2, 3, 1, 0).astype(np.float64)
            x = convolved(x, kernel, weights[f"{name}.bias"])
    return x


def vggish_last(flat, weights):
    """The last layer before its ReLU, from flattened maps."""
    for name in ("embeddings.0", "embeddings.2"):
        flat = np.maximum(weights[f"{name}.weight"] @ flat + weights[f"{name}.bias"], 0)
    return weights["embeddings.4.weight"] @ flat + weights["embeddings.4.bias"]


def vgg19_maps(picture, kernels):
    """Maps [H/32, W/32, 512] of what the network reads, [H, W, 3]; kernels are HWIO."""
    x = picture.astype(np.float32)
    for layer in VGG19:
        if layer.endswith("conv1") and layer != "block1_conv1":
            x = pooled(x)
        x = convolved(x, *kernels[layer])
    return pooled(x)
