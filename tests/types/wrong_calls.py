"""Calls that a type checker must refuse: both of them, on each line that ends with ``# wrong``, and on no other line.

Nothing here runs (run_checkers.py). A test says which function has no wrong keyword here, and which class no attribute
that it has not.
"""

from __future__ import annotations

import numpy as np

import vidtrans
from vidtrans.core.events import Progress


def wrong_keywords() -> None:
    vidtrans.batch_report("renders", hour=3)  # wrong
    vidtrans.bench("ink", sizes=64)  # wrong
    vidtrans.check_installation(selftest=True)  # wrong
    vidtrans.clean_cache("renders", force=True)  # wrong
    vidtrans.compare(["a.mp4"], label=["a"])  # wrong
    vidtrans.deflicker("a.mp4", "b.mp4", window=15)  # wrong
    vidtrans.demo(minute=0.5)  # wrong
    vidtrans.dream("a.png", "ink", zooms=1.01)  # wrong
    vidtrans.evaluate("a.mp4", "b.mp4", perframe="c.mp4")  # wrong
    vidtrans.evaluate("maps", reference="true", labels=["#ff0000", "#00ff00"])  # wrong
    vidtrans.export_model("ink", "onnx", opset=17)  # wrong
    vidtrans.fix("a.mp4", "fixes", learn=True)  # wrong
    vidtrans.grade("a.jpg", "b.jpg", node=33)  # wrong
    vidtrans.import_model("net.pth", rgb=True)  # wrong
    vidtrans.sample_curves("low", clips="a.mp4")  # wrong
    vidtrans.keyframes("a.mp4", counts=3)  # wrong
    vidtrans.list_cache(folder="cache")  # wrong
    vidtrans.list_models(kind="look")  # wrong
    vidtrans.pack_model("ink", license="CC0-1.0")  # wrong
    vidtrans.add_model("ink.vidtrans.zip", name="ink")  # wrong
    vidtrans.write_models_page("packs", title="all")  # wrong
    vidtrans.list_plugins(group="losses")  # wrong
    vidtrans.list_presets(name="fast")  # wrong
    vidtrans.load_model("ink", engine="onnx")  # wrong
    vidtrans.look("a.jpg", minuts=5)  # wrong
    vidtrans.make_dataset("a.mp4", pairings="edges")  # wrong
    vidtrans.matte("a.mp4", frames=["0=m.png"])  # wrong
    vidtrans.model_formats(kind="onnx")  # wrong
    vidtrans.open_clip("a.mp4", begin="3s")  # wrong
    vidtrans.probe("a.mp4", deep=True)  # wrong
    vidtrans.propagate("a.mp4", "keys", minuts=2)  # wrong
    vidtrans.run("a.mp4", apply="b.mp4", output="c.mp4", look="d.jpg")  # wrong
    vidtrans.schema("stylize", indent=2)  # wrong
    vidtrans.serve_live("ink", ports=8000)  # wrong
    vidtrans.serve_studio("films", ports=8000)  # wrong
    vidtrans.sheet("a.mp4", counts=9)  # wrong
    vidtrans.show_model("ink", weights=True)  # wrong
    vidtrans.show_preset("fast", output="fast.toml")  # wrong
    vidtrans.stylize("a.mp4", "ink", strenght=0.5)  # wrong
    vidtrans.stylize("a.mp4", "ink", bogus=1)  # wrong
    vidtrans.train("a.dataset", step=2000)  # wrong
    vidtrans.try_out("a.mp4", ["ink"], varies="strength=0,1")  # wrong
    vidtrans.vote(["a.mp4", "b.mp4"], label=["a"])  # wrong
    vidtrans.write_clip([], "a.mp4", rate=25)  # wrong


def wrong_values(clip: vidtrans.OpenedClip, paint: np.ndarray) -> None:
    vidtrans.batch_report(hours="a night")  # wrong
    vidtrans.bench(frames=2.5)  # wrong
    vidtrans.check_installation(self_test="yes")  # wrong
    vidtrans.clean_cache(stage=3)  # wrong
    vidtrans.compare(7)  # wrong
    vidtrans.deflicker("a.mp4", exposure="on")  # wrong
    vidtrans.demo(minutes="two")  # wrong
    vidtrans.dream(frames="100")  # wrong
    vidtrans.evaluate("a.mp4", 3)  # wrong
    vidtrans.export_model("ink", 17)  # wrong
    vidtrans.fix("a.mp4", ["fix.png"])  # wrong
    vidtrans.grade("a.jpg", None)  # wrong
    vidtrans.import_model("net.pth", trust="yes")  # wrong
    vidtrans.sample_curves(3.5, clip="a.mp4")  # wrong
    vidtrans.keyframes("a.mp4", count="3")  # wrong
    vidtrans.list_cache(cache_dir=None)  # wrong
    vidtrans.list_models(report="yes")  # wrong
    vidtrans.pack_model("ink", author=3)  # wrong
    vidtrans.add_model(["ink.vidtrans.zip"])  # wrong
    vidtrans.write_models_page(3)  # wrong
    vidtrans.list_plugins(stop=True)  # wrong
    vidtrans.list_presets("fast")  # wrong
    vidtrans.load_model(None)  # wrong
    vidtrans.load_model("ink", settings={"rendering": 1})  # wrong
    vidtrans.look("a.jpg", steps=2.5)  # wrong
    vidtrans.make_dataset("a.mp4", every="3")  # wrong
    vidtrans.matte("a.mp4", suggest="3")  # wrong
    vidtrans.model_formats(3)  # wrong
    vidtrans.probe(["a.mp4", "b.mp4"])  # wrong
    vidtrans.propagate("a.mp4")  # wrong
    vidtrans.run("a.mp4")  # wrong
    vidtrans.schema(command=3)  # wrong
    vidtrans.serve_live("ink", port="8000")  # wrong
    vidtrans.serve_live("ink", osc=9000)  # wrong
    vidtrans.serve_studio("films", jobs="2")  # wrong
    vidtrans.sheet("a.mp4", count="9")  # wrong
    vidtrans.show_model()  # wrong
    vidtrans.show_preset(3)  # wrong
    vidtrans.stylize("a.mp4", "ink", strength=[0.5])  # wrong
    vidtrans.stylize("a.mp4", "ink", settings={"rendering": "720p"})  # wrong
    vidtrans.stylize("a.mp4", "ink", settings=["rendering"])  # wrong
    vidtrans.stylize("a.mp4", "ink", report=lambda: None)  # wrong
    vidtrans.stylize("a.mp4", "ink", report=only_progress)  # wrong
    vidtrans.stylize("a.mp4", "ink", "b.mp4", 0.5)  # wrong
    vidtrans.train("a.dataset", preset=3)  # wrong
    vidtrans.train("a.dataset", as_is="yes")  # wrong
    vidtrans.vote(["a.mp4", "b.mp4"], seconds="1")  # wrong
    vidtrans.try_out("a.mp4", at=3)  # wrong
    vidtrans.write_clip(paint, "a.mp4", like="b.mp4")  # wrong
    vidtrans.write_clip(3, "a.mp4")  # wrong
    vidtrans.Deflicker()  # wrong
    vidtrans.Deflicker(clip, flow_from=3)  # wrong
    vidtrans.Deflicker(clip, strength=0.5)  # wrong
    vidtrans.Propagator(clip, [paint])  # wrong
    vidtrans.Propagator("a.mp4", {0: paint})  # wrong
    vidtrans.Propagator(clip, {"0": paint})  # wrong
    vidtrans.Propagator(clip, {0: paint}, minuts=0)  # wrong
    vidtrans.stylise("a.mp4", "ink")  # wrong


def only_progress(event: Progress) -> None:
    """Take one kind of event, where all kinds come."""


def absent_attributes() -> None:
    vidtrans.probe("a.mp4").size  # wrong
    vidtrans.stylize("a.mp4", "ink").width  # wrong
    vidtrans.sample_curves("low", clip="a.mp4").plot  # wrong
    vidtrans.keyframes("a.mp4").pictures  # wrong
    vidtrans.make_dataset("a.mp4").steps  # wrong
    vidtrans.train("a.dataset").model  # wrong
    vidtrans.evaluate("a.mp4", "b.mp4").flicker  # wrong
    vidtrans.list_models().models  # wrong
    vidtrans.vote(["a.mp4", "b.mp4"]).winner  # wrong
    vidtrans.stylize("a.mp4", "ink").score.ratio  # wrong: it may be None
    vidtrans.stylize("a.mp4", "ink").frames = 3.5  # wrong
    vidtrans.stylize("a.mp4", "ink")[3]  # wrong
    frames: str = vidtrans.stylize("a.mp4", "ink").frames  # wrong
    scores: vidtrans.ClipScores = vidtrans.stylize("a.mp4", "ink")  # wrong


def wrong_frames(clip: vidtrans.OpenedClip, model: vidtrans.FrameModel, paint: np.ndarray) -> None:
    clip.num_frames  # wrong
    clip["3s"]  # wrong
    clip.at(None)  # wrong
    clip.at()  # wrong
    clip[0].pts  # wrong
    clip[0].index = 3  # wrong
    clip[0] = paint  # wrong
    model.weights  # wrong
    model("a.png")  # wrong
    model(paint, 0.5)  # wrong
    model.render(paint, strength=0.5)  # wrong
    model.render(3)  # wrong
    model.render(clip, settings={"rendering": 1})  # wrong
    model.render(clip, temporal=False)  # wrong
    vidtrans.Deflicker(clip).frames  # wrong
    vidtrans.Deflicker(clip)[0]  # wrong
    vidtrans.Propagator(clip, {0: paint}).frames  # wrong
