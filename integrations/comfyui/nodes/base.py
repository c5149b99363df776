"""The common parts of the nodes: from inputs to a command, from its report to outputs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from comfy_api.latest import InputImpl, io, ui

from .clips import ClipFile
from .job import JobRequest, run
from .places import files_named_in, output_folder, result_path, state_of
from .widgets import default_of, options_input, values_of, widgets

Model = io.Custom("VIDTRANS_MODEL")
Dataset = io.Custom("VIDTRANS_DATASET")
CLIP_TYPES = [io.Video, io.Image, io.String]
ENDINGS = {"prores": ".mov", "prores4444": ".mov", "dnxhr": ".mov", "ffv1": ".mkv", "gif": ".gif"}
CATEGORY = "vidtrans"
FILM = (io.Video.Output("film", display_name="video"), io.String.Output("path", display_name="path"))


def clip_input(name: str, tooltip: str, *, optional: bool = False) -> io.MultiType.Input:
    """Return an input that takes VIDEO, a path, or a short IMAGE batch."""
    more = "VIDEO or a path of any length; an IMAGE batch of at most 300 frames."
    return io.MultiType.Input(name, types=CLIP_TYPES, optional=optional, tooltip=f"{tooltip} {more}")


def mask_input(tooltip: str) -> io.MultiType.Input:
    """Return the optional input "mask", which takes what ``clip_input`` does, and MASK."""
    more = "MASK, VIDEO or a path; a batch has at most 300 frames."
    return io.MultiType.Input("mask", types=[io.Mask, *CLIP_TYPES], optional=True, tooltip=f"{tooltip} {more}")


def pictures_input(name: str, tooltip: str, *, optional: bool = False) -> io.MultiType.Input:
    """Return an input that takes IMAGE, or the path of a picture or folder."""
    return io.MultiType.Input(name, types=[io.Image, io.String], optional=optional, tooltip=tooltip)


def fps_input() -> io.Input:
    """Return the input for the frame rate of IMAGE batches."""
    one = io.Float.Input("fps", default=24.0, min=1.0, max=240.0, step=0.01, tooltip="Frame rate of an IMAGE batch.")
    one.optional, one.extra_dict["advanced"] = True, True
    return one


class KnownFiles:
    """The files of all nodes since ComfyUI started, and how many of them were seen to be changed or gone.

    ComfyUI keeps the outputs of a node whose inputs are as before, and a path stays the same when its file changes.

    Attributes:
        results: Files and folders that nodes have made.
        inputs: The state of each file and folder that a node was given, by its path.
        changes: The number of results that were deleted, and of inputs that changed.
    """

    def __init__(self) -> None:
        self.results: set[Path] = set()
        self.inputs: dict[str, list[Any]] = {}
        self.changes = 0

    def update(self) -> None:
        """Count the results that were deleted, and the inputs that changed, since the last call."""
        gone = {path for path in self.results if not path.exists()}
        self.results -= gone
        changed = {path: new for path, old in self.inputs.items() if (new := state_of(path)) != old}
        self.inputs |= changed
        self.changes += len(gone) + len(changed)


FILES = KnownFiles()


class CommandNode(io.ComfyNode):
    """A node that runs a command of vidtrans and returns the file that it makes.

    Attributes:
        COMMAND: The command.
        TITLE: The node's name in ComfyUI.
        ABOUT: Its description.
        RESULT: The beginning of the result's name.
        SHOWS: Whether ComfyUI runs it for its own sake: it shows its result.
        SOCKETS: The inputs above the widgets of the command.
        OUTPUTS: The outputs; by default those of a film.
        TAKES_FRAMES: Whether an input may be an IMAGE batch that is a clip, and so needs a frame rate.
    """

    COMMAND = TITLE = ABOUT = RESULT = ""
    SHOWS = TAKES_FRAMES = True
    SOCKETS: tuple[io.Input, ...] = ()
    OUTPUTS: tuple[io.Output, ...] = FILM

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Return the node's name, inputs and outputs."""
        rate = [fps_input()] if cls.TAKES_FRAMES else []
        return io.Schema(
            node_id=cls.__name__,
            display_name=f"{cls.TITLE} (vidtrans)",
            category=CATEGORY,
            description=cls.ABOUT,
            inputs=[*cls.SOCKETS, *widgets(cls.COMMAND, cls.RESULT), *rate, options_input()],
            outputs=list(cls.OUTPUTS),
            hidden=[io.Hidden.unique_id],
            is_output_node=cls.SHOWS,
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> Any:  # noqa: ANN401
        """Return a value that changes with the files of inputs and results: nodes then ask vidtrans again."""
        FILES.update()
        return FILES.changes

    @classmethod
    def produce(
        cls,
        inputs: dict[str, Any],
        values: dict[str, Any],
        clips: list[ClipFile],
        ending: str,
        *,
        base: Path | None = None,
    ) -> tuple[Path, dict[str, Any]]:
        """Run the node's command, unless its result exists already.

        Args:
            inputs: The node's inputs, with those of its widgets.
            values: The parameters that come from its sockets.
            clips: The clips among them; of the first one only its part is rendered.
            ending: The suffix of the result.
            base: The folder of the result; by default ComfyUI's output folder.

        Returns:
            The result, and the report of the command.

        Raises:
            VidtransError: The command failed.
            ValueError: An input is wrong.
        """
        values = {**values_of(cls.COMMAND, inputs), **values, **part_of(clips)}
        options = inputs.get("options") or ""
        states = [state_of(path) for path in (*_paths_in(values), *files_named_in(options))]
        FILES.inputs |= {state[0]: state for state in states}
        name = inputs.get("name") or f"vidtrans/{cls.COMMAND}"
        path = result_path(base or output_folder(), name, ending, [cls.COMMAND, values, options, states])
        path.parent.mkdir(parents=True, exist_ok=True)
        output = "result" if cls.COMMAND == "evaluate" else "output"
        outside = [clip.path for clip in clips if clip.is_trusted]
        table = run(JobRequest(cls.COMMAND, {**values, output: str(path)}, options, outside), cls.hidden.unique_id)
        FILES.results.add(path)
        return path, table

    @classmethod
    def film(
        cls, inputs: dict[str, Any], values: dict[str, Any], clips: list[ClipFile], ending: str = ""
    ) -> io.NodeOutput:
        """Return the film of ``produce`` as VIDEO and path, and show it. ``ending``: by default that of the codec."""
        ending = ending or ENDINGS.get(inputs.get("codec") or default_of(cls.COMMAND, "codec"), ".mp4")
        path, _ = cls.produce(inputs, values, clips, ending)
        folder = output_folder()
        subfolder = path.parent.relative_to(folder).as_posix()
        shown = ui.SavedResult(path.name, "" if subfolder == "." else subfolder, io.FolderType.output)
        return io.NodeOutput(InputImpl.VideoFromFile(str(path)), str(path), ui=ui.PreviewVideo([shown]))


def part_of(clips: list[ClipFile]) -> dict[str, str]:
    """Return the part of the first clip that is meant. Raises ValueError if another one is a part of a file."""
    if any(clip.is_part for clip in clips[1:]):
        raise ValueError("a trimmed VIDEO can only be the first input — save it, and load the file")
    first = clips[0] if clips else ClipFile("")
    found = {"start": _time(first.start)} if first.start > 0 else {}
    return found | ({"end": _time(first.end)} if first.end is not None else {})


def _time(seconds: float) -> str:
    """Return a time as an option has it, never later: a frame at this very time is at or after it."""
    return f"{math.floor(seconds * 1e6) / 1e6:.6f}s"


def _paths_in(values: dict[str, Any]) -> list[str]:
    texts = [one for value in values.values() for one in (value if isinstance(value, list) else [value])]
    return [text for text in texts if isinstance(text, str) and Path(text).is_absolute()]
