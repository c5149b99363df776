"""Every class of vidtrans, with its attributes and their types, and the functions of frames with all keywords.

Nothing here runs: type checkers read it (run_checkers.py). A test says what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_type

import numpy as np

import vidtrans

if TYPE_CHECKING:
    import torch

CACHE = Path(".vidtrans")


def any_result(result: vidtrans.CommandResult) -> None:
    assert_type(result.path, Path)
    assert_type(result.seconds, float)
    assert_type(result.is_cached, bool)
    assert_type(result.each, tuple[vidtrans.CommandResult, ...])
    table: Mapping[str, Any] = result
    assert_type(result["output"], Any)
    assert_type(str(result), str)
    assert_type([*table], list[str])


def rendered(clip: vidtrans.RenderedClip) -> vidtrans.CommandResult:
    assert_type(clip.frames, int)
    assert_type(clip.size, tuple[int, int])
    assert_type(clip.duration, float)
    assert_type(clip.model, str | None)
    assert_type(clip.source, Path | None)
    assert_type(clip.score, vidtrans.ClipScores | None)
    assert_type(clip.each, tuple[vidtrans.RenderedClip, ...])
    return clip


def picture(sheet: vidtrans.MadePicture) -> vidtrans.CommandResult:
    assert_type(sheet.frames, int)
    return sheet


def dataset(made: vidtrans.MadeDataset) -> vidtrans.CommandResult:
    assert_type(made.frames, int)
    assert_type(made.pairs, int)
    assert_type(made.held_out, int)
    assert_type(made.shots, int)
    return made


def trained(model: vidtrans.TrainedModel) -> vidtrans.CommandResult:
    assert_type(model.steps, int)
    assert_type(model.held_out, dict[str, Any])
    assert_type(model.best, int | None)
    assert_type(model.report, Path)
    return model


def scores(found: vidtrans.ClipScores) -> vidtrans.CommandResult:
    assert_type(found.frames, int)
    assert_type(found.ratio, float | None)
    assert_type(found.removed, float | None)
    assert_type(found.sharpness, float | None)
    assert_type(found.psnr, float | None)
    assert_type(found.ssim, float | None)
    assert_type(found.worst, tuple[dict[str, Any], ...])
    return found


def sampled(made: vidtrans.SampledCurves) -> vidtrans.CommandResult:
    assert_type(made.frames, int)
    assert_type(made.curves, tuple[dict[str, Any], ...])
    return made


def probed(clip: vidtrans.ProbedClip) -> vidtrans.CommandResult:
    assert_type(clip.frames, int)
    assert_type(clip.width, int)
    assert_type(clip.height, int)
    assert_type(clip.rate, Fraction)
    assert_type(clip.duration, float)
    assert_type(clip.cuts, tuple[int, ...])
    assert_type(clip.warnings, tuple[str, ...])
    return clip


def voted(outcome: vidtrans.VoteOutcome) -> vidtrans.CommandResult:
    assert_type(outcome.votes, int)
    assert_type(outcome.verdict, str)
    assert_type(outcome.conditions, tuple[dict[str, Any], ...])
    assert_type(outcome.pairs, tuple[dict[str, Any], ...])
    return outcome


def opened() -> None:
    with vidtrans.open_clip(
        path=Path("clip.mp4"),
        start="1:02.5",
        end="90",
        deep=True,
        allow_damaged=True,
        cache_dir=CACHE,
        report=print,
        stop=vidtrans.Stop(),
    ) as clip:
        assert_type(clip, vidtrans.OpenedClip)
        frames(clip)


def frames(clip: vidtrans.OpenedClip) -> None:
    assert_type(clip.path, Path)
    assert_type(clip.size, tuple[int, int])
    assert_type(clip.fps, Fraction)
    assert_type(clip.times, tuple[Fraction, ...])
    assert_type(clip.duration, Fraction)
    assert_type(clip.shots, tuple[int, ...])
    assert_type(clip.frames, range)
    assert_type(clip.deep, bool)
    assert_type(len(clip), int)
    assert_type(clip[0], vidtrans.ClipFrame)
    assert_type(clip[10:20], vidtrans.OpenedClip)
    assert_type(clip.at(1.5), vidtrans.ClipFrame)
    assert_type(clip.at("1:02.5"), vidtrans.ClipFrame)
    assert_type(clip.at(Fraction(1, 3)), vidtrans.ClipFrame)
    assert_type(list(clip), list[vidtrans.ClipFrame])
    clip.close()


def one_frame(frame: vidtrans.ClipFrame) -> None:
    assert_type(frame.rgb, np.ndarray)
    assert_type(frame.index, int)
    assert_type(frame.time, Fraction)
    assert_type(np.asarray(frame).shape, tuple[Any, ...])


def loaded() -> vidtrans.FrameModel:
    vidtrans.load_model("ink")
    vidtrans.load_model(["ink", Path("oil.safetensors")])
    settings = {"rendering": {"size": "512"}}
    return vidtrans.load_model(
        name=Path("ink.safetensors"), settings=settings, device="cpu", cache_dir=CACHE, report=print
    )


def painted(model: vidtrans.FrameModel, clip: vidtrans.OpenedClip, tensor: torch.Tensor) -> Iterator[Any]:
    assert_type(model.name, str)
    assert_type(model(clip[0]), np.ndarray)
    assert_type(model(clip[0].rgb), np.ndarray)
    assert_type(model(tensor), "torch.Tensor")
    yield from model.render(clip)
    yield from model.render(frame for frame in clip)
    yield from model.render(
        frames=[tensor, tensor],
        temporal="causal",
        flow_from=(frame.rgb for frame in clip),
        settings={"rendering": {"strength": 0.5}},
        stop=vidtrans.Stop(),
    )


def steady(clip: vidtrans.OpenedClip) -> Iterator[np.ndarray]:
    yield from vidtrans.Deflicker(clip)
    yield from vidtrans.Deflicker(
        frames=(frame.rgb for frame in clip),
        flow_from=clip,
        temporal="window",
        settings={"strength": 0.5},
        device="cpu",
        cache_dir=CACHE,
        report=print,
        stop=vidtrans.Stop(),
    )


def carried(clip: vidtrans.OpenedClip, paint: np.ndarray) -> vidtrans.Propagator:
    vidtrans.Propagator(clip, "clip.keyframes")
    propagator = vidtrans.Propagator(
        clip=clip,
        key_frames={0: paint, 20: paint},
        minutes=0,
        follow="motion",
        settings={"training": {"steps": 500}},
        device="cpu",
        cache_dir=CACHE,
        report=print,
        stop=vidtrans.Stop(),
    )
    assert_type(list(propagator), list[np.ndarray])
    return propagator


def written(clip: vidtrans.OpenedClip, model: vidtrans.FrameModel) -> None:
    assert_type(vidtrans.write_clip(model.render(clip), "out.mp4", like=clip), int)
    vidtrans.write_clip(
        frames=model.render(clip),
        path=Path("out.mkv"),
        like=None,
        fps=Fraction(30000, 1001),
        codec="ffv1",
        crf=18,
        overwrite=True,
        report=print,
        stop=vidtrans.Stop(),
    )


def told(
    progress: vidtrans.Progress, note: vidtrans.Note, status: vidtrans.BatchStatus, preview: vidtrans.Preview
) -> vidtrans.Event:
    assert_type(progress.done, int)
    assert_type(progress.unit + progress.detail + progress.figures, str)
    assert_type(progress.counted, bool)
    assert_type(progress.at_most_s, float | None)
    assert_type(note.text + note.level, str)
    assert_type(note.general and note.advises, bool)
    assert_type(status.nouns, tuple[str, str])
    assert_type(preview.path, Path)
    report: vidtrans.Report = print
    report(note)
    vidtrans.Progress(task="a", done=1, total=2, unit="", detail="", figures="", counted=True, at_most_s=None)
    vidtrans.Note(text="a", level="warning", general=False, advises=False)
    vidtrans.Preview(path=Path("preview.png"))
    vidtrans.BatchStatus(done=1, failed=0, total=2, units=3, rate=1.5, left_s=None, workers=(), nouns=("clip", "clips"))
    return status


def stopped(stop: vidtrans.Stop) -> None:
    stop.request(exit_status=130)
    stop.check()


def mistakes(
    media: vidtrans.MediaError,
    usage: vidtrans.UsageError,
    model: vidtrans.ModelError,
    device: vidtrans.DeviceError,
    batch: vidtrans.BatchError,
    any_of_them: vidtrans.VidtransError,
) -> tuple[type[Exception], ...]:
    for error in (media, usage, model, device, batch, any_of_them):
        assert_type(error.exit_status, int)
    assert_type(media.exit_status + usage.exit_status + model.exit_status, int)
    assert_type(device.exit_status + batch.exit_status + any_of_them.exit_status, int)
    return vidtrans.PluginError, vidtrans.Interrupted
