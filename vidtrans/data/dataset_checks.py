"""Checks of a dataset's clips: equal shapes, a common end, pairs to train on."""

from __future__ import annotations

from vidtrans.clips.indexing import Clip
from vidtrans.core.errors import MediaError
from vidtrans.data.dataset import Dataset
from vidtrans.data.sources import check_shapes
from vidtrans.pairing.base import Pairing
from vidtrans.session import Context
from vidtrans.video.io.clip import ClipIndex


def shape_of(index: ClipIndex) -> tuple[int, int]:
    """Return (width, height) with square pixels."""
    return round(index.width * index.sample_aspect_ratio), index.height


def common_stop(clip: Clip, other: Clip, first: int, stop: int, context: Context) -> int:
    """Return where the shorter of clip and target ends. Raises MediaError where they do not match."""
    if clip.index.same_size and other.index.same_size:
        check_shapes(clip.path, shape_of(clip.index), shape_of(other.index))
    if other.index.num_frames == clip.index.num_frames:
        return stop
    common = min(stop, other.index.num_frames)
    if common <= first:
        raise MediaError(str(other.path), f"it has only {other.index.num_frames} frames", "give a clip in step")
    context.note(
        f"{clip.path.name} has {clip.index.num_frames} frames, {other.path.name} {other.index.num_frames}; "
        f"the first {common} are paired",
        "warning",
    )
    return common


def check_pairs(dataset: Dataset, pairing: Pairing) -> None:
    """Raise MediaError where no shot is long enough for a pair."""
    if dataset.pairs:
        return
    dropped = sum(r.role == "dropped" for r in dataset.records)
    why = f"pairing '{pairing.name}' needs {pairing.min_frames} frames in a row, and no shot has as many"
    remedy = "give a longer clip"
    if pairing.min_frames == 1:
        why, remedy = "no frame of it can be learned from", "give a clip that shows more"
    if dropped:
        why += f" ({dropped} frames are flat or blurred, or look just like others)"
        remedy += ", or keep all with --set dataset.drop_duplicates=false --set dataset.min_sharpness=0"
    raise MediaError(", ".join(s["name"] for s in dataset.sources), why, remedy)
