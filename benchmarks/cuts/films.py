"""Films whose cuts are known: shots of real clips, joined, then darkened or flattened, made noisy, and encoded.

``tuning`` films are made of clips from which the detector's constants were chosen, ``scoring`` films of others, and
``real`` are two clips with cuts of their own, of which no constant was chosen either. Between shots there are cuts (to
another clip, to another part of the same view, to black and back, with one mixed frame, to titles on a plain ground and
to a plain colour), and what is no cut: fades through black, dissolves, flashes of one to three frames, and lamps that
are switched on or off. Some films have black bars, beside the picture or above and below it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks.clips import read_frames, write_clip

WIDTH, HEIGHT = 384, 216
CLIPS = {
    "tuning": (
        "flower.mp4",
        "dog.mp4",
        "juggle.mp4",
        "friday.mp4",
        "wolf_512.mp4",
        "carphone_176x144.mp4",
        "asl_walk.mkv",
    ),
    "scoring": (
        "cockatoo_yuv420.mp4",
        "one-by-one-person-detection_139s.mp4",
        "bug_bw.mp4",
        "phone_vfr_rot180.mp4",
        "stream-of-water.mp4",
        "bigbuckbunny_720p.mp4",
    ),
}
PHOTOS = {"tuning": ("kodim01", "kodim05", "kodim08"), "scoring": ("kodim13", "kodim19", "kodim23")}
REAL = {"bikes_5cuts.mp4": [30, 76, 137, 187, 242], "bbb_0_30.webm": [283, 376, 551]}
LEVELS: dict[str, float | None] = {"as is": None, "50": 50, "30": 30, "20": 20, "15": 15, "10": 10, "flat 200": None}
CODINGS = {"clean": (0.0, 18), "crf35": (0.0, 35), "noise": (2.0, 26)}  # the noise's σ in grey levels, x264's CRF
OFTEN = {"cut": 6, "same": 2, "flash": 2}  # of the transitions that are drawn; others once
KINDS = ("cut", "same", "blend", "dissolve", "fade", "flash", "light", "black", "titles", "plain")
DRAWN = [kind for kind in KINDS for _ in range(OFTEN.get(kind, 1))]
EVENTS = 14  # cuts and other transitions of a joined film
# Of each film in turn: the share of its width, and of its height, that black bars take.
BARS = ((0.0, 0.0), (0.44, 0.0), (0.0, 0.25), (0.68, 0.0))
TITLES = ("Chapter 1", "THE END", "Berlin, 1927", "One year later", "II", "Directed by Nobody", "Meanwhile")
Frames = list[np.ndarray]


@dataclass(frozen=True)
class Film:
    """``path``: an encoded film. ``cuts``: the first frame of each shot but the first."""

    path: Path
    cuts: tuple[int, ...]
    level: str
    coding: str


@dataclass
class _Reel:
    """A film while it is joined; ``events``: how many transitions are no cuts."""

    frames: Frames
    cuts: list[int] = field(default_factory=list)
    events: int = 0

    def cut_to(self, shot: Frames) -> None:
        self.cuts.append(len(self.frames))
        self.frames += shot


class _Shots:
    """Draw shots from the clips and photos of a set, never two in a row from the same one."""

    def __init__(self, data: Path, kind: str, rng: np.random.Generator, last: list[str | None]) -> None:
        self._data, self._kind, self._rng = data, kind, rng
        self._last = last

    def any(self) -> Frames:
        count = int(self._rng.integers(8, 45))
        if self._rng.random() < 0.2:
            name = self._another(PHOTOS[self._kind])
            return _photo_moves(self._data / "photo/kodak" / f"{name}.png", count, self._rng, self._speed())
        path = self._data / "video" / self._another(CLIPS[self._kind])
        total = _length(path)
        count = min(count, total - 1)
        part = int(self._rng.integers(4)) if self._rng.random() < 0.4 else None
        return _read(path, int(self._rng.integers(0, total - count)), count, part)

    def two_of_one_view(self) -> list[Frames]:
        """Two quarters of one clip's picture: the same light and colours, other content."""
        path = self._data / "video" / self._another(CLIPS[self._kind])
        total = _length(path)
        count = min(int(self._rng.integers(8, 30)), total // 2 - 1)
        parts = self._rng.permutation(4)[:2]
        return [_read(path, int(self._rng.integers(0, total - count)), count, int(part)) for part in parts]

    def _speed(self) -> float:
        return float(self._rng.choice([2, 8, 20]))

    def _another(self, names: Sequence[str]) -> str:
        left = [name for name in names if name != self._last[0]]
        self._last[0] = left[self._rng.integers(len(left))]
        return left[left.index(self._last[0])]


def films(data: Path, kind: str, count: int, folder: Path) -> Iterator[Film]:
    """Yield each film at each level and coding; what was encoded before is taken from ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    last: list[str | None] = [None]
    for number in range(len(REAL) if kind == "real" else count):
        truth = folder / f"{number}.json"
        paths = {(level, coding): folder / f"{number}_{level}_{coding}.mp4" for level in LEVELS for coding in CODINGS}
        if not truth.exists():
            reel = _real(data, number) if kind == "real" else _joined(data, kind, number, last)
            if kind != "real":
                reel.frames = [_barred(frame, *BARS[number % len(BARS)]) for frame in reel.frames]
            for level in LEVELS:
                frames = _at_level(reel.frames, level)
                for coding in CODINGS:
                    _encode(paths[level, coding], frames, *CODINGS[coding])
            truth.write_text(json.dumps({"cuts": reel.cuts}))
        cuts = tuple(json.loads(truth.read_text())["cuts"])
        yield from (Film(path, cuts, level, coding) for (level, coding), path in paths.items())


def _real(data: Path, number: int) -> _Reel:
    name, cuts = list(REAL.items())[number]
    return _Reel(_read(data / "video" / name, 0, 10**6, None), list(cuts))


def _joined(data: Path, kind: str, number: int, last: list[str | None]) -> _Reel:
    rng = np.random.default_rng([number, kind == "tuning"])
    shots = _Shots(data, kind, rng, last)
    reel = _Reel(shots.any())
    while len(reel.cuts) + reel.events < EVENTS:
        transition = str(rng.choice(DRAWN))
        if transition in ("flash", "light"):
            shot = shots.any()
            (_flash if transition == "flash" else _switch_lamp)(shot, rng)
            reel.events += 1
            reel.cut_to(shot)
        elif transition == "same":
            for shot in shots.two_of_one_view():
                reel.cut_to(shot)
        else:
            _append(reel, shots.any(), transition, rng)
    return reel


def _append(reel: _Reel, shot: Frames, transition: str, rng: np.random.Generator) -> None:
    black = [np.zeros((HEIGHT, WIDTH, 3), np.uint8)]
    if transition == "dissolve":
        length = min(int(rng.integers(6, 25)), len(reel.frames), len(shot) - 1)
        tail = range(len(reel.frames) - length, len(reel.frames))
        for i, at in enumerate(tail):
            reel.frames[at] = _mixed(reel.frames[at], shot[i], (i + 1) / (length + 1))
        reel.frames += shot[length:]
        reel.events += 1
    elif transition == "fade":
        length = min(int(rng.integers(6, 20)), len(reel.frames), len(shot))
        reel.frames[-length:] = [_mixed(f, black[0], (i + 1) / length) for i, f in enumerate(reel.frames[-length:])]
        reel.frames += black * int(rng.integers(0, 6))
        reel.frames += [_mixed(black[0], f, (i + 1) / length) for i, f in enumerate(shot[:length])] + shot[length:]
        reel.events += 1
    elif transition == "blend":
        reel.cut_to([_mixed(reel.frames[-1], shot[0], 0.5), *shot[1:]])
    elif transition == "titles":
        ground = int(rng.choice([0, 255, 40]))
        for words in rng.permutation(TITLES)[: int(rng.integers(1, 3))]:
            reel.cut_to([_title(str(words), ground, rng)] * int(rng.integers(8, 20)))
        reel.cut_to(shot)
    elif transition == "plain":
        for _ in range(int(rng.integers(1, 3))):
            colour = rng.integers(0, 256, 3).astype(np.uint8)
            reel.cut_to([np.full((HEIGHT, WIDTH, 3), colour, np.uint8)] * int(rng.integers(8, 15)))
        reel.cut_to(shot)
    elif transition == "black":
        reel.cut_to(black * int(rng.integers(6, 15)))
        reel.cut_to(shot)
    else:
        reel.cut_to(shot)


def _title(words: str, ground: int, rng: np.random.Generator) -> np.ndarray:
    picture = np.full((HEIGHT, WIDTH, 3), ground, np.uint8)
    ink = (20,) * 3 if ground > 128 else tuple(int(v) for v in rng.integers(150, 256, 3))
    size = float(rng.uniform(0.8, 1.6))
    (width, height), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, size, 3)
    at = (max(4, (WIDTH - width) // 2), int(rng.uniform(0.3, 0.8) * HEIGHT) + height // 2)
    return cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, size, ink, 3, cv2.LINE_AA)


def _barred(frame: np.ndarray, across: float, down: float) -> np.ndarray:
    x, y = round(WIDTH * across / 2), round(HEIGHT * down / 2)
    made = np.zeros_like(frame)
    made[y : HEIGHT - y, x : WIDTH - x] = frame[y : HEIGHT - y, x : WIDTH - x]
    return made


def _mixed(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    return np.rint((1 - weight) * first.astype(np.float32) + weight * second.astype(np.float32)).astype(np.uint8)


def _flash(shot: Frames, rng: np.random.Generator) -> None:
    """One to three frames are brighter, the first most, parts of them up to white."""
    at, length = len(shot) // 2, int(rng.integers(1, 4))
    gain, add = rng.uniform(1, 2.5), rng.uniform(40, 200)
    for i in range(at, min(at + length, len(shot))):
        strength = 1.0 if i == at else 0.6
        lit = shot[i].astype(np.float32) * (1 + (gain - 1) * strength) + add * strength
        shot[i] = np.clip(lit, 0, 255).astype(np.uint8)


def _switch_lamp(shot: Frames, rng: np.random.Generator) -> None:
    at, gain = len(shot) // 2, float(rng.choice([0.5, 0.6, 1.6, 2.0]))
    shot[at:] = [np.clip(frame * gain, 0, 255).astype(np.uint8) for frame in shot[at:]]


@cache
def _length(path: Path) -> int:
    with closing(av.open(str(path))) as container:
        return sum(1 for _ in container.decode(video=0))


def _read(path: Path, start: int, count: int, part: int | None) -> Frames:
    return [_filling(rgb, part) for rgb in read_frames(path, start, count)]


def _filling(rgb: np.ndarray, part: int | None) -> np.ndarray:
    """A picture, or one of its four quarters, scaled to cover the film's frame."""
    height, width = rgb.shape[:2]
    if part is not None:
        row, column = divmod(part, 2)
        rgb = rgb[row * height // 2 : (row + 1) * height // 2, column * width // 2 : (column + 1) * width // 2]
        height, width = rgb.shape[:2]
    scale = max(WIDTH / width, HEIGHT / height)
    size = (max(WIDTH, round(width * scale)), max(HEIGHT, round(height * scale)))
    rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    x, y = (size[0] - WIDTH) // 2, (size[1] - HEIGHT) // 2
    return np.ascontiguousarray(rgb[y : y + HEIGHT, x : x + WIDTH])


def _photo_moves(path: Path, count: int, rng: np.random.Generator, speed: float) -> Frames:
    """A shaken camera over a photo, with motion blur, at about ``speed`` pixels a frame."""
    rgb = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    sides = np.array([rgb.shape[1], rgb.shape[0]], np.float64)
    place, velocity, zoom = sides / 2, rng.normal(0, speed, 2), 0.6
    frames = []
    for _ in range(count):
        exposed = []
        for _ in range(4):
            place = place + velocity / 4
            outside = (place <= 0.3 * sides) | (place >= 0.7 * sides)
            velocity = np.where(outside, -velocity, velocity)
            place = np.clip(place, 0.3 * sides, 0.7 * sides)
            exposed.append(_view(rgb, place, zoom))
        velocity = velocity * 0.9 + rng.normal(0, speed * 0.5, 2)
        zoom = float(np.clip(zoom + rng.normal(0, 0.01), 0.4, 0.8))
        frames.append(np.rint(np.mean(exposed, 0)).astype(np.uint8))
    return frames


def _view(rgb: np.ndarray, centre: np.ndarray, zoom: float) -> np.ndarray:
    width = rgb.shape[1] * zoom
    height = min(width * HEIGHT / WIDTH, 0.9 * rgb.shape[0])
    width = height * WIDTH / HEIGHT
    x, y = centre[0] - width / 2, centre[1] - height / 2
    place = np.array([[width / WIDTH, 0, x], [0, height / HEIGHT, y]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(rgb, place, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_REFLECT).astype(np.float32)


def _at_level(frames: Frames, level: str) -> Frames:
    mean = float(np.mean([frame[::8, ::8].mean() for frame in frames]))
    if level == "flat 200":
        return [np.clip((f.astype(np.float32) - mean) / 5 + 200, 0, 255).astype(np.uint8) for f in frames]
    wanted = LEVELS[level]
    if wanted is None:
        return frames
    return [np.clip(np.rint(frame * (wanted / mean)), 0, 255).astype(np.uint8) for frame in frames]


def _encode(path: Path, frames: Frames, sigma: float, crf: int) -> None:
    rng = np.random.default_rng(0)
    shape = (HEIGHT, WIDTH)
    bank = [rng.normal(0, sigma, (*shape, 1)) + rng.normal(0, sigma / 2, (*shape, 3)) for _ in range(13)]
    noisy = list(frames)
    for number in range(len(frames) if sigma else 0):
        noise = np.roll(bank[number % len(bank)], number * 37, 1)
        noisy[number] = np.clip(np.rint(frames[number] + noise), 0, 255).astype(np.uint8)
    write_clip(path, noisy, crf=str(crf), preset="veryfast", threads="1")
