"""The parts of the benchmark that judge pictures: their goals, and their tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.consistency.cases import Case
from benchmarks.consistency.measure import Score, score
from benchmarks.consistency.methods import Method, clean
from benchmarks.store import Store, tell
from benchmarks.tables import Goal, Table

OWN = ("window", "causal")
Found = dict[str, Score]  # by the method's name; "clean" is what it should be, where that is known


@dataclass(frozen=True)
class Wanted:
    """A goal, and the number that it is about: of a score, and of the clean pictures' score."""

    goal: Goal
    value: Callable[[Score, Score], float]


STEADY = Wanted(Goal("E / E of the clean .9–1.2", 0.9, 1.2), lambda own, wanted: own.error / wanted.error)


def near_clean(least: float) -> Wanted:
    return Wanted(Goal(f"dB to the clean ≥ {least:g}", least), lambda own, _: own.db_clean or 0.0)


def sharp(least: float) -> Wanted:
    return Wanted(Goal(f"sharpness ≥ {least:g}", least), lambda own, _: own.sharpness)


def ratio(most: float) -> Wanted:
    return Wanted(Goal(f"ratio ≤ {most:g}", most=most), lambda own, _: own.ratio)


# Of each part its title and its goals.
PARTS: dict[str, tuple[str, tuple[Wanted, ...]]] = {
    "real": (
        "Real flicker: a published automatic white balance",
        (
            Wanted(Goal("removed ≥ .95", 0.95), lambda own, _: own.removed),
            Wanted(Goal("E / E_I ≥ .95", 0.95), lambda own, _: own.ratio / own.floor),
            sharp(0.97),
        ),
    ),
    "styles": ("Boiling styles: networks run frame by frame", (ratio(0.25), sharp(0.85))),
    "trained": ("pix2pix trained here, run frame by frame", (ratio(0.45), sharp(0.95))),
    "lut-low": ("A tone curve with low-frequency flicker", (near_clean(36.0), STEADY)),
    "lut-mixed": ("A tone curve with low-frequency flicker and grain", (near_clean(32.5), STEADY)),
    "lut-none": ("A tone curve that does not flicker", (near_clean(45.0),)),
}


def score_case(case: Case, methods: Sequence[Method], store: Store) -> Found:
    """Return the scores of all methods, and of the clean pictures, on a case."""
    found: Found = {}
    for method in (*methods, clean()):
        tell(f"{case.name}: {method.name}")
        found[method.name] = score(case, method, store)
    tell("")
    return found


def tables(part: str, found: dict[str, Found]) -> list[Table]:
    """Return the tables of a part's scores: all methods with the goals, and Bonneel's curve where it was run."""
    names = list(next(iter(found.values())))
    opponent = [name for name in names if name.startswith("bonneel")]
    made = [_overview(part, found, [n for n in names if n != "clean" and n not in opponent])]
    if opponent:
        title, known = f"{PARTS[part][0]}: Bonneel et al. over λ", part.startswith("lut")
        curve = Table(title, ["clip", *(f"λ = {name.partition('-')[2]}" for name in opponent)])
        curve.rows = [[clip, *(_cell([of[n]], known) for n in opponent)] for clip, of in found.items()]
        curve.rows.append(["mean", *(_cell([of[n] for of in found.values()], known) for n in opponent)])
        made.append(curve)
    return made


def _overview(part: str, found: dict[str, Found], names: Sequence[str]) -> Table:
    (title, wanted), known = PARTS[part], part.startswith("lut")
    cells = f"E ratio / dB to {'the clean' if known else 'per frame'} / sharpness"
    columns = ["clip", f"E ratio of the {'clean' if known else 'input'}", *names]
    table = Table(f"{title}: {cells}", [*columns, *(f"window: {w.goal.words}" for w in wanted)])
    for clip, of in found.items():
        least = of["clean"].ratio if known else of["window"].floor
        goals = [w.goal.verdict(w.value(of["window"], of["clean"])) for w in wanted]
        table.rows.append([clip, f"{least:.3f}", *(_cell([of[n]], known) for n in names), *goals])
    means = [w.goal.verdict(fmean(w.value(of["window"], of["clean"]) for of in found.values())) for w in wanted]
    table.rows.append(["mean", "", *(_cell([of[n] for of in found.values()], known) for n in names), *means])
    for own in OWN:
        counts = [sum(w.goal.met(w.value(of[own], of["clean"])) for of in found.values()) for w in wanted]
        words = "; ".join(f"{w.goal.words}: {n} of {len(found)}" for w, n in zip(wanted, counts, strict=True))
        table.notes.append(f"{own} meets {words}.")
    return table


def _cell(scores: Sequence[Score], known: bool) -> str:
    db = fmean((s.db_clean or 0.0) if known else s.db for s in scores)
    return f"{fmean(s.ratio for s in scores):.3f} / {db:.1f} / {fmean(s.sharpness for s in scores):.2f}"
