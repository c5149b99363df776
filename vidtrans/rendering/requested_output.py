"""The output of a render: its path, its file names, and the digest of everything that affects its content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.files import base_name, digest_of
from vidtrans.core.settings import Table
from vidtrans.flow.survey import VERSION as SURVEY_VERSION
from vidtrans.models.model_chain import SEPARATOR, without_identity
from vidtrans.models.model_file import SUFFIX
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.output.delivery import VERSION as ASSEMBLY_VERSION
from vidtrans.output.result import check_named
from vidtrans.pipeline.render import picture_versions
from vidtrans.store.stages import FilterStage, InferStage, RenderStage
from vidtrans.upscaling import VERSION as UPSCALING_VERSION
from vidtrans.video.io.encoding import PICTURES, EncodingSettings, split_pattern
from vidtrans.video.io.picture_paths import is_picture_sequence, is_picture_source


@dataclass(frozen=True)
class OutputTarget:
    """The path of a result: a file, or a ``folder`` of pictures whose names follow ``pattern``."""

    output: Path
    pattern: str
    folder: bool
    encoding: EncodingSettings

    @classmethod
    def find(cls, output: Path, encoding: EncodingSettings, *, one_picture: bool = False) -> OutputTarget:
        """Resolve an output path. Raises UsageError if the path is unusable.

        ``one_picture``: source and result are single pictures.
        """
        output, pattern = split_pattern(output)
        check_named(output)
        folder = bool(pattern) or (makes_folder(encoding, output) and not one_picture)
        encoding.check_container(output / pattern, single=not folder or bool(pattern))
        return cls(output, pattern, folder, encoding)

    def check_holds(self, num_frames: int) -> None:
        """Raise UsageError if the output is one picture and there are several frames."""
        if self.folder or not self.encoding.makes_pictures or num_frames == 1:
            return
        numbered = self.output.with_name(f"%05d{self.output.suffix}")
        folder = f"--codec {self.encoding.codec} -o {self.output.with_suffix('')}"
        remedy = f"use -o {numbered}" if "%" in self.output.name else f"use {folder}"
        raise UsageError(str(self.output), f"one picture cannot hold {num_frames} frames", remedy)


def makes_folder(encoding: EncodingSettings, output: Path) -> bool:
    """Return whether the output is a folder of pictures, because its name has no picture suffix."""
    return encoding.makes_pictures and output.suffix.lower().lstrip(".") not in PICTURES


def default_output(video: Path, models: Sequence[str], settings: EncodingSettings) -> Path:
    """Return the default output path, such as in.x.mp4 for a model x; a picture gives a picture, a folder a folder."""
    return Path(f"{base_name(video)}{default_ending(video, models, settings)}")


def default_ending(video: Path, models: Sequence[str], settings: EncodingSettings) -> str:
    """Return what a result's default name adds to the source's name, such as .x.mp4; .x+y.mp4 for a model chain."""
    own = settings.resolved(pictures=is_picture_source(video), output=None)
    name = SEPARATOR.join(Path(model).name.removesuffix(SUFFIX) for model in without_identity(models))
    return f".{name}{own.default_suffix(single=is_one_picture(video))}"


def is_one_picture(video: Path) -> bool:
    """Return whether a source, and therefore its result, is a single picture."""
    return is_picture_source(video) and not is_picture_sequence(video)


def request_digest(
    own: Table, settings: ResolvedRenderSettings, target: OutputTarget, *, stills: bool, masked: bool = False
) -> str:
    """Return the digest of everything that affects a result. ``own``: the command, its inputs and other values.

    ``stills``: the source consists of pictures. ``masked``: a mask is used. Raises UsageError if a program or a file of
    cuts is missing.
    """
    shared = {
        "settings": settings.for_key(stills=stills, masked=masked),
        "pattern": target.pattern,
        "versions": [picture_versions(), SURVEY_VERSION],
        "upscaling": 0 if settings.rendering.upscale == "bicubic" else UPSCALING_VERSION,
        "stages": [FilterStage.id(), InferStage.id(), RenderStage.id()],
        "assembly": ASSEMBLY_VERSION,
        "program": ffmpeg_version_for(settings.encoding, settings.rendering.source_filter),
    }
    return digest_of(shared | own)


def ffmpeg_version_for(encoding: EncodingSettings, source_filter: str = "") -> str:
    """Return the version of the user's ffmpeg if the result needs it, else ''. Raises UsageError if it is missing."""
    if not encoding.needs_program and not source_filter:
        return ""
    from vidtrans.video.ffmpeg import find_program, program_version

    return program_version(find_program())
