"""A learned critic that votes like a person: it prefers the condition whose features are nearer to a reference.

A clip or a folder as the reference is the ground truth: the distance is that of content, item by item. A single picture
is a style reference. The critic's votes are compared with the people's and never counted with them.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

from vidtrans import PictureCritic, Progress
from vidtrans.session import Context
from vidtrans.video.images.picture import read_picture
from vidtrans.video.io.picture_paths import is_picture, is_stack
from vidtrans.voting.stimuli import Stimuli


def measure_distances(
    stimuli: Stimuli, conditions: int, reference: Path, context: Context
) -> tuple[dict[tuple[int, int], float], str]:
    """Return the distance of each condition's items from ``reference``, and the name of the measure.

    ``conditions``: the number of conditions. Distances are by (condition, item); excerpts are measured at their middle
    frame. Raises UsageError, MediaError, ModelError.
    """
    critic = PictureCritic()
    is_style = is_picture(reference) and not reference.is_dir() and not is_stack(reference)
    if is_style:
        distance_from_style = critic.distance_from_style(read_picture(reference))
    else:
        target_of = stimuli.counterparts(reference, context)
    distances = dict[tuple[int, int], float]()
    for item, condition in product(range(len(stimuli.items)), range(conditions)):
        [picture] = stimuli.show(condition, item, only_middle=True).frames
        distances[condition, item] = (
            distance_from_style(picture) if is_style else critic.distance(picture, target_of(item))
        )
        context.stop.check()
        context.report(Progress("the critic votes", len(distances), conditions * len(stimuli.items)))
    return distances, f"{'style' if is_style else 'content'} by {critic.name}"
