"""Every command as a function, with every keyword that it has, and the type of its result.

Nothing here runs: type checkers read it (run_checkers.py). A test says what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

import vidtrans
from vidtrans.core.settings import Time

CACHE = Path(".vidtrans")
STOP = vidtrans.Stop()
SETTINGS: dict[str, dict[str, Any]] = {"training": {"lambda_l1": 100}, "temporal": {"name": "causal"}}


def show(event: vidtrans.Event) -> None:
    """Take the progress of a command."""
    if isinstance(event, vidtrans.Progress):
        print(event.task, event.done, event.total)
    elif isinstance(event, vidtrans.Note):
        print(event.text)


def in_short() -> None:
    """As they are written most often: clips and models by place, a few settings by name."""
    table: Mapping[str, Any] = vidtrans.stylize("clip.mp4", "ink", strength=0.5, mask="mask.mp4")
    assert_type(table["frames"], Any)
    vidtrans.stylize(Path("clip.mp4"), ["ink", "oil"], "out.mp4", strength="0: 0, 2s: 1", score=True)
    vidtrans.stylize(["a.mp4", Path("b.mp4")], "ink", settings={"rendering": {"size": "720p"}}, report=print)
    vidtrans.train(vidtrans.make_dataset("clip.mp4").path, steps=2000)
    vidtrans.matte("clip.mp4", frame=["0=mask.png"])
    vidtrans.propagate("clip.mp4", vidtrans.keyframes("clip.mp4", count=2).path, minutes=0)
    print(vidtrans.__version__.split("."))


# fmt: off
def with_every_keyword() -> None:
    """The commands from A to K."""
    assert_type(vidtrans.batch_report(
        folder="renders", output="out.mp4", hours=12.5, cache_dir=CACHE, overwrite=True, dry_run=True, report=show,
        stop=STOP
    ), vidtrans.CommandResult)
    assert_type(vidtrans.bench(
        model="ink", size=4, frames=4, slow=True, device="cpu", dry_run=True, report=show, stop=STOP
    ), vidtrans.CommandResult)
    assert_type(vidtrans.check_installation(
        self_test=True, device="cpu", report=show, stop=STOP
    ), vidtrans.CommandResult)
    assert_type(vidtrans.clean_cache(
        stage=["renders"], cache_dir=CACHE, report=show, stop=STOP
    ), vidtrans.CommandResult)
    assert_type(vidtrans.compare(
        clips=["a.mp4", Path("b.mp4")], output="out.mp4", labels=["before", "after"], input_of="ink", columns=2,
        frames=4, start="1:02.5", end=Time(frame=90), cache_dir=CACHE, device="cpu", overwrite=True, dry_run=True,
        allow_damaged=True, report=show, stop=STOP
    ), vidtrans.MadePicture)
    assert_type(vidtrans.deflicker(
        processed="processed.mp4", source=Path("clip.mp4"), output="out.mp4", start="1:02.5", end=Time(frame=90),
        exposure=True, strength=0.5, mix="0: 0, 2s: 1", keep_colour=0.3,
        sound="song.wav", keep_shading=0.5, cuts="cuts.txt", temporal="window", mask=Path("mask.mp4"),
        strokes="oil", palette="painting.jpg",
        strokes_size=1.5, strokes_density="0: 1, 2s: 2", strokes_looseness=0.5, strokes_light=1.5, strokes_paper=0.5,
        strokes_fade=12, strokes_lag=0.5, strokes_on=2, strokes_boil=4, strokes_fine="faces.mkv",
        strokes_directions="lines.png",
        codec="h264", fps="25", filter="hue=s=0", jobs=2, shard="1/4", halt=True, retry=True, executor="local",
        cache_dir=CACHE, device="cpu", overwrite=True, dry_run=True, allow_damaged=True, decoder="cpu",
        cache_limit_gb=20, preset="fast", settings=SETTINGS, report=show, stop=STOP, beside=True
    ), vidtrans.RenderedClip)
    assert_type(vidtrans.demo(
        output="out.mp4", minutes=2.5, from_nothing=True, cache_dir=CACHE, device="cpu", seed=7, overwrite=True,
        dry_run=True, cache_limit_gb=20, report=show, stop=STOP
    ), vidtrans.CommandResult)
    assert_type(vidtrans.dream(
        source=Path("clip.mp4"), model="ink", output="out.mp4", frames=4, start="1:02.5", blend=Path("other.mp4"),
        sound="song.wav", mask="not:mask.mp4",
        zoom=0.5, rotate=0.5, pan_x=0.5, pan_y=0.5, hue=0.5, speed=0.5, recall=0.5,
        wander="sin(t)^2", steer="0: left", goto=2, actions="a.csv", start_zoom=2.0,
        position=0.5, loop=False, blend_amount=0.5, drift_correction=0.5, every=3, morph=False,
        upscale="sharp", size="512", engine="torch", codec="h264", fps="25", filter="hue=s=0",
        cache_dir=CACHE, device="cpu", seed=7, overwrite=True,
        dry_run=True, allow_damaged=True, cache_limit_gb=20, preset="fast", settings=SETTINGS, report=show,
        stop=STOP
    ), vidtrans.RenderedClip)
    assert_type(vidtrans.evaluate(
        output="out.mp4", source=Path("clip.mp4"), per_frame="raw.mp4", reference=Path("wanted.mp4"),
        start="1:02.5", end=Time(frame=90), labels="voc", labeller="l.safetensors", matte="m.mkv", dream=True, size=96,
        flow="dis", result="scores.json", jobs=2, shard="1/4", halt=True, retry=True, executor="local", cache_dir=CACHE,
        overwrite=True, dry_run=True, allow_damaged=True, cache_limit_gb=20, report=show, stop=STOP
    ), vidtrans.ClipScores)
    assert_type(vidtrans.export_model(
        model="ink", format="onnx", output="out.mp4", whole=True, look="ink", stroke_size=1.5, cache_dir=CACHE,
        overwrite=True, dry_run=True, report=show, stop=STOP
    ), vidtrans.CommandResult)
    assert_type(vidtrans.fix(
        render="out.mp4", painted=Path("fixes"), output="out.mp4", relearn=True, first_number=1, mask="mask.mp4",
        program=["krita"],
        cache_dir=CACHE, overwrite=True, dry_run=True, allow_damaged=True, cache_limit_gb=20, report=show, stop=STOP
    ), vidtrans.RenderedClip)
    assert_type(vidtrans.grade(
        before="before.jpg", after=Path("after.jpg"), output="out.mp4", unpaired=True, method="matrix", nodes=33,
        cache_dir=CACHE, overwrite=True, dry_run=True, allow_damaged=True, report=show, stop=STOP
    ), vidtrans.CommandResult)
    assert_type(vidtrans.import_model(
        model="ink", output="out.mp4", pairing="edges", size=4, norms="instance", calibrate="clip.mp4",
        invert=False, bgr=False, value_range="tanh", layout="auto", style=["style.jpg"], predictor="predictor.onnx",
        embed=True, trust=True, cache_dir=CACHE, overwrite=True, dry_run=True, allow_damaged=True, preset="fast",
        settings=SETTINGS, report=show, stop=STOP
    ), vidtrans.CommandResult)
    assert_type(vidtrans.sample_curves(
        curve=["0.5", "low"], output="out.png", clip="clip.mp4", sound="song.wav", mask="mask.mp4", cuts="cuts.txt",
        cache_dir=CACHE, overwrite=True, dry_run=True, allow_damaged=True, report=show, stop=STOP
    ), vidtrans.SampledCurves)
    assert_type(vidtrans.keyframes(
        video="clip.mp4", output="out.mp4", count=4, start="1:02.5", end=Time(frame=90), cuts="cuts.txt",
        cache_dir=CACHE, overwrite=True, dry_run=True, allow_damaged=True, report=show, stop=STOP
    ), vidtrans.MadePicture)


def with_every_keyword_too() -> None:
    """The commands from L to Z."""
    assert_type(vidtrans.list_cache(cache_dir=CACHE, report=show, stop=STOP), vidtrans.CommandResult)
    assert_type(vidtrans.pack_model(
        model="ink", output="ink.vidtrans.zip", author="Ann", licence="CC0-1.0", notes="ink", licence_file="CC0.txt",
        about=Path("ink.md"), thumbnail="ink.jpg", cache_dir=CACHE, overwrite=True, dry_run=True, report=show, stop=STOP
    ), vidtrans.CommandResult)
    assert_type(vidtrans.add_model(
        pack="ink.vidtrans.zip", output="ink.safetensors", overwrite=True, dry_run=True, report=show, stop=STOP
    ), vidtrans.CommandResult)
    assert_type(vidtrans.write_models_page(
        folder="packs", output="packs/models.html", cache_dir=CACHE, overwrite=True, dry_run=True, report=show,
        stop=STOP
    ), vidtrans.CommandResult)
    assert_type(vidtrans.list_models(report=show, stop=STOP), vidtrans.CommandResult)
    assert_type(vidtrans.list_plugins(report=show, stop=STOP), vidtrans.CommandResult)
    assert_type(vidtrans.list_presets(report=show, stop=STOP), vidtrans.CommandResult)
    assert_type(vidtrans.look(
        pictures=["a.jpg", Path("b.jpg")], output="out.mp4", on="clip.mp4", crop="10,10,200,200", keep="keep.mp4",
        minutes=2.5, fresh=True, as_is=True, optimise=True, steps=500, cache_dir=CACHE, device="cpu", seed=7,
        overwrite=True, dry_run=True, allow_damaged=True, cache_limit_gb=20, preset="fast", settings=SETTINGS,
        report=show, stop=STOP
    ), vidtrans.TrainedModel)
    assert_type(vidtrans.make_dataset(
        matte="matte.mkv",
        videos=["a.mp4", Path("b.mp4")], output="out.mp4", each=True, target="target.mp4", unpaired=["c.mp4"],
        start="1:02.5", end=Time(frame=90), restore=True, pairing="edges", size="512", every=3, cuts="cuts.txt",
        jobs=2, shard="1/4", halt=True, retry=True, executor="local", cache_dir=CACHE, device="cpu", overwrite=True,
        dry_run=True, allow_damaged=True, cache_limit_gb=20, preset="fast", settings=SETTINGS, report=show,
        stop=STOP
    ), vidtrans.MadeDataset)
    assert_type(vidtrans.matte(
        video="clip.mp4", output="out.mp4", beside=True, frame=["12=mask.png"], keyframes=Path("keys"), model="seg",
        names="man=red", inside="green", outside="blue", with_colours=True, suggest=3, min_confidence=0.5,
        first_number=1, start="1:02.5", end=Time(frame=90), steps=500, edge="plain", feather=2, grow=-1.5,
        cuts="cuts.txt", codec="ffv1", jobs=2, shard="1/4", halt=True, retry=True, executor="local",
        cache_dir=CACHE, device="cpu", seed=7, overwrite=True, dry_run=True, allow_damaged=True, decoder="cpu",
        cache_limit_gb=20, preset="fast", settings=SETTINGS, report=show, stop=STOP
    ), vidtrans.RenderedClip)
    assert_type(vidtrans.model_formats(report=show, stop=STOP), vidtrans.CommandResult)
    assert_type(vidtrans.probe(
        video="clip.mp4", cache_dir=CACHE, dry_run=True, report=show, stop=STOP
    ), vidtrans.ProbedClip)
    assert_type(vidtrans.propagate(
        video="clip.mp4", keyframes=Path("keys"), output="out.mp4", follow="motion", minutes=2.5, preview=True,
        first_number=1, start="1:02.5", end=Time(frame=90), mask="mask.mp4", layer=True, beside=True,
        temporal="window", steps=500, upscale="sharp", sharpness=0.5, strength=0.5, mix="0: 0, 2s: 1", keep_colour=0.3,
        keep_shading=0.5, strokes="oil", palette="painting.jpg",
        strokes_size=1.5, strokes_density="0: 1, 2s: 2", strokes_looseness=0.5, strokes_light=1.5, strokes_paper=0.5,
        strokes_fade=12, strokes_lag=0.5, strokes_on=2, strokes_boil=4, strokes_fine="faces.mkv",
        strokes_directions="lines.png",
        cuts="cuts.txt", codec="h264", jobs=2, shard="1/4", halt=True, retry=True, executor="local",
        cache_dir=CACHE, device="cpu", seed=7, overwrite=True, dry_run=True, allow_damaged=True, decoder="cpu",
        cache_limit_gb=20, preset="fast", settings=SETTINGS, report=show, stop=STOP
    ), vidtrans.RenderedClip)
    assert_type(vidtrans.run(
        video="clip.mp4", apply="clip.mp4", output="out.mp4", looks=["painting.jpg", Path("other.jpg")],
        at_once=True, target="target.mp4", keep="keep.mp4", minutes=2.5, pairing="edges", temporal="window",
        steps=500, upscale="sharp", sharpness=0.5, strength=0.5, mix="0: 0, 2s: 1", keep_colour=0.3,
        keep_shading=0.5, strokes="oil", palette=Path("painting.jpg"),
        strokes_size=1.5, strokes_density="0: 1, 2s: 2", strokes_looseness=0.5, strokes_light=1.5, strokes_paper=0.5,
        strokes_fade=12, strokes_lag=0.5, strokes_on=2, strokes_boil=4, strokes_fine="faces.mkv",
        strokes_directions="lines.png",
        codec="h264",
        jobs=2, shard="1/4", halt=True, retry=True, executor="local", cache_dir=CACHE, device="cpu", seed=7,
        overwrite=True, dry_run=True, allow_damaged=True, decoder="cpu", cache_limit_gb=20, preset="fast",
        settings=SETTINGS, report=show, stop=STOP
    ), vidtrans.RenderedClip)
    assert_type(vidtrans.schema(
        command=["stylize", "train"], report=show, stop=STOP
    ), vidtrans.CommandResult)
    assert_type(vidtrans.serve_live(
        model="ink", output="out.mp4", looks=["painting.jpg", Path("other.jpg")], host="127.0.0.1", port=8000,
        allow_network=True, https=True, token="secret", kiosk=True, upscale="sharp", output_size=1024,
        osc="9000", osc_out="127.0.0.1:9001", send=["virtual-camera"],
        open_page=True, size="512", strength=0.5, keep_colour=0.3, keep_shading=0.5, stroke_size=1.5,
        strokes="oil", palette="a.jpg",
        strokes_size=1.5, strokes_density="0: 1, 2s: 2", strokes_looseness=0.5, strokes_light=1.5, strokes_paper=0.5,
        strokes_fade=12, strokes_lag=0.5, strokes_on=2, strokes_boil=4, strokes_directions="lines.png",
        engine="torch", cache_dir=CACHE, device="cpu", seed=7, preset="fast", settings=SETTINGS,
        report=show, stop=STOP
    ), vidtrans.CommandResult)
    assert_type(vidtrans.serve_studio(
        folder=Path("films"), host="127.0.0.1", port=8000, allow_network=True, https=True, token="secret",
        open_page=True, jobs=2, report=show, stop=STOP
    ), vidtrans.CommandResult)
    assert_type(vidtrans.sheet(
        source=Path("clip.mp4"), output="out.mp4", count=4, pairings=["edges", "sketch"], start="1:02.5",
        end=Time(frame=90), cache_dir=CACHE, device="cpu", overwrite=True, dry_run=True, allow_damaged=True,
        report=show, stop=STOP
    ), vidtrans.MadePicture)
    assert_type(vidtrans.show_model(model="ink", report=show, stop=STOP), vidtrans.CommandResult)
    assert_type(vidtrans.show_preset(name="fast", report=show, stop=STOP), vidtrans.CommandResult)
    assert_type(vidtrans.stylize(
        video="clip.mp4", model="ink", output="out.mp4", beside=True, mask=["man=mask.mp4"], start="1:02.5",
        region=["man=ink"], rest="oil", handles=12, media=["rushes"], rate="25",
        end=Time(frame=90), score=True, chunk="0", join=True, print_jobs="slurm", size="512", upscale="sharp",
        sharpness=0.5, strength=0.5, mix="0: 0, 2s: 1", keep_colour=0.3,
        sound="song.wav", keep_shading=0.5, look="ink", stroke_size=1.5, drawn="12", strokes="oil", palette="a.jpg",
        strokes_size=1.5, strokes_density="0: 1, 2s: 2", strokes_looseness=0.5, strokes_light=1.5, strokes_paper=0.5,
        strokes_fade=12, strokes_lag=0.5, strokes_on=2, strokes_boil=4, strokes_fine="faces.mkv",
        strokes_directions="lines.png",
        cuts="cuts.txt", filter_source="deinterlace", engine="torch", draft=3, temporal="window", codec="h264",
        fps="25", filter="hue=s=0", jobs=2, shard="1/4", halt=True, retry=True, executor="local", shared_disk=True,
        cache_dir=CACHE, device="cpu", overwrite=True, dry_run=True, allow_damaged=True, decoder="cpu",
        cache_limit_gb=20, preset="fast", settings=SETTINGS, report=show, stop=STOP
    ), vidtrans.RenderedClip)
    assert_type(vidtrans.train(
        dataset="clip.dataset", output="out.mp4", minutes=2.5, ablate="lambda", labeller="l.safetensors",
        sweep=["training.lambda_l1=10,100"], start_from="ink", fresh=True, as_is=True, embed=True, steps=500,
        jobs=2, executor="local", cache_dir=CACHE, device="cpu", seed=7, overwrite=True, dry_run=True,
        cache_limit_gb=20, preset="fast", settings=SETTINGS, report=show, stop=STOP
    ), vidtrans.TrainedModel)
    assert_type(vidtrans.try_out(
        video="clip.mp4", models=["ink", "oil"], output="out.mp4", vary=["strength=0.3,0.6"], frames=4, at=["1s",
        Time(frame=30)], size="512", upscale="sharp", sharpness=0.5, strength=0.5, mix="0: 0, 2s: 1",
        keep_colour=0.3,
        keep_shading=0.5, look="ink", stroke_size=1.5, strokes="oil", palette="a.jpg",
        strokes_size=1.5, strokes_density="0: 1, 2s: 2", strokes_looseness=0.5, strokes_light=1.5, strokes_paper=0.5,
        strokes_directions="lines.png", cache_dir=CACHE, device="cpu", overwrite=True,
        dry_run=True, allow_damaged=True, preset="fast", settings=SETTINGS, report=show, stop=STOP
    ), vidtrans.MadePicture)
    assert_type(vidtrans.vote(
        clips=["a.mp4", Path("b.mp4")], output="out.html", real="real.mp4", labels=["first", "second"], stills=True,
        seconds=1.5, trials=20, repeats=0.2, critic="real.mp4", results=["out.jsonl"], left_out=["Anna"],
        host="127.0.0.1", port=8000, allow_network=True, https=True, token="secret", open_page=True, cache_dir=CACHE,
        seed=7, overwrite=True, dry_run=True, allow_damaged=True, report=show, stop=STOP
    ), vidtrans.VoteOutcome)
