"""Scores of pictures, and of a video's steadiness along its source's motion."""

from __future__ import annotations

# The flow method that renders are scored with: never the one that the temporal filter follows, whose own mistakes it
# could not see.
SCORING_FLOW = "dis-fine"
# Pictures are scored no larger than this on their short side: the one of the DAVIS clips that published figures are of.
SHORT_SIDE = 480
