"""The output of a request: where it goes, whether it exists already, and the final report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vidtrans.costs import after
from vidtrans.errors import UsageError
from vidtrans.files import base_name, digest_of, finish_replacing, link_target
from vidtrans.flow.survey import VERSION as SURVEY_VERSION
from vidtrans.models.loaded_model import ResolvedRenderSettings
from vidtrans.models.model_chain import SEPARATOR, without_identity
from vidtrans.models.model_file import SUFFIX
from vidtrans.output.assembling import VERSION as ASSEMBLY_VERSION
from vidtrans.output.target import check_named, check_place, up_to_date
from vidtrans.rendering.directing import VERSION as DIRECTING_VERSION
from vidtrans.rendering.render_planning import makes_folder
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.store.stages import FilterStage, InferStage, RenderStage
from vidtrans.video.io.encoding import EncodingSettings, split_pattern
from vidtrans.video.io.pictures import is_picture_sequence, is_picture_source


@dataclass(frozen=True)
class OutputTarget:
    """Where a result goes: a file, or a ``folder`` of pictures, which are numbered where there is a ``pattern``."""

    output: Path
    pattern: str
    folder: bool
    encoding: EncodingSettings

    @classmethod
    def find(cls, output: Path, encoding: EncodingSettings, *, one_picture: bool = False) -> OutputTarget:
        """``one_picture``: the source is one, and so is the result. Raises UsageError where it is no place for it."""
        output, pattern = split_pattern(output)
        check_named(output)
        folder = bool(pattern) or (makes_folder(encoding, output) and not one_picture)
        encoding.check_container(output / pattern, single=not folder or bool(pattern))
        return cls(output, pattern, folder, encoding)

    def check_holds(self, num_frames: int) -> None:
        """Raise UsageError where the output is one picture and there are several frames."""
        if self.folder or not self.encoding.makes_pictures or num_frames == 1:
            return
        numbered = self.output.with_name(f"%05d{self.output.suffix}")
        folder = f"--codec {self.encoding.codec} -o {self.output.with_suffix('')}"
        remedy = f"use -o {numbered}" if "%" in self.output.name else f"use {folder}"
        raise UsageError(str(self.output), f"one picture cannot hold {num_frames} frames", remedy)


def default_output(video: Path, models: Sequence[str], settings: EncodingSettings) -> Path:
    """``in.x.mp4``; a picture gives a picture, a folder of pictures a folder."""
    return Path(f"{base_name(video)}{default_ending(video, models, settings)}")


def default_ending(video: Path, models: Sequence[str], settings: EncodingSettings) -> str:
    """``.x.mp4``, or ``.x+y.mp4``: what a result's name has beyond its source's. The settings need not be resolved."""
    own = settings.resolved(pictures=is_picture_source(video), output=None)
    name = SEPARATOR.join(Path(model).name.removesuffix(SUFFIX) for model in without_identity(models))
    return f".{name}{own.default_suffix(single=is_one_picture(video))}"


def is_one_picture(video: Path) -> bool:
    """Return whether a source is a single picture, so that its result is one too."""
    return is_picture_source(video) and not is_picture_sequence(video)


class _Job(Protocol):
    def summary(self, output: Path) -> Table: ...

    def estimate(self) -> Table: ...


@dataclass(frozen=True)
class RequestedOutput:
    """A render that was asked for: where it goes, the digest of all that decides it, and what it is made of.

    ``began``: when, in seconds of ``time.monotonic``.
    """

    target: OutputTarget
    request: str
    sources: Sequence[Path]
    context: Context
    began: float

    def check(self) -> None:
        """Raise UsageError where the output is one of the sources, or of the wrong kind."""
        check_place(self.target.output, self.sources, folder=self.target.folder)

    def existing(self) -> Table | None:
        """Return the recorded table if the output is up to date. Raises UsageError where another file is there."""
        self.check()
        context, output, folder = self.context, self.target.output, self.target.folder
        if not context.dry_run:
            finish_replacing(link_target(output))
        return up_to_date(context.cache, output, self.request, self.sources, context.overwrite, folder=folder)

    def forecast(self, job: _Job) -> Table:
        """Return the table of a dry run."""
        estimate = after(time.monotonic() - self.began, job.estimate())
        return job.summary(self.target.output) | {"dry_run": True} | estimate

    def report(self, table: Table, *, cached: bool) -> Table:
        """Complete the table of a result with output, seconds and ``cached``."""
        seconds = round(time.monotonic() - self.began, 3)
        return table | {"output": str(self.target.output), "seconds": seconds, "cached": cached}


def request_digest(
    own: Table, settings: ResolvedRenderSettings, target: OutputTarget, *, stills: bool, masked: bool = False
) -> str:
    """Return the digest of all that decides a result. ``own``: the command and its own values.

    Raises UsageError where a program or a file of cuts is missing.
    """
    shared = {
        "settings": settings.for_key(stills=stills, masked=masked),
        "pattern": target.pattern,
        "versions": [DIRECTING_VERSION, SURVEY_VERSION],
        "stages": [FilterStage.id(), InferStage.id(), RenderStage.id()],
        "assembly": ASSEMBLY_VERSION,
        "program": program_of(settings.encoding, settings.rendering.source_filter),
    }
    return digest_of(shared | own)


def program_of(encoding: EncodingSettings, source_filter: str = "") -> str:
    """Return the version of the user's ffmpeg if the result needs it, else ''. Raises UsageError without ffmpeg."""
    if not encoding.needs_program and not source_filter:
        return ""
    from vidtrans.video.external.program import find_program, program_version

    return program_version(find_program())
