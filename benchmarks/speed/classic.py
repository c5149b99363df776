"""The classic route, as the lectures' scripts go: PNGs in, a test script, PNGs out, and the sound laid over them.

    python -m benchmarks.speed.classic CLIP MODEL FOLDER

The clip is unpacked into PNGs, a test script reads each, makes the network's input, runs the generator in fp32 at batch
1 and writes a PNG, and the PNGs are encoded, at the source's size, with the sound. It uses an ffmpeg program for the
first and the last step where there is one on PATH, else PyAV. Leaves ``out.mp4`` in FOLDER; whole.py times it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path


def unpack(clip: Path, folder: Path) -> None:
    if shutil.which("ffmpeg"):
        subprocess.run(["ffmpeg", "-v", "error", "-i", clip, folder / "%05d.png"], check=True)
        return
    import av

    with closing(av.open(str(clip))) as container:
        for number, frame in enumerate(container.decode(video=0), 1):
            frame.to_image().save(folder / f"{number:05d}.png")


def run_generator(model: str, before: Path, after: Path) -> None:
    import numpy as np
    import torch
    from PIL import Image

    from vidtrans.core.settings import Size
    from vidtrans.models.model_file import find_model, load_generator
    from vidtrans.pairing.pairing_records import make_pairing

    path = find_model(model)
    assert path is not None
    generator, record = load_generator(path)
    pairing = make_pairing(record.pairing["name"], record.pairing["settings"])
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

    with closing(av.open(str(output), "w")) as out, closing(av.open(str(clip))) as source:
        made = out.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "medium"})
        made.width, made.height, made.pix_fmt = *size, "yuv420p"
        heard = source.streams.audio
        sound = out.add_stream_from_template(heard[0]) if heard else None
        for file in sorted(folder.iterdir()):
            frame = av.VideoFrame.from_image(Image.open(file)).reformat(*size, "yuv420p")
            out.mux(made.encode(frame))
        out.mux(made.encode(None))
        for packet in source.demux(heard[0]) if sound else ():
            if packet.dts is not None:
                packet.stream = sound
                out.mux(packet)


def main(clip: Path, model: str, folder: Path) -> None:
    before, after = folder / "frames", folder / "made"
    before.mkdir()
    after.mkdir()
    unpack(clip, before)
    run_generator(model, before, after)
    encode(clip, after, folder / "out.mp4")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
