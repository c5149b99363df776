"""Keys of green and blue screens beside ffmpeg's, on ten clips of our own making whose alpha is known exactly.

    python -m benchmarks.masks.keys [DATA] [--sheets FOLDER]

The clips hold photographed and drawn figures, strands of hair of about a pixel, motion blur, soft shadows, uneven
light, spill, noise and the losses of H.264 in 4:2:0. *frame* is the mean of |alpha - truth| over the frame, *band* over
the pixels whose true alpha is between 2 and 98 %. ``chromakey`` and ``colorkey`` know the true colour of the screen;
for each clip they take the similarity and the blend, of a grid, with the least *frame*. *skin* is how far the colours
after ``remove_spill`` are from the true ones where the figure is opaque, in levels of 255; *rim* the same where alpha
is between 10 and 90 %, weighted by the true alpha, and *green* how much more of the screen's channel is left there than
in the true colours. Constants of the code were chosen on the five clips with a star; the goals are for the other five.
``DATA``: a folder with video and photo, in which no screen may be found. ``--sheets`` draws the results.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np

import vidtrans
from benchmarks import harness
from benchmarks.tables import Goal, head, row
from vidtrans.masking.keying import Screen, find_screen, key_screen, remove_spill
from vidtrans.video.images.picture import read_picture, write_picture

WIDTH, HEIGHT, FINE, FRAMES = 1280, 720, 4, 2
PHOTOS = Path(vidtrans.__file__).parent / "assets" / "frames"
SKIN, PALE, DARK_SKIN = (198, 146, 118), (224, 184, 160), (112, 74, 56)
BLACK_HAIR, BROWN_HAIR, BLOND_HAIR = (24, 19, 18), (86, 56, 40), (196, 166, 112)
STUDIO, BRIGHT, DULL, NAVY, SKY_BLUE = (0, 177, 64), (20, 214, 60), (62, 142, 70), (14, 52, 168), (28, 92, 214)
SIMILARITIES, BLENDS = np.arange(0.02, 0.42, 0.03), (0.0, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3)


@dataclass
class Scene:
    """A clip of a figure before a screen."""

    name: str
    screen: tuple[int, int, int]
    parts: tuple[str, ...]
    hair: tuple[int, int, int] = BLACK_HAIR
    skin: tuple[int, int, int] = SKIN
    noise: float = 2.0
    crf: int = 20
    uneven: float = 0.15  # Range of the screen's light
    shadow: float = 0.0  # Depth of the shadows on the screen
    spill: float = 0.1  # Light of the screen on the figure's rim
    design: bool = False
    seed: int = 0
    layers: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list, repr=False)

    @property
    def channel(self) -> int:
        return int(np.argmax(self.screen))


SCENES = (
    Scene("portrait, dark hair", STUDIO, ("person", "hair"), shadow=0.35, design=True, seed=1),
    Scene("limbs and holes", STUDIO, ("limbs", "discs"), shadow=0.5, uneven=0.3, noise=3.5, design=True, seed=2),
    Scene("blond hair, blue", NAVY, ("head", "hair"), BLOND_HAIR, PALE, shadow=0.3, design=True, seed=3),
    Scene("thrown ball, olive", BRIGHT, ("ball", "limbs", "olive"), skin=DARK_SKIN, noise=3, design=True, seed=4),
    Scene("cat, dull screen", DULL, ("cat", "fur"), BROWN_HAIR, uneven=0.3, noise=4, crf=24, design=True, seed=5),
    Scene("portrait, blue", SKY_BLUE, ("person", "hair"), BROWN_HAIR, shadow=0.4, uneven=0.25, seed=6),
    Scene("limbs, hair, spill", DULL, ("limbs", "head", "hair"), BLACK_HAIR, PALE, 3, shadow=0.45, spill=0.2, seed=7),
    Scene("blond hair, green", STUDIO, ("head", "hair", "olive"), BLOND_HAIR, shadow=0.3, noise=4, crf=23, seed=8),
    Scene("thrown ball, blue", NAVY, ("ball", "limbs", "discs"), skin=DARK_SKIN, shadow=0.4, uneven=0.35, seed=9),
    Scene("cat, bright screen", BRIGHT, ("cat", "fur", "ball"), BROWN_HAIR, noise=5, crf=25, spill=0.15, seed=10),
)


@dataclass
class Made:
    """A frame as a decoder gives it, with the true alpha, (H, W), and colours of its figure, (H, W, 3)."""

    rgb: np.ndarray
    alpha: np.ndarray
    colours: np.ndarray
    skin: np.ndarray


# Drawing


class Canvas:
    """Layers of a figure, drawn from back to front."""

    def __init__(self, scene: Scene, moment: float) -> None:
        self.scene, self.moment, self.rng = scene, moment, np.random.default_rng(scene.seed)
        self.alpha = np.zeros((HEIGHT, WIDTH), np.float32)
        self.colours, self.skin = np.zeros((HEIGHT, WIDTH, 3), np.float32), np.zeros((HEIGHT, WIDTH), np.float32)
        noise = cv2.resize(
            self.rng.normal(size=(40, 64)).astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC
        )
        self.shading = 1 + 0.07 * noise + np.linspace(0.12, -0.12, WIDTH, dtype=np.float32)[None]

    def lay(self, alpha: np.ndarray, colour: tuple[int, int, int] | np.ndarray, is_skin: bool = False) -> None:
        """Lay a part with an alpha (H, W) over the others; a plain colour is shaded."""
        if isinstance(colour, tuple):
            colour = np.array(colour, np.float32) * self.shading[..., None]
        share = alpha / np.maximum(alpha + self.alpha * (1 - alpha), 1e-6)
        self.colours += share[..., None] * (colour - self.colours)
        self.skin = alpha * is_skin + (1 - alpha) * self.skin
        self.alpha = alpha + self.alpha * (1 - alpha)

    def fine(self) -> np.ndarray:
        return np.zeros((HEIGHT * FINE, WIDTH * FINE), np.uint8)

    def coarse(self, drawn: np.ndarray, sigma: float = 0.6) -> np.ndarray:
        small = cv2.resize(drawn, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        return cv2.GaussianBlur(small, (0, 0), sigma)

    def polygon(self, points: list[tuple[float, float]], sigma: float) -> np.ndarray:
        drawn = self.fine()
        cv2.fillPoly(drawn, [np.int32(np.array(points) * FINE)], 255)
        return self.coarse(drawn, sigma)

    def ellipse(self, centre: tuple[float, float], axes: tuple[float, float], sigma: float = 0.8) -> np.ndarray:
        drawn = self.fine()
        at, size = (tuple(round(FINE * value) for value in pair) for pair in (centre, axes))
        cv2.ellipse(drawn, at, size, 0, 0, 360, 255, -1)
        return self.coarse(drawn, sigma)

    def photo(self, name: str, scale: float, at: tuple[float, float]) -> np.ndarray:
        """Return a photograph, enlarged and moved, over the whole frame."""
        picture = read_picture(PHOTOS / name)
        matrix = np.float32([[scale, 0, at[0]], [0, scale, at[1]]])
        size, border = (WIDTH, HEIGHT), cv2.BORDER_REPLICATE
        return cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=border).astype(np.float32)

    @property
    def shift(self) -> float:
        return 30 * self.moment

    def person(self) -> None:
        s, x, y = 2.2, 330 + self.shift, 62
        colours = self.photo("astronaut.jpg", s, (x, y))
        body = [(38, 320), (52, 205), (88, 168), (112, 150), (160, 150), (190, 172), (232, 200), (262, 320)]
        self.lay(self.polygon([(x + s * a, y + s * b) for a, b in body], 1.5), colours)
        head = self.ellipse((x + s * 132, y + s * 78), (s * 46, s * 62), 2)
        self.lay(head, colours)
        self.skin = np.maximum(self.skin, self.ellipse((x + s * 133, y + s * 70), (s * 22, s * 30)))

    def cat(self) -> None:
        s, x, y = 1.6, 230 + self.shift, 140
        self.lay(
            self.ellipse((x + s * 215, y + s * 165), (s * 150, s * 150), 2.5), self.photo("chelsea.jpg", s, (x, y))
        )

    def head(self) -> None:
        x = 640 + self.shift
        self.lay(self.ellipse((x, 330), (112, 150), 1.2), self.scene.hair)
        self.lay(self.ellipse((x, 360), (88, 122), 2), self.scene.skin, True)
        self.lay(self.polygon([(x - 200, 720), (x - 150, 520), (x + 150, 520), (x + 200, 720)], 1), (140, 40, 48))

    def hair(self) -> None:
        x, y = (622, 252) if "person" in self.scene.parts else (640, 330)
        self.strands((x + self.shift, y), (106, 142), 520, 90, 0.5)

    def fur(self) -> None:
        self.strands((574 + self.shift, 404), (238, 238), 3000, 18, 1.2)

    def strands(
        self, centre: tuple[float, float], axes: tuple[float, float], count: int, length: float, spread: float
    ) -> None:
        drawn = self.fine()
        for angle in self.rng.uniform(0, 2 * np.pi, count):
            root = np.array(centre) + np.array(axes) * 0.95 * (np.cos(angle), np.sin(angle))
            way = angle + self.rng.uniform(-spread, spread) + 0.15 * self.moment
            steps = np.linspace(0, 1, 12)[:, None]
            turn = way + self.rng.uniform(-0.9, 0.9) * steps
            points = root + length * self.rng.uniform(0.4, 1) * steps * np.hstack([np.cos(turn), np.sin(turn)])
            thick = int(self.rng.integers(2, FINE + 2))
            cv2.polylines(drawn, [np.int32(points * FINE)], False, 255, thick, cv2.LINE_AA)
        self.lay(self.coarse(drawn, 0.5), self.scene.hair)

    def limbs(self) -> None:
        x = 300 + self.shift
        arm = [(x, 700), (x + 20, 330), (x - 130, 430), (x - 10, 560)]
        torso, bare = self.fine(), self.fine()
        cv2.line(torso, *(tuple(int(FINE * v) for v in p) for p in ((x + 70, 330), (x + 70, 760))), 255, FINE * 150)
        for one, other in pairwise(arm[1:]):
            cv2.line(bare, *(tuple(int(FINE * v) for v in p) for p in (one, other)), 255, FINE * 44, cv2.LINE_AA)
        for n in range(4):
            tip = (x + 30 + 34 * n, 120 + 10 * abs(n - 1))
            cv2.line(bare, *(tuple(int(FINE * v) for v in p) for p in ((x + 60 + 12 * n, 280), tip)), 255, FINE * 14)
        self.lay(self.coarse(torso, 1), (60, 66, 92))
        self.lay(self.coarse(bare, 1), self.scene.skin, True)

    def discs(self) -> None:
        for n, colour in enumerate(((235, 232, 226), (220, 190, 40), (120, 30, 110), (128, 128, 124), (30, 30, 34))):
            self.lay(self.ellipse((760 + 100 * n, 180 + 50 * (n % 2) + self.shift), (40, 40), 0.7 + 1.2 * n), colour)

    def ball(self) -> None:
        whole, size = np.zeros((HEIGHT, WIDTH), np.float32), 64
        for time_open in np.linspace(0, 1, 24):
            whole += self.ellipse((840 + 100 * time_open + 2 * self.shift, 500 - 40 * time_open), (size, size)) / 24
        self.lay(whole, (208, 92, 44))

    def olive(self) -> None:
        place = (370 + self.shift, 560) if "limbs" in self.scene.parts else (640 + self.shift, 620)
        self.lay(self.ellipse(place, (52, 70), 1), (104, 124, 66))


def make(scene: Scene) -> list[Made]:
    """Draw a scene's frames, and encode and decode them."""
    made, rng = [], np.random.default_rng(100 + scene.seed)
    for moment in np.linspace(0, 1, FRAMES):
        canvas = Canvas(scene, float(moment))
        for part in scene.parts:
            getattr(canvas, part)()
        alpha, colours = canvas.alpha, np.clip(canvas.colours, 4, 250)
        screen = np.float32(scene.screen) * _light(scene, alpha)[..., None]
        rim = cv2.GaussianBlur(1 - alpha, (0, 0), 14)[..., None]
        seen = colours + scene.spill * (0.15 + rim) * (0.4 + colours / 255) * np.float32(scene.screen)
        picture = screen + alpha[..., None] * (np.clip(seen, 0, 255) - screen)
        picture += scene.noise * rng.normal(size=picture.shape)
        made.append(Made(np.clip(picture, 0, 255).astype(np.uint8), alpha, colours, canvas.skin))
    for one, frame in zip(made, _coded([each.rgb for each in made], scene.crf), strict=True):
        one.rgb = frame.to_ndarray(format="rgb24")
    return made


def _light(scene: Scene, alpha: np.ndarray) -> np.ndarray:
    """Return the light on the screen, (H, W): uneven, with the figure's soft shadow and that of a stand."""
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j].astype(np.float32)
    light = 1 - scene.uneven * (0.6 * (x - 0.25) ** 2 + 0.5 * (y + 0.3) ** 2)
    cast = cv2.GaussianBlur(cv2.warpAffine(alpha, np.float32([[1, 0, 70], [0, 1, 30]]), (WIDTH, HEIGHT)), (0, 0), 26)
    return light * (1 - scene.shadow * cast)


def _coded(pictures: list[np.ndarray], crf: int) -> list[av.VideoFrame]:
    """Return pictures as H.264 in 4:2:0 keeps them."""
    memory = io.BytesIO()
    with av.open(memory, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": "fast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    memory.seek(0)
    with av.open(memory) as source:
        return list(source.decode(video=0))


# Scores


@dataclass
class Error:
    """Mean errors of alpha over the frame and over the soft band."""

    frame: float
    band: float


def error(alphas: list[np.ndarray], made: list[Made]) -> Error:
    away = np.stack([np.abs(alpha - one.alpha) for alpha, one in zip(alphas, made, strict=True)])
    truth = np.stack([one.alpha for one in made])
    return Error(float(away.mean()), float(away[(truth > 0.02) & (truth < 0.98)].mean()))


def ffmpeg_best(name: str, made: list[Made]) -> Error:
    """Return the errors of a filter of ffmpeg with those settings of the grid that err least over the frame."""
    form = "yuva420p" if name == "chromakey" else "rgba"
    lit = np.median(np.concatenate([one.rgb[one.alpha == 0] for one in made]), axis=0)
    colour = "0x" + "".join(f"{round(float(value)):02x}" for value in lit)
    frames = [av.VideoFrame.from_ndarray(one.rgb, format="rgb24").reformat(format=form) for one in made]
    options = [f"color={colour}:similarity={s:.3f}:blend={b}" for s in SIMILARITIES for b in BLENDS]
    return min((error(_filtered(name, each, frames), made) for each in options), key=lambda one: one.frame)


def _filtered(name: str, options: str, frames: list[av.VideoFrame]) -> list[np.ndarray]:
    graph, alphas = av.filter.Graph(), []
    first = graph.add_buffer(width=WIDTH, height=HEIGHT, format=frames[0].format.name, time_base=Fraction(1, 25))
    graph.link_nodes(first, graph.add(name, options), graph.add("alphaextract"), graph.add("buffersink")).configure()
    for number, frame in enumerate(frames):
        frame.pts, frame.time_base = number, Fraction(1, 25)
        graph.vpush(frame)
        alphas.append(graph.vpull().to_ndarray(format="gray").astype(np.float32) / 255)
    return alphas


def colour_errors(scene: Scene, screen: Screen, made: list[Made], alphas: list[np.ndarray]) -> list[float]:
    """Return the errors of the colours of opaque skin, of those of the rim, and the screen's colour left in the rim."""
    skin, rim, left = [], [], []
    for one, alpha in zip(made, alphas, strict=True):
        clean = remove_spill(one.rgb, screen, alpha).astype(np.float32)
        away = np.abs(clean - one.colours).mean(axis=2)
        solid, soft = (one.skin > 0.99) & (one.alpha > 0.995), (one.alpha > 0.1) & (one.alpha < 0.9)
        over = np.maximum(0, _excess(clean, scene.channel) - np.maximum(0, _excess(one.colours, scene.channel)))
        skin.append(float(away[solid].mean()) if solid.any() else np.nan)
        rim.append(float(np.average(away[soft], weights=one.alpha[soft])))
        left.append(float(np.average(over[soft], weights=one.alpha[soft])))
    return [float(np.mean(each)) for each in (skin, rim, left)]


def _excess(colours: np.ndarray, channel: int) -> np.ndarray:
    return colours[..., channel] - np.delete(colours, channel, axis=2).max(axis=2)


def false_screens(data: Path) -> Iterator[str]:
    """Yield the clips and photographs without a screen in which one is found."""
    for path in sorted([*(data / "video").iterdir(), *(data / "photo").glob("**/*.png")]):
        try:
            with av.open(str(path)) as source:
                frames = [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]
        except av.FFmpegError as exc:
            harness.skip(path.name, exc)
            continue
        for taken in (frames[:: max(1, len(frames) // 9)], *([frame] for frame in frames[:: max(1, len(frames) // 9)])):
            if (screen := find_screen(taken)) is not None:
                yield f"{path.name} {screen} in {len(taken)} frames"


def show(options: argparse.Namespace) -> None:
    """Print the table, and draw the sheets."""
    head("clip", "frame", "band", "chromakey", "its band", "colorkey", "its band", "skin", "rim", "green", "ms")
    rows = []
    for scene in SCENES:
        if options.scenes and not any(word in scene.name for word in options.scenes):
            continue
        made = make(scene)
        screen = find_screen([one.rgb for one in made])
        if screen is None or screen.channel != scene.channel:
            row(scene.name, "NO SCREEN FOUND")
            continue
        alphas, times = [], []
        for one in made:
            for _ in range(3):
                began = time.perf_counter()
                alpha = key_screen(one.rgb, screen)
                times.append(1000 * (time.perf_counter() - began))
            alphas.append(alpha)
        own, values = error(alphas, made), []
        for name in ("chromakey", "colorkey") if not options.quick else ():
            peer = ffmpeg_best(name, made)
            values += [peer.frame, peer.band]
        colours = colour_errors(scene, screen, made, alphas)
        values = [own.frame, own.band, *(values or [np.nan] * 4), *colours, min(times)]
        rows.append((scene.design, values))
        row(scene.name + (" *" if scene.design else ""), *_cells(values))
        if options.sheets:
            name = scene.name.replace(",", "").replace(" ", "-")
            draw(options.sheets / f"{name}.png", made[-1], alphas[-1], screen)
    for words, wanted in (("mean of the starred", True), ("mean of the others", False)):
        some = [values for design, values in rows if design == wanted]
        if some:
            mean = np.nanmean(some, axis=0)
            row(words, *_cells(mean))
    if rows and not options.quick and not options.scenes:
        frame, band, *peers = mean[:6]
        print(f"\nerror over the band: {Goal('', most=0.03).verdict(float(band))} (at most .03)")
        for n, name in enumerate(("chromakey", "colorkey")):
            ratios = frame / peers[2 * n], band / peers[2 * n + 1]
            print(f"share of {name}'s error, frame and band:", *(Goal("", most=0.5).verdict(float(v)) for v in ratios))
        print("skin:", Goal("", most=3).verdict(float(mean[6])))
    if options.data:
        print("screens found where there is none:", *(list(false_screens(options.data)) or ["none"]), sep="\n  ")


def _cells(values: Sequence[float]) -> list[str]:
    return [*(f"{value:.4f}" for value in values[:6]), *(f"{value:.1f}" for value in values[6:])]


def draw(path: Path, one: Made, alpha: np.ndarray, screen: Screen) -> None:
    """Draw the frame, the matte, ten times its error, and the figure over a checkerboard."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    board = np.where(((x // 24 + y // 24) % 2 == 0)[..., None], 196.0, 116.0)
    clean = remove_spill(one.rgb, screen, alpha).astype(np.float32)
    over = board + alpha[..., None] * (clean - board)
    grey = np.repeat(255 * alpha[..., None], 3, axis=2)
    away = np.clip(128 + 640 * (alpha - one.alpha), 0, 255)[..., None].repeat(3, axis=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, np.vstack([np.hstack([one.rgb, over]), np.hstack([grey, away])]).astype(np.uint8))


def main() -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("data", type=Path, nargs="?", help="a folder with video and photo, without screens")
    parser.add_argument("--sheets", type=Path, help="a folder for pictures of the results")
    parser.add_argument("--scenes", type=harness.comma_list, default=[], help="words of the names of some clips")
    parser.add_argument("--quick", action="store_true", help="without ffmpeg's filters")
    cv2.setNumThreads(1)
    show(parser.parse_args())


if __name__ == "__main__":
    harness.run(main)
