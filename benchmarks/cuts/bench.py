"""Recall and precision of cut detection, at levels of brightness and under compression, beside other detectors.

    python -m benchmarks.cuts.bench DATA --cache DIR [--kind scoring] [--films 6]

A cut counts as found where a detection lies at most one frame away; each detection counts once. Films are made on the
first run (about two minutes each) and kept in DIR.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import harness
from benchmarks.cuts.detectors import available
from benchmarks.cuts.films import CODINGS, LEVELS, films
from benchmarks.tables import head, row


@dataclass
class Score:
    hits: int = 0
    cuts: int = 0
    detections: int = 0

    def add(self, cuts: Sequence[int], found: Sequence[int]) -> None:
        left = list(found)
        for cut in cuts:
            near = [n for n in left if abs(n - cut) <= 1]
            if near:
                left.remove(min(near, key=lambda n: abs(n - cut)))
                self.hits += 1
        self.cuts += len(cuts)
        self.detections += len(found)

    def __str__(self) -> str:
        precision = self.hits / self.detections if self.detections else float("nan")
        return f"{self.hits / self.cuts:.3f} / {precision:.3f}"


def main() -> None:
    parser = harness.parser(__doc__, data=True, cache=True)
    parser.add_argument("--kind", choices=["tuning", "scoring", "real"], default="scoring")
    parser.add_argument("--films", type=int, default=6, help="how many are joined: %(default)s")
    parser.add_argument("--only", type=harness.comma_list, default=[""], help="detectors with this in their names")
    options = parser.parse_args()
    harness.need(options.data / "video")
    detectors = {name: detect for name, detect in available().items() if any(part in name for part in options.only)}
    columns = [*LEVELS, *CODINGS, "all"]
    scores: dict[str, dict[str, Score]] = {name: defaultdict(Score) for name in detectors}
    for film in films(options.data, options.kind, options.films, options.cache / options.kind):
        for name, detect in detectors.items():
            found = detect(film.path)
            for column in (film.level, film.coding, "all"):
                scores[name][column].add(film.cuts, found)
    print(f"{options.kind}: recall / precision of {next(iter(scores.values()))['all'].cuts} cuts\n")
    head("detector", *columns)
    for name, score in scores.items():
        row(name, *(score[column] for column in columns))


if __name__ == "__main__":
    harness.run(main)
