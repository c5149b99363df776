"""The temporal filters beside their opponents, on flicker that is known, real, painted and trained; and their price.

    python -m benchmarks.consistency.bench ../shared/data --cache DIR [--parts real,styles,lut] [--only dog]

Prints a table for each part, with a row for each clip, the goals and whether they are met, and means. All that is made
is kept in DIR, so that a second run is quick. E is the warping error, as a ratio to that of the per-frame pictures;
scored is along another flow than the filters follow. Parts whose needs are missing are skipped, in a line: the styles
need onnxruntime, the trained models a few minutes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.consistency import cases, cost, cuts, measure, parts, strip, trained
from benchmarks.consistency.methods import OPPONENTS_FLOW, own, patches, per_frame, poissons
from benchmarks.consistency.store import Store
from benchmarks.consistency.tables import Table

PARTS = ("real", "styles", "lut", "trained", "cuts", "cost")


def run_part(part: str, options: argparse.Namespace, store: Store) -> list[Table]:
    """Raises Missing."""
    if part == "cuts":
        return cuts.tables(options.data, options.cache)
    if part == "cost":
        return cost.tables(options.data)
    if part == "trained":
        made = trained.plan(store, options.data, options.frames)
    else:
        kinds = {"real": "real-", "styles": "style-", "lut": "lut-"}
        every = cases.plan(store, options.data, options.frames, options.size)
        made = {name: make for name, make in every.items() if name.startswith(kinds[part])}
    methods = [per_frame(), own("window"), own("causal"), *([patches()] if options.patches else [])]
    methods += [] if options.quick else poissons()
    found: dict[str, dict[str, parts.Found]] = {}
    for case in cases.chosen(made, options.only):
        found.setdefault(case.kind if part == "lut" else part, {}).update(parts.score_all([case], methods, store))
    return [table for kind, of in found.items() for table in parts.tables(kind, of)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of the data set: seq, video, models")
    parser.add_argument("--cache", type=Path, required=True, help="a folder for all that is made")
    parser.add_argument("--parts", default=",".join(PARTS), help="separated by commas: %(default)s")
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="cases with this in their names")
    parser.add_argument("--frames", type=int, default=40, help="of each clip, at most; the real one is whole")
    parser.add_argument("--size", type=int, default=cases.SIDE, help="side of pictures; style networks have their own")
    parser.add_argument("--patches", action="store_true", help="with patch blending, two minutes a clip")
    parser.add_argument("--quick", action="store_true", help="without Bonneel's curve")
    parser.add_argument("--report", type=Path, help="write the tables into this file, too")
    parser.add_argument("--strip", type=Path, help="draw consecutive frames, before and after, into this picture")
    options = parser.parse_args()
    wanted = [part for part in options.parts.split(",") if part]
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    store = Store(options.cache)
    told = [f"Scored along {measure.FLOW}; Bonneel et al. follow {OPPONENTS_FLOW}.\n"]
    print(told[0], flush=True)
    for part in wanted:
        try:
            for table in run_part(part, options, store):
                told.append(table.text())
                print(told[-1], flush=True)
        except cases.Missing as why:
            print(f"skipped {part}: {why}", file=sys.stderr, flush=True)
    if options.report:
        options.report.write_text("\n".join(told), encoding="utf-8")
    if options.strip:
        try:
            strip.draw(options.strip, options.data, store)
        except cases.Missing as why:
            print(f"skipped the strip: {why}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
