"""What networks of other tools take and give, in numbers; without torch, for records."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.settings import setting


@dataclass(frozen=True)
class PortSettings:
    """What a network takes and gives: ``taken = x · in_scale + in_shift``, ``y = given · out_scale + out_shift``.

    x and y are pictures in [−1, 1]. A scale or shift is one number for all channels, or one for each, in the network's
    own order.
    """

    in_channels: int = setting(3, "channels that the network takes", low=1, high=1024)
    out_channels: int = setting(3, "channels that it gives: 1 is shown as grey, of 4 the first three", low=1, high=4)
    invert: bool = setting(False, "the input is turned light for dark: lines are drawn dark on white")
    bgr: bool = setting(False, "colours are in the order blue, green, red, on both sides")
    in_scale: tuple[float, ...] = setting((1.0,), "what the input is multiplied by")
    in_shift: tuple[float, ...] = setting((0.0,), "what is added to it then")
    out_scale: tuple[float, ...] = setting((1.0,), "what the output is multiplied by")
    out_shift: tuple[float, ...] = setting((0.0,), "what is added to it then")

    def __post_init__(self) -> None:
        if self.out_channels == 2:
            raise ValueError("ports.out_channels is 2: that is no picture")
        sides = {"in": self.in_channels, "out": min(self.out_channels, 3)}
        for side, channels in sides.items():
            for name in (f"{side}_scale", f"{side}_shift"):
                if len(getattr(self, name)) not in (1, channels):
                    raise ValueError(f"ports.{name} needs one number, or {channels}")

    def takes(self, channels: int) -> bool:
        """Return whether inputs of so many channels can be given to the network."""
        return channels in (1, self.in_channels) or (channels == 3 and self.in_channels == 1)


MOST_PICTURE_CHANNELS = 4  # an input with more is a label map, as a rule
RANGES = ("-1..1", "0..1", "0..255", "imagenet")  # of a network's pictures, as people say them
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of pictures in 0…1


def named_range(name: str) -> dict[str, tuple[float, ...]]:
    """Return the settings of a network for one of ``RANGES``; 'imagenet' is of the input, the output is in 0…1."""
    if name != "imagenet":
        low, _, high = name.partition("..")
        return range_ports(float(low), float(high))
    shift = tuple((0.5 - mean) / std for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True))
    return range_ports(0, 1) | {"in_scale": tuple(0.5 / std for std in IMAGENET_STD), "in_shift": shift}


def range_ports(low: float, high: float) -> dict[str, tuple[float, ...]]:
    """Return the settings of a network whose pictures go from ``low`` to ``high``, on both sides."""
    half, middle = (high - low) / 2, (high + low) / 2
    return {"in_scale": (half,), "in_shift": (middle,), "out_scale": (1 / half,), "out_shift": (-middle / half,)}
