"""Measures of picture quality, and of a video's temporal consistency along its source's motion."""

from __future__ import annotations

# Flow method for scores. It differs from the temporal filter's method, because a method cannot detect its own errors
SCORING_FLOW = "dis-fine"
# Largest short side of scored pictures, in pixels, as of the DAVIS clips in published results
SHORT_SIDE = 480
