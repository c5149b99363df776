"""Enlarge a network's small output to the size of its source, with the detail of the source where both agree.

A network paints at a few hundred pixels; enlarged by a bicubic resize its picture is soft. What the small picture shows
is kept by back-projection (Irani and Peleg, "Improving Resolution by Image Registration", CVGIP 1991). What it cannot
show comes from two candidates: a guided filter (He, Sun and Tang, "Guided Image Filtering", TPAMI 2013) from the
source, and the output's own edges, sharpened. How far each is right is measured at every pixel one scale down, where
the small output is itself the truth.

A network's faults (it blurs, it rings, it is noisy) are found by the same comparison at three scales, once a shot, and
mended before a picture is enlarged. So are looks that are one map of colours for all pixels, which then takes the place
of the guided filter. Pictures of a stream, as of a camera, have less time: their colours come from a bicubic resize,
and only the luma's detail from the source.

Nothing here keeps a state between frames. The steps are written once, in ``enlarging``; ``array_pictures`` and
``tensor_pictures`` are the operations on arrays and on tensors.
"""

MODES = ("auto", "guided", "clean", "faithful", "bicubic")
MEASURED = ("auto", "guided", "clean")  # use the source, and the faults of the network
BY_CLASS = "by class"  # of label maps (``ClassColours.resized``); it cannot be chosen for others
STREAM_MODES = ("luma", "bicubic")
VERSION = 12  # of the arithmetic, for cache keys
