"""A GPU's decoder and encoder: pretended here, at the seam to PyAV. What is decoded is the same, what lacks is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.codec
import numpy as np
import pytest
from chain import check_described
from clips import decode, moving_frames, number_in, numbered, same_frames, times, write_clip

from vidtrans.cli.main import run
from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Event, Note
from vidtrans.core.settings import Size
from vidtrans.doctor import installation
from vidtrans.doctor.checks import _hardware_video
from vidtrans.session import Context
from vidtrans.video.colour.conversion import FromRGB, ToRGB
from vidtrans.video.frame_format import DEFAULT_FORMAT, FrameFormat
from vidtrans.video.io import encoding, reader
from vidtrans.video.io.clip import Frame
from vidtrans.video.io.container import open_media, picture_stream
from vidtrans.video.io.encoding import CODECS, SPEEDS, EncodingSettings, PictureFormat

COUNT = 30
B_FRAMES = {"crf": "12", "preset": "medium", "g": "12", "bf": "3"}
LAYOUT_OF = {"yuv420p": "nv12", "yuvj420p": "nv12", "yuv420p10le": "p010le"}
IDENTITY = ("--model", "identity", "--set=rendering.chunk_frames=7")
NVENC = ("h264-nvenc", "h265-nvenc", "av1-nvenc")


@pytest.fixture(autouse=True)
def no_trial_is_remembered() -> Iterator[None]:
    yield
    encoding.encoder_problem.cache_clear()
    encoding.decoder_problem.cache_clear()


def samples(plane: Any, dtype: str, width: int) -> np.ndarray:
    return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size).view(dtype)[:, :width]


def as_from_a_gpu(frame: av.VideoFrame) -> av.VideoFrame:
    """The same samples as NVDEC lays them out: chroma interleaved, 10 bits in the upper ones of 16."""
    layout = LAYOUT_OF[frame.format.name]
    dtype, shift = ("<u2", 6) if layout == "p010le" else ("u1", 0)
    made = frame.reformat(format=layout)  # as PyAV's own frames from a device, it takes over place of chroma and tags
    y, u, v = (samples(p, dtype, p.width) for p in frame.planes)
    chroma = np.stack([u, v], axis=-1).reshape(u.shape[0], -1)
    for plane, values in zip(made.planes, (y, chroma), strict=True):
        rows = np.zeros((plane.height, plane.line_size // np.dtype(dtype).itemsize), dtype)
        rows[:, : values.shape[1]] = values << shift
        plane.update(rows.tobytes())
    if frame.time_base is not None:
        made.pts, made.time_base = frame.pts, frame.time_base
    for tag in ("colorspace", "color_range", "color_primaries", "color_trc"):
        setattr(made, tag, getattr(frame, tag))
    return made


class PretendedGPU:
    """Stands for the device in ``vidtrans.video.io.reader``: decodes in software, and counts what it decoded.

    ``fails_at``: the packet that it does not decode; ``drops``: the frame that it loses.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails_at: int = -1, drops: int = -1) -> None:
        self.packets = self.frames = self.opened = 0
        self.fails_at, self.drops = fails_at, drops
        monkeypatch.setattr(reader, "open_accelerated", self.open)
        monkeypatch.setattr("vidtrans.video.io.reader.decode_accelerated", self.decode)
        monkeypatch.setattr("vidtrans.clips.indexing.decoder_problem", lambda name, device: "")

    @contextmanager
    def open(self, path: Path, device_type: str, device: str) -> Iterator[Any]:
        assert device_type == "cuda"
        self.opened += 1
        with open_media(path) as container:
            yield container, picture_stream(container, path)

    def decode(self, context: Any, packet: Any, size: tuple[int, int]) -> list[av.VideoFrame]:
        self.packets += 1
        if self.packets == self.fails_at + 1:
            raise reader.HardwareDecodeError("out of memory")
        decoded = [as_from_a_gpu(frame) for frame in context.decode(packet)]
        kept = [frame for n, frame in enumerate(decoded, self.frames) if n != self.drops]
        self.frames += len(decoded)
        return kept


def opened(path: Path, **options: Any) -> tuple[Clip, list[str]]:
    """The clip, and the notes, to which reading it adds."""
    told: list[str] = []

    def report(event: Event) -> None:
        if isinstance(event, Note):
            told.append(event.text)

    return open_clip(Context(cache_dir=Path("cache"), report=report, **options), path), told


def frames_of(clip: Clip, frame_format: FrameFormat = DEFAULT_FORMAT, start: int = 0) -> list[Frame]:
    return list(clip.frames(frame_format, 1, start))


def shoot(name: str = "clip.mp4", **options: Any) -> Path:
    return write_clip(Path(name), numbered(moving_frames(COUNT)), options=B_FRAMES, **options)


def told_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[dict[str, Any], list[str]]:
    capsys.readouterr()
    assert run([*map(str, arguments), "--json"]) == 0
    captured = capsys.readouterr()
    warnings = [line.removeprefix("warning: ") for line in captured.err.splitlines() if line.startswith("warning: ")]
    return check_described(arguments, json.loads(captured.out)), warnings


def test_what_a_gpu_decodes_is_to_the_bit_what_the_cpu_does(monkeypatch: pytest.MonkeyPatch) -> None:
    frame_format = FrameFormat(Size(short=24), deep=True)
    path = shoot(pix_fmt="yuv420p10le")
    on_cpu = frames_of(opened(path)[0], frame_format)
    gpu = PretendedGPU(monkeypatch)
    clip, told = opened(path, decoder="nvdec")
    assert same_frames(frames_of(clip, frame_format), on_cpu)
    assert same_frames(frames_of(clip, frame_format, 17), on_cpu[17:])  # by a seek
    assert (told, gpu.opened) == ([], 2)
    assert gpu.frames >= COUNT + 13


@pytest.mark.parametrize(("planes", "tags"), [("yuv420p", (5, 2)), ("yuv420p", (2, 0)), ("yuv420p10le", (9, 1))])
def test_every_matrix_and_range_is_read_alike_from_a_gpus_layout(planes: str, tags: tuple[int, int]) -> None:
    for size in ((64, 48), (63, 47)):
        rgb = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        frame = FromRGB(*size, planes)(rgb)
        frame.colorspace, frame.color_range = tags
        for width, height, deep in ((*size, False), (40, 20, True), (200, 150, False)):
            convert = ToRGB(width, height, deep=deep)
            assert np.array_equal(convert(frame), convert(as_from_a_gpu(frame)))


@pytest.mark.parametrize(("fails_at", "start"), [(0, 0), (9, 17)])
def test_what_a_gpu_fails_to_decode_the_cpu_does_and_one_note_says_so(
    fails_at: int, start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shoot()
    on_cpu = frames_of(opened(path)[0])
    gpu = PretendedGPU(monkeypatch, fails_at=fails_at)
    clip, told = opened(path, decoder="nvdec")
    assert same_frames(frames_of(clip, start=start), on_cpu[start:])
    assert same_frames(frames_of(clip, start=start), on_cpu[start:])
    assert told == ["clip.mp4: not decoded by nvdec, but by the CPU: out of memory"]
    assert gpu.opened == 1  # and is not tried again


@pytest.mark.parametrize("drops", [0, COUNT - 1])
def test_a_gpu_that_loses_a_frame_is_not_believed(drops: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shoot()
    on_cpu = frames_of(opened(path)[0])
    PretendedGPU(monkeypatch, drops=drops)
    clip, told = opened(path, decoder="nvdec")
    assert same_frames(frames_of(clip), on_cpu)
    assert told == [f"clip.mp4: not decoded by nvdec, but by the CPU: its frame {drops} is not the CPU's"]


def test_a_clip_that_no_gpu_decodes_alike_is_left_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """MPEG-4's transform is rounded as each decoder likes, and 4:4:4 has a layout that nobody has compared."""
    gpu = PretendedGPU(monkeypatch)
    old = write_clip(Path("old.mp4"), moving_frames(5), codec="mpeg4")
    full = write_clip(Path("full.mp4"), moving_frames(5), pix_fmt="yuv444p")
    for path, what in ((old, "mpeg4, yuv420p"), (full, "h264, yuv444p")):
        clip, told = opened(path, decoder="nvdec")
        assert len(frames_of(clip)) == 5
        assert told == [f"{path.name}: not decoded by nvdec, but by the CPU: it is {what}"]
    assert gpu.opened == 0


def test_damage_is_counted_by_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    path = shoot()
    data = bytearray(path.read_bytes())
    middle = data.index(b"mdat") + 4 + (len(data) - data.index(b"mdat")) // 2
    data[middle : middle + 400] = bytes(400)
    path.write_bytes(data)
    plain = opened(path, allow_damaged=True)[0]
    gpu = PretendedGPU(monkeypatch)
    clip, told = opened(path, allow_damaged=True, decoder="nvdec")
    assert clip.index.findings.damage
    assert same_frames(frames_of(clip), frames_of(plain))
    assert gpu.opened == 0
    assert any("not decoded by nvdec" in text for text in told)


def needs_no_gpu(why: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not why, reason="there is a GPU here, that can")


NO_NVDEC, NO_NVENC = encoding.decoder_problem("nvdec"), encoding.encoder_problem("h265-nvenc")


@needs_no_gpu(NO_NVDEC)
def test_without_a_gpu_one_note_says_so_and_the_bytes_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    command = ("stylize", shoot(), *IDENTITY)
    told_json(capsys, *command, "-o", "cpu.mp4", "--cache-dir", "one")
    _, told = told_json(capsys, *command, "-o", "gpu.mp4", "--cache-dir", "two", "--decoder", "nvdec")
    assert told == [f"--decoder nvdec cannot be used here ({NO_NVDEC}): the CPU decodes"]
    assert Path("cpu.mp4").read_bytes() == Path("gpu.mp4").read_bytes()
    table, _ = told_json(capsys, *command, "-o", "cpu.mp4", "--cache-dir", "one", "--decoder", "nvdec")
    assert table["cached"]  # no key says who decoded


@needs_no_gpu(NO_NVENC)
def test_without_nvenc_the_cpus_codec_of_the_format_is_used_with_a_note_and_found_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, made, codec, software = shoot(), Path("out.mp4"), "h265-nvenc", "h265"
    command = ("stylize", path, *IDENTITY, "-o", made, "--codec")
    table, told = told_json(capsys, *command, codec)
    note = f"--codec {codec} cannot be used here ({NO_NVENC}): {software} is used"
    assert (table["codec"], table["frames"], told) == (software, COUNT, [note])
    assert [number_in(p) for p in decode(made)[2]] == list(range(COUNT))
    assert times(made) == times(path)
    assert told_json(capsys, *command, codec)[0]["cached"]
    own, told = told_json(capsys, *command, software)
    assert own["cached"]  # the record says who encoded it
    assert told == []


@pytest.mark.parametrize("codec", NVENC)
def test_every_option_is_one_that_this_ffmpegs_encoder_has(codec: str) -> None:
    if CODECS[codec].encoder not in av.codec.codecs_available:
        pytest.skip("this FFmpeg was built without NVENC")
    known = av.CodecContext.create(CODECS[codec].encoder, "w").supported_options
    choices = {o.name: {c.name for c in o.choices} for o in (*known.generic, *known.private)}
    for preset in SPEEDS:
        for name, value in EncodingSettings(codec=codec, preset=preset).encoder_options().items():
            assert name in choices
            assert not choices[name] or value in choices[name]
    formats = {f.name for f in av.Codec(CODECS[codec].encoder, "w").video_formats or ()}
    assert set(CODECS[codec].formats.values()) <= formats


def test_what_nvenc_does_not_take_is_refused_before_the_work() -> None:
    with pytest.raises(UsageError, match="unknown decoder 'nvdek'"):
        Context(decoder="nvdek")
    with pytest.raises(UsageError, match="the lowest of h264-nvenc is 1"):
        EncodingSettings(codec="h264-nvenc", crf=0)
    form = PictureFormat(255, 129, Fraction(1), Fraction(1, 25), Fraction(25))
    with pytest.raises(UsageError, match=r"it takes even sizes, not 255x129 — use h264$"):
        EncodingSettings(codec="h264-nvenc").check_size(form)
    with pytest.raises(UsageError, match=r"it takes 192x128 and more, not 64x48 — use h265$"):
        EncodingSettings(codec="h265-nvenc").check_size(replace(form, width=64, height=48))


def test_a_trial_decides_whether_an_encoder_works(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = replace(CODECS["h264"], software="h264")
    refusing = replace(codec, options=(("profile", "baseline"),), formats={(10, False): "yuv420p10le"})
    absent = replace(codec, encoder="no_such_encoder")
    for name, made in (("works", codec), ("absent", absent), ("refuses", refusing)):
        monkeypatch.setitem(CODECS, name, made)
    assert encoding.encoder_problem("works") == ""
    assert "no_such_encoder" in encoding.encoder_problem("absent")
    assert encoding.encoder_problem("refuses").startswith("libx264: ")


def test_doctor_tries_what_the_gpu_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    PretendedGPU(monkeypatch)
    monkeypatch.setattr(installation, "decoder_problem", lambda name: "")
    monkeypatch.setattr(installation, "encoder_problem", lambda name: "" if name == "h264-nvenc" else "none")
    assert _hardware_video() == ("ok", "--decoder nvdec reads h264, hevc, vp9; --codec writes h264-nvenc")
    PretendedGPU(monkeypatch, fails_at=20)  # packets of the second and of the third clip
    assert installation.find_hardware_codecs()[0] == ["h264", "hevc"]
    monkeypatch.setattr(installation, "decoder_problem", lambda name: "no NVIDIA driver is found")
    monkeypatch.setattr(installation, "encoder_problem", lambda name: "none")
    state, text = _hardware_video()[:2]
    assert (state, text) == ("ok", "none (no NVIDIA driver is found); not required: the CPU decodes and encodes")


@needs_no_gpu(NO_NVDEC)
def test_a_gpu_that_opens_no_file_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where its memory is taken: by the real call, which fails here."""
    path = shoot()
    on_cpu = frames_of(opened(path)[0])
    monkeypatch.setattr("vidtrans.clips.indexing.decoder_problem", lambda name, device: "")
    clip, told = opened(path, decoder="nvdec")
    assert same_frames(frames_of(clip), on_cpu)
    assert same_frames(frames_of(clip), on_cpu)
    assert told == ["clip.mp4: not decoded by nvdec, but by the CPU: the GPU cannot open it"]
