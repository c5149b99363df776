"""``vidtrans vote``: people compare pictures or short clips on a page, without knowing how they were made.

A *study* has conditions, items and settings (``ballot``). Each voter answers the *trials* of a ballot, which is a
function of the seed and the voter's number. Votes are appended to a log (``vote_log``), which alone decides the scores
(``vote_summary``); the server (``poll``) may end at any time.

Real or fake follows the study of Isola et al. (CVPR 2017): a real and a generated picture, each for one second.
"""

from __future__ import annotations

PICTURE_PX, CLIP_PX = (
    960,
    640,
)  # Longest sides of shown pictures and clips: two fit next to each other
DEFAULT_TRIALS = 40  # Default number of trials of a voter
