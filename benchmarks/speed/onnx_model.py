"""An ONNX file through our engine beside bare ONNX Runtime, uint8 frame in and uint8 picture out, on a CPU.

    python -m benchmarks.speed.onnx_model [FILE.onnx …] [--rounds 15] [--size 512]

The bare loop is what a script does: numpy to (1, 3, H, W) float32, ``session.run``, and back. Measured are these files
and a residual network of free size that it makes. A file of fixed size is measured at that, any other at ``--size``.
Rounds are interleaved: the ratio is of the rates in one round, the median of all.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from benchmarks.speed.things import machine
from vidtrans.inference.device import Device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.interop.onnx.onnx_format import OnnxFormat
from vidtrans.interop.onnx.trial_pictures import trial_picture
from vidtrans.networks.init import build_generator, initialise

WARM_UP = 2  # rounds


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


def measure(path: Path, rounds: int, size: int) -> None:
    model = OnnxFormat().describe(path)
    generator, _ = OnnxFormat().load_described(path, model)
    engine = TorchEngine(generator.eval(), Device("cpu", "cpu"))
    settings, ports = model.generator["settings"], model.ports
    height, width = settings["height"] or size, settings["width"] or size
    frame = np.rint(trial_picture(height, width, 0) * 255).astype(np.uint8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    (scale,), (shift,) = (np.float32(ports[key]) for key in ("in_scale", "in_shift"))
    (back,), (off,) = (np.float32(ports[key]) for key in ("out_scale", "out_shift"))

    def bare() -> np.ndarray:
        x = frame.transpose(2, 0, 1)[None].astype(np.float32) * (scale / np.float32(127.5)) + (shift - scale)
        (y,) = session.run(None, {name: x})
        levels = np.rint((y[0] * back + off + 1) * np.float32(127.5)).clip(0, 255)
        return np.ascontiguousarray(levels.transpose(1, 2, 0).astype(np.uint8))

    def ours() -> np.ndarray:
        return engine(frame[None])[0]

    apart = int(np.abs(bare().astype(int) - ours()).max())
    ratios, taken = [], []
    for turn in range(rounds + WARM_UP):
        seconds = []
        for run in (bare, ours) if turn % 2 else (ours, bare):
            began = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - began)
        of_bare, of_ours = seconds if turn % 2 else seconds[::-1]
        if turn >= WARM_UP:
            ratios.append(of_bare / of_ours)
            taken.append(of_bare)
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    cost = f"{statistics.median(taken) * 1e3:.1f} ms"
    print(f"| {path.stem} | {width}x{height} | {cost} | {middle:.3f} ({low:.3f} to {high:.3f}) | {apart} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    print(machine())
    print("\n| file | size | bare, a picture | our rate / bare | levels apart |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for path in [*options.files, made_up(Path(folder))]:
            measure(path, options.rounds, options.size)


if __name__ == "__main__":
    main()
