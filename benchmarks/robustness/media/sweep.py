"""Every file of folders of media, and bad input made here, through vidtrans: a table of what came of each.

    python -m benchmarks.robustness.media.sweep DATA_FOLDER... [-o FOLDER] [--only TEXT] [--jobs 1] [--pixels]
                                     [--hostile yes|no|only]

A folder may hold a TABLE.tsv (columns name, special, expected) that says what is expected of each file; without one
every file must work. Each file is rendered unchanged (``--model identity``) in a scratch folder with a cache of its
own. Its frames, their times and its sound packets are held against ffprobe's count, or, where ffprobe decodes
nothing, against PyAV's plain decode; the table says which. "agrees" means: the exit status that is expected, the
count and every time exact, sound bit-equal and in its place to 1 ms, a warning where one is due, no traceback,
nothing left behind, the source unchanged, no connection. Exits 1 if anything disagrees.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.robustness.media.check import GOAL_PEAK_MB, check
from benchmarks.robustness.media.hostile import bad_media, hostile_rows
from benchmarks.robustness.media.place import Expected, Row, Subject
from benchmarks.robustness.media.running import guard, machine

TABLE = "TABLE.tsv"


def expectations(folder: Path) -> dict[str, Expected]:
    """What a folder's table says of its files, by name."""
    table = folder / TABLE
    if not table.exists():
        return {}
    with table.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    return {row["name"]: _expected(row["expected"]) for row in rows}


def _expected(words: str) -> Expected:
    if 'error "' in words or "an error exit" in words:
        return Expected("error")
    subjects: dict[str, Subject] = {"monotone PTS": "times", "tone-map": "HDR"}
    subjects |= {"--allow-damaged": "damage", "shortfall reported": "damage"}
    warns_of = tuple(dict.fromkeys(subject for said, subject in subjects.items() if said in words))
    return Expected("damage" if "damage" in warns_of else "works", warns_of)


def file_rows(folder: Path, only: str, pixels: bool) -> Iterator[Callable[[], Row]]:
    """A call for each file of a folder."""
    told = expectations(folder)
    for name in told:
        if not (folder / name).exists():
            print(f"{folder / name} is in {TABLE} but not there: not measured", file=sys.stderr)
    for path in sorted(p for p in folder.iterdir() if p.is_file() and p.name != TABLE and not p.name.startswith(".")):
        if only in path.name:
            yield partial(check, path, told.get(path.name, Expected()), pixels=pixels)


def sweep(calls: Sequence[Callable[[], Row]], jobs: int) -> list[Row]:
    """Run them all, and say of each at once what came of it."""

    def one(call: Callable[[], Row]) -> Row:
        row = call()
        print(f"{_plain(row.file)}: {_plain(row.verdict)}  ({row.seconds:.1f} s)", file=sys.stderr, flush=True)
        return row

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, calls))


COLUMNS = ("file", "expected", "exit", "frames", "times", "sound packets", "A/V ms", "pixels", "peak MB", "warnings")


def markdown(rows: Sequence[Row]) -> str:
    """The table; what was said beside the figures stands in the last column."""
    heads = [*COLUMNS, "verdict", "said"]
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    for row in rows:
        moved = "" if row.av_ms is None else f"{row.av_ms:.3f}"
        cells = [row.file, row.expected, row.exit, row.frames, row.times, row.sound, moved, row.pixels]
        cells += [f"{row.peak_mb:.0f}", "; ".join(row.warnings), row.verdict, "; ".join(filter(None, row.notes))]
        lines.append(" | ".join(_plain(cell).replace("|", "\\|") for cell in cells))
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _plain(text: str) -> str:
    """One line that every terminal can show."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def totals(title: str, rows: Sequence[Row]) -> list[str]:
    """The sums, each with its goal."""
    agree = sum(not row.differs for row in rows)
    timed = [row for row in rows if row.frames and row.expected == "works"]
    counted = all(row.counted for row in rows)
    connections = f"{sum(row.connections for row in rows)} (goal 0)" if counted else "not counted on this machine"
    moved = max((row.av_ms for row in rows if row.av_ms is not None), default=None)
    return [
        f"{title}: {len(rows)} rows, {agree} agree, {len(rows) - agree} disagree (goal 0)",
        f"  count and times as the independent decoder's: {sum(row.exact for row in timed)} of {len(timed)} that work",
        f"  A/V offset changed by at most {'nothing measured' if moved is None else f'{moved:.3f} ms'} (goal 1 ms)",
        f"  tracebacks {sum(row.tracebacks for row in rows)}, hangs {sum(row.hangs for row in rows)}, "
        f"stray outputs {sum(row.strays for row in rows)}, changed sources {sum(row.changed for row in rows)} (goal 0)",
        f"  connections {connections}",
        f"  peak memory {max((row.peak_mb for row in rows), default=0):.0f} MB"
        + (f" (goal {GOAL_PEAK_MB} MB)" if title == "bad input" else ""),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="DATA_FOLDER")
    parser.add_argument("-o", "--output", type=Path, help="a folder for media_sweep.md")
    parser.add_argument("--only", default="", metavar="TEXT", help="only files with this in their name")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--pixels", action="store_true", help="also hold a lossless render against ffmpeg's pixels")
    parser.add_argument("--hostile", choices=["yes", "no", "only"], default="yes", help="the bad input made here")
    options = parser.parse_args()
    began = time.monotonic()
    for folder in options.folders:
        if not folder.is_dir():
            parser.error(f"{folder} is no folder")
    head = [machine(), f"network watched by: {guard()}"]
    parts: dict[str, list[Row]] = {}
    with ExitStack() as stack:
        for folder in options.folders if options.hostile != "only" else []:
            calls = list(file_rows(folder, options.only, options.pixels))
            parts[folder.resolve().name] = sweep(calls, options.jobs)
        if options.hostile != "no":
            bad = stack.enter_context(bad_media())
            head.append(bad.control)
            parts["bad input"] = sweep(list(hostile_rows(bad, options.only)), options.jobs)
            asked = bad.server.requests
            head.append(f"vidtrans asked the playlists' server {len(asked)} times (goal 0)")
            if asked:
                parts["bad input"][0].differs.append(f"the playlists' server was asked for {asked}")
    report = "\n".join(head) + "\n"
    for title, rows in parts.items():
        report += f"\n## {title}\n\n{markdown(rows)}\n" + "\n".join(totals(title, rows)) + "\n"
    report += f"\n{time.monotonic() - began:.0f} s\n"
    sys.stdout.write(report.encode(errors="backslashreplace").decode())
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "media_sweep.md").write_text(report, encoding="utf-8", errors="backslashreplace")
    sys.exit(1 if any(row.differs for rows in parts.values() for row in rows) else 0)


if __name__ == "__main__":
    main()
