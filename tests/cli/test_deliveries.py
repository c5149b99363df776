"""What is handed over: rates, codecs, alpha, pictures of several sizes, guides, filters, and what a stop leaves."""

from __future__ import annotations

import gc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, number_in, numbered, pictures_of, scene, times, write_clip, write_folder
from directed_clip import COUNT, Frames, Shoot, halves, same
from oddities import FAST, cut_outs, write_frames
from PIL import Image
from streams import stream_of

import vidtrans as api
from vidtrans.clips.indexing import open_clip
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Event, Progress, Stop
from vidtrans.output.delivery import filtered_clip
from vidtrans.session import Context
from vidtrans.store.cache import CacheEntry
from vidtrans.video.frame_format import FrameFormat

Capsys = pytest.CaptureFixture[str]
Hold = Callable[[CacheEntry], Callable[[Event], None]]
IDENTITY = ("--model", "identity")
SIZES = [(64, 48), (40, 40), (48, 64)]


def plain(path: str, count: int = 10, **more: Any) -> Path:
    return write_clip(Path(path), numbered(moving_frames(count)), options=FAST, **more)


def stop_at(task: str, done: int = 0) -> tuple[Stop, Callable[[Any], None]]:
    stop = Stop()

    def report(event: Any) -> None:
        if isinstance(event, Progress) and event.task.startswith(task) and event.done >= done:
            stop.request(130)

    return stop, report


def cut_out_folder(path: str, count: int = 3) -> Path:
    Path(path).mkdir(parents=True)
    for number, frame in enumerate(cut_outs(count)):
        Image.fromarray(frame, "RGBA").save(Path(path, f"{number}.png"))
    return Path(path)


def several_sizes(path: str, names: str = "{:05d}.png") -> Frames:
    frames = [scene(*size, seed=i) for i, size in enumerate(SIZES)]
    write_folder(Path(path), frames, [names.format(i) for i in range(len(SIZES))])
    return frames


def test_a_chunk_whose_frames_a_rate_drops_is_no_obstacle(capsys: Capsys) -> None:
    frames, chunk, wanted = 10, 1, 4
    clip = plain("in.mp4", frames)
    arguments = ("stylize", clip, *IDENTITY, "--fps", "12", f"--set=rendering.chunk_frames={chunk}", "-o")
    stop, report = stop_at("rendering", frames // 2)
    settings = {"rendering": {"chunk_frames": chunk}, "encoding": {"fps": "12"}}
    with pytest.raises(Interrupted):
        api.stylize(clip, "identity", "out.mp4", settings=settings, report=report, stop=stop)
    assert not Path("out.mp4").exists()
    table = said_json(capsys, *arguments, "out.mp4")
    assert table["frames"] == wanted
    assert table["frames_encoded"] < frames
    assert times(Path("out.mp4")) == [Fraction(i, 12) for i in range(wanted)]
    assert [abs(number_in(p) - 2.5 * i) <= 1 for i, p in enumerate(decode(Path("out.mp4"))[2])] == [True] * wanted
    said(capsys, 0, *arguments, "clean.mp4", "--cache-dir", "clean")
    assert Path("out.mp4").read_bytes() == Path("clean.mp4").read_bytes()


def test_a_result_of_another_kind_is_not_taken_from_the_cache(tiny_model: Path, capsys: Capsys) -> None:
    """One kind of ProRes for the other, and what was rendered on a ground for what keeps its alpha."""
    arguments: tuple[object, ...] = ("stylize", plain("in.mp4", 3), *IDENTITY, "--codec")
    said(capsys, 0, *arguments, "prores", "-o", "a.mov")
    said(capsys, 0, *arguments, "prores4444", "-o", "b.mov")
    said(capsys, 0, *arguments, "prores4444", "-o", "cold.mov", "--cache-dir", "cold")
    assert [stream_of(Path(f"{n}.mov"))["pix_fmt"][:7] for n in "ab"] == ["yuv422p", "yuv444p"]
    assert Path("b.mov").read_bytes() == Path("cold.mov").read_bytes()
    arguments = ("stylize", cut_out_folder("in", 2), "--model", tiny_model)
    said(capsys, 0, *arguments, "-o", "a.mp4")
    said(capsys, 0, *arguments, "--codec", "png", "-o", "b")
    said(capsys, 0, *arguments, "--codec", "png", "-o", "c", "--cache-dir", "cold")
    made, wanted = ({p.name: p.read_bytes() for p in Path(f).iterdir()} for f in ("b", "c"))
    assert made == wanted
    assert np.asarray(Image.open("b/0.png")).shape[2] == 4


def test_an_opaque_frame_of_a_cut_out_mask_is_all_white(shoot: Shoot, render: Callable[..., Frames]) -> None:
    """However dark it is. The others show the look where they are opaque."""
    mask = halves(COUNT)
    mask[7] = np.full_like(mask[7], 255)
    Path("m").mkdir()
    for number, matte in enumerate(mask):
        Image.fromarray(np.dstack([scene(64, 48, 2) // 8, matte[..., 0]]), "RGBA").save(f"m/{number}.png")
    made = render("--mask", "m")
    assert np.array_equal(made[7], shoot.look[7])
    assert same(made, shoot.expected(mask=mask))


def test_a_filtered_source_stays_while_it_is_read(program: Path, capsys: Capsys) -> None:
    context = Context()
    clip = open_clip(context, plain("in.mp4"))
    for _ in ("made", "found"):
        filtered = filtered_clip(clip, "hflip", context)
        again = filtered_clip(clip, "hflip", context)  # another render of it, at the same time
        del filtered
        assert said_json(capsys, "cache", "clean", "--stage", "filter")["kept"] == 1
        assert len(list(again.frames(FrameFormat(), 1))) == again.index.num_frames
    del again
    gc.collect()
    cleaned = said_json(capsys, "cache", "clean", "--stage", "filter")
    assert (cleaned["deleted"], cleaned["kept"]) == (1, 0)


def test_a_source_that_another_run_is_filtering_is_waited_for(program: Path, held_by_another_run: Hold) -> None:
    clip = open_clip(Context(), plain("in.mp4", 3))
    filtered_clip(clip, "hflip", Context())
    [entry] = (entry for entry in Context().cache.entries() if entry.stage == "filter")
    entry.clear()
    context = Context(report=held_by_another_run(entry))
    assert filtered_clip(clip, "hflip", context).index.num_frames == 3


def test_several_sizes_go_in_and_out_by_number_as_pictures_and_as_no_video(capsys: Capsys) -> None:
    frames = several_sizes("in")
    write_folder(Path("one"), [scene(20, 20, 1)], ["cover.png"])
    for source, output, wanted in (
        ("in", "out/%03d.png", ["000.png", "001.png", "002.png"]),
        ("in/%05d.png", "numbered/n%d.png", ["n0.png", "n1.png", "n2.png"]),
    ):
        assert said_json(capsys, "stylize", source, *IDENTITY, "-o", output)["frames"] == len(SIZES)
        found = pictures_of(Path(output).parent)
        assert sorted(found) == wanted
        assert same([found[name] for name in wanted], frames)
        for video in ("loop.gif", "out.mp4"):
            assert "several sizes" in refuse(capsys, 2, "stylize", source, *IDENTITY, "-o", video)
    said(capsys, 0, "stylize", "in", *IDENTITY, "--codec", "exr", "-o", "exr")
    assert [stream_of(p)["size"] for p in sorted(Path("exr").iterdir())] == SIZES


def test_outputs_that_another_run_makes_are_waited_for_and_taken(tiny_model: Path, held_by_another_run: Hold) -> None:
    clip = plain("in.mp4", 3)
    assert api.stylize(clip, tiny_model, "a.mp4")["frames_inferred"] == 3
    [entry] = (entry for entry in Context().cache.entries() if entry.stage == "infer")
    settings = {"rendering": {"mix": 0.5}}
    made = api.stylize(clip, tiny_model, "b.mp4", settings=settings, report=held_by_another_run(entry))
    assert made["frames_inferred"] == 0


def test_size_aspect_and_number_of_pictures_are_those_that_a_graph_makes(program: Path, capsys: Capsys) -> None:
    write_frames(Path("in.mkv"), moving_frames(3, (65, 49)), "ffv1", "bgr0")
    arguments = ("stylize", "in.mkv", *IDENTITY, "--codec", "prores", "-o", "out.mov")
    for flag in ("--filter", "--filter-source"):
        assert "nosuchfilter" in refuse(capsys, 2, *arguments, flag, "nosuchfilter")
    assert not list(Path().glob(".vidtrans/**/*.nut"))
    assert "63x47" in refuse(capsys, 2, *arguments, "--filter", "crop=63:47")
    kept = {p.name for p in Path(".vidtrans").iterdir()} if Path(".vidtrans").exists() else set()
    assert not kept & {"render", "infer"}
    said(capsys, 0, *arguments, "--filter", "crop=64:48,setsar=2")
    found = stream_of(Path("out.mov"))
    assert (found["size"], found["aspect"], len(decode(Path("out.mov"))[2])) == ((64, 48), 2, 3)
    fewer = ("--filter", "fps=5", "--codec", "png", "-o", "out")
    assert said_json(capsys, "stylize", plain("in.mp4", 30), *IDENTITY, *fewer)["frames"] == 5
    pictures = pictures_of(Path("out"))
    assert list(pictures) == [f"{i:06d}.png" for i in range(5)]
    assert [abs(number_in(p) - 6 * i) <= 3 for i, p in enumerate(pictures.values())] == [True] * 5


@pytest.mark.parametrize(("output", "task", "done"), [("out.gif", "drawing the GIF", 3), ("out.mp4", "joining", 0)])
def test_a_stop_ends_what_comes_after_the_render(output: str, task: str, done: int, capsys: Capsys) -> None:
    clip = plain("in.mp4", sound=True)
    stop, report = stop_at(task, done)
    seen: list[int] = []

    def counted(event: Any) -> None:
        report(event)
        if isinstance(event, Progress) and event.task.startswith(task):
            seen.append(event.done)

    with pytest.raises(Interrupted) as caught:
        api.stylize(clip, "identity", output, report=counted, stop=stop)
    assert caught.value.exit_status == 130
    assert seen
    assert max(seen) <= done + 1
    assert sorted(p.name for p in Path().iterdir()) == [".vidtrans", "in.mp4"]
    assert said_json(capsys, "stylize", clip, *IDENTITY, "-o", output)["frames_encoded"] == 0
    assert len(times(Path(output))) == 10


def test_what_is_no_pattern_is_refused_with_one_that_is(capsys: Capsys) -> None:
    clip = plain("a.mp4")
    for name in ("o/%d-%d.png", "o/%%05d.png", "o/%5d.png"):
        assert "%05d" in refuse(capsys, 2, "stylize", clip, *IDENTITY, "-o", name)
    write_folder(Path("f"), moving_frames(2), ["000000.png", "000001.png"])
    assert "the folder has 000000.png" in refuse(capsys, 3, "stylize", "f/x%05d.png", *IDENTITY)
