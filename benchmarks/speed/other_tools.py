"""Models of other tools through our engine: imported networks beside ours, ONNX files beside bare ONNX Runtime.

    python -m benchmarks.speed.other_tools [FILE.onnx …] [--parts imported,onnx] [--rounds 15] [--size 512]

imported: checkpoints are written by the other tool's names and read back from the file; each round runs both networks
on the same four frames of 256x256. onnx: uint8 frame in and uint8 picture out; the bare loop is what a script does:
numpy to (1, 3, H, W) float32, ``session.run``, and back. Measured are these files, at their size or at ``--size``, and
a residual network of free size that it makes. On a CPU; rounds are interleaved: ratios are of the rates in one round.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks import harness
from benchmarks.tables import head, row
from vidtrans.core.machine import import_onnx_runtime
from vidtrans.inference.device import CPU
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.interop.checkpoint_format import CheckpointFormat
from vidtrans.interop.exporting.checkpoint_file import foreign_state_dict
from vidtrans.interop.onnx.onnx_format import OnnxFormat
from vidtrans.interop.onnx.trial import trial_picture
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.networks.init import build_generator, initialise
from vidtrans.pairing.pairing_records import make_pairing

WARM_UP = 2  # rounds
FRAMES = 4
# What is trained here, and what is imported beside it: generator and norm.
CASES = (
    ("unet-256", "batch", "picture"),
    ("unet-256", "batch", "plain-instance"),
    ("residual", "batch", "plain-instance"),
)


def native(name: str, norm: str) -> tuple[torch.nn.Module, ModelRecord]:
    generator = build_generator(name, {"norm": norm}, 3).eval()
    initialise(generator, 0)
    table = {"name": name, "settings": {"norm": norm}}
    return generator, ModelRecord(table, {"name": "aligned", "settings": {}}, 3, 3, 256, NORMALISATION, {}, {})


def imported(name: str, norm: str, folder: Path) -> torch.nn.Module:
    generator, record = native(name, norm)
    path, form = folder / "net_G.pth", CheckpointFormat()
    torch.save(foreign_state_dict(record, generator)[1], path)
    return form.load_described(path, form.describe(path), make_pairing("aligned", {}))[0].eval()


def compare_imported(options: argparse.Namespace, folder: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, 256, 256, 3), dtype=np.uint8)
    head("imported, beside ours with batch norm", "share of its rate", "frames a second at best, ours")
    for name, own, theirs in CASES:
        engines = {"ours": native(name, own)[0], "theirs": imported(name, theirs, folder)}
        works = {who: partial(TorchEngine(network, CPU), frames) for who, network in engines.items()}
        ours, other = harness.in_turns(works, options.rounds, warm_up=WARM_UP).values()
        row(f"{name}, {theirs} norm", harness.spread(harness.ratios(ours, other), 3), f"{FRAMES / min(ours):.1f}")


def made_up(folder: Path) -> Path:
    """Return an ONNX file of a residual network, untrained."""
    generator = build_generator("residual", {"channels": 24, "blocks": 4}, 3).eval()
    initialise(generator, 0)
    path, free = folder / "residual.onnx", {0: "n", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = torch.zeros(1, 3, 128, 128)
        names = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": {"x": free, "y": free}}
        torch.onnx.export(generator, (x,), str(path), opset_version=17, dynamo=False, **names)
    return path


def compare_onnx(options: argparse.Namespace, folder: Path) -> None:
    try:
        onnxruntime = import_onnx_runtime()
    except ImportError as why:
        raise harness.Missing(str(why)) from None
    head("file", "size", "bare, ms a picture", "our rate / bare", "levels apart")
    for path in [*options.files, made_up(folder)]:
        model = OnnxFormat().describe(path)
        generator, _ = OnnxFormat().load_described(path, model)
        engine, ports = TorchEngine(generator.eval(), CPU), model.ports
        height, width = (model.generator["settings"][side] or options.size for side in ("height", "width"))
        frame = np.rint(trial_picture(height, width, 0) * 255).astype(np.uint8)
        session_options = onnxruntime.SessionOptions()
        session_options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path.read_bytes(), session_options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        scale, shift, back, off = (np.float32(ports[f"{p}_{k}"][0]) for p in ("in", "out") for k in ("scale", "shift"))

        def bare() -> np.ndarray:
            x = frame.transpose(2, 0, 1)[None].astype(np.float32) * (scale / np.float32(127.5)) + (shift - scale)  # noqa: B023
            (y,) = session.run(None, {name: x})  # noqa: B023
            levels = np.rint((y[0] * back + off + 1) * np.float32(127.5)).clip(0, 255)  # noqa: B023
            return np.ascontiguousarray(levels.transpose(1, 2, 0).astype(np.uint8))

        apart = int(np.abs(bare().astype(int) - engine(frame[None])[0]).max())
        works = {"bare": bare, "ours": partial(engine, frame[None])}
        taken = harness.in_turns(works, options.rounds, warm_up=WARM_UP)
        cost = f"{statistics.median(taken['bare']) * 1e3:.1f}"
        ratio = harness.spread(harness.ratios(taken["bare"], taken["ours"]), 3)
        row(path.stem, f"{width}x{height}", cost, ratio, apart)


PARTS: dict[str, Callable[[argparse.Namespace, Path], None]] = {"imported": compare_imported, "onnx": compare_onnx}


def main() -> None:
    parser = harness.parser(__doc__, rounds=15)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--parts", type=harness.comma_list, default=list(PARTS))
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    print(harness.machine())
    with harness.work_folder() as folder:
        harness.each(options.parts, lambda part: PARTS[part](options, folder))


if __name__ == "__main__":
    harness.run(main)
