"""Perceptual measures of style and content: distances between pictures, used as losses for style models.

A measure is a class with the interface ``measure.LookMeasure``.
"""

from __future__ import annotations

from typing import Any

from vidtrans.core.registry import Entry, Registry

# Perceptual measures by name
MEASURES = Registry(
    "look measure",
    {
        "efficientnet": Entry(
            "vidtrans.perception.efficientnet_lite:EfficientNetLite", "features of EfficientNet-Lite0"
        ),
        "distilled-vgg": Entry(
            "vidtrans.perception.vgg:DistilledVGG19", "features of VGG-19 at a sixteenth of its size"
        ),
    },
)
# Names of the measure that looks are trained with by default, and of the one that then scores them
DEFAULT, CRITIC = "efficientnet", "distilled-vgg"


def load_measure(name: str) -> Any:  # noqa: ANN401  (a torch module, and ``measure.LookMeasure``)
    """Return the measure of this name as a frozen module in eval mode.

    Raises UsageError if its weights are not installed, ModelError if they are damaged.
    """
    return MEASURES.load(name)().eval().requires_grad_(False)


def critic_name(name: str) -> str:
    """Return the name of the measure that scores models trained with measure ``name``: one with another network."""
    return CRITIC if name != CRITIC else DEFAULT
