"""Ports of other tools' networks: the channels and value ranges of input and output. Without torch and NumPy."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.options import option

MAX_LOOKS = 64  # Largest number of styles of a network that mixes them by weights.
MAX_STYLE_LENGTH = 4096  # Largest number of values in a style vector.
STYLE_DTYPES = ("float32", "float16")  # Supported dtypes of a style vector.
# Largest number of channels of a picture input; an input with more channels is usually a label map.
MAX_PICTURE_CHANNELS = 4
RANGES = ("-1..1", "0..1", "0..255", "imagenet")  # Names of common value ranges of a network's input and output.
# Mean and standard deviation of ImageNet's RGB channels, for colours from 0 to 1.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PortSettings:
    """Conversion of pictures in [−1, 1] for another tool's network, and of its output to pictures in [−1, 1].

    Network input = picture · in_scale + in_shift; picture = network output · out_scale + out_shift. A scale or shift is
    one number for all channels, or one number per channel in the network's order of channels.
    """

    in_channels: int = option(3, "number of input channels", bounds=(1, 1024))
    conditions: int = option(0, "number of extra input channels, with the weights of looks", bounds=(0, MAX_LOOKS))
    out_channels: int = option(3, "number of output channels: 1 is grey; of 4, the first three are used", bounds=(1, 4))
    invert: bool = option(False, "invert the input, for networks that take dark lines on white")
    bgr: bool = option(False, "input and output have the colour order blue, green, red")
    in_scale: tuple[float, ...] = option((1.0,), "factor of the input")
    in_shift: tuple[float, ...] = option((0.0,), "offset added to the scaled input")
    out_scale: tuple[float, ...] = option((1.0,), "factor of the output")
    out_shift: tuple[float, ...] = option((0.0,), "offset added to the scaled output")

    def __post_init__(self) -> None:
        if self.out_channels == 2:
            raise ValueError("ports.out_channels is 2: a picture has 1, 3 or 4 channels")
        sides = {"in": self.in_channels, "out": min(self.out_channels, 3)}
        for side, channels in sides.items():
            for name in (f"{side}_scale", f"{side}_shift"):
                if len(getattr(self, name)) not in (1, channels):
                    raise ValueError(f"ports.{name} needs 1 or {channels} numbers")

    def takes(self, channels: int) -> bool:
        """Return whether an input with this number of channels can be converted for the network."""
        channels -= self.conditions
        return channels in (1, self.in_channels) or (channels == 3 and self.in_channels == 1)


def named_range(name: str) -> dict[str, tuple[float, ...]]:
    """Return the scales and shifts in ``PortSettings`` for networks whose input and output have the range ``name``.

    ``name``: one of ``RANGES``; with 'imagenet' only the input has this range, and the output is in [0, 1].
    """
    if name != "imagenet":
        low, _, high = name.partition("..")
        return range_ports(float(low), float(high))
    shift = tuple((0.5 - mean) / std for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True))
    return range_ports(0, 1) | {"in_scale": tuple(0.5 / std for std in IMAGENET_STD), "in_shift": shift}


def range_ports(low: float, high: float) -> dict[str, tuple[float, ...]]:
    """Return the scales and shifts for a network whose input and output both range from ``low`` to ``high``."""
    half, middle = (high - low) / 2, (high + low) / 2
    return {"in_scale": (half,), "in_shift": (middle,), "out_scale": (1 / half,), "out_shift": (-middle / half,)}
