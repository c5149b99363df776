"""The guides of a folder, and the body of keypoints, that complete a pairing which was named without them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Size
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.pose import Pose
from vidtrans.pairing.stack import Stack, StackSettings
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.picture_paths import find_guides, layers_in
from vidtrans.video.io.pictures import fixed_guide, open_reader, performer_body

LAYERS_SHOWN = 6
GREY_SIDE = 64  # pixels, of the short side
GREY_SPREAD = 2  # levels between channels that a codec may add to a grey picture


def with_guides(pairing: Pairing, folder: Path, target: Path | None) -> Pairing:
    """Return the pairing; a stack without names gets all guides of ``folder`` but the target, grey ones as one channel.

    OpenEXR guides of data (depth …) get a fixed range of values, so that renders of other clips use the same range.
    Poses get the size of the target's frames, and the body of the person that is seen longest.
    """
    if isinstance(pairing, Pose):
        return _with_body(pairing, folder, target)
    if not isinstance(pairing, Stack) or (pairing.guides and not folder.is_dir()):
        return pairing
    if pairing.guides:
        both = zip(pairing.guides, pairing.settings.guides, strict=True)
        fixed = tuple(fixed_guide(folder, name) + whole[len(name) :] for name, whole in both)
        return pairing if fixed == pairing.settings.guides else Stack(StackSettings(fixed))
    target = target.resolve() if target else None
    guides = find_guides(folder) if folder.is_dir() else {}
    guides = {name: path for name, path in guides.items() if path.resolve() != target and name != "target"}
    if not guides:
        remedy = "give a folder with a folder of pictures for each guide: depth/, normals/ …"
        if layers := layers_in(folder):
            listed = ", ".join(f'"#{name}"' for name in layers[:LAYERS_SHOWN])
            remedy = f"its pictures have layers: --set 'pairing.guides=[{listed}]' names them"
        raise UsageError(str(folder), "no guides in it", remedy)
    own = (fixed_guide(folder, name) + (":1" if _is_grey(path) else "") for name, path in guides.items())
    return Stack(StackSettings(tuple(own)))


def _with_body(pairing: Pose, keypoints: Path, target: Path | None) -> Pose:
    """Return the pairing with the size of the drawn pictures, and whose poses they are. Raises MediaError."""
    settings = pairing.settings
    if not settings.size and target is not None:
        with open_reader(target) as reader, closing(reader.frames()) as frames:
            height, width = next(frames).rgb.shape[:2]
        settings = replace(settings, size=f"{width}x{height}")
    if not settings.body:
        settings = replace(settings, body=performer_body(keypoints, str(settings.view)))
    return Pose(settings)


def _is_grey(guide: Path) -> bool:
    """Return whether no frame of a guide has colour. All frames are read, as the first may be black."""
    with (
        open_reader(guide, FrameFormat(Size(short=GREY_SIDE)), tolerant=True) as reader,
        closing(reader.frames()) as frames,
    ):
        return all(int(np.ptp(frame.rgb.astype(np.int16), axis=2).max()) <= GREY_SPREAD for frame in frames)
