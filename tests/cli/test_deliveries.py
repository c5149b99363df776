"""What is handed over: rates, codecs, alpha, pictures of several sizes, guides, filters, and what a stop leaves."""

from __future__ import annotations

import gc
import shutil
import struct
from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from chain import TINY, refuse, said, said_json
from clips import (
    decode,
    moving_frames,
    number_in,
    numbered,
    pictures_of,
    scene,
    sound_packets,
    times,
    write_clip,
    write_folder,
)
from directed_clip import COUNT, PICTURES, Frames, Shoot, halves, lossless, same
from oddities import (
    BT2020,
    FAST,
    PQ,
    cut_outs,
    index_first,
    ramp,
    remux,
    tone,
    with_sound,
    write_film,
    write_frames,
)
from PIL import Image
from streams import stream_of, timecode_track

import vidtrans as api
from vidtrans.clips.indexing import open_clip
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Event, Progress, Stop
from vidtrans.output.filtered_source import filtered_clip
from vidtrans.session import Context
from vidtrans.store.cache_entry import CacheEntry
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.reader import ClipReader

Capsys = pytest.CaptureFixture[str]
Hold = Callable[[CacheEntry], Callable[[Event], None]]
IDENTITY = ("--model", "identity")
SIZES = [(64, 48), (40, 40), (48, 64)]


def plain(path: str, count: int = 10, **more: Any) -> Path:
    return write_clip(Path(path), numbered(moving_frames(count)), options=FAST, **more)


def stop_at(task: str, done: int = 0) -> tuple[Stop, Callable[[Any], None]]:
    """A stop, and the report that asks for it when so much of a task is done."""
    stop = Stop()

    def report(event: Any) -> None:
        if isinstance(event, Progress) and event.task.startswith(task) and event.done >= done:
            stop.request(130)

    return stop, report


def cut_out_folder(path: str, count: int = 3) -> Path:
    """Cut-outs with a soft edge, as pictures."""
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


@pytest.mark.parametrize("kind", ["png", "prores4444"])
def test_an_opaque_frame_of_a_cut_out_mask_is_all_white(kind: str, shoot: Shoot, render: Callable[..., Frames]) -> None:
    """However dark it is. The others show the look where they are opaque."""
    mask = halves(COUNT)
    mask[7] = np.full_like(mask[7], 255)
    layers = [np.dstack([scene(64, 48, 2) // 8, m[..., 0]]) for m in mask]
    path = Path("m" if kind == "png" else "m.mov")
    if kind == "png":
        path.mkdir()
        for number, layer in enumerate(layers):
            Image.fromarray(layer, "RGBA").save(path / f"{number}.png")
    else:
        options = {"profile": "4444", "alpha_bits": "16"}
        write_frames(path, layers, "prores_ks", "yuva444p10le", options=options, rate=30)
    made = render("--mask", path)
    assert np.array_equal(made[7], shoot.look[7])
    assert same(made, shoot.expected(mask=mask), within=0 if kind == "png" else 2)


def write_prores(path: Path, frame: np.ndarray, *, pq: bool) -> Path:
    """Two times the same, whose every frame says of itself what it is: from there ProRes takes its tags."""
    transparent = frame.shape[2] == 4
    with closing(av.open(str(path), "w")) as out:
        stream: Any = out.add_stream("prores_ks", rate=25, options={"profile": "4444", "qscale": "2"})
        stream.height, stream.width = frame.shape[:2]
        stream.pix_fmt = "yuva444p10le" if transparent else "yuv444p10le"
        for number in range(2):
            picture: Any = av.VideoFrame.from_ndarray(frame, format="rgba64le" if transparent else "rgb48le")
            picture = picture.reformat(format=stream.pix_fmt, dst_colorspace="BT2020")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            if pq:
                picture.color_trc, picture.color_primaries = PQ, BT2020
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path


def test_alpha_does_not_keep_hdr_from_being_mapped() -> None:
    opaque = ramp(256, 32)
    alpha = np.full((32, 256, 1), 65535, np.uint16)
    alpha[:8] = 0
    read = {}
    for name, frame, pq in (
        ("pq", opaque, True),
        ("cut-out", np.dstack([opaque, alpha]), True),
        ("sdr", opaque, False),
    ):
        path = write_prores(Path(f"{name}.mov"), frame, pq=pq)
        with ClipReader(path, FrameFormat(alpha="kept")) as reader, closing(reader.frames()) as frames:
            read[name] = next(frames)
    assert read["pq"].alpha is None
    seen = read["cut-out"].alpha
    assert seen is not None
    assert (seen[:8].max(), seen[8:].min()) == (0, 255)
    rgb = {name: frame.rgb[16:].astype(int) for name, frame in read.items()}
    assert np.abs(rgb["cut-out"] - rgb["pq"]).max() <= 3
    assert np.abs(rgb["sdr"] - rgb["pq"]).max() > 20


def test_a_grey_that_stands_for_nothing_stays_transparent(capsys: Capsys) -> None:
    grey = np.full((48, 64), 90, np.uint8)
    grey[:, :32] = 200
    Image.fromarray(grey, "L").save("key.png", transparency=200)
    said(capsys, 0, "stylize", "key.png", *IDENTITY, "--codec", "png", "-o", "out.png")
    made = np.asarray(Image.open("out.png").convert("RGBA"))
    assert (made[:, :32, 3].max(), made[:, 32:, 3].min()) == (0, 255)
    assert (made[:, 32:, :3] == 90).all()


def test_in_a_video_pictures_lie_on_white(capsys: Capsys) -> None:
    told = said(capsys, 0, "stylize", cut_out_folder("in"), *IDENTITY, "-o", "out.mp4")
    assert "transparent areas become white" in told
    for number, rgb in enumerate(decode(Path("out.mp4"))[2]):
        assert rgb[2:6, 56:62].min() >= 250
        assert np.abs(rgb[24, 20 + number].astype(int) - (220, 100, 30)).max() <= 8


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


def test_a_pattern_is_a_mask_of_several_sizes(tiny_model: Path, capsys: Capsys) -> None:
    frames = several_sizes("in")
    masks = [np.full((s[1], s[0], 3), value, np.uint8) for s, value in zip(SIZES, (0, 255, 0), strict=True)]
    write_folder(Path("m"), masks, ["00.png", "01.png", "02.png"])
    write_folder(Path("m"), [masks[1]], ["cover.png"])
    said(capsys, 0, "stylize", "in", "--model", tiny_model, *PICTURES, "--mask", "m/%02d.png", "-o", "out")
    made = list(pictures_of(Path("out")).values())
    assert [np.array_equal(a, b) for a, b in zip(made, frames, strict=True)] == [True, False, True]


def stack_of(guides: dict[str, int | Path]) -> tuple[str, ...]:
    """Guides of so many frames, and the command that makes a dataset of them."""
    write_folder(Path("beauty"), moving_frames(30))
    for name, given in guides.items():
        if isinstance(given, Path):
            given.rename(Path("shot", name))
        elif name.endswith(".mp4"):
            Path("shot").mkdir(exist_ok=True)
            lossless(Path("shot", name), moving_frames(given))
        else:
            write_folder(Path("shot", name), moving_frames(given))
    small = ("--set=dataset.size=32", f"--set=dataset.val_block_size={TINY['dataset']['val_block_size']}")
    return ("make-dataset", "shot", "--pairing", "stack", "--target", "beauty", *small)


def test_a_longer_guide_is_not_damaged_and_a_damaged_one_is_used_only_where_that_is_allowed(capsys: Capsys) -> None:
    whole, damaged = index_first(plain("whole.mp4", 30), Path("fast.mp4")), Path("damaged.mp4")
    damaged.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    command = stack_of({"a.mp4": 30, "b.mp4": damaged})
    assert "--allow-damaged" in refuse(capsys, 3, *command)
    assert "damaged" in said(capsys, 0, *command, "--allow-damaged")
    assert 1 <= len(list(Path("shot.dataset/shot.a").iterdir())) < 30
    shutil.rmtree("shot")
    told = said(capsys, 0, *stack_of({"a.mp4": 30, "b": 20}), "--overwrite")
    assert "damage" not in told
    assert "the first 20 are used" in told


@pytest.fixture
def early() -> Path:
    """20 frames, the first of them 100 ms before 0, and the sound from 0 on."""
    silent = plain("silent.mkv", 20)
    whole = with_sound(silent, Path("whole.mkv"), "aac", seconds=0.7)

    def earlier(_: int, packet: av.Packet) -> None:
        assert packet.pts is not None
        if packet.stream.type == "video":
            packet.pts = packet.dts = packet.pts - 100

    path = remux(whole, Path("early.mkv"), change=earlier, avoid_negative_ts="disabled")
    silent.unlink()
    whole.unlink()
    with closing(av.open(str(path))) as container:
        assert [f.pts for f in container.decode(video=0)][:4] == [None, None, None, 0]
    return path


def check_early(made: Path, source: Path) -> None:
    """All frames, and the sound as far behind the first of them as it was."""
    was, now, shown = sound_packets(source), sound_packets(made), times(made)
    assert len(shown) == 20
    assert [b for _, b in now] == [b for _, b in was]
    assert abs(now[0][0] - shown[0] - (was[0][0] + Fraction(1, 10))) <= Fraction(2, 1000)


LOSSLESS = (*IDENTITY, "--codec", "ffv1", "--set=encoding.bit_depth=8")


def test_frames_before_zero_are_kept_compared_and_filtered(program: Path, early: Path, capsys: Capsys) -> None:
    said(capsys, 0, "compare", early, early, "-o", "out.mp4")
    check_early(Path("out.mp4"), early)
    plainly, mirrored = Path("plain.mkv"), Path("mirrored.mkv")
    said(capsys, 0, "stylize", early, *LOSSLESS, "-o", plainly)
    said(capsys, 0, "stylize", early, *LOSSLESS, "--filter-source", "hflip", "-o", mirrored)
    check_early(mirrored, early)
    assert same(decode(mirrored)[2], [f[:, ::-1] for f in decode(plainly)[2]])
    assert [number_in(f) for f in decode(plainly)[2]] == list(range(20))


def test_what_rots_in_the_cache_is_filtered_again_and_nothing_else(program: Path, capsys: Capsys) -> None:
    arguments = ("stylize", plain("in.mp4", sound=True), *LOSSLESS, "--filter-source", "hflip", "-o")
    assert "damaged" not in said(capsys, 0, *arguments, "a.mkv")
    (kept,) = Path().glob(".vidtrans/filter/*/filtered.nut")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
    told = said(capsys, 0, *arguments, "b.mkv", "--json")
    assert "filtered.nut changed); it is made again" in told
    assert '"frames_encoded": 0' in told
    assert kept.read_bytes() == whole
    assert Path("a.mkv").read_bytes() == Path("b.mkv").read_bytes()


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


def test_outputs_that_another_run_makes_are_waited_for_and_taken(tiny_model: Path, held_by_another_run: Hold) -> None:
    clip = plain("in.mp4", 3)
    assert api.stylize(clip, tiny_model, "a.mp4")["frames_inferred"] == 3
    [entry] = (entry for entry in Context().cache.entries() if entry.stage == "infer")
    settings = {"rendering": {"mix": 0.5}}
    made = api.stylize(clip, tiny_model, "b.mp4", settings=settings, report=held_by_another_run(entry))
    assert made["frames_inferred"] == 0


def test_a_graph_leaves_the_last_frame_its_length(program: Path, capsys: Capsys) -> None:
    def held(number: int, packet: av.Packet) -> None:
        if number == 9:
            packet.duration = round(1 / packet.time_base)

    # No frame is reordered by this codec, so the last packet is the last frame.
    clip = write_frames(Path("short.mp4"), moving_frames(10), "mpeg4", "yuv420p", rate=30)
    source = remux(clip, Path("in.mp4"), change=held)
    said(capsys, 0, "stylize", source, *IDENTITY, "--filter", "hflip", "-o", "out.mp4")
    for path in (source, Path("out.mp4")):
        with closing(av.open(str(path))) as container:
            stream = container.streams.video[0]
            assert abs(stream.duration * stream.time_base - Fraction(13, 10)) <= Fraction(1, 1000)


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


def test_a_timecode_keeps_its_moment_when_a_graph_changes_the_rate(program: Path, capsys: Capsys) -> None:
    path = write_film(Path("film.mov"), "10:00:00:20")
    for flag in ("--filter", "--filter-source"):
        made = Path(f"{flag}.mov")
        said(capsys, 0, "stylize", path, *IDENTITY, flag, "fps=12", "-o", f"./{made}")
        now, counted = timecode_track(made)
        assert abs(now - (36_000 + Fraction(20, 24))) <= 1 / counted
        assert 12 % counted == 0
        assert len(times(made)) == 24


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


def packet_ids(data: bytes) -> list[int]:
    return [struct.unpack_from(">H", data, at + 1)[0] & 0x1FFF for at in range(0, len(data), 188)]


def test_a_second_sound_that_turns_up_in_mid_stream_leaves_the_first_as_it_is(capsys: Capsys) -> None:
    """The second track's packets get another number half-way, as in digital television."""
    path = Path("in.ts")
    with closing(av.open(str(path), "w")) as out:
        video: Any = out.add_stream("libx264", rate=25, options=FAST)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sounds: list[Any] = [out.add_stream("mp2", rate=48_000, layout="mono") for _ in range(2)]
        packets = []
        for number, rgb in enumerate(moving_frames(120)):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            packets += video.encode(frame)
        packets += video.encode(None)
        for number, sound in enumerate(sounds):
            packets += tone(sound, 4.8, 440 * (number + 1))
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            out.mux(packet)
    wanted = [data for _, data in sound_packets(path)]
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 376 * 188, len(data), 188):
        if struct.unpack_from(">H", data, at + 1)[0] & 0x1FFF == 0x102:
            data[at + 1] |= 4
    path.write_bytes(data)
    assert {0x100, 0x101, 0x102, 0x502} <= set(packet_ids(bytes(data)))
    said(capsys, 0, "stylize", path, *IDENTITY, "-o", "out.mkv")
    assert len(times(Path("out.mkv"))) == 120
    assert [data for _, data in sound_packets(Path("out.mkv"))] == wanted


def test_what_is_no_pattern_is_refused_with_one_that_is(capsys: Capsys) -> None:
    clip = plain("a.mp4")
    for name in ("o/%d-%d.png", "o/%%05d.png", "o/%5d.png"):
        assert "%05d" in refuse(capsys, 2, "stylize", clip, *IDENTITY, "-o", name)
    write_folder(Path("f"), moving_frames(2), ["000000.png", "000001.png"])
    assert "the folder has 000000.png" in refuse(capsys, 3, "stylize", "f/x%05d.png", *IDENTITY)


def test_what_a_resync_passes_over_is_counted_by_the_times(capsys: Capsys) -> None:
    """Matroska goes on at the next cluster and says nothing of what lay between."""
    path = remux(plain("a.mp4", 120), Path("a.mkv"), cluster_time_limit="500")
    data = bytearray(path.read_bytes())
    part = slice(len(data) // 2, len(data) // 2 + len(data) // 8)
    data[part] = np.random.default_rng(0).bytes(part.stop - part.start)
    path.write_bytes(data)
    shown = len(decode(path)[0])
    assert shown < 120
    findings = said_json(capsys, "probe", path)["findings"]
    told = findings["lost"] + findings["missing"] + findings["holes"] + 30 * findings["short_s"]
    assert abs(told + shown - 120) <= 3
