"""Train the style transfer network of ``assets/networks/style-prediction.safetensors`` with a perceptual loss.

    python examples/style_tuning.py START.safetensors STYLES OUTPUT.safetensors

START: weights to begin with, the shipped ones or those that ``style_prediction.py`` writes; a narrower network is
widened without a change of its output. STYLES: a folder of paintings in the public domain; about a third of the styles
are photographs drawn by the painting media that ship. The style predictor stays as it is.

The losses are those of ``training.methods.look_method`` (Johnson et al., ECCV 2016), with the features of EfficientNet-
Lite0: a new style for each picture, from a pool (Ghiasi et al., BMVC 2017). Frames are photographs that ship here and
with scikit-image, moved, with other ones moving before them, and noise; so the flow is known, and both frames are to be
painted alike (Ruder et al., GCPR 2016). The content is compared with the frame before its noise. The stroke size is
learned from paintings at 2/3 to 3/2 of the size. Places of one colour in the frame are to have one colour, too, so that
no bright or coloured rims stand beside edges. Needs an hour on two cores; it goes on where it stopped. The network that
ships had 4,000 steps with the features of the distilled VGG-19 before (style 1, without even colours, rate 1.2e-3), and
of the steps here 1,000 with a style of 0.4.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from moving_photographs import SIDE, Scenes
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

import vidtrans
from vidtrans.core.files import PHOTOGRAPHS
from vidtrans.models.formats import to_8_bits
from vidtrans.models.style_prediction import StylePrediction
from vidtrans.networks.predicted_style import (
    CHANNELS,
    NORMED_LAYERS,
    PredictedStyle,
    PredictedStyleSettings,
    mean_by_colour,
)
from vidtrans.perception.efficientnet_lite import EfficientNetLite
from vidtrans.perception.measure import Style, draw_shift, shift_pictures, tone_distance
from vidtrans.video.images.picture import read_picture, resize

BATCH = 2  # scenes a step
POOL, STROKE = 800, 1.5  # styles in the pool; factor of the stroke size
STYLE_SIDE = 360  # short side of a style picture, at which its strokes are painted, in pixels
MEDIA = ("oil", "impasto", "gouache", "watercolour", "pastel", "crayon", "coloured-pencil", "pencil", "charcoal", "ink")
MEDIA += ("engraving", "pointillism", "mosaic", "stained-glass")
DRAWN, PHOTOGRAPHIC = 0.3, 0.04  # shares of the styles that are drawn by media, and of those that are photographs
WARM_UP, AVERAGED, SAVED = 50, 0.995, 250
FLAT = 0.2  # share of scenes of low contrast
WEIGHTS = {"style": 0.65, "content": 1.0, "colour": 10.0, "tone": 1.0, "even": 4.0, "steady": 40.0}
STEPS, RATE = 2600, 1e-3  # steps, and the learning rate, which falls along a cosine
CELL = 8  # side of the squares whose colours are compared, in pixels
Array = np.ndarray


@dataclass(frozen=True)
class Target:
    """A style: its numbers (100,), the stroke size, −1 to 1, and what pictures in this style are compared with."""

    vector: Array
    stroke: float
    style: Style


def drawn_photographs(photographs: Sequence[Path]) -> list[Array]:
    """Return photographs as the painting media draw them."""
    pictures = []
    settings = {"rendering": {"size": "source"}, "temporal": {"name": "off"}}
    with tempfile.TemporaryDirectory() as folder:
        for medium in MEDIA:
            for number, photograph in enumerate(photographs):
                output = Path(folder) / f"{medium}-{number}.png"
                vidtrans.stylize(photograph, output=output, look=medium, settings=settings, cache_dir=folder)
                pictures.append(read_picture(output))
    return pictures


def cut(picture: Array, rng: np.random.Generator, side: int, *, changes: bool) -> Array:
    """Return a part of a picture, scaled to a short ``side``; with ``changes``, sometimes in other colours."""
    shape = np.array(picture.shape[:2])
    smallest = int(min(shape.min(), max(side * 0.7, shape.min() * 0.35)))
    part = int(rng.integers(smallest, shape.min() + 1))
    height, width = np.minimum(shape, part * np.array([1, 1.3]) if shape[1] > shape[0] else part * np.array([1.3, 1]))
    top, left = (int(rng.integers(0, room + 1)) for room in (shape - np.array([int(height), int(width)])))
    found = picture[top : top + int(height), left : left + int(width)]
    if rng.random() < 0.5:
        found = found[:, ::-1]
    if changes and rng.random() < 0.3:
        found = found[..., rng.permutation(3)]
    scale = side / min(found.shape[:2])
    return resize(np.ascontiguousarray(found), round(found.shape[1] * scale), round(found.shape[0] * scale))


def pool(
    prediction: StylePrediction, measure: EfficientNetLite, paintings: Sequence[Array], drawn: Sequence[Array]
) -> list[Target]:
    """Return the styles of parts of paintings, of drawn photographs, and of photographs."""
    rng = np.random.default_rng(3)
    photographs = [read_picture(path) for path in sorted(PHOTOGRAPHS.glob("*.jpg"))]
    found = []
    for _ in range(POOL):
        kind = rng.random()
        source = drawn if kind < DRAWN else photographs if kind < DRAWN + PHOTOGRAPHIC else paintings
        stroke = 0.0 if rng.random() < 0.55 else float(rng.choice([-1, 1, rng.uniform(-1, 1)]))
        side = round(STYLE_SIDE * STROKE**stroke)
        # A part of a painting at the middle stroke size: the size of strokes must not be seen in the vector alone
        picture = cut(source[rng.integers(len(source))], rng, STYLE_SIDE, changes=source is paintings)
        found.append(Target(prediction.vector(picture), stroke, Style.of(picture, side, measure)))
    return found


class Student(nn.Module):
    """The network's convolutions, and the linear maps from a style to its norms."""

    def __init__(self, start: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.network = PredictedStyle(3 + BATCH * 2 + 1, 3, PredictedStyleSettings(BATCH * 2, channels=CHANNELS))
        generator = torch.Generator().manual_seed(0)
        self.network.draw_weights(generator)
        own, self.maps = self.network.state_dict(), nn.ParameterDict()
        for name, target in own.items():
            if (stored := start.get(f"transfer.{_short(name)}")) is None:
                continue
            if target.dim() == 4:
                target[: len(stored)] = 0
            target[tuple(slice(length) for length in stored.shape)] = stored
        self.network.load_state_dict(own)
        for name in NORMED_LAYERS:
            channels = self.network.get_parameter(f"{name}.norm.scale").shape[1]
            for part in ("scale", "shift", "stroke_scale", "stroke_shift"):
                weights = torch.zeros(channels, 101)
                weights[:, -1] = float(part == "scale")
                if (stored := start.get(f"style.{name}.{part}.weight")) is not None:
                    bias = start[f"style.{name}.{part}.bias"]
                    weights[: len(stored)] = torch.cat([stored[:, :, 0, 0], bias[:, None]], 1)
                self.maps[f"{name}/{part}".replace(".", ":")] = weights

    def forward(self, frames: Tensor, styles: Tensor, strokes: Tensor) -> Tensor:
        """(2·BATCH, 3, H, W) in [−1, 1], with a style (2·BATCH, 100) and a stroke size, −1 to 1, each → the same."""
        count = len(frames)
        one = torch.cat([styles, styles.new_ones(count, 1)], 1)
        norms = {}
        for key, weights in self.maps.items():
            name, part = key.replace(":", ".").split("/")
            norms[f"{name}.norm.{part}"] = one @ weights.T
        planes = torch.cat([2 * torch.eye(count) - 1, strokes], 1)[..., None, None].expand(-1, -1, *frames.shape[2:])
        convolutions: dict[str, Tensor] = {
            name: value for name, value in self.network.named_parameters() if ".norm." not in name
        }
        painted: Tensor = functional_call(self.network, convolutions | norms, (torch.cat([frames, planes], 1),))
        return painted

    def stored(self) -> dict[str, Tensor]:
        """Return the tensors that ship, before they are stored in 8 bits."""
        found = {
            f"transfer.{_short(name)}": value for name, value in self.network.named_parameters() if ".norm." not in name
        }
        for key, weights in self.maps.items():
            name, part = key.replace(":", ".").split("/")
            found[f"style.{name}.{part}.weight"] = weights[:, :-1, None, None]
            found[f"style.{name}.{part}.bias"] = weights[:, -1]
        return {name: value.detach().contiguous() for name, value in found.items()}


def _short(name: str) -> str:
    return name.replace(".1.", ".", 1) if name.startswith("down") else name.replace(".conv.", ".")


def losses(
    student: Student,
    measure: EfficientNetLite,
    given: Mapping[str, Tensor],
    targets: Sequence[Target],
    step: int,
) -> dict[str, Tensor]:
    """Return the losses of a step by the names of ``WEIGHTS``."""
    random = torch.Generator().manual_seed(step)
    styles = torch.from_numpy(np.stack([target.vector for target in targets])).float().repeat(2, 1)
    strokes = torch.tensor([[target.stroke] for target in targets]).repeat(2, 1)
    both = student(torch.cat([given["first"], given["second"]]), styles, strokes)
    painted, after = both[:BATCH], both[BATCH:]
    shift = draw_shift(painted.shape[2:], random)
    features = measure.see(shift_pictures(painted, shift))
    with torch.no_grad():
        source = measure.see(shift_pictures(given["clean"], shift))
    pairs = [(measure.one(features, n), target.style) for n, target in enumerate(targets)]
    holds = given["holds"]
    return {
        "style": torch.stack([measure.style(seen, style.statistics) for seen, style in pairs]).mean(),
        "content": measure.content(features, source),
        "colour": torch.stack(
            [style.colour_distance(painted[n : n + 1], random) for n, (_, style) in enumerate(pairs)]
        ).mean(),
        "tone": tone_distance(painted, given["clean"]),
        "even": _uneven(painted, given["clean"]),
        "steady": ((after - _warped(painted, given["flow"])).square() * holds).sum() / holds.sum() / 3,
    }


def _uneven(painted: Tensor, frames: Tensor) -> Tensor:
    """Return the mean squared difference of colours from the mean of all places of that colour in the frame."""
    places, colours = F.avg_pool2d(frames, CELL), F.avg_pool2d(painted, CELL)
    return F.mse_loss(colours, mean_by_colour(places, colours))


def _warped(pictures: Tensor, flow: Tensor) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    at = torch.stack([columns, rows], -1) + flow
    return F.grid_sample(pictures, at / (SIDE - 1) * 2 - 1, "bicubic", "border", align_corners=True)


def scenes_of(step: int, scenes: Scenes) -> dict[str, Tensor]:
    """Return the scenes of a step."""
    rng = np.random.default_rng((0, step))
    found = zip(*(scenes.draw(rng, FLAT) for _ in range(BATCH)), strict=True)
    first, second, flow, holds, clean = (torch.from_numpy(np.stack(part)) for part in found)
    frames = {"first": first, "second": second, "clean": clean}
    return {name: 2 * value.permute(0, 3, 1, 2).contiguous() - 1 for name, value in frames.items()} | {
        "flow": flow,
        "holds": holds[:, None],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", type=Path)
    parser.add_argument("styles", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--state", type=Path, default=Path("style-tuning.pt"), help="of a training, to go on with")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    prediction, measure, scenes = (
        StylePrediction(options.start),
        EfficientNetLite().eval().requires_grad_(False),
        Scenes(),
    )
    paintings = [read_picture(path) for path in sorted(options.styles.iterdir())]
    drawn = drawn_photographs(sorted(PHOTOGRAPHS.glob("*.jpg"))[::2])
    targets = pool(prediction, measure, paintings, drawn)
    student = Student(prediction.weights)
    optimizer = torch.optim.Adam(student.parameters(), RATE, (0.9, 0.99))
    average = {name: value.detach().clone() for name, value in student.named_parameters()}
    done, shown = 0, dict.fromkeys(WEIGHTS, 0.0)
    if options.state.exists():
        state = torch.load(options.state, weights_only=True)
        student.load_state_dict(state["student"])
        optimizer.load_state_dict(state["optimizer"])
        average, done = state["average"], state["done"]
    for step in range(done, STEPS):
        rate = RATE * min(1, (step + 1) / WARM_UP) * (1 + np.cos(np.pi * step / STEPS)) / 2 + 1e-6
        optimizer.param_groups[0]["lr"] = float(rate)
        chosen = np.random.default_rng((1, step)).integers(len(targets), size=BATCH)
        found = losses(student, measure, scenes_of(step, scenes), [targets[n] for n in chosen], step)
        optimizer.zero_grad()
        torch.stack([WEIGHTS[name] * loss for name, loss in found.items()]).sum().backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        for name, value in student.named_parameters():
            average[name].lerp_(value.detach(), 1 - AVERAGED)
        shown = {name: shown[name] + 0.02 * (float(loss.detach()) - shown[name]) for name, loss in found.items()}
        if (step + 1) % SAVED == 0 or step + 1 == STEPS:
            print(step + 1, *(f"{name} {value:.4f}" for name, value in shown.items()), flush=True)
            state = {"student": student.state_dict(), "optimizer": optimizer.state_dict(), "average": average}
            torch.save(state | {"done": step + 1}, options.state.with_suffix(".new"))
            options.state.with_suffix(".new").replace(options.state)
            _write(options.output, options.start, student, average)


def _write(output: Path, start: Path, student: Student, average: Mapping[str, Tensor]) -> None:
    """Write the averaged weights of the network, in 8 bits, beside the predictor's."""
    now = {name: value.detach().clone() for name, value in student.named_parameters()}
    student.load_state_dict(average, strict=False)
    kept = {name: value for name, value in load_file(str(start)).items() if name.startswith("predict.")}
    save_file(kept | to_8_bits(student.stored()), str(output))
    student.load_state_dict(now, strict=False)


if __name__ == "__main__":
    main()
