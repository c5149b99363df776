"""Sounds that are empty, damaged, very long or of unusual formats: each has finite signals, or is refused in a line."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.curves.expressions import Signal
from vidtrans.curves.hearing import SoundSignals, waveform
from vidtrans.curves.tracks import MAX_DURATION_S, call_track
from vidtrans.video.io.sound import RATE_HZ, read_blocks

SIGNALS = [Signal(name) for name in ("low", "mid", "high", "loudness", "onset", "beat", "bar")]
SIGNALS += [Signal("on_beat", (0.2,)), Signal("on_onset", (0.2,)), Signal("band", (100.0, 100.5))]


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.3, count)


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE_HZ, channels: int = 1) -> Path:
    """Write samples of float32, which may be anything, as they are."""
    data, frame = np.asarray(samples, np.float32).tobytes(), 4 * channels
    head = struct.pack("<IHHIIHH", 16, 3, channels, rate, rate * frame, frame, 32)
    path.write_bytes(
        b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + head + b"data" + struct.pack("<I", len(data)) + data
    )
    return path


def write_gap(path: Path, at_s: int) -> Path:
    """Write two short tones, the second at a time in s, with nothing between them."""
    with av.open(str(path), "w", format="matroska") as out:
        stream = out.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        for start in (0, at_s):
            frame = av.AudioFrame.from_ndarray(np.full((1, 1024), 9000, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, start * RATE_HZ, Fraction(1, RATE_HZ)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("kind", ["none", "one", "few", "nan", "infinite", "huge", "tiny", "constant", "7.1"])
@pytest.mark.filterwarnings("error")
def test_every_signal_is_finite(tmp_path: Path, kind: str) -> None:
    known = {
        "none": noise(0),
        "one": noise(1),
        "few": noise(300),
        "nan": np.full(30_000, np.nan),
        "infinite": np.r_[noise(30_000), np.inf, -np.inf, np.nan, noise(30_000)],
        "huge": noise(60_000) * 1e38,
        "tiny": noise(60_000) * 1e-30,
        "constant": np.ones(60_000),
        "7.1": noise(8 * 96_000 * 2),
    }
    path = write_wav(tmp_path / "a.wav", known[kind], *((96_000, 8) if kind == "7.1" else ()))
    at, sound = np.arange(-1, 4, 0.04), SoundSignals(path, SIGNALS)
    for signal in SIGNALS:
        values = sound.track(signal)(at)
        assert np.isfinite(values).all(), signal
        assert signal.name in ("beat", "bar") or (values.min() >= 0 and values.max() <= 1), signal
    assert np.isfinite(waveform(path, list(at[25:]))).all()


def test_silence_between_packets_is_heard_and_years_of_it_are_refused(tmp_path: Path) -> None:
    sizes = [len(block) for block in read_blocks(write_gap(tmp_path / "a.mkv", 60))]
    assert max(sizes) <= RATE_HZ
    assert sum(sizes) / RATE_HZ == pytest.approx(60, abs=0.1)
    for seconds in (86_400, 300 * 86_400):
        with pytest.raises(MediaError, match="its sound has a gap of"):
            list(read_blocks(write_gap(tmp_path / "a.mkv", seconds)))


def test_a_clip_that_seems_to_last_for_years_is_refused_in_a_line() -> None:
    track = call_track(Signal("smooth", (2.0,), Signal("low")), lambda at: np.zeros(len(at)))
    with pytest.raises(UsageError, match=r"smooth\(low,2.0\): the clip is longer than 24 h"):
        track(np.array([0.0, MAX_DURATION_S * 400]))
