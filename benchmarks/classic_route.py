"""The classic route beside ``vidtrans stylize``, on the same frames with the same weights: whole processes, ratios.

    python benchmarks/classic_route.py CLIP [--model flower] [--rounds 3] [--frames N]

The classic route is what the lectures' scripts do: the clip is unpacked into PNGs, a test script reads each, makes
the network's input, runs the generator in fp32 at batch 1 and writes a PNG, and the PNGs are encoded with the sound.
It uses an ffmpeg program for the first and the last step where there is one on PATH, else PyAV. Both results have the
source's size, x264 at crf 18, medium. The rounds are interleaved; only ratios mean anything.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path


def classic(clip: Path, model: str, folder: Path, frames: int) -> None:
    """The classic route, in this process; leaves ``out.mp4`` in ``folder``."""
    before, after = folder / "frames", folder / "made"
    before.mkdir()
    after.mkdir()
    unpack(clip, before, frames)
    run_generator(model, before, after)
    encode(clip, after, folder / "out.mp4")


def unpack(clip: Path, folder: Path, frames: int) -> None:
    if shutil.which("ffmpeg"):
        limit = ["-frames:v", str(frames)] if frames else []
        subprocess.run(["ffmpeg", "-v", "error", "-i", clip, *limit, folder / "%05d.png"], check=True)
        return
    import av

    with closing(av.open(str(clip))) as container:
        for number, frame in enumerate(container.decode(video=0), 1):
            if frames and number > frames:
                break
            frame.to_image().save(folder / f"{number:05d}.png")


def run_generator(model: str, before: Path, after: Path) -> None:
    import numpy as np
    import torch
    from PIL import Image

    from vidtrans.model import find_model, load_generator
    from vidtrans.pairing import PAIRINGS
    from vidtrans.pairing.base import make_pairing
    from vidtrans.settings import Size

    path = find_model(model)
    assert path is not None
    generator, record = load_generator(path)
    pairing = make_pairing(PAIRINGS, record.pairing["name"], record.pairing["settings"])
    for file in sorted(before.iterdir()):
        picture = Image.open(file).convert("RGB")
        width, height = Size(short=record.size).of(*picture.size)
        multiple = generator.multiple
        padded = (-(-width // multiple) * multiple, -(-height // multiple) * multiple)
        small = np.asarray(picture.resize(padded, Image.Resampling.BICUBIC))
        shown = torch.from_numpy(pairing.input([small])).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.no_grad():
            made = generator(shown)[0]
        pixels = ((made.permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
        Image.fromarray(pixels).save(after / file.name)


def encode(clip: Path, folder: Path, output: Path) -> None:
    import av

    with closing(av.open(str(clip))) as container:
        stream = container.streams.video[0]
        size, rate = (stream.width, stream.height), stream.average_rate
    if shutil.which("ffmpeg"):
        command = ["ffmpeg", "-v", "error", "-framerate", str(rate), "-i", folder / "%05d.png", "-i", clip]
        command += ["-map", "0:v", "-map", "1:a?", "-c:a", "copy", "-vf", f"scale={size[0]}:{size[1]}"]
        command += ["-c:v", "libx264", "-crf", "18", "-preset", "medium", "-pix_fmt", "yuv420p", "-shortest", output]
        subprocess.run(command, check=True)
        return
    from PIL import Image

    with closing(av.open(str(output), "w")) as out:
        made = out.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "medium"})
        made.width, made.height, made.pix_fmt = *size, "yuv420p"
        for file in sorted(folder.iterdir()):
            frame = av.VideoFrame.from_image(Image.open(file)).reformat(*size, "yuv420p")
            out.mux(made.encode(frame))
        out.mux(made.encode(None))


def timed(command: list[str], folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--model", default="flower")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=0, help="only the first so many frames")
    parser.add_argument("--classic-in", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    clip = options.clip.resolve()
    if options.classic_in:
        classic(clip, options.model, options.classic_in, options.frames)
        return
    end = ["--end", str(options.frames)] if options.frames else []
    stylize = [sys.executable, "-m", "vidtrans", "stylize", str(clip), "--model", options.model, "-q", *end]
    own = [sys.executable, str(Path(__file__).resolve()), str(clip), "--model", options.model]
    routes = {
        "classic": [*own, "--frames", str(options.frames), "--classic-in", "."],
        "stylize --temporal off": [*stylize, "--temporal", "off", "-o", "out.mp4"],
        "stylize --temporal window": [*stylize, "--temporal", "window", "-o", "out.mp4"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in routes}
    disk: dict[str, int] = {}
    for _ in range(options.rounds):
        for name, command in routes.items():
            with tempfile.TemporaryDirectory() as place:
                seconds[name].append(timed(command, Path(place)))
                disk[name] = sum(f.stat().st_size for f in Path(place).rglob("*") if f.is_file())
    base = statistics.median(seconds["classic"])
    print(
        f"{clip.name}, model {options.model}, {options.rounds} rounds; unpacked with "
        f"{'ffmpeg' if shutil.which('ffmpeg') else 'PyAV'}"
    )
    print(f"{'':28}{'median':>9}{'least':>9}{'most':>9}{'ratio':>8}{'disk':>10}")
    for name, values in seconds.items():
        middle = statistics.median(values)
        print(
            f"{name:28}{middle:8.1f}s{min(values):8.1f}s{max(values):8.1f}s{base / middle:7.2f}x"
            f"{disk[name] / 1e6:8.0f}MB"
        )


if __name__ == "__main__":
    main()
