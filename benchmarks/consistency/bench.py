"""The temporal filters beside their opponent, on flicker that is known, real, painted and trained; and their price.

    python -m benchmarks.consistency.bench DATA --cache DIR [--parts real,styles,lut] [--only dog] [--quick]

Prints a table for each part, with a row for each clip, the goals and whether they are met, and means. All that is made
is kept in DIR, so that a second run is quick. E is the warping error, as a ratio to that of the per-frame pictures;
scored is along another flow than the filters follow. The opponent (Bonneel et al., bonneel.py) is swept over its λ;
--quick leaves it out. Parts whose needs are missing are skipped, in a line: the styles need onnxruntime, the trained
models a few minutes. Whether cuts are found is for ``benchmarks.cuts.bench`` to say.
"""

from __future__ import annotations

import argparse

from benchmarks import harness
from benchmarks.consistency import cases, cost, measure, parts, trained
from benchmarks.consistency.methods import OPPONENTS_FLOW, own, per_frame, poissons
from benchmarks.store import Store
from benchmarks.tables import Table

KINDS = {"real": "real-", "styles": "style-", "lut": "lut-"}
PARTS = (*KINDS, "trained", "cost")


def run_part(part: str, options: argparse.Namespace, store: Store) -> list[Table]:
    """Raises Missing."""
    if part not in PARTS:
        raise harness.Missing(f"no such part; choose from {', '.join(PARTS)}")
    if part == "cost":
        return [cost.table(options.data, options.rounds)]
    if part == "trained":
        made = trained.plan(store, options.data, options.frames)
    else:
        every = cases.plan(store, options.data, options.frames, options.size)
        made = {name: make for name, make in every.items() if name.startswith(KINDS[part])}
    methods = [per_frame(), own("window"), own("causal"), *([] if options.quick else poissons())]
    found: dict[str, dict[str, parts.Found]] = {}
    for case in cases.chosen(made, options.only):
        kind = case.kind if part == "lut" else part
        found.setdefault(kind, {})[case.name] = parts.score_case(case, methods, store)
    return [table for kind, of in found.items() for table in parts.tables(kind, of)]


def main() -> None:
    parser = harness.parser(__doc__, data=True, cache=True, rounds=cost.ROUNDS)
    parser.add_argument("--parts", type=harness.comma_list, default=list(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="cases with this in their names")
    parser.add_argument("--frames", type=int, default=40, help="of each clip, at most; the real one is whole")
    parser.add_argument("--size", type=int, default=cases.SIDE, help="side of pictures; style networks have their own")
    parser.add_argument("--quick", action="store_true", help="without Bonneel's curve")
    options = parser.parse_args()
    store = Store(options.cache)
    print(f"Scored along {measure.FLOW}; Bonneel et al. follow {OPPONENTS_FLOW}.\n", flush=True)

    def show(part: str) -> None:
        for table in run_part(part, options, store):
            print(table.text(), flush=True)

    harness.each(options.parts, show)


if __name__ == "__main__":
    harness.run(main)
