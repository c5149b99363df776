"""Segmenters of the SAM 2 family, exported as four ONNX graphs: SAM 2, EdgeTAM, EfficientTAM.

The image encoder computes the features of a frame. Memory attention mixes the memory of earlier frames into them. The
mask decoder makes a mask of them, and the memory encoder a memory of the mask and the features.

Ravi et al., "SAM 2: Segment Anything in Images and Videos", arXiv:2408.00714; Zhou et al., "EdgeTAM: On-Device Track
Anything Model", CVPR 2025; Xiong et al., "Efficient Track Anything", arXiv:2411.18933.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np

from vidtrans.core.child_process import limit_resources, module_command
from vidtrans.core.errors import MediaError, ModelError, UsageError, first_line
from vidtrans.core.files import digest_file
from vidtrans.core.machine import cores, import_onnx_runtime, start_onnx_session
from vidtrans.core.registry import missing_file_remedy
from vidtrans.core.settings import Table
from vidtrans.interop.onnx.graph_reading import Graph, Port, read_graph
from vidtrans.interop.onnx.trial import NUM_FILE_COPIES, TrialError, answer_request, check_installed, run_request
from vidtrans.perception.people import overlap

VERSION = 1  # Version of the way in which the memory is kept, for cache keys
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # Of the pictures that the encoders are trained on
NUM_RECENT, NUM_POINTERS = 6, 15  # Frames before the present one in the memory; their object pointers
INSIDE, OFF, CORNERS = 1, -1, (2, 3)  # Labels of a point on the thing, of no point, and of the corners of a box
LOGIT_SCALE = 20.0  # A mask is passed to the memory encoder as values from -10 to 10
ALIKE = 0.7  # IoU of the decoder's mask with a known one, from which its pointer describes the thing
USUAL_SIDE_PX = 1024  # Side of the encoder's input, if the file leaves it free
TIMEOUT_S = 240  # Time limit of the trial, in seconds
MEMORY_BYTES = 12 << 30  # Limit of the trial's address space; the runtime reserves more than it uses
GUIDE = "export it as docs/guides/mattes.md says"  # The remedy for other graphs
COMMAND = module_command("vidtrans.matting.sam_segmenter")  # Command line of the trial's process


class Role(NamedTuple):
    """One of the four graphs: patterns of the names of its inputs and outputs, by their keys here.

    Exporters begin the names differently. ``optional``: keys that a graph may lack.
    """

    name: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    optional: frozenset[str] = frozenset()


FEATURES, DETAIL = (
    r"(pix_feat|image_embeds?|image_embeddings?|vision_features)(_with_mem)?",
    r"high_res_feat(s|ures?)?_?",
)
ENCODER = Role(
    "image encoder",
    {"image": r"input|image|pixel_values"},
    {
        "features": FEATURES,
        "current": r"(current_)?vision_feats?",
        "positions": r"vision_pos_embeds?",
        "detail_0": DETAIL + "0",
        "detail_1": DETAIL + "1",
        "detail_2": DETAIL + "2",
    },
    frozenset({"detail_0", "detail_2"}),
)
ATTENTION = Role(
    "memory attention",
    {
        "current": r"(current_)?vision_feats?",
        "positions": r"(current_)?vision_pos_embeds?",
        "pointers": r"memory_0|obj_ptrs?",
        "memory": r"memory_1|memory",
        "memory_positions": r"memory_pos_embeds?",
    },
    {"features": r"fused_feat|" + FEATURES},
    frozenset({"positions", "pointers"}),
)
DECODER = Role(
    "mask decoder",
    {
        "points": r"point_coords",
        "labels": r"point_labels",
        "features": FEATURES,
        "detail_0": DETAIL + "0",
        "detail_1": DETAIL + "1",
        "detail_2": DETAIL + "2",
    },
    {"mask": r"pred_masks?", "for_memory": r"mask_for_mem", "pointer": r"obj_ptrs?"},
    frozenset({"pointer", "detail_0", "detail_2"}),
)
MEMORY = Role(
    "memory encoder",
    {"mask": r"mask_for_mem", "features": FEATURES, "from_points": r"mask_from_pts"},
    {"memory": r"maskmem_features", "positions": r"maskmem_pos_enc", "times": r"temporal_code"},
    frozenset({"from_points", "times"}),
)
ROLES = (ENCODER, ATTENTION, DECODER, MEMORY)


class GraphFile(NamedTuple):
    """A graph of a role: its file, its inputs by their keys, and the names of its outputs by their keys."""

    path: Path
    inputs: Mapping[str, Port]
    outputs: Mapping[str, str]

    @property
    def num_ports(self) -> int:
        """Return the number of inputs and outputs that are used."""
        return len(self.inputs) + len(self.outputs)

    @classmethod
    def of(cls, path: Path, graph: Graph, role: Role) -> GraphFile | None:
        """Return a file's graph in a role; None if it has other inputs, or lacks outputs."""
        inputs, outputs = _match(graph.inputs, role.inputs), _match(graph.outputs, role.outputs)
        has_all = (role.inputs.keys() | role.outputs.keys()) - role.optional <= inputs.keys() | outputs.keys()
        num_details = sum(key.startswith("detail") for key in (*inputs, *outputs))
        if not has_all or len(inputs) != len(graph.inputs) or num_details not in (0, 2):
            return None
        return cls(path, inputs, {key: port.name for key, port in outputs.items()})


def _match(ports: Sequence[Port], patterns: Mapping[str, str]) -> dict[str, Port]:
    """Return the ports whose names match, by the patterns' keys."""
    found = {}
    for port in ports:
        for key, pattern in patterns.items():
            if key not in found and re.fullmatch(rf"(\w+_)?({pattern})", port.name):
                found[key] = port
                break
    return found


def open_folder(folder: Path | None, *, is_tried: bool = False) -> SamSegmenter:
    """Open the four graphs of a folder. Raises UsageError, MediaError, ModelError.

    ``is_tried``: run them here at once; else they are tried in another process first.
    """
    if folder is not None and folder.is_file() and folder.suffix.lower() == ".onnx":
        folder = folder.parent  # One of the files stands for all
    if folder is None:
        raise UsageError("--segmenter onnx", "the folder of the ONNX files is missing", "as in --segmenter onnx:DIR")
    if not folder.is_dir():
        why, remedy = "no such folder", missing_file_remedy(folder)
        if folder.exists():
            why, remedy = "it is no folder of ONNX files", GUIDE
        raise MediaError(str(folder), why, remedy)
    check_installed(f"--segmenter {folder}")
    graphs = {path: read_graph(path) for path in sorted(folder.glob("*.onnx"))}
    found = {}
    for role in ROLES:
        fitting = [one for path, graph in graphs.items() if (one := GraphFile.of(path, graph, role))]
        if not fitting:
            raise ModelError(str(folder), _missing(role, graphs), GUIDE)
        most = max(one.num_ports for one in fitting)
        best = [one for one in fitting if one.num_ports == most]
        if len(best) > 1:
            names = " and ".join(one.path.name for one in best)
            raise ModelError(str(folder), f"{names} are both the {role.name}", "leave one of them there")
        found[role.name] = best[0]
    return SamSegmenter(found, is_tried=is_tried)


def _missing(role: Role, graphs: Mapping[Path, Graph]) -> str:
    """Return why no file of a folder has a role: none, or the inputs and outputs of the one that is named like it."""
    word = role.name.split()[-1] if role is DECODER else role.name.replace(" ", "_")
    near = next((path for path in graphs if word in path.name), None)
    if near is None:
        return f"no ONNX file in it is the {role.name}"
    graph, lacks = graphs[near], list[str]()
    for what, ports, patterns in (("input", graph.inputs, role.inputs), ("output", graph.outputs, role.outputs)):
        found = _match(ports, patterns)
        lacking = [key for key in patterns if key not in found and key not in role.optional]
        lacks += [f"the {what} '{_usual_name(patterns[key])}'" for key in lacking]
        if what == "input":
            unknown = [port.name for port in ports if port not in found.values()]
    needs = f"; it also needs {', '.join(unknown)[:200]}" if unknown else ""
    return f"{near.name} is no {role.name} that is known: it lacks {', '.join(lacks) or 'nothing'}{needs}"


def _usual_name(pattern: str) -> str:
    """Return the name that a pattern of names stands for: its first choice, without what may be missing."""
    first = re.sub(r"\(([^()|]*)\|[^()]*\)\??", r"\1", re.sub(r"\([^()|]*\)\?", "", pattern))
    return first.partition("|")[0].replace("?", "")


class Seen(NamedTuple):
    """The encoder's outputs for one frame: features, their positions, and finer features, each with a batch of 1."""

    features: np.ndarray
    current: np.ndarray
    positions: np.ndarray
    details: Mapping[str, np.ndarray]
    size: tuple[int, int]  # Width, height of the frame


class Memory(NamedTuple):
    """The memory of a frame in float16: features (1, …), positions (n, 1, c), and a pointer (1, p) or (0, 0)."""

    features: np.ndarray
    positions: np.ndarray
    pointer: np.ndarray


class SamSegmenter:
    """A segmenter of four graphs, by the names of their roles.

    The memory holds the frames in which the thing is known, and the last ``NUM_RECENT`` in which it was found. They
    are stored in half precision, so that an interrupted run goes on exactly.
    """

    def __init__(self, files: Mapping[str, GraphFile], *, is_tried: bool = False) -> None:
        self._files, self._is_tried = files, is_tried
        self._known: list[Memory] = []
        self._recent: deque[Memory] = deque(maxlen=NUM_RECENT)  # The latest first
        self._pointers: deque[np.ndarray] = deque(maxlen=NUM_POINTERS)  # Of the recent frames, the latest first
        self._times: np.ndarray | None = None  # Codes of distances in time, (n, 1, 1, c); the last: known frames

    def identity(self) -> Table:
        """Return the digests of the files and the version of the runtime."""
        digests = [digest_file(self._files[role.name].path) for role in ROLES]
        return {"onnxruntime": import_onnx_runtime().__version__, "memory": VERSION, "files": digests}

    @cached_property
    def _sessions(self) -> dict[str, Any]:
        """Return the sessions of the runtime by role, after a trial in another process. Raises ModelError."""
        if not self._is_tried:
            paths = [self._files[role.name].path for role in ROLES]
            memory = MEMORY_BYTES + NUM_FILE_COPIES * sum(path.stat().st_size for path in paths)
            request = {"folder": str(paths[0].parent.absolute()), "memory": memory, "threads": cores()}
            run_request(paths[0].parent, COMMAND, request, TIMEOUT_S, GUIDE)
        found = {}
        for name, one in self._files.items():
            try:
                found[name] = start_onnx_session(one.path.read_bytes(), cores())
            except MemoryError:
                raise
            except Exception as error:  # ONNX Runtime has a dozen exception classes
                raise ModelError(str(one.path), f"ONNX Runtime refuses it: {first_line(error)}", GUIDE) from None
        return found

    def matte_at(self, frame: np.ndarray, corners: Sequence[tuple[float, float]]) -> np.ndarray:
        """Return the matte (H, W) of the thing at a point of a frame (H, W, 3), or in a box of two corners."""
        seen = self._see(frame)
        logits, _, _ = self._decode(seen, seen.current, corners)
        return _matte_of(logits, seen.size)

    def begin(self, known: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        """Take a thing from frames (H, W, 3) in which its matte (H, W) is known."""
        self._recent.clear()
        self._pointers.clear()
        self._known = [self._know(frame, matte) for frame, matte in known]

    def _know(self, frame: np.ndarray, matte: np.ndarray) -> Memory:
        """Return the memory of a frame in which the thing's matte is known.

        The pointer is that of the decoder's mask in the matte's box, if it is alike.
        """
        seen, pointer = self._see(frame), None
        rows, columns = np.nonzero(matte >= 0.5)
        if len(rows):
            corners = [(float(columns.min()), float(rows.min())), (columns.max() + 1.0, rows.max() + 1.0)]
            logits, _, found = self._decode(seen, seen.current, corners)
            if overlap(_matte_of(logits, seen.size), matte) >= ALIKE:
                pointer = found
        height, width = self._mask_size
        whole = cv2.resize(matte.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        return self._memorise(seen, (LOGIT_SCALE * whole - LOGIT_SCALE / 2)[None, None], pointer)

    def advance(self, frame: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the thing's matte (H, W) in the next frame (H, W, 3), and the confidence in it.

        A frame without the thing leaves no memory.
        """
        seen = self._see(frame)
        logits, for_memory, pointer = self._decode(seen, self._recall(seen), ())
        matte = _matte_of(logits, seen.size)
        covered = matte > 0.05
        if not (matte >= 0.5).any():
            return matte, 0.0
        memory = self._memorise(seen, for_memory, pointer)
        self._recent.appendleft(memory)
        if memory.pointer.size:
            self._pointers.appendleft(memory.pointer)
        return matte, float(np.abs(2 * matte[covered] - 1).mean())

    def state(self) -> dict[str, np.ndarray]:
        """Return the memory as arrays."""
        found = {f"known{n}.{key}": array for n, one in enumerate(self._known) for key, array in one._asdict().items()}
        found |= {
            f"recent{n}.{key}": array for n, one in enumerate(self._recent) for key, array in one._asdict().items()
        }
        found |= {f"pointer{n}": array for n, array in enumerate(self._pointers)}
        return found | ({} if self._times is None else {"times": self._times})

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on with a stored memory."""

        def memories(kind: str) -> list[Memory]:
            """Return the memories of a kind."""
            count = sum(name.startswith(kind) and name.endswith(".features") for name in state)
            return [Memory(*(state[f"{kind}{n}.{key}"] for key in Memory._fields)) for n in range(count)]

        self._known, self._times = memories("known"), state.get("times")
        self._recent = deque(memories("recent"), NUM_RECENT)
        count = sum(name.startswith("pointer") for name in state)
        self._pointers = deque((state[f"pointer{n}"] for n in range(count)), NUM_POINTERS)

    def _run(self, role: Role, feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return a graph's outputs for its inputs, both by their keys. Raises ModelError."""
        one, session = self._files[role.name], self._sessions[role.name]
        kinds = {"float16": np.float16, "int32": np.int32, "int64": np.int64}
        arrays = {port.name: feed[key].astype(kinds.get(port.kind, np.float32)) for key, port in one.inputs.items()}
        try:
            outputs = session.run([*one.outputs.values()], arrays)
        except MemoryError:
            raise
        except Exception as error:
            raise ModelError(str(one.path), f"it does not run: {first_line(error)}", GUIDE) from None
        return {key: np.asarray(array, np.float32) for key, array in zip(one.outputs, outputs, strict=True)}

    @property
    def _side(self) -> int:
        """Return the side of the encoder's square input in pixels."""
        shape = self._files[ENCODER.name].inputs["image"].shape or ()
        return shape[-1] if shape and isinstance(shape[-1], int) else USUAL_SIDE_PX

    @property
    def _mask_size(self) -> tuple[int, int]:
        """Return the (height, width) of the memory encoder's mask."""
        shape = self._files[MEMORY.name].inputs["mask"].shape or ()
        sides = [side if isinstance(side, int) else self._side for side in shape[-2:]]
        return (sides[0], sides[1]) if len(sides) == 2 else (self._side, self._side)

    def _see(self, frame: np.ndarray) -> Seen:
        """Return what the encoder sees in a frame, (H, W, 3) uint8."""
        side = self._side
        small = cv2.resize(frame, (side, side), interpolation=cv2.INTER_LINEAR).astype(np.float32)
        image = ((small - np.array(MEAN, np.float32)) / np.array(STD, np.float32)).transpose(2, 0, 1)[None]
        found = self._run(ENCODER, {"image": np.ascontiguousarray(image)})
        details = {key: found[key] for key in found if key.startswith("detail")}
        return Seen(found["features"], found["current"], found["positions"], details, frame.shape[1::-1])

    def _decode(
        self, seen: Seen, features: np.ndarray, corners: Sequence[tuple[float, float]]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return the mask's logits (h, w), the mask for the memory encoder (1, 1, h, w), and the pointer (1, p).

        ``corners``: a point in pixels of the frame, the two corners of a box, or neither.
        """
        ports = self._files[DECODER.name].inputs
        shape = ports["points"].shape or ()
        fixed = shape[1] if len(shape) == 3 and isinstance(shape[1], int) else 0
        count = fixed or 2  # Graphs with a free number of points may need two
        if len(corners) > count:
            raise ModelError(str(self._files[DECODER.name].path), "it takes one point, and no box", "give a point")
        points, labels = np.zeros((1, count, 2), np.float32), np.full((1, count), OFF, np.float32)
        scale = np.array([self._side / seen.size[0], self._side / seen.size[1]], np.float32)
        for n, corner in enumerate(corners):
            points[0, n] = np.array(corner, np.float32) * scale
            labels[0, n] = INSIDE if len(corners) == 1 else CORNERS[n]
        details = [seen.details[key] for key in sorted(seen.details)]
        keys = sorted(key for key in ports if key.startswith("detail"))
        feed = {"points": points, "labels": labels, "features": features}
        found = self._run(DECODER, feed | dict(zip(keys, details, strict=True)))
        for key in ("mask", "for_memory"):
            if found[key].ndim != 4 or found[key].shape[:2] != (1, 1):
                file, name = self._files[DECODER.name], self._files[DECODER.name].outputs[key]
                raise ModelError(str(file.path), f"its '{name}' is {list(found[key].shape)}, not one mask", GUIDE)
        pointer = found.get("pointer")
        return found["mask"][0, 0], found["for_memory"], None if pointer is None else pointer.reshape(1, -1)

    def _memorise(self, seen: Seen, mask: np.ndarray, pointer: np.ndarray | None) -> Memory:
        """Return the memory of a frame with a mask (1, 1, h, w) from -10 to 10."""
        feed = {"mask": mask, "features": seen.features, "from_points": np.zeros((1, 1), np.float32)}
        found = self._run(MEMORY, feed)
        if "times" in found:
            self._times = found["times"]
        arrays = found["memory"], found["positions"], np.zeros((0, 0)) if pointer is None else pointer
        return Memory(*(array.astype(np.float16) for array in arrays))

    def _recall(self, seen: Seen) -> np.ndarray:
        """Return a frame's features after memory attention."""
        ports = self._files[ATTENTION.name].inputs
        timed = [(one, -1) for one in self._known] + [(one, n) for n, one in enumerate(self._recent)]
        timed = _with_count(timed, _fixed_count(ports["memory"]))
        positions = [one.positions.astype(np.float32) + self._time(which) for one, which in timed]
        feed = {"current": seen.current, "positions": seen.positions}
        if "pointers" in ports:
            own = [one.pointer for one in self._known if one.pointer.size] + list(self._pointers)
            length = (ports["pointers"].shape or ())[-1:]
            size = length[0] if length and isinstance(length[0], int) else seen.current.shape[1]
            fixed = _fixed_count(ports["pointers"])
            own = _with_count(own or [np.zeros((1, size))] * min(1, fixed), fixed)
            feed["pointers"] = np.concatenate([np.zeros((0, size)), *own]).astype(np.float32)
            num_tokens = feed["pointers"].size // positions[0].shape[-1]  # A pointer becomes several tokens
            positions.append(np.zeros((num_tokens, 1, positions[0].shape[-1]), np.float32))
        feed["memory"] = np.concatenate([one.features for one, _ in timed])
        feed["memory_positions"] = np.concatenate(positions)
        return self._run(ATTENTION, feed)["features"]

    def _time(self, which: int) -> np.ndarray:
        """Return the code of a place in time: the number of kept frames since, or -1 for a known frame."""
        if self._times is None:
            return np.zeros(1, np.float32)
        codes = self._times.reshape(len(self._times), 1, 1, -1)
        return np.asarray(codes[min(which, len(codes) - 1)])


T = TypeVar("T")


def _with_count(items: list[T], count: int) -> list[T]:
    """Return the first ``count`` items; if there are fewer, repeat the first one. All of them if the count is 0."""
    return (items[:1] * (count - len(items)) + items)[:count] if count else items


def _fixed_count(port: Port) -> int:
    """Return the length of an input's first axis; 0 if it is free."""
    return port.shape[0] if port.shape and isinstance(port.shape[0], int) else 0


def _matte_of(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the matte (H, W) float32 of logits (h, w), for a (width, height)."""
    large = cv2.resize(logits.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(1 / (1 + np.exp(-np.clip(large, -30, 30))), np.float32)


def main() -> None:
    """Try the graphs of one folder on two made frames, in a process with limits; see ``answer_request``."""
    with answer_request() as (request, answer):
        import_onnx_runtime()  # Before the limits are set, because the import writes a temporary file
        segmenter = open_folder(Path(request["folder"]), is_tried=True)
        limit_resources(request["memory"], TIMEOUT_S * request["threads"], writes=False)
        frame, matte = np.zeros((64, 96, 3), np.uint8), np.zeros((64, 96), np.float32)
        frame[16:48, 24:72], matte[16:48, 24:72] = 255, 1
        try:
            segmenter.begin([(frame, matte)])
            found, _ = segmenter.advance(frame)
            segmenter.advance(frame)
        except ModelError as error:
            raise TrialError(f"{Path(error.what).name}: {error.why}") from None
        except (ValueError, KeyError, IndexError) as error:
            raise TrialError(f"its graphs do not fit together: {first_line(error)}") from None
        if not np.isfinite(found).all():
            raise TrialError("its mask has values that are not finite")
        answer["ok"] = True
