"""Check whether the inputs of a dataset suit its pairing, before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.pairing.aligned import Matched
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.pose import Pose
from vidtrans.pairing.stack import Stack


def check_inputs(pairing: Pairing, videos: Sequence[Path], target: Path | None, *, has_mattes: bool) -> None:
    """Raise UsageError if the inputs do not suit the pairing. ``has_mattes``: each of ``videos`` has a matte."""
    has_clips = any(not v.is_dir() for v in videos)
    if pairing.needs_target and target is None and (has_clips or isinstance(pairing, Stack | Matched | Pose)):
        remedy = "add --target VIDEO, or give a folder of pairs"
        if not has_clips or isinstance(pairing, Matched):
            remedy = "add --target VIDEO or a folder of pictures"
        raise UsageError(f"pairing '{pairing.name}'", "it needs a second clip", remedy)
    if target is not None and not pairing.needs_target:
        raise UsageError("--target", f"pairing '{pairing.name}' makes its own targets", "use --pairing aligned")
    if target is not None and len(videos) > 1:
        raise UsageError("--target", "one target clip fits one video", "make a dataset for each pair of clips")
    if has_mattes and pairing.needs_target and target is None:
        why = "the pairs of a folder are in no order, in which a matte could follow them"
        raise UsageError("--matte", why, "give the clip, and its target as --target")
