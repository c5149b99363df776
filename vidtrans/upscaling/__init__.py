"""Enlarge a network's small output to the size of its source, with the source's detail where both pictures agree.

A network paints at a few hundred pixels; enlarged by a bicubic resize its picture is soft. Back-projection preserves
the content of the small picture (Irani and Peleg, "Improving Resolution by Image Registration", CVGIP 1991). The finer
detail comes from two candidates: a guided filter (He, Sun and Tang, "Guided Image Filtering", TPAMI 2013) from the
source, and the output's own edges, sharpened. The accuracy of each is measured at every pixel one scale down, where the
small output is the ground truth.

A network's faults (blur, ringing, noise) are detected by the same comparison at three scales, once per shot, and
corrected before a picture is enlarged. A look that is one colour map for all pixels is detected as well, and then the
map replaces the guided filter. Pictures of a stream, such as a camera's, have less time: their colours come from a
bicubic resize, and only the luma's detail from the source.

No function keeps a state between frames. The steps are written once, in ``enlarging``; ``array_pictures`` and
``tensor_pictures`` are the operations on arrays and on tensors.
"""

MODES = ("auto", "guided", "clean", "faithful", "bicubic")  # Modes of upscaling a render
MEASURED = ("auto", "guided", "clean")  # Modes that use the source's detail and measure the network's faults
BY_CLASS = "by class"  # Mode for label maps only (``ClassColours.resized``)
STREAM_MODES = ("luma", "bicubic")  # Modes of upscaling a stream, such as a camera's, in real time
VERSION = 12  # Version of the upscaling's arithmetic, for cache keys
