"""A scratch place for one file of sweep.py, and the line of the table that notes what happens there."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.robustness.media.running import Ran, run_vidtrans

Subject = Literal["damage", "times", "HDR"]
SPEAKS_OF: dict[Subject, str] = {
    "damage": r"damage|promise|missing|lost|flawed|decoded|leaves? out|left out|repair",
    "times": r"timestamp|time, or|put right|rebuilt",
    "HDR": r"HDR|PQ|HLG|tone",
}


@dataclass(frozen=True)
class Expected:
    """``works``: every frame at its time; ``error``: exit 3 and nothing written; ``damage``: exit 3, and with
    ``--allow-damaged`` a warning and what can be had; a warning at once will do as well. ``warns_of``: subjects that
    a warning must speak of.
    """

    kind: Literal["works", "error", "damage"] = "works"
    warns_of: tuple[Subject, ...] = ()


@dataclass
class Row:
    """One line of the table. ``differs``: what is not as expected, in words; empty where all is."""

    file: str
    expected: str = ""
    exit: str = ""
    frames: str = ""
    times: str = ""
    sound: str = ""
    av_ms: float | None = None
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    tracebacks: int = 0
    hangs: int = 0
    strays: int = 0
    changed: int = 0
    exact: bool = False  # frames and times as the independent count has them
    peak_mb: float = 0.0
    seconds: float = 0.0

    def warns_of(self, subject: Subject) -> bool:
        return any(re.search(SPEAKS_OF[subject], warning) for warning in self.warnings)

    @property
    def verdict(self) -> str:
        return "agrees" if not self.differs else "; ".join(dict.fromkeys(self.differs))


class Place:
    """A scratch folder for one file, a copy of it, and a cache of its own."""

    def __init__(self, source: Path, row: Row) -> None:
        self.row = row
        self.root = Path(tempfile.mkdtemp(prefix="media-sweep-"))
        self.folder, self.out, self.tmp = (self.root / name for name in ("source", "out", "tmp"))
        for place in (self.folder, self.out, self.tmp):
            place.mkdir()
        self.name = source.name
        self.source = Path(shutil.copyfile(source, self.folder / self.name))
        self._before = self._contents()

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def vidtrans(self, *arguments: str, output: Path | None = None) -> Ran:
        """Run a command on the copy, and note what no run may do. ``output``: the one file that may come of it."""
        ran = run_vidtrans([arguments[0], "--json", *arguments[1:], "--", self.name], self.folder)
        row = self.row
        row.differs += [f"{arguments[0]}: {fault}" for fault in ran.faults()]
        row.tracebacks += ran.has_traceback
        row.hangs += ran.hung
        row.peak_mb = max(row.peak_mb, ran.peak_mb)
        row.seconds += ran.seconds
        self._look_for_strays(output if ran.status == 0 else None)
        return ran

    def _look_for_strays(self, output: Path | None) -> None:
        left = [p for folder in (self.out, self.tmp) for p in folder.iterdir() if p != output]
        if left:
            self.row.strays += len(left)
            self.row.differs.append("left behind: " + ", ".join(p.name for p in left))
        for path in left:  # said once
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def look_at_sources(self) -> None:
        """Note whether the source, or the folder it is in, is another than before."""
        now = self._contents()
        gone = [name for name, digest in self._before.items() if now.get(name) != digest]
        new = [name for name in now if name not in self._before]
        self.row.changed += len(gone)
        self.row.strays += len(new)
        self.row.differs += [f"changed the source {name}" for name in gone]
        self.row.differs += [f"left {name} beside the source" for name in new]

    def _contents(self) -> dict[str, str]:
        files = (p for p in self.folder.rglob("*") if p.is_file())
        return {str(p.relative_to(self.folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
