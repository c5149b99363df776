"""The files that the pages take for granted (clip.mp4, painting.jpg, look.safetensors …), at a small size."""

from __future__ import annotations

import re
import shutil
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from chain import TINY
from clips import moving_frames, write_clip, write_folder
from keypoints import waving, write_mediapipe, write_openpose
from made_models import make_model
from page_models import model_makers

import vidtrans
from vidtrans.video.images.picture import write_picture

ROOT = Path(__file__).resolve().parents[2]


def _names(text: str) -> list[str]:
    return re.findall(r"\S+", text)


RATE, COUNT, SIZE = 4, 36, (64, 48)  # nine seconds in few frames: pages name times
# Clips, pictures, folders of pictures and datasets, by name.
CLIPS = _names(
    "clip look film river plain painted drawn filmed day dusk night noon dancer processed raw half clip.look"
)
CLIPS += _names("other flower tide graded lapse dream clip.painted in a b shot street")
MOVS = ("ungraded", "long", "more/one", "film/one")
PICTURES = _names("painting.jpg poster.png storm.jpg a.jpg b.jpg ink.png oil.jpg still.png still.jpg face.jpg")
PICTURES += _names("drawing.png wave.jpg muse.jpg before.png after.jpg frame.png photo.jpg lines.png")
FOLDERS = _names("photos frames paintings beauty stills/before stills/after facades/A facades/B")
LONGER = {"dream": 130, "river": 130, "in": 96}  # frames, where pages name later ones
DATASETS = ("look", "dancer", "photos", "in")
OTHERS = {"night": 1, "dusk": 2, "noon": 1, "paintings": 1, "one": 2}  # how their colours are turned


def make_props(text: str) -> None:
    """Make the files that a step of a page names and nothing before it has made, in the current folder."""
    for name, make in _makers().items():
        used, path = re.search(rf"(?<![\w./-]){re.escape(name)}", text), Path(name.rstrip("/"))
        written = used and (text[: used.start()].endswith("-o ") or f'"{name}", like=' in text)
        if used and not written and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            make(path)


def write_settings() -> None:
    """Write ``vidtrans.toml`` for small trainings."""
    tables = {name: TINY[name] for name in ("training", "rendering")}
    lines = [f"[{table}]\n" + "".join(f"{k} = {_toml(v)}\n" for k, v in keys.items()) for table, keys in tables.items()]
    Path("vidtrans.toml").write_text("\n".join(lines), encoding="utf-8")


def make_names() -> dict[str, Any]:
    """Return what blocks of Python take for granted: the package, and arrays of a clip by their names."""
    frames = moving_frames(LONGER["in"], SIZE)
    return {"vidtrans": vidtrans, "processed": [255 - f for f in frames], "first": frames[0], "second": frames[90]}


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).replace("'", '"')


def _makers() -> dict[str, Callable[[Path], object]]:
    made: dict[str, Callable[[Path], object]] = {}
    made |= {f"{name}.mp4": _clip for name in CLIPS}
    made |= {f"{name.split('/')[0]}/" if "/" in name else f"{name}.mov": _mov(name) for name in MOVS}
    made |= dict.fromkeys(PICTURES, _picture)
    made |= {f"{name.split('/')[0]}/": _folders for name in FOLDERS}
    made |= {f"{name}/": _clips for name in ("clips", "park", "renders", "day1")}
    made |= {f"{name}.dataset": _dataset for name in DATASETS}
    made |= dict.fromkeys(("faces.mp4", "matte.mp4"), _matte)
    made |= {name: _keys(name) for name in ("keys", "clip.keyframes")} | {"--keyframes painted": _painted}
    made |= {"fixes": _fixes, "night.toml": _list, "song.wav": _sound, "moves.csv": _moves}
    made |= {"shots.txt": lambda path: path.write_text("0\n20\n"), "mine.toml": _preset, "bad.mp4": _damaged}
    made |= dict.fromkeys(("street_labels/", "true_labels/", "changed/"), _label_maps) | {"scene/": _two_clips}
    made |= {"painted.dataset": _from_labels}
    made |= {"chalkboard.toml": lambda path: path.write_text("[[layer]]\nwidth = 40\n")}
    made |= {"cut.edl": _edl, "rushes": _clips, "clip-Scenes.csv": _scenes_csv}
    made |= {"poses/": _poses, "dancer.json": lambda path: write_mediapipe(path, _dance(), SIZE)}
    made |= {"report renders/": _batch, "after.grade": lambda _: vidtrans.grade("before.png", "after.jpg")}
    return made | model_makers()


def _scenes(count: int = COUNT) -> list[np.ndarray]:
    return moving_frames(count, SIZE, shots=(0, 20) if count == COUNT else (0,))


def _seen(name: str) -> list[np.ndarray]:
    """Frames that are others where two clips must differ."""
    return [np.roll(frame, OTHERS.get(name, 0), 2)[:: -1 if name in OTHERS else 1] for frame in _scenes()]


def _clip(path: Path) -> object:
    frames = moving_frames(LONGER[path.stem], SIZE) if path.stem in LONGER else _seen(path.stem)
    return write_clip(path, frames, rate=RATE, sound=True)


def _mov(name: str) -> Callable[[Path], object]:
    def make(_: Path) -> object:
        path = Path(f"{name}.mov")
        path.parent.mkdir(exist_ok=True)
        return _clip(path)

    return make


def _dance() -> list[np.ndarray]:
    return [waving(n, tall=36, x=32, ground=44) for n in range(COUNT)]


def _poses(folder: Path) -> object:
    return write_openpose(folder, {n: [points] for n, points in enumerate(_dance())})


def _clips(folder: Path) -> object:
    folder.mkdir(exist_ok=True)
    return [
        _clip(folder / name) for name in (("A001.mp4", "A002.mp4") if folder.name == "day1" else ("a.mp4", "b.mp4"))
    ]


def _picture(path: Path) -> object:
    frames = moving_frames(40, (160, 120))
    return write_picture(path.with_suffix(".png"), frames[len(path.stem)]) if path.suffix == ".png" else _jpeg(path)


def _jpeg(path: Path) -> object:
    import cv2

    return cv2.imwrite(str(path), moving_frames(40, (160, 120))[len(path.stem)])


def _folders(folder: Path) -> object:
    inner = [Path(name) for name in FOLDERS if name.split("/")[0] == folder.name]
    return [write_folder(path, _seen(path.name), [f"{i:05d}.png" for i in range(COUNT)]) for path in inner]


def _dataset(folder: Path) -> object:
    clip = write_clip(Path(f"{folder.stem}-source.mp4"), moving_frames(COUNT, SIZE), rate=RATE)
    return vidtrans.make_dataset([clip], folder, settings={"dataset": TINY["dataset"]})


def _matte(path: Path) -> object:
    frame = np.zeros((*SIZE[::-1], 3), np.uint8)
    frame[10:30, 10:40] = 255
    return write_clip(path, [frame] * COUNT, rate=RATE)


def _label_maps(folder: Path) -> object:
    """What a clip shows, in two colours of Cityscapes: the disc, and the rest."""
    table = np.array([(70, 70, 70), (128, 64, 128)], np.uint8)
    maps = [table[(f.astype(int) @ (1, -1, -1) > 60).astype(int)] for f in _scenes()]
    return write_folder(folder, maps, [f"{i:05d}.png" for i in range(COUNT)])


def _two_clips(folder: Path) -> object:
    folder.mkdir(exist_ok=True)
    return [write_clip(folder / f"{name}.mp4", _seen(name), rate=RATE) for name in ("before", "after")]


def _from_labels(folder: Path) -> object:
    maps, clip = Path("painted_from"), write_clip(Path("painted-target.mp4"), _scenes(), rate=RATE)
    _label_maps(maps)
    settings = {"dataset": TINY["dataset"], "pairing": {"name": "labels", "palette": "#464646 #804080"}}
    return vidtrans.make_dataset([maps], folder, target=clip, settings=settings)


def _keys(folder: str) -> Callable[[Path], object]:
    return lambda _: write_folder(Path(folder), [_scenes()[n] for n in (6, 28)], ["000006.png", "000028.png"])


def _painted(_: Path) -> object:
    return [_keys(f"painted/{name}")(Path()) for name in ("A001", "A002")]


def _fixes(folder: Path) -> object:
    """A frame of the result (of key frames that nobody painted: the clip's own), painted over."""
    frame = _scenes()[20].copy()
    frame[10:20, 10:24] = (250, 240, 30)
    return write_folder(folder, [frame], ["20.png"])


def _list(path: Path) -> object:
    make_model("look.safetensors", "edges"), _clips(Path("clips"))
    return path.write_text('model = "look"\n[[clips]]\nsource = "clips/*.mp4"\nrendering.strength = 0.8\n')


def _edl(path: Path) -> object:
    _clip(Path("a.mp4"))
    times = "00:00:00:02 00:00:02:02 01:00:00:00 01:00:02:00"
    return path.write_text(f"TITLE: CUT\n001  AX  V  C  {times}\n* FROM CLIP NAME: a.mp4\n")


def _scenes_csv(path: Path) -> object:
    return path.write_text("Scene Number,Start Frame\n1,1\n2,21\n")


def _moves(path: Path) -> object:
    return path.write_text("time,glow\n0,0\n1,1\n")


def _sound(path: Path) -> object:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 22_050, 0, "NONE", ""))
        file.writeframes((8000 * np.sin(np.arange(22_050 * 9) / 8)).astype("<i2").tobytes())
    return path


def _preset(path: Path) -> object:
    return shutil.copy(ROOT / "presets/edges.toml", path)


def _batch(folder: Path) -> object:
    make_model("look.safetensors", "edges"), _clips(Path("clips"))
    return vidtrans.stylize("clips", "look", folder)


def _damaged(path: Path) -> object:
    whole = _clip(path) and path.read_bytes()
    return path.write_bytes(whole[: len(whole) // 2] + bytes(64) + whole[len(whole) // 2 + 64 :])
