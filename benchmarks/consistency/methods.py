"""The methods that are compared: the filters of the product with their default settings, and the opponent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import vidtrans
from benchmarks.consistency.bonneel import Step, bonneel, correspondences
from benchmarks.consistency.cases import Case
from benchmarks.store import Store, digest, source_digest
from vidtrans.flow import FLOWS
from vidtrans.temporal import FILTERS
from vidtrans.temporal.sample_filtering import filter_samples
from vidtrans.temporal.stream import Sample

LAMBDAS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
OPPONENTS_FLOW = "dis-fine" if "dis-fine" in FLOWS else "dis"

HERE, PRODUCT = Path(__file__).parent, Path(vidtrans.__file__).parent


@dataclass(frozen=True)
class Method:
    """``run`` makes a case's pictures; ``sources``: the program text that decides them, ``settings`` what else does."""

    name: str
    run: Callable[[Case], Sequence[np.ndarray]]
    sources: tuple[Path, ...]
    settings: str = ""

    def key(self, case: Case) -> str:
        return digest(self.name, self.settings, source_digest(self.sources), case.digest)

    def pictures(self, case: Case, store: Store) -> list[np.ndarray]:
        """What it makes of a case, kept in the store unless it is there already."""
        if not self.sources:
            return list(self.run(case))
        return store.pictures(f"{case.name}-{self.name}", self.key(case), lambda: self.run(case))


def run_filter(name: str, guides: Sequence[np.ndarray], processed: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the pictures of one shot after a filter of the product with its default settings."""
    method = FILTERS.load(name)
    pairs = enumerate(zip(guides, processed, strict=True))
    samples = (Sample(number, number, guide, output, number == 0) for number, (guide, output) in pairs)
    return [made for _, made in filter_samples(samples, method(method.Settings()))]


def own(name: str) -> Method:
    """A filter of the product."""
    sources = tuple(p for room in ("temporal", "flow") for p in (PRODUCT / room).glob("*.py"))
    settings = repr(FILTERS.load(name).Settings())
    return Method(name, lambda case: run_filter(name, case.guides, case.processed), sources, settings)


def poissons() -> list[Method]:
    """Bonneel et al. for each λ; what ties the frames of a case is found once."""
    found: dict[str, list[Step]] = {}

    def run(case: Case, lam: float) -> list[np.ndarray]:
        if case.digest not in found:
            found.clear()
            found[case.digest] = correspondences(case.guides, OPPONENTS_FLOW)
        return bonneel(case.guides, case.processed, lam, steps=found[case.digest])

    sources = (HERE / "bonneel.py", *(PRODUCT / "flow" / f"{m}.py" for m in ("estimator", "warping")))
    return [
        Method(f"bonneel-{lam:g}", lambda case, lam=lam: run(case, lam), sources, OPPONENTS_FLOW) for lam in LAMBDAS
    ]


def per_frame() -> Method:
    return Method("per frame", lambda case: case.processed, ())


def clean() -> Method:
    """What it should be, where that is known."""
    return Method("clean", lambda case: case.clean or case.processed, ())
