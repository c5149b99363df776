"""Compare what two versions of vidtrans make of the same inputs, byte for byte.

    python -m benchmarks.same_bytes make FOLDER [--tree TREE]     run the commands with the package in TREE; 2 minutes
    python -m benchmarks.same_bytes compare FOLDER FOLDER         exit status 1 where pixels, samples or weights differ

A dataset of each kind, short trainings, every mode of ``stylize``, dreams, and the commands that look at results are
made from synthetic clips on one thread. ``digests.json`` holds two SHA-256 of each result: of the file, and of its
content. Content is the decoded pictures and packets' timestamps of a video, the pixels of a picture, the tensors of a
model file, and the text of other files. A change of names alters files and leaves content alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks import harness

SIZE, FRAMES = (96, 64), 24
TRAINING = [
    *("--set=training.steps=12", "--set=training.batch_size=2", "--set=generator.name=unet-small"),
    *("--set=generator.channels=8", "--set=discriminator.channels=8", "--set=discriminator.num_layers=1"),
]


def shot(number: int, light: int = 0) -> np.ndarray:
    """A picture with texture, edges and two moving discs: (H, W, 3) uint8 BGR."""
    width, height = SIZE
    y, x = np.mgrid[:height, :width].astype(np.float32)
    base = np.stack([90 + 40 * np.sin(x / 5 + number / 7), 110 + 30 * np.cos(y / 6), 100 + x / 3], axis=2)
    picture = np.clip(base + light, 0, 255).astype(np.uint8)
    cv2.circle(picture, (20 + 2 * number, 30), 9, (30, 60, 220), -1, cv2.LINE_AA)
    cv2.circle(picture, (70 - number, 20 + number), 7, (220, 200, 40), -1, cv2.LINE_AA)
    return picture


def write_clip(path: Path, pictures: list[np.ndarray], rate: int = 25) -> None:
    """Lossless, with a tone for sound."""
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream("ffv1", rate, width=SIZE[0], height=SIZE[1], pix_fmt="bgr0")
        sound = container.add_stream("pcm_s16le", 48000, layout="mono")
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, "bgr24").reformat(format="bgr0")
            frame.pts = number
            container.mux(video.encode(frame))
        samples = (8000 * np.sin(np.arange(48000 * len(pictures) // rate) / 20)).astype(np.int16)[None]
        tone = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        tone.sample_rate, tone.pts = 48000, 0
        container.mux(sound.encode(tone))
        container.mux(video.encode())
        container.mux(sound.encode())


def make_inputs() -> None:
    """In the current folder."""
    first = [shot(n) for n in range(FRAMES)]
    write_clip(Path("clip.mkv"), first)
    write_clip(Path("two.mkv"), first[:12] + [shot(n, 60)[:, ::-1].copy() for n in range(12)])
    write_clip(Path("negative.mkv"), [255 - picture for picture in first])
    rng = np.random.default_rng(0)
    write_clip(Path("flicker.mkv"), [np.clip(p + rng.integers(-20, 20), 0, 255).astype(np.uint8) for p in first])
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[:, 40:] = 255
    cv2.imwrite("mask.png", mask)
    cv2.imwrite("still.png", first[3])
    cv2.imwrite("glass.png", np.dstack([first[5], mask]))
    Path("folder").mkdir()
    for number in range(6):
        cv2.imwrite(f"folder/{number:03d}.png", first[number])
    drawing = np.full((*SIZE[::-1], 3), 255, np.uint8)
    cv2.circle(drawing, (40, 30), 18, (0, 0, 0), 1)
    cv2.imwrite("drawing.png", drawing)
    Path("cuts.txt").write_text("0\n9\n")


def commands() -> Iterator[list[str]]:
    """The arguments of each, in order. Results get names of their own."""
    data = {
        "edges": ["clip.mkv"],
        "regions": ["clip.mkv"],
        "sketch": ["clip.mkv"],
        "colorize": ["clip.mkv"],
        "denoise": ["clip.mkv"],
        "enlarge": ["clip.mkv"],
        "inpaint": ["clip.mkv"],
        "next-frame": ["two.mkv"],
        "aligned": ["clip.mkv", "--target", "negative.mkv"],
    }
    for pairing, sources in data.items():
        yield ["make-dataset", *sources, "-o", f"{pairing}.dataset", "--pairing", pairing, "--size", "64"]
    for pairing in ("edges", "aligned", "colorize", "enlarge", "next-frame"):
        yield ["train", f"{pairing}.dataset", "-o", f"{pairing}.safetensors", *TRAINING]
    for name, setting in {"memory": "recurrent", "plate": "background_plate"}.items():
        yield ["train", "aligned.dataset", "-o", f"{name}.safetensors", *TRAINING, f"--set=training.{setting}=true"]
    yield ["train", "edges.dataset", "-o", "more.safetensors", *TRAINING, "--from", "edges.safetensors"]
    modes = {
        "identity": ["clip.mkv", "--model", "identity"],
        "off": ["two.mkv", "--model", "edges", "--temporal", "off"],
        "window": ["two.mkv", "--model", "edges"],
        "causal": ["two.mkv", "--model", "edges", "--temporal", "causal"],
        "chunks": ["clip.mkv", "--model", "edges", "--set", "rendering.chunk_frames=7"],
        "strength": ["clip.mkv", "--model", "aligned", "--strength", "0: 0.2, 20: 1.5", "--mix", "0.2"],
        "colour": ["clip.mkv", "--model", "aligned", "--keep-colour"],
        "mask": ["clip.mkv", "--model", "aligned", "--mask", "mask.png", "--set", "rendering.mask_feather=2"],
        "draft": ["clip.mkv", "--model", "aligned", "--draft", "4"],
        "source-size": ["clip.mkv", "--model", "aligned", "--size", "source", "--start", "3", "--end", "20"],
        "reuse": ["clip.mkv", "--model", "aligned", "--set", "rendering.duplicate_threshold=3"],
        "memory": ["clip.mkv", "--model", "memory"],
        "plate": ["clip.mkv", "--model", "plate"],
        "colorize": ["clip.mkv", "--model", "colorize"],
        "enlarge": ["clip.mkv", "--model", "enlarge"],
        "next": ["two.mkv", "--model", "next-frame", "--cuts", "cuts.txt"],
        "rate": ["clip.mkv", "--model", "aligned", "--fps", "30"],
    }
    for name, arguments in modes.items():
        yield ["stylize", *arguments, "-o", f"{name}.out.mp4"]
    yield ["stylize", "clip.mkv", "--model", "aligned", "--codec", "ffv1", "-o", "lossless.out.mkv"]
    yield ["stylize", "clip.mkv", "--model", "aligned", "--codec", "gif", "-o", "animated.out.gif"]
    yield ["stylize", "clip.mkv", "--model", "aligned", "--codec", "png", "-o", "pictures.out"]
    for picture in ("still", "glass", "drawing"):
        yield ["stylize", f"{picture}.png", "--model", "edges", "-o", f"{picture}.out.png"]
    yield ["stylize", "folder", "--model", "aligned", "-o", "folder.out"]
    yield ["dream", "clip.mkv", "--model", "next-frame", "--frames", "30", "-o", "dream.out.mp4", "--zoom", "1.01"]
    yield ["dream", "noise", "--model", "next-frame", "--frames", "12", "-o", "noise.out.mp4"]
    yield ["DEFLICKER", "flicker.mkv", "--source", "clip.mkv", "-o", "deflicker.out.mp4"]
    yield ["evaluate", "window.out.mp4", "--source", "two.mkv", "-o", "scores.json"]
    yield ["evaluate", "window.out.mp4", "--source", "two.mkv", "-o", "scores.png"]
    yield ["compare", "clip.mkv", "strength.out.mp4", "-o", "beside.mp4"]
    yield ["sheet", "two.mkv", "-o", "sheet.png"]
    yield ["sheet", "edges.dataset", "-o", "pairs.png"]
    yield ["try", "clip.mkv", "--model", "aligned", "-o", "try.png"]


def make(folder: Path, tree: Path) -> None:
    """Run all commands in ``folder`` and write the digests."""
    folder.mkdir(parents=True)
    os.chdir(folder)
    make_inputs()
    given = {path for path in Path().rglob("*") if path.is_file()}
    threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    program = [sys.executable, "-m", "vidtrans"]
    environment = os.environ | threads
    known = subprocess.run([*program, "--help"], env=environment, capture_output=True, text=True, check=True).stdout
    for arguments in commands():
        if arguments[0] == "DEFLICKER":
            arguments[0] = "deflicker" if " deflicker " in known else "steady"
        done = subprocess.run([*program, *arguments, "-q"], env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(arguments)}\n{done.stderr}")
        print(" ".join(arguments), flush=True)
    made = sorted(p for p in Path().rglob("*") if p.is_file() and p not in given and ".vidtrans" not in p.parts)
    digests = {str(p): [hashlib.sha256(p.read_bytes()).hexdigest(), content(p)] for p in made if "report" not in str(p)}
    Path("digests.json").write_text(json.dumps(digests, indent=1))


def content(path: Path) -> str:
    """A digest of what a file shows or holds, whatever its metadata."""
    digest = hashlib.sha256()
    if path.suffix == ".png":
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        digest.update(repr((picture.shape, picture.dtype)).encode() + picture.tobytes())
    elif path.suffix in (".mp4", ".mkv", ".gif"):
        with av.open(str(path)) as container:
            for packet in container.demux():
                digest.update(f"{packet.stream.type} {packet.pts} {packet.duration}".encode() + bytes(packet))
    elif path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        for name, tensor in sorted(load_file(path).items()):
            digest.update(f"{name} {tensor.shape} {tensor.dtype}".encode() + tensor.tobytes())
    else:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def compare(one: Path, other: Path) -> int:
    """Print what differs. Returns the exit status."""
    first, second = (json.loads((folder / "digests.json").read_text()) for folder in (one, other))
    lost = sorted(first.keys() ^ second.keys())
    both = sorted(first.keys() & second.keys())
    changed = [name for name in both if first[name][1] != second[name][1]]
    renamed = [name for name in both if first[name][1] == second[name][1] and first[name][0] != second[name][0]]
    for what, names in (("only in one", lost), ("other content", changed), ("other metadata", renamed)):
        for name in names:
            print(f"{what}: {name}")
    print(f"{len(both) - len(changed)} of {len(first.keys() | second.keys())} results have the same content")
    return int(bool(lost or changed))


def main() -> int | None:
    parser = harness.parser(__doc__)
    parser.add_argument("what", choices=("make", "compare"))
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--tree", type=Path, default=harness.ROOT)
    options = parser.parse_args()
    if options.what == "compare":
        return compare(*options.folders)
    make(options.folders[0].resolve(), options.tree.resolve())
    return None


if __name__ == "__main__":
    harness.run(main)
