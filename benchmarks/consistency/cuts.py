"""Cuts: found where they are known to be, and nothing taken over them, to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import vidtrans
from benchmarks.consistency.cases import SIDE, Missing, read_frames
from benchmarks.consistency.known_flicker import flickering, toned
from benchmarks.consistency.methods import run_filter
from benchmarks.consistency.tables import Table

KNOWN = {"video/bikes_5cuts.mp4": (30, 76, 137, 187, 242), "video/bbb_0_30.webm": (283, 376, 551)}
REACH = 18  # frames on each side of a cut: more than the window's


def tables(data: Path, cache: Path) -> list[Table]:
    """What is found, and what the filters do there. Raises Missing."""
    found = {}
    for name in KNOWN:
        if not (data / name).exists():
            raise Missing(f"no {data / name}")
        found[name] = vidtrans.probe(data / name, cache_dir=cache / "vidtrans")["cuts"]
    return [_found(found), _exact(found, data)]


def _found(found: dict[str, list[int]]) -> Table:
    table = Table("Cuts", ["clip", "known", "found", "missed", "false", "goal: all, and no other"])
    for name, known in KNOWN.items():
        missed, false = sorted(set(known) - set(found[name])), sorted(set(found[name]) - set(known))
        verdict = "NOT MET" if missed or false else "met"
        table.rows.append([Path(name).name, *(_list(x) for x in (known, found[name], missed, false)), verdict])
    return table


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"


def _exact(found: dict[str, list[int]], data: Path) -> Table:
    asked = (
        "causal: the first frame is the per-frame one",
        "window: noise before it changes nothing",
        "window: noise after it changes nothing",
        "both do filter beside it",
    )
    table = Table("Over a cut, to the bit", ["clip", "cut", *asked])
    for name, known in KNOWN.items():
        for cut in known:
            answers = _checks(data / name, cut, found[name])
            table.rows.append([Path(name).name, str(cut), *("met" if a else "NOT MET" for a in answers)])
    return table


def _checks(path: Path, cut: int, cuts: Sequence[int]) -> list[bool]:
    """With the cuts that were found: causal exact, window deaf to the past, and to what comes, and not for idleness."""
    first = max(0, cut - REACH)
    guides = read_frames(path, first, 2 * REACH, SIDE)
    at = cut - first
    starts = frozenset({0, *(c - first for c in cuts if first <= c < first + len(guides))})
    processed = flickering(toned(guides), "mixed", cut)
    causal = run_filter("causal", guides, processed, starts)
    window = run_filter("window", guides, processed, starts)
    before, after = range(at), range(at, len(guides))
    deaf = []
    for lost, kept in ((before, after), (after, before)):
        made = run_filter("window", _noise(guides, lost, 1), _noise(processed, lost, 2), starts)
        deaf.append(all(np.array_equal(made[i], window[i]) for i in kept))
    filters = all(not np.array_equal(made[i], processed[i]) for made in (causal, window) for i in (at - 2, at + 2))
    return [np.array_equal(causal[at], processed[at]), *deaf, filters]


def _noise(pictures: Sequence[np.ndarray], where: range, seed: int) -> list[np.ndarray]:
    """The pictures with those of ``where`` replaced."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, p.shape, np.uint8) if i in where else p for i, p in enumerate(pictures)]
