"""Frames of clips that no constant was chosen on, and models of looks that are taught here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import vidtrans
from benchmarks.clips import render_frames, write_folder
from benchmarks.consistency.cases import CLIPS, SIDE, read_frames, stylised
from benchmarks.harness import Missing
from benchmarks.store import Store, digest, tell
from vidtrans.core.errors import VidtransError
from vidtrans.core.files import digest_file

STEPS = 1000  # of training: five minutes on two quiet cores
LEARNED, PAINTED = 28, 24  # frames: one after the other


@dataclass(frozen=True)
class Way:
    """How pictures come about: ``measure`` teaches, or '' for the published network of that style."""

    name: str
    measure: str = ""
    on_clip: bool = True  # else on the frames that ship


OURS, SHIPPED, OTHER = (
    Way("ours", "efficientnet"),
    Way("any clip", "efficientnet", on_clip=False),
    Way("distilled-vgg", "distilled-vgg", on_clip=False),
)
REAL = Way("published")


@dataclass(frozen=True)
class Studio:
    """A folder of results, the clips' folder, how long looks are taught, and those that are taught ``together``."""

    store: Store
    data: Path
    steps: int = STEPS
    together: tuple[Path, ...] = ()
    together_steps: int = 8 * STEPS

    def frames(self, clip: str) -> list[np.ndarray]:
        """The frames that are painted, none of which was learned from. Raises Missing."""
        place = CLIPS[clip]
        return read_frames(self.data / place.path, place.first + LEARNED, PAINTED, SIDE)

    def painted(self, way: Way, style: Path, clip: str) -> list[np.ndarray]:
        """The frames of a clip in a style, (256, 256, 3) uint8, without a filter. Raises Missing."""
        frames = self.frames(clip)
        if not way.measure:
            return stylised(frames, self.data / "models" / f"{style.stem}_nc16_256x256_onnxjs013.onnx", self.store)
        return self.paint(frames, self.model(way, (style,), clip))

    def model(self, way: Way, styles: Sequence[Path], clip: str) -> Path:
        """The file of a model; it is taught where that is not done yet. Raises Missing."""
        styles_name = styles[0].stem if len(styles) == 1 else f"{len(styles)}-looks"
        steps = self.steps if len(styles) == 1 else self.together_steps
        name = f"{styles_name}-{way.measure}-{clip if way.on_clip else 'any'}-{steps}"
        path = self.store.folder / f"{name}.safetensors"
        if not path.exists():
            tell(f"teaching {name}")
            on = [self._to_learn(clip)] if way.on_clip else []
            try:
                vidtrans.look(
                    list(styles),
                    path,
                    on=on,
                    steps=steps,
                    settings={"training": {"look_measure": way.measure}},
                    cache_dir=self.store.folder / "vidtrans",
                )
            except VidtransError as error:
                raise Missing(f"{name}: {error}") from None
        return path

    def paint(self, frames: Sequence[np.ndarray], model: Path, look: str = "") -> list[np.ndarray]:
        """Each frame as a model paints it, without a filter."""
        key, folder = digest(digest_file(model), look, *frames), self.store.folder / f"to-paint-{digest(*frames)}"
        cache = self.store.folder / "vidtrans"
        return self.store.pictures(model.stem, key, lambda: render_frames(frames, model, folder, cache, look=look))

    def _to_learn(self, clip: str) -> Path:
        place = CLIPS[clip]
        frames = read_frames(self.data / place.path, place.first, LEARNED)
        return write_folder(self.store.folder / f"{clip}-to-learn-{digest(*frames)}", frames)


def read_styles(folder: Path) -> dict[str, Path]:
    """Style pictures by name."""
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in (".jpg", ".png")}
