"""Command lines of ``vidtrans`` for strips and scenes, as lists of words: no shell reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .faults import UserError
from .media_parts import MediaPart, time_words
from .schemas import Field, option_words

FILE = "FILE"  # the choice in the list of looks that stands for a file
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}
ENDINGS = {"prores": ".mov", "prores4444": ".mov", "dnxhr": ".mov", "ffv1": ".mkv"}
MOVIE_CODECS = ("h264", "h265", "av1", "prores", "prores4444", "dnxhr", "ffv1")
LABELS = "passes#Pass.IndexOB=0..255"  # grey levels are the numbers of objects


def movie_ending(codec: str) -> str:
    """Return the ending of a movie of a codec, dot included."""
    return ENDINGS.get(codec, ".mp4")


def model_words(look: str, file: str) -> list[str]:
    """Return ``--model`` or ``--look``.

    Args:
        look: A medium, ``identity``, or ``FILE``.
        file: A model file, or a picture whose look is taken.

    Raises:
        UserError: No file is chosen, or it is gone.
    """
    if look != FILE:
        return ["--model=identity"] if look == "identity" else [f"--look={look}"]
    if not file:
        raise UserError("no model is chosen — choose a file under Model File, or a medium")
    if not Path(file).is_file():
        raise UserError(f"{file}: this model is not there — choose another file under Model File")
    return [f"--look={file}"] if Path(file).suffix.lower() in PICTURES else [f"--model={file}"]


def strip_line(
    program: Path,
    command: str,
    source: Path,
    output: Path,
    *,
    options: Sequence[str],
    part: MediaPart | None = None,
    fps: float = 0.0,
) -> tuple[str, ...]:
    """Return the line that renders a movie, or a folder of pictures.

    Args:
        program: The path of ``vidtrans``.
        command: ``stylize``, ``deflicker`` or ``propagate``.
        source, output: What is read and written.
        options: Words of the model and of the options.
        part: The frames of a movie; None for all.
        fps: The rate of a movie.
    """
    times = time_words(part, fps) if part else []
    return (str(program), command, *options, *times, f"--output={output}", "--", str(source))


def words_of(command: str, fields: list[Field], values: Mapping[str, Any], look: str, file: str) -> list[str]:
    """Return the words of the model and the options of a command. Raises UserError."""
    words = [] if command != "stylize" else model_words(look, file)
    names_look = any(word.startswith("--look=") for word in words)
    kept = {key: value for key, value in values.items() if not (names_look and key == "look")}
    if command == "propagate" and not kept.get("keyframes"):
        raise UserError("no painted frames are chosen — choose their folder under Keyframes")
    return [*words, *option_words(fields, kept)]


def codec_words(codec: str) -> list[str]:
    """Return ``--codec`` of a movie; nothing for the usual one."""
    return [] if codec == "h264" else [f"--codec={codec}"]


def model_input(pairing: str, wanted: str = "AUTO") -> str:
    """Return what of a rendered scene a model reads: ``COLOUR``, ``GUIDES`` or ``LABELS``.

    Args:
        pairing: The name of the model's pairing; empty for looks and other kinds of models.
        wanted: The choice in the panel; ``AUTO`` follows the pairing.
    """
    return {"stack": "GUIDES", "labels": "LABELS"}.get(pairing, "COLOUR") if wanted == "AUTO" else wanted


def shot_source(shot: Path, kind: str) -> str:
    """Return what ``stylize`` reads of the folder that the renderer of scenes wrote."""
    return {"GUIDES": str(shot), "LABELS": f"{shot}/{LABELS}"}.get(kind, str(shot / "colour"))
