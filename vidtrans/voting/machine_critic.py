"""A learned critic that votes like a person: it prefers the condition whose features are nearer to a reference.

The features are those of a frozen network that no model was trained with (``perception.load_critic``). A clip or a
folder as the reference is the ground truth: the distance is that of content, item by item. A single picture is a style
reference. The critic's votes are compared with the people's and never counted with them.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import torch

from vidtrans.core.events import Progress
from vidtrans.perception import AUTO, load_critic
from vidtrans.perception.measure import to_signed, with_short_side
from vidtrans.session import Context
from vidtrans.video.images.picture import read_picture, resize
from vidtrans.video.io.picture_paths import is_picture, is_stack
from vidtrans.voting.stimuli import Stimuli

SIDE_PX = 256  # Short side, in pixels, of the pictures whose features are compared


def measure_distances(
    stimuli: Stimuli, conditions: int, reference: Path, context: Context
) -> tuple[dict[tuple[int, int], float], str]:
    """Return the distance of each condition's items from ``reference``, and the name of the measure.

    ``conditions``: the number of conditions. Distances are by (condition, item); excerpts are measured at their middle
    frame. Raises UsageError, MediaError, ModelError.
    """
    measure = load_critic(AUTO)
    is_style = is_picture(reference) and not reference.is_dir() and not is_stack(reference)
    style = measure.manner(_to_network_input(read_picture(reference))) if is_style else None
    target_of = None if is_style else stimuli.counterparts(reference, context)
    distances = dict[tuple[int, int], float]()
    with torch.no_grad():
        for item, condition in product(range(len(stimuli.items)), range(conditions)):
            [picture] = stimuli.show(condition, item, only_middle=True).frames
            features = measure.see(_to_network_input(picture))
            if target_of is None:
                distance = measure.style(features, style)
            else:
                target = resize(target_of(item), picture.shape[1], picture.shape[0])
                distance = measure.content(features, measure.see(_to_network_input(target)))
            distances[condition, item] = float(distance)
            context.stop.check()
            context.report(Progress("the critic votes", len(distances), conditions * len(stimuli.items)))
    return distances, f"{'style' if is_style else 'content'} by {measure.identity().split()[0]}"


def _to_network_input(picture: np.ndarray) -> torch.Tensor:
    """Return a picture, (H, W, 3) uint8, as a tensor in [-1, 1] with the short side ``SIDE_PX``."""
    return to_signed(with_short_side(picture, SIDE_PX), torch.device("cpu"))
