"""A picture → the same in other colours: what a colour map is rendered with."""

from __future__ import annotations

from vidtrans.pairing.aligned import Aligned


class GradePairing(Aligned):
    """As ``Aligned``, but colours are single pixels' own: a render has the source's size."""

    name = "grade"
    version = 1
    at_source_size = True
