"""Measures of picture quality, and of a video's temporal consistency along its source's motion."""

from __future__ import annotations

# Flow method for scores, different from the temporal filter's, whose errors it could not detect
SCORING_FLOW = "dis-fine"
# Largest short side at which pictures are scored, in pixels: that of the DAVIS clips in published results
SHORT_SIDE = 480
