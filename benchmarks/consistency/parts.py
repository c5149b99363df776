"""The parts of the bench that judge pictures: what is scored, what is wanted of it, and the tables of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.consistency.cases import Case
from benchmarks.consistency.curve import Against, Point, against
from benchmarks.consistency.measure import Score, score
from benchmarks.consistency.methods import Method, clean
from benchmarks.consistency.store import Store, tell
from benchmarks.consistency.tables import Goal, Table, figure

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


WANTED: dict[str, tuple[Wanted, ...]] = {
    "real": (
        Wanted(Goal("removed ≥ .95", 0.95), lambda own, _: own.removed),
        Wanted(Goal("E / E_I ≥ .95", 0.95), lambda own, _: own.ratio / own.floor),
        sharp(0.97),
    ),
    "styles": (ratio(0.25), sharp(0.85)),
    "trained": (ratio(0.45), sharp(0.95)),
    "lut-low": (near_clean(36.0), STEADY),
    "lut-mixed": (near_clean(32.5), STEADY),
    "lut-none": (near_clean(45.0),),
}
TITLES = {
    "real": "Real flicker: a published automatic white balance",
    "styles": "Boiling styles: networks run frame by frame",
    "trained": "pix2pix trained here, run frame by frame",
    "lut-low": "A tone curve with low-frequency flicker",
    "lut-mixed": "A tone curve with low-frequency flicker and grain",
    "lut-none": "A tone curve that does not flicker",
}


def score_all(cases: Sequence[Case], methods: Sequence[Method], store: Store) -> dict[str, Found]:
    """By the case's name."""
    found: dict[str, Found] = {}
    for case in cases:
        found[case.name] = {}
        for method in (*methods, clean()):
            tell(f"{case.name}: {method.name}")
            found[case.name][method.name] = score(case, method, store)
    tell("")
    return found


def tables(part: str, found: dict[str, Found]) -> list[Table]:
    """Of a part's scores: all methods with the goals, Bonneel's curve, and ours against it."""
    made = [_overview(part, found)]
    if any(name.startswith("bonneel") for name in next(iter(found.values()))):
        made.append(_curve(part, found))
        if part != "lut-none":  # where nothing flickers nothing can be steadier
            made.append(_duel(part, found))
    return made


def _overview(part: str, found: dict[str, Found]) -> Table:
    wanted = WANTED[part]
    names = [n for n in next(iter(found.values())) if n != "clean" and not n.startswith("bonneel")]
    known = part.startswith("lut")
    cells = "E ratio / dB to the clean / sharpness" if known else "E ratio / dB to per frame / sharpness"
    floor = "clean" if known else "input"
    columns = ["clip", f"E ratio of the {floor}", *names, *(f"window: {w.goal.words}" for w in wanted)]
    table = Table(f"{TITLES[part]}: {cells}", columns)
    for clip, of in found.items():
        least = of["clean"].ratio if known else of["window"].floor
        goals = [w.goal.verdict(w.value(of["window"], of["clean"])) for w in wanted]
        table.rows.append([clip, f"{least:.3f}", *(_cell(of[n], known) for n in names), *goals])
    table.rows.append(
        ["mean", "", *(_mean([of[n] for of in found.values()], known) for n in names), *_means(part, found)]
    )
    table.notes = [_count(part, found, own) for own in OWN if own in names]
    return table


def _cell(own: Score, known: bool) -> str:
    return f"{own.ratio:.3f} / {(own.db_clean or 0.0) if known else own.db:.1f} / {own.sharpness:.2f}"


def _mean(scores: list[Score], known: bool) -> str:
    db = fmean((s.db_clean or 0.0) if known else s.db for s in scores)
    return f"{fmean(s.ratio for s in scores):.3f} / {db:.1f} / {fmean(s.sharpness for s in scores):.2f}"


def _means(part: str, found: dict[str, Found]) -> list[str]:
    return [w.goal.verdict(fmean(w.value(of["window"], of["clean"]) for of in found.values())) for w in WANTED[part]]


def _count(part: str, found: dict[str, Found], own: str) -> str:
    """How many clips reach each goal."""
    told = [
        f"{w.goal.words}: {sum(w.goal.met(w.value(of[own], of['clean'])) for of in found.values())} of {len(found)}"
        for w in WANTED[part]
    ]
    return f"{own} meets {'; '.join(told)}."


def _curve(part: str, found: dict[str, Found]) -> Table:
    known = part.startswith("lut")
    names = [n for n in next(iter(found.values())) if n.startswith("bonneel")]
    columns = ["clip", *(f"λ = {n.partition('-')[2]}" for n in names)]
    table = Table(f"{TITLES[part]}: Bonneel et al. over λ", columns)
    table.rows = [[clip, *(_cell(of[n], known) for n in names)] for clip, of in found.items()]
    table.rows.append(["mean", *(_mean([of[n] for of in found.values()], known) for n in names)])
    return table


def _duel(part: str, found: dict[str, Found]) -> Table:
    """Goal 2, and where the truth is known the same by PSNR to that."""
    references = {"per frame": lambda s: s.db}
    if part.startswith("lut"):
        references["the clean"] = lambda s: s.db_clean or 0.0
    columns = ["clip", "method", "ratio"]
    for to in references:
        columns += [f"dB to {to}", "Bonneel's ratio at it", "Bonneel's dB at our ratio", "more dB", "better"]
    table = Table(f"{TITLES[part]}: against Bonneel's curve", columns)
    better: dict[tuple[str, str], list[bool]] = {}
    for clip, of in found.items():
        for own in OWN:
            row = [clip, own, f"{of[own].ratio:.3f}"]
            for to, db in references.items():
                duel = _against(of, own, db)
                better.setdefault((own, to), []).append(duel.better)
                row += [figure(db(of[own])), *duel.cells(), "met" if duel.better else "NOT MET"]
            table.rows.append(row)
    table.notes = [
        f"{own}, by dB to {to}: lower ratio at equal PSNR, or 3 dB more at equal ratio, on {sum(won)} of {len(won)}."
        for (own, to), won in better.items()
    ]
    return table


def _against(of: Found, own: str, db: Callable[[Score], float]) -> Against:
    points = [Point(s.ratio, db(s)) for name, s in of.items() if name.startswith("bonneel")]
    return against(Point(of[own].ratio, db(of[own])), points)
