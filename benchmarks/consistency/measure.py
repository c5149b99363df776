"""What a method's pictures of a case score: by the product's own evaluator, along another flow than its filters'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from benchmarks.consistency.cases import Case
from benchmarks.consistency.methods import PRODUCT, Method
from benchmarks.store import Store, digest, source_digest
from vidtrans.flow import FLOWS
from vidtrans.metrics import SCORING_FLOW
from vidtrans.metrics.consistency import Scorer

FLOW = "dis-fine" if "dis-fine" in FLOWS else SCORING_FLOW


@dataclass(frozen=True)
class Score:
    """``ratio``: warping error over the per-frame pictures', ``error`` itself, ``floor`` that of the input over the
    per-frame pictures'. ``db``: PSNR to the per-frame pictures, ``db_clean`` to the clean ones, ``sharpness`` relative
    to the clean ones where there are any, else to the per-frame ones.
    """

    ratio: float
    error: float
    floor: float
    db: float
    db_clean: float | None
    sharpness: float

    @property
    def removed(self) -> float:
        """The share of the flicker that is gone: (1 − E) / (1 − E_I)."""
        return (1 - self.ratio) / (1 - self.floor)


class KnownFlowScorer(Scorer):
    """The product's evaluator, which finds each flow only once for several videos: flow costs more than all else.

    ``known``: the flows by the digests of their two pictures.
    """

    def __init__(self, flow: str, known: dict[tuple[str, str], np.ndarray]) -> None:
        super().__init__(flow)
        self._estimate, self._known = self._method, known
        self._method = self._between

    def _between(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        key = digest(first), digest(second)
        if key not in self._known:
            self._known[key] = self._estimate(first, second)
        return self._known[key]


class _CaseScorer(KnownFlowScorer):
    """An evaluator of a case, whose flows are known until another case comes."""

    found: ClassVar[dict[tuple[str, str], np.ndarray]] = {}
    case = ""

    def __init__(self, case: Case) -> None:
        super().__init__(FLOW, self.found)
        if _CaseScorer.case != case.digest:
            _CaseScorer.case = case.digest
            self.found.clear()


def measure(case: Case, pictures: Sequence[np.ndarray]) -> Score:
    """Score pictures (H, W, 3) uint8, one for each of the case's."""
    scorer = _CaseScorer(case)
    clean = case.clean or [None] * len(case.guides)
    for number, (guide, made, raw, wanted) in enumerate(zip(case.guides, pictures, case.processed, clean, strict=True)):
        scorer.add(guide, made, raw, wanted, starts_shot=number == 0)
    found = scorer.scores().summary
    unsteady = found["warping_error_per_frame"] or 1.0
    return Score(
        ratio=(found["warping_error"] or 0.0) / unsteady,
        error=found["warping_error"] or 0.0,
        floor=(found["warping_error_source"] or 0.0) / unsteady,
        db=(found["psnr"] if case.clean is None else found["psnr_to_per_frame"]) or 0.0,
        db_clean=None if case.clean is None else found["psnr"],
        sharpness=found["sharpness"] or 0.0,
    )


SOURCES = (
    *(PRODUCT / "metrics").glob("*.py"),
    *(PRODUCT / "flow" / f"{name}.py" for name in ("estimator", "warping")),
)


def score(case: Case, method: Method, store: Store) -> Score:
    """What a method scores on a case, kept in the store."""
    key = digest(method.key(case), source_digest(SOURCES), FLOW)
    name = f"{case.name}-{method.name}-score"
    return Score(**store.table(name, key, lambda: asdict(measure(case, method.pictures(case, store)))))
