"""Short tests of an installation: lossless video, the GPU's decoders and encoders, and the speed of a model."""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.models.model_file import find_model, load_generator
from vidtrans.rendering.benchmark import pictures
from vidtrans.video.io.encoder import SegmentWriter, read_lossless
from vidtrans.video.io.encoding import CODECS, EncodingSettings, PictureFormat, decoder_problem, encoder_problem
from vidtrans.video.io.reader import ClipReader, HardwareDecoder

# FFmpeg's software encoder for the test clip, by the codec whose decoding by the GPU (NVDEC) is tested
TEST_ENCODERS = {"h264": "libx264", "hevc": "libx265", "vp9": "libvpx-vp9"}


def is_round_trip_lossless() -> bool:
    """Return whether pictures are unchanged after lossless encoding and decoding."""
    frames = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
    form = PictureFormat(64, 48, Fraction(1), Fraction(1, 25), Fraction(25))
    with tempfile.TemporaryDirectory(prefix="vidtrans-") as folder:
        path = Path(folder) / "a.nut"
        with closing(SegmentWriter(path, form, EncodingSettings(codec="ffv1"))) as writer:
            for number, frame in enumerate(frames):
                writer.write(frame, number)
        return all(np.array_equal(a, b) for a, b in zip(frames, read_lossless(path), strict=True))


def find_hardware_codecs() -> tuple[list[str], list[str], str]:
    """Return the codecs that the GPU decodes exactly (NVDEC), and the ``--codec`` choices that it encodes (NVENC).

    The third value is the reason if nothing can be decoded. Each codec is tried, because FFmpeg may support a codec
    that the GPU or its driver does not.
    """
    encoded_codecs = [name for name, codec in CODECS.items() if codec.software and not encoder_problem(name)]
    if why := decoder_problem("nvdec"):
        return [], encoded_codecs, why
    with tempfile.TemporaryDirectory(prefix="vidtrans-") as folder:
        decoded_codecs = [
            codec for codec, encoder in TEST_ENCODERS.items() if _is_decoding_exact(Path(folder) / codec, encoder)
        ]
    return decoded_codecs, encoded_codecs, "no codec passed a trial"


def _is_decoding_exact(clip: Path, encoder: str) -> bool:
    """Write a small clip to the path ``clip``; return whether NVDEC and the CPU decode equal frames from it.

    ``encoder``: FFmpeg's name of the encoder of the clip.
    """
    options = {"x265-params": "log-level=error"} if encoder == "libx265" else {}
    with closing(av.open(str(clip), "w", format="matroska")) as out:
        stream = out.add_stream(encoder, rate=25, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 256, 144, "yuv420p"
        for picture in pictures(256, 144, 8):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        out.mux(stream.encode(None))
    failures: list[str] = []
    hardware = HardwareDecoder("nvdec", "", failures.append)
    with ClipReader(clip, hardware=hardware) as on_gpu, ClipReader(clip) as on_cpu:
        pairs = zip(on_gpu.frames(), on_cpu.frames(), strict=True)
        is_equal = all(a.pts == b.pts and np.array_equal(a.rgb, b.rgb) for a, b in pairs)
    return is_equal and not failures


def measure_model_fps(name: str, width: int, height: int, device: str) -> float:
    """Measure the speed of a bundled model on a device, in frames per second. Raises ModelError, DeviceError."""
    path = find_model(name)
    assert path is not None
    generator, record = load_generator(path)
    engine = TorchEngine(generator, resolve_device(device))
    inputs = np.zeros((engine.batch, height, width, record.in_channels), np.uint8)
    engine(inputs)
    began = time.perf_counter()
    engine(inputs)
    return engine.batch / (time.perf_counter() - began)
