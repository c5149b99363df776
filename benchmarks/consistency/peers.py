"""Ways to take flicker out of a ComfyUI workflow beside ours: their own code, on the same clips, at equal sharpness.

    python -m benchmarks.consistency.peers DATA --cache DIR --peers FOLDER [--parts styles,real,lut] [--frames 24]

FOLDER has clones of other projects, from which nothing is copied: ``fastblend`` (Artiprocher/sd-webui-fastblend:
matching patches of neighbours are blended; its CUDA kernels run on the CPU), and ``superbeasts``
(SuperBeastsAI/ComfyUI-SuperBeasts: the nodes Deflicker and Pixel Deflicker). Each runs with its defaults, FastBlend
with --accurate also in its slower mode, with a window of 5; Pixel Deflicker also at its full strength, over 5 and 15
frames. FastBlend takes some minutes a case on one core.
``mean-N`` averages N frames. A blurred picture hardly flickers, so each is sharpened, or blurred, by an unsharp mask
whose amount brings it to the sharpness of ours, and then scored: E is the warping error over that of the per-frame
pictures. Where the truth is known (``lut``) an E below that of the truth is no merit: the table has the decibels, too.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from benchmarks import harness
from benchmarks.consistency import cases, cuda_on_cpu, parts
from benchmarks.consistency.bench import KINDS
from benchmarks.consistency.cases import Case
from benchmarks.consistency.measure import Score, measure
from benchmarks.consistency.methods import Method, own, per_frame
from benchmarks.harness import Missing, need
from benchmarks.store import Store, source_digest, tell
from benchmarks.tables import Table

Pictures = Sequence[np.ndarray]
SIGMA = 1.0  # of the unsharp mask
AMOUNTS = (-1.0, 4.0)
CLOSE = 0.005  # of sharpness
EBSYNTH = {"minimum_patch_size": 5, "num_iter": 5, "guide_weight": 10.0, "initialize": "identity"}  # its defaults


class Listed(list[np.ndarray]):
    """A list of pictures as FastBlend wants it."""

    def raw_data(self) -> list[np.ndarray]:
        """Return the pictures."""
        return list(self)


def fastblend(case: Case, folder: Path, mode: str, window: int) -> list[np.ndarray]:
    """Run FastBlend. Its modes save files; here the pictures are caught where they are written."""
    cuda_on_cpu.install()
    if "tqdm" not in sys.modules and importlib.util.find_spec("tqdm") is None:  # its bars of progress are not needed
        bars: Any = ModuleType("tqdm")
        bars.tqdm = lambda items, **_: items
        sys.modules["tqdm"] = bars
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    module = importlib.import_module(f"FastBlend.runners.{mode}")
    written: dict[str, np.ndarray] = {}

    class Caught:
        def __init__(self, picture: np.ndarray) -> None:
            self._picture = picture

        @staticmethod
        def fromarray(picture: np.ndarray) -> Caught:
            return Caught(picture)

        def save(self, path: str) -> None:
            written[path] = np.asarray(self._picture)

    module.Image = Caught  # type: ignore[attr-defined]
    runner = getattr(module, f"{mode.capitalize()}ModeRunner")()
    options = EBSYNTH | ({"tracking_window_size": 0} if mode == "accurate" else {})
    runner.run(Listed(case.guides), Listed(case.processed), 8, window, options, save_path=".")
    return [written[name] for name in sorted(written)]


def node(case: Case, folder: Path, name: str, **options: object) -> list[np.ndarray]:
    """Run a node of the SuperBeasts pack."""
    import torch

    spec = importlib.util.spec_from_file_location("superbeastsai_nodes", need(folder / "superbeastsai_nodes.py"))
    assert spec
    assert spec.loader
    module = sys.modules.get(spec.name)
    if module is None:
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    made: Any = getattr(module, name)()
    images = torch.from_numpy(np.stack(case.processed).astype(np.float32) / 255)
    [result] = getattr(made, made.FUNCTION)(images, **options)
    return [*np.clip(np.rint(result.numpy() * 255), 0, 255).astype(np.uint8)]


def mean(case: Case, width: int) -> list[np.ndarray]:
    """Return the mean of each frame and its neighbours, where they are."""
    stack, half = np.stack(case.processed).astype(np.float32), width // 2
    return [
        np.rint(stack[max(0, n - half) : n + half + 1].mean(0)).astype(np.uint8) for n in range(len(case.processed))
    ]


def peers(folder: Path, *, accurate: bool) -> list[Method]:
    """Return the peers that are in a folder; ``accurate``: FastBlend in that mode, too."""
    fast, beasts = folder / "fastblend", folder / "superbeasts"

    def method(name: str, run: Callable[[Case], Pictures], *sources: Path) -> Method:
        return Method(name, run, sources or (Path(__file__),))

    found = [method(f"mean-{n}", partial(mean, width=n)) for n in (3, 5)]
    if fast.is_dir():
        # A case takes minutes: its key is the code of FastBlend and of its kernels' translation, not of this file.
        code = (Path(cuda_on_cpu.__file__), *fast.glob("FastBlend/*.py"), *fast.glob("FastBlend/runners/*.py"))
        for mode, window in (("fast", 15), *([("accurate", 5)] if accurate else [])):
            found.append(method(f"FastBlend {mode}", partial(fastblend, folder=fast, mode=mode, window=window), *code))
    if beasts.is_dir():
        run = partial(node, folder=beasts)
        found.append(method("Deflicker", partial(run, name="Deflicker", blending_strength=0.1)))
        pixel = partial(run, name="PixelDeflicker")
        found.append(method("Pixel Deflicker", partial(pixel, window_size=2, blending_strength=0.1)))
        for window in (5, 15):
            full = partial(pixel, window_size=window, blending_strength=1.0, batch_size=100)
            found.append(method(f"Pixel Deflicker {window}", full))
    return found


def sharpened(pictures: Pictures, amount: float) -> list[np.ndarray]:
    """Return pictures after an unsharp mask; a negative amount blurs."""
    made = []
    for picture in pictures:
        wide = picture.astype(np.float32)
        made.append(np.clip(np.rint(wide + amount * (wide - cv2.GaussianBlur(wide, (0, 0), SIGMA))), 0, 255))
    return [one.astype(np.uint8) for one in made]


def at_sharpness(case: Case, pictures: Pictures, wanted: float) -> Score:
    """Return the score of pictures that are brought to a sharpness; as near to it as ``AMOUNTS`` allow."""
    low, high = AMOUNTS
    found = measure(case, pictures)
    for _ in range(12):
        if abs(found.sharpness - wanted) < CLOSE:
            break
        middle = 0.0 if (low, high) == AMOUNTS else (low + high) / 2
        found = measure(case, sharpened(pictures, middle))
        low, high = (middle, high) if found.sharpness < wanted else (low, middle)
    return found


def equal_score(case: Case, method: Method, wanted: float, store: Store) -> Score:
    """Return the score of a method's pictures at a sharpness, kept in the store."""
    key = f"{method.key(case)}-{wanted:.4f}-{source_digest((Path(__file__),))}"
    name = f"{case.name}-{method.name}-equal"
    return Score(**store.table(name, key, lambda: asdict(at_sharpness(case, method.pictures(case, store), wanted))))


def decibels(score: Score) -> str:
    """Return how near pictures are to the truth, where it is known."""
    return "" if score.db_clean is None else f", {score.db_clean:.1f}"


def table_of(part: str, every: Sequence[Case], methods: Sequence[Method], store: Store) -> Table:
    """Return the table of a part: E of ours, and of the others at its sharpness, with their own sharpness before."""
    ours = own("window")
    is_known = any(case.clean for case in every)
    title = f"{parts.PARTS[part][0]}: E at the sharpness of ours (their own sharpness{', dB to the truth' * is_known})"
    table = Table(title, ["clip", "window: E / sharpness", *(m.name for m in methods), "ours is lowest"])
    lowest, nearest = 0, 0
    for case in every:
        reference = parts.score_case(case, [per_frame(), ours], store)["window"]
        cells, best, near = [], True, True
        for method in methods:
            tell(f"{case.name}: {method.name}")
            before = parts.score_case(case, [method], store)[method.name].sharpness
            found = equal_score(case, method, reference.sharpness, store)
            cells.append(f"{found.ratio:.3f} ({before:.2f}{decibels(found)})")
            best &= reference.ratio < found.ratio
            near &= (reference.db_clean or 0) > (found.db_clean or 0)
        lowest, nearest = lowest + best, nearest + near
        first = f"{reference.ratio:.3f} / {reference.sharpness:.2f}{decibels(reference)}"
        table.rows.append([case.name, first, *cells, "yes" if best else "no"])
    also = f"; it is the nearest to the truth on {nearest}" * is_known
    table.notes.append(f"Ours is the lowest on {lowest} of {len(every)}{also}.")
    return table


def main() -> None:
    parser = harness.parser(__doc__, data=True, cache=True)
    parser.add_argument("--peers", type=Path, required=True, help="the folder of their clones")
    parser.add_argument("--parts", type=harness.comma_list, default=["styles", "real", "lut"])
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="cases with this in their names")
    parser.add_argument("--frames", type=int, default=24, help="of each clip, at most")
    parser.add_argument("--accurate", action="store_true", help="FastBlend in its slower mode, too")
    options = parser.parse_args()
    store, methods = Store(options.cache), peers(options.peers, accurate=options.accurate)

    def show(part: str) -> None:
        if part not in KINDS:
            raise Missing(f"no such part; choose from {', '.join(KINDS)}")
        every = cases.plan(store, options.data, options.frames)
        made = {name: make for name, make in every.items() if name.startswith(KINDS[part]) and "800x450" not in name}
        kinds: dict[str, list[Case]] = {}
        for case in cases.chosen(made, options.only):
            kinds.setdefault(case.kind if part == "lut" else part, []).append(case)
        for kind, of in kinds.items():
            print(table_of(kind, of, methods, store).text(), flush=True)

    harness.each(options.parts, show)


if __name__ == "__main__":
    harness.run(main)
