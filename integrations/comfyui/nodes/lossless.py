"""An IMAGE batch as a clip of lossless pictures, which vidtrans reads as they are."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any


def pixels_of(image: Any) -> Any:  # noqa: ANN401  (a tensor in, a NumPy array out)
    """Return a picture of a batch, float 0 to 1, as uint8, rounded."""
    return (image * 255.0).round().clamp(0, 255).byte().cpu().numpy()


def write_lossless(path: Path, images: Any, rate: Fraction, audio: Any = None) -> None:  # noqa: ANN401  (tensors)
    """Write a batch as PNG pictures in QuickTime, one frame after the other. Its times are exact, unlike Matroska's.

    Args:
        path: The file.
        images: Float, (frames, height, width, 3 or 4), 0 to 1, kept to 8 bits; the fourth is alpha. Masks: (frames,
            height, width).
        rate: Frames per second.
        audio: ComfyUI's AUDIO: ``waveform``, float, (1, channels, samples), and ``sample_rate``; or None.
    """
    import av

    height, width, *channels = images.shape[1:]
    form = "gray" if not channels else "rgba" if channels == [4] else "rgb24"
    with av.open(str(path), "w", format="mov") as output:
        video = output.add_stream("png", rate=rate.limit_denominator(100_000), options={"compression_level": "1"})
        video.width, video.height, video.pix_fmt = width, height, form
        sound = output.add_stream("aac", rate=int(audio["sample_rate"])) if audio else None
        if sound is not None:
            sound.bit_rate = 256_000  # AAC, as ComfyUI writes: players of the result know it
            sound.layout = "mono" if audio["waveform"].shape[1] == 1 else "stereo"
            _write_sound(output, sound, audio)
        for image in images:
            output.mux(video.encode(av.VideoFrame.from_ndarray(pixels_of(image), format=form)))
        output.mux(video.encode(None))


def _write_sound(output: Any, stream: Any, audio: Any) -> None:  # noqa: ANN401  (of PyAV)
    import av

    waveform = audio["waveform"][0, :2].float().cpu().numpy()
    packed = waveform.T.reshape(1, -1).copy()
    frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=stream.layout.name)
    frame.sample_rate, frame.pts = int(audio["sample_rate"]), 0
    output.mux(stream.encode(frame))
    output.mux(stream.encode(None))
