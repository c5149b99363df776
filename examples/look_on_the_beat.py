"""A look that moves with music: a drum track is made, laid under the clip that ships, and heard by curves.

    python examples/look_on_the_beat.py

It writes drums.wav, beat.mp4 (with its sound), plot.png (what the curves did), values.csv (for other tools), and
beat.webp with beat-still.webp: the result above its plot, as the guide shows it.
"""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw

import vidtrans

RATE, BPM = 44_100, 112
PLOT = (0.0453, 0.989)  # from the first to the last frame, in shares of the width of a plot
CLIP = Path(vidtrans.__file__).parent / "assets" / "flower.mp4"
STRENGTH = "0.25 + 0.75*follow(low, 0.25)"  # the bass drum lets the look in; it fades until the next one
MIX = "0: 0, 4s: 0, 5s: 0.8 ease"  # at the end the flower comes back
LOOK = "ink: 1 - 0.9*smoothstep(1, 3, t), neon: 0.9*smoothstep(1, 3, t)"  # from ink to neon


def drums(seconds: float) -> np.ndarray:
    """Return samples, (n,) from -1 to 1: a bass drum on one and three, a snare on two and four, hi-hats between."""
    rng, samples = np.random.default_rng(1), np.zeros(round(seconds * RATE))
    time = np.arange(RATE // 4) / RATE
    bass = np.sin(2 * np.pi * (50 * time + 12 * (1 - np.exp(-30 * time)))) * np.exp(-14 * time)
    snare = 0.5 * rng.standard_normal(len(time)) * np.exp(-22 * time)
    hat = 0.15 * np.diff(rng.standard_normal(len(time) + 1)) * np.exp(-90 * time)
    for number, at in enumerate(np.arange(0.2, seconds - 0.3, 30 / BPM)):  # eighths
        sound = hat if number % 2 else bass if number % 4 == 0 else snare
        first = round(at * RATE)
        samples[first : first + len(sound)] += sound[: len(samples) - first]
    return np.asarray(samples / np.abs(samples).max())


def write_sound(path: Path, samples: np.ndarray) -> None:
    """Write a WAV file, 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((32767 * samples).astype("<i2").tobytes())


def add_sound(clip: Path, sound: Path, output: Path) -> None:
    """Write the pictures of a clip, as they are, with a sound as AAC."""
    with av.open(str(clip)) as pictures, av.open(str(sound)) as heard, av.open(str(output), "w") as made:
        track = made.add_stream_from_template(pictures.streams.video[0])
        audio = made.add_stream("aac", rate=RATE, layout="mono")
        for packet in pictures.demux(pictures.streams.video[0]):
            if packet.dts is not None:
                packet.stream = track
                made.mux(packet)
        for frame in heard.decode(heard.streams.audio[0]):
            frame.pts, frame.time_base = frame.pts or 0, Fraction(1, RATE)
            made.mux(audio.encode(frame))
        made.mux(audio.encode(None))


def write_film(clip: Path, plot: Path) -> None:
    """Write every third frame above the plot, with a line at its time, as an animated WebP, and one of them."""
    below, size = Image.open(plot).convert("RGB"), (512, 288)
    below = below.resize((size[0], below.height * size[0] // below.width), Image.Resampling.LANCZOS)
    with av.open(str(clip)) as container:
        frames = [frame.to_image() for frame in container.decode(video=0)]
    pictures = []
    for number, frame in list(enumerate(frames))[::3]:
        picture = Image.new("RGB", (size[0], size[1] + below.height))
        picture.paste(frame.resize(size), (0, 0))
        picture.paste(below, (0, size[1]))
        x = size[0] * (PLOT[0] + (PLOT[1] - PLOT[0]) * (number + 0.5) / len(frames))
        ImageDraw.Draw(picture).line([(x, size[1]), (x, picture.height)], fill="white")
        pictures.append(picture)
    pictures[13].save("beat-still.webp", quality=60)
    pictures[0].save("beat.webp", save_all=True, append_images=pictures[1:], duration=100, loop=0, quality=40)


def main() -> None:
    write_sound(Path("drums.wav"), drums(5))
    add_sound(CLIP, Path("drums.wav"), Path("flower.mp4"))
    made = vidtrans.stylize("flower.mp4", output="beat.mp4", look=LOOK, strength=STRENGTH, mix=MIX, overwrite=True)
    for output in ("plot.png", "values.csv"):
        vidtrans.sample_curves([STRENGTH, MIX], clip="flower.mp4", output=output, overwrite=True)
    write_film(Path("beat.mp4"), Path("plot.png"))
    print(f"{made.path}: {made.frames} frames")


if __name__ == "__main__":
    main()
