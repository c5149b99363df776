"""Every file of folders of media through vidtrans: a table of what came of each.

    python -m benchmarks.robustness.media.sweep DATA_FOLDER... [-o FILE] [--only TEXT] [--jobs 1]

A folder may hold a TABLE.tsv (columns name, special, expected) that says what is expected of each file; without one
every file must work. Each file is rendered unchanged (``--model identity``) in a scratch folder with a cache of its
own. Its frames, their times and its sound packets are held against ffprobe's count, or, where ffprobe decodes
nothing, against PyAV's plain decode; the table says which. "agrees" means: the exit status that is expected, the
count and every time exact, sound bit-equal and in its place to 1 ms, a warning where one is due, no traceback,
nothing left behind, the source unchanged. Exits 1 if anything disagrees. Bad input that is made on purpose is for
``tests/cli/test_bad_input.py`` and ``tests/unit/video/test_media_sandbox.py``.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks import harness
from benchmarks.robustness.media.check import check
from benchmarks.robustness.media.place import Expected, Row, Subject
from benchmarks.robustness.media.running import machine

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


def file_rows(folder: Path, only: str) -> Iterator[Callable[[], Row]]:
    """A call for each file of a folder."""
    told = expectations(folder)
    for name in told:
        if not (folder / name).exists():
            print(f"{folder / name} is in {TABLE} but not there: not measured", file=sys.stderr)
    for path in sorted(p for p in folder.iterdir() if p.is_file() and p.name != TABLE and not p.name.startswith(".")):
        if only in path.name:
            yield partial(check, path, told.get(path.name, Expected()))


def sweep(calls: Sequence[Callable[[], Row]], jobs: int) -> list[Row]:
    """Run them all, and say of each at once what came of it."""

    def one(call: Callable[[], Row]) -> Row:
        row = call()
        print(f"{_plain(row.file)}: {_plain(row.verdict)}  ({row.seconds:.1f} s)", file=sys.stderr, flush=True)
        return row

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, calls))


COLUMNS = ("file", "expected", "exit", "frames", "times", "sound packets", "A/V ms", "peak MB", "warnings")


def markdown(rows: Sequence[Row]) -> str:
    """The table; what was said beside the figures stands in the last column."""
    heads = [*COLUMNS, "verdict", "said"]
    lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
    for row in rows:
        moved = "" if row.av_ms is None else f"{row.av_ms:.3f}"
        cells = [row.file, row.expected, row.exit, row.frames, row.times, row.sound, moved]
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
    moved = max((row.av_ms for row in rows if row.av_ms is not None), default=None)
    return [
        f"{title}: {len(rows)} rows, {agree} agree, {len(rows) - agree} disagree (goal 0)",
        f"  count and times as the independent decoder's: {sum(row.exact for row in timed)} of {len(timed)} that work",
        f"  A/V offset changed by at most {'nothing measured' if moved is None else f'{moved:.3f} ms'} (goal 1 ms)",
        f"  tracebacks {sum(row.tracebacks for row in rows)}, hangs {sum(row.hangs for row in rows)}, "
        f"stray outputs {sum(row.strays for row in rows)}, changed sources {sum(row.changed for row in rows)} (goal 0)",
        f"  peak memory {max((row.peak_mb for row in rows), default=0):.0f} MB",
    ]


def main() -> int:
    parser = harness.parser(__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DATA_FOLDER")
    parser.add_argument("-o", "--output", type=Path, help="a file for the report")
    parser.add_argument("--only", default="", metavar="TEXT", help="only files with this in their name")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    began, report = time.monotonic(), machine() + "\n"
    parts: dict[str, list[Row]] = {}
    for folder in options.folders:
        parts[folder.resolve().name] = sweep(list(file_rows(harness.need(folder), options.only)), options.jobs)
    for title, rows in parts.items():
        report += f"\n## {title}\n\n{markdown(rows)}\n" + "\n".join(totals(title, rows)) + "\n"
    report += f"\n{time.monotonic() - began:.0f} s\n"
    sys.stdout.write(report.encode(errors="backslashreplace").decode())
    if options.output:
        options.output.write_text(report, encoding="utf-8", errors="backslashreplace")
    return int(any(row.differs for rows in parts.values() for row in rows))


if __name__ == "__main__":
    harness.run(main)
