"""Check that a method suits a dataset's pairs, or that it has none, and make the batches of one without pairs."""

from __future__ import annotations

from vidtrans.core.errors import UsageError
from vidtrans.data.augment import crop_size
from vidtrans.data.dataset import Dataset
from vidtrans.data.loading import Batches
from vidtrans.data.unpaired_loading import UnpairedLoader, UnpairedNoise
from vidtrans.training.methods.base import TrainingMethod
from vidtrans.training.settings import TrainingSettings

NEEDS_TARGETS = ("background_plate", "motion_weight", "colour_rebalancing", "rollout_fraction")


def check_method(method: type[TrainingMethod], settings: TrainingSettings, dataset: Dataset) -> None:
    """Raise UsageError where a method learns from pairs and the dataset has none, or the other way round."""
    what = f"training.method={settings.method}"
    if not dataset.domains:
        if method.unpaired:
            why = f"it learns from domains without pairs, and this dataset has pairs ('{dataset.pairing.name}')"
            raise UsageError(what, why, "make the dataset with --unpaired, or choose another --preset")
        return
    if not method.unpaired:
        why = f"it learns from pairs, and this dataset has domains without any ({', '.join(dataset.domains)})"
        raise UsageError(what, why, "use --preset unpaired")
    for name in NEEDS_TARGETS:
        if getattr(settings, name):
            why = "it goes by the target of each frame, and in a dataset of --unpaired no frame has one"
            raise UsageError(f"training.{name}", why, "leave it out")


def unpaired_batches(
    dataset: Dataset,
    settings: TrainingSettings,
    num_frames: int,
    seed: int,
    multiple: int,
    share: range,
    picture_size: tuple[int, int] | None,
) -> Batches:
    """Return the batches of a dataset of domains, of noise where it is only planned, at ``picture_size``.

    Raises UsageError, MediaError; see ``UnpairedLoader``.
    """
    if picture_size is not None:
        size = crop_size([picture_size], settings.crop_size, multiple)
        return UnpairedNoise(size, batch=settings.batch_size, num_frames=num_frames)
    return UnpairedLoader(
        dataset.role("train"),
        dataset.domains,
        batch=settings.batch_size,
        seed=seed,
        multiple=multiple,
        num_frames=num_frames,
        crop=settings.crop_size,
        jitter=settings.jitter,
        flip=settings.flip,
        share=share,
    )
