"""Other programs on the same cases, run from where the user has them; nothing of them is in this project.

``ebsynth``: jamriska/ebsynth, its CPU program. Each frame is made from the nearest key frame with three guides, as its
authors do for video (Jamriška et al., "Stylizing Video by Example", 2019): colour, position carried along the motion,
and edges. ``few_shot``: OndrejTexler/Few-Shot-Patch-Based-Training with its own configuration, for a number of seconds;
without its perceptual loss where torchvision or VGG's weights are missing. It needs six, PyYAML and scipy. Run as a
program, this is that training:

    python -m benchmarks.keyframes.peers PEER DATA_ROOT SECONDS
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import os
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.keyframes.cases import Case
from vidtrans.flow.warping import grid, warp
from vidtrans.painting.carrying import Carried
from vidtrans.painting.registering import edges
from vidtrans.video.images.picture import read_picture, write_picture

GUIDES = (("colour", 6.0), ("position", 2.0), ("edges", 0.5))
CONFIG = "_config/reference_P.yaml"
MULTIPLE = 8  # pixels, of the sides that the peer's network takes


def ebsynth(program: Path, case: Case, maps: dict[int, dict[int, Carried]], numbers: Sequence[int]) -> list[np.ndarray]:
    """Frames as ebsynth makes them."""
    height, width = case.frames[0].shape[:2]
    places = np.dstack([grid(height, width) / (width, height), np.zeros((height, width))]).astype(np.float32)
    made = []
    for number in numbers:
        key = min(case.keys, key=lambda key: abs(key - number))
        painting = case.paintings[key]
        assert painting is not None
        carried = warp(places, maps[key][number].flow)
        pairs = {
            "colour": (case.frames[key], case.frames[number]),
            "position": tuple(np.rint(255 * p).astype(np.uint8) for p in (places, np.clip(carried, 0, 1))),
            "edges": tuple(_edge_picture(case.frames[n]) for n in (key, number)),
        }
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_picture(folder / "style.png", painting)
            words = [str(program), "-style", str(folder / "style.png")]
            for name, weight in GUIDES:
                for side, picture in zip(("a", "b"), pairs[name], strict=True):
                    write_picture(folder / f"{name}-{side}.png", picture)
                words += ["-guide", *(str(folder / f"{name}-{side}.png") for side in "ab"), "-weight", str(weight)]
            words += ["-output", str(folder / "made.png"), "-backend", "cpu"]
            subprocess.run(words, check=True, capture_output=True)
            made.append(read_picture(folder / "made.png"))
    return made


def _edge_picture(rgb: np.ndarray) -> np.ndarray:
    strength = np.clip(16 * edges(rgb), 0, 255).astype(np.uint8)
    return np.dstack([strength] * 3)


def few_shot(peer: Path, case: Case, seconds: float) -> list[np.ndarray]:
    """All frames as the peer's network paints them that trained for so many seconds."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "case_train"
        height, width = case.frames[0].shape[:2]
        for key, painting in zip(case.keys, case.painted, strict=True):
            name = f"{key:05d}.png"
            write_picture(root / "input_filtered" / name, case.frames[key])
            write_picture(root / "output" / name, painting)
            write_picture(root / "mask" / name, np.full((height, width, 3), 255, np.uint8))
        for number, frame in enumerate(case.frames):
            write_picture(Path(temporary) / "case_gen" / "input_filtered" / f"{number:05d}.png", frame)
        words = [sys.executable, "-m", "benchmarks.keyframes.peers", str(peer), str(root), str(seconds)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        return [read_picture(path) for path in sorted((Path(temporary) / "case_gen" / "made").iterdir())]


# The peer's training, in a process of its own


class _Done(Exception):
    """The time is over."""


def _stand_in_for_missing() -> bool:
    """Stand in for what the peer imports: logging, and the transforms that it uses; return whether VGG is there."""
    import torch
    from PIL import Image

    class Quiet:
        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: Quiet()

    quiet: Any = _module("tensorflow")
    quiet.compat, quiet.Summary = Quiet(), Quiet()
    sys.modules["tensorflow"] = quiet
    try:
        from torchvision import models

        models.vgg19(weights="DEFAULT")
    except Exception:
        transforms: Any = _module("torchvision.transforms")

        def to_tensor() -> Any:
            def convert(picture: Image.Image) -> torch.Tensor:
                values = np.asarray(picture, np.float32) / 255
                return torch.from_numpy(values if values.ndim == 3 else values[..., None]).permute(2, 0, 1).contiguous()

            return convert

        def normalize(mean: Any, std: Any) -> Any:
            centre, spread = (torch.tensor(values)[:, None, None] for values in (mean, std))
            return lambda x: (x - centre) / spread

        def compose(steps: Any) -> Any:
            def run(x: Any) -> Any:
                for step in steps:
                    x = step(x)
                return x

            return run

        transforms.ToTensor, transforms.Normalize, transforms.Compose = to_tensor, normalize, compose
        vision: Any = _module("torchvision")
        vision.transforms, vision.models = transforms, _module("torchvision.models")
        sys.modules |= {
            "torchvision": vision,
            "torchvision.transforms": transforms,
            "torchvision.models": vision.models,
        }
        return False
    return True


def _module(name: str) -> types.ModuleType:
    """An empty module that others find."""
    made = types.ModuleType(name)
    made.__spec__ = importlib.machinery.ModuleSpec(name, None)
    return made


def _train(peer: Path, root: Path, seconds: float) -> None:
    import torch
    import yaml

    has_vgg = _stand_in_for_missing()
    sys.path.insert(0, str(peer))
    data, models, trainers = (__import__(name) for name in ("data", "models", "trainers"))
    job = yaml.safe_load((peer / CONFIG).read_text())["job"]
    settings = {k: v for k, v in job["training_dataset"].items() if k != "type"}
    settings |= {name: f"{root}/{settings[name]}" for name in ("dir_pre", "dir_post", "dir_mask")}
    settings |= {"device": "cpu", **{f"dir_x{n}": None for n in range(1, 10)}}
    dataset = getattr(data, job["training_dataset"]["type"])(**settings)
    loader = torch.utils.data.DataLoader(dataset, job["trainer"]["batch_size"], drop_last=True)

    def build(name: str) -> tuple[Any, Any]:
        network = getattr(models, job[name]["type"])(**job[name]["args"])
        optimiser = job[f"opt_{name}"]
        return network, getattr(torch.optim, optimiser["type"])(network.parameters(), **optimiser["args"])

    (generator, opt_generator), (discriminator, opt_discriminator) = build("generator"), build("discriminator")
    perception = job["perception_loss"]
    wanted = perception["perception_model"]
    vgg = getattr(models, wanted["type"])(**wanted["args"]) if has_vgg else None
    trainer = trainers.Trainer(
        train_loader=loader,
        data_for_dataloader=settings,
        opt_generator=opt_generator,
        opt_discriminator=opt_discriminator,
        adversarial_criterion=getattr(torch.nn, job["trainer"]["adversarial_criterion"])(),
        reconstruction_criterion=getattr(torch.nn, job["trainer"]["reconstruction_criterion"])(),
        reconstruction_weight=job["trainer"]["reconstruction_weight"],
        adversarial_weight=job["trainer"]["adversarial_weight"],
        log_interval=1 << 60,
        model_logger=None,
        scalar_logger=None,
        perception_loss_model=vgg,
        perception_loss_weight=perception["weight"],
        use_image_loss=job["trainer"]["use_image_loss"],
        device="cpu",
    )
    end = time.monotonic() + seconds
    add_log = trainer.add_log

    def until_the_end(log: Any) -> None:
        add_log(log)
        if time.monotonic() > end:
            raise _Done

    trainer.add_log = until_the_end
    trainer.test_on_full_image = lambda *_: None
    trainer.flush_scalar_log = lambda *_: None
    trainer.model_logger = types.SimpleNamespace(save=lambda *_: None)
    with contextlib.suppress(_Done):
        trainer.train(generator, discriminator, 1 << 40, str(root), "reference_P.yaml", 0)
    generator.eval()
    frames = data.DatasetFullImages(
        str(root).replace("_train", "_gen") + "/input_filtered", "ignore", "ignore", "cpu", *[None] * 9
    )
    with torch.no_grad():
        for number in range(len(frames)):
            given = frames[number]["pre"][None]
            height, width = given.shape[2:]
            padded = torch.nn.functional.pad(given, (0, -width % MULTIPLE, 0, -height % MULTIPLE), "replicate")
            made = generator(padded)[..., :height, :width]
            picture = ((made.clamp(-1, 1) + 1) * 127.5)[0].permute(1, 2, 0).numpy().astype(np.uint8)
            write_picture(root.parent / "case_gen" / "made" / f"{number:05d}.png", picture)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _train(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
