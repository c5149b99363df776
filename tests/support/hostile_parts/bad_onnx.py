"""ONNX files that read elsewhere, never end, ask for too much, or are no graph of pictures."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from hostile_parts import protobuf as p
from hostile_parts.maker import Maker, make_queue

FREE = [1, 3, "h", "w"]
X, Y = p.value_info("x", FREE), p.value_info("y", FREE)
KERNEL = p.floats("k", (3, 3, 1, 1))
CONV = p.node("Conv", "x k", "y")
WEIGHTS = 36
# These are well defined, if odd: runtimes may take them.
HARMLESS = {
    "a loop of -1 rounds",
    "5,000 nodes",
    "branches 20 deep",
    "a padding of -2^40",
    "nodes in the wrong order",
}


def picture(*nodes: bytes, weights: tuple[bytes, ...] = (), more: bytes = b"", **settings: object) -> bytes:
    """Return a model from a picture x to a picture y."""
    content = p.graph(nodes, [X], [Y], (KERNEL, *weights))
    return p.model(content, more=more, **settings)  # type: ignore[arg-type]


def elsewhere() -> Iterator[tuple[str, bytes]]:
    """Yield (name, file) of those whose weights lie in another file."""
    locations = {
        "above the folder": "../secret",
        "far above the folder": "../../../../../../../../../../etc/passwd",
        "above it, by way of a folder": "within/../../secret",
        "at an absolute path": "/etc/passwd",
        "in a device": "/dev/zero",
        "in this process": "/proc/self/environ",
        "at an address": "http://127.0.0.1:9/x",
        "on a share": "\\\\127.0.0.1\\x",
        "in a link": "link",
        "in a link to a device": "endless",
        "in a queue": "queue",
        "in the folder": ".",
        "in a file that is not there": "missing",
        "in no file": "",
        "in a file of a long name": "x" * 1_000_000,
        "in a file with a null byte": "we\0ights",
        "in a file with colours": "\x1b[31mx\n\r",
    }
    for name, location in locations.items():
        yield name, _of_weights(p.external("k", (3, 3, 1, 1), location=location, offset=0, length=WEIGHTS))
    extents: dict[str, dict[str, object]] = {
        "beyond the end of a file": {"offset": 1 << 20, "length": WEIGHTS},
        "at 2^62": {"offset": 1 << 62, "length": WEIGHTS},
        "before a file": {"offset": -4, "length": WEIGHTS},
        "of 2^62 bytes": {"offset": 0, "length": 1 << 62},
        "of fewer bytes than the shape": {"offset": 0, "length": 4},
        "at an offset that is text": {"offset": "x", "length": WEIGHTS},
    }
    for name, extent in extents.items():
        yield name, _of_weights(p.external("k", (3, 3, 1, 1), location="weights", **extent))
    yield "without a location", _of_weights(p.external("k", (3, 3, 1, 1)))
    secret = p.external("", (3, 3, 1, 1), location="../secret", offset=0, length=WEIGHTS)
    constant = p.node("Constant", "", "far", value=("tensor", secret))
    yield "above the folder, of a constant", picture(constant, p.node("Conv", "x far", "y"))
    branch = p.graph([constant, p.node("Conv", "x far", "z")], [], [p.value_info("z", FREE)])
    flag = p.tensor("c", (), b"\x01", 9)
    choice = p.node("If", "c", "y", then_branch=("graph", branch), else_branch=("graph", branch))
    yield "above the folder, in a branch", picture(choice, weights=(flag,))


def _of_weights(kernel: bytes) -> bytes:
    return p.model(p.graph([CONV], [X], [Y], [kernel]))


def _loop(trips: int | None, forever: bool = False) -> bytes:
    """A model that multiplies the picture by 1 in a loop."""
    keep = p.node("Identity", "go", "still")
    body = p.graph(
        [keep, p.node("Mul", "v one", "v2")],
        [p.value_info("i", [], p.INT64), p.value_info("go", [], 9), p.value_info("v", FREE)],
        [p.value_info("still", [], 9), p.value_info("v2", FREE)],
    )
    limit = () if trips is None else (p.whole_numbers("n", [trips], scalar=True),)
    condition = (p.tensor("c", (), b"\x01", 9),) if forever else ()
    inputs = f"{'-' if trips is None else 'n'} {'c' if forever else '-'} x"
    weights = (p.floats("one", (), 1.0), *limit, *condition)
    return picture(p.node("Loop", inputs, "y", body=("graph", body)), weights=weights)


def _scan() -> bytes:
    body = p.graph(
        [p.node("Mul", "v e", "v2")],
        [p.value_info("v", FREE), p.value_info("e", [])],
        [p.value_info("v2", FREE)],
    )
    sequence = p.node("ConstantOfShape", "long", "s")
    scan = p.node("Scan", "x s", "y", body=("graph", body), num_scan_inputs=1)
    return picture(sequence, scan, weights=(p.whole_numbers("long", [1 << 40]),))


def _nested_loops(depth: int) -> bytes:
    inner = [p.node("Mul", "v0 one", f"w{depth}")]
    for level in reversed(range(depth)):
        body = p.graph(
            [p.node("Identity", "go", f"still{level}"), *inner],
            [p.value_info(f"i{level}", [], p.INT64), p.value_info("go", [], 9), p.value_info(f"v{level}", FREE)],
            [p.value_info(f"still{level}", [], 9), p.value_info(f"w{level + 1}", FREE)],
        )
        inner = [p.node("Loop", f"n c {'x' if level == 0 else 'v0'}", f"w{level}", body=("graph", body))]
    weights = (p.floats("one", (), 1.0), p.whole_numbers("n", [1000], scalar=True), p.tensor("c", (), b"\x01", 9))
    return picture(*inner, p.node("Identity", "w0", "y"), weights=weights)


def greedy() -> Iterator[tuple[str, bytes]]:
    """Yield (name, file) of those that never end, or need memory without end."""
    yield "a loop of 2^62 rounds", _loop(1 << 62)
    yield "a loop without an end", _loop(None, forever=True)
    yield "a loop of -1 rounds", _loop(-1)
    yield "loops in loops, 1000^8 rounds", _nested_loops(8)
    yield "a scan over 2^40", _scan()
    huge = {
        "a constant of 2^40 elements": ("ConstantOfShape", "s", {}, [1, 3, 1 << 19, 1 << 19]),
        "an expansion to 2^40": ("Expand", "x s", {}, [1, 3, 1 << 19, 1 << 19]),
        "a tile of 2^40": ("Tile", "x s", {}, [1, 1, 1 << 20, 1 << 20]),
        "a padding of 2^40": ("Pad", "x s", {}, [0, 0, 0, 0, 0, 0, 1 << 20, 1 << 20]),
        "a padding of -2^40": ("Pad", "x s", {}, [0, 0, 0, 0, 0, 0, -(1 << 40), 0]),
        "a resize to 2^40": ("Resize", "x - - s", {}, [1, 3, 1 << 20, 1 << 20]),
        "a shape of 2^62": ("ConstantOfShape", "s", {}, [1 << 62]),
        "a shape of -1": ("ConstantOfShape", "s", {}, [-1, 3, 4, 4]),
    }
    for name, (kind, inputs, attributes, shape) in huge.items():
        yield name, picture(p.node(kind, inputs, "y", **attributes), weights=(p.whole_numbers("s", shape),))
    scales = p.tensor("s", (4,), struct.pack("<4f", 1, 1, 1 << 20, 1 << 20))
    yield "a resize by 2^20", picture(p.node("Resize", "x - s", "y"), weights=(scales,))
    yield "random numbers, 2^40 of them", picture(p.node("RandomNormal", "", "y", shape=[1, 3, 1 << 20, 1 << 20]))
    yield "a window of 2^40", picture(p.node("HannWindow", "n", "y"), weights=(p.whole_numbers("n", [1 << 40], True),))
    ends = tuple(p.whole_numbers(n, [v], True) for n, v in (("a", 0), ("b", 1 << 62), ("c", 1)))
    yield "a range to 2^62", picture(p.node("Range", "a b c", "y"), weights=ends)
    pads = p.node("ConvTranspose", "x k", "y", strides=[1 << 20, 1 << 20])
    yield "a transposed convolution of stride 2^20", picture(pads)
    yield "a kernel of 2^40 that is not there", _of_weights(p.tensor("k", (3, 3, 1 << 20, 1 << 20), b"\0" * 36))
    doublings = [p.node("Concat", f"{_v(n)} {_v(n)}", _v(n + 1), axis=2) for n in range(60)]
    yield "doublings, 60 of them", picture(*doublings, p.node("Identity", "v60", "y"))


def _v(number: int) -> str:
    return f"v{number}" if number else "x"


END = p.graph([p.node("Identity", "x", "z")], [], [p.value_info("z", FREE)])


def _branches(depth: int) -> bytes:
    """Branches within branches."""
    content = END
    for _ in range(depth):
        choice = p.node("If", "c", "z", then_branch=("graph", content), else_branch=("graph", END))
        content = p.graph([choice], [], [p.value_info("z", FREE)])
    choice = p.node("If", "c", "y", then_branch=("graph", content), else_branch=("graph", content))
    return picture(choice, weights=(p.tensor("c", (), b"\x01", 9),))


def _functions(*definitions: tuple[str, list[str]]) -> bytes:
    """A model that calls the first of its functions; each is (name, what it calls one after the other)."""
    made = []
    for name, calls in definitions:
        names = ["x", *(f"t{n}" for n in range(len(calls) - 1)), "y"]
        steps = zip(calls, names, names[1:], strict=False)
        nodes = [p.node(kind, x, y, "own" if kind.startswith("f") else "") for kind, x, y in steps]
        made.append(p.function(name, nodes))
    return picture(p.node("f0", "x", "y", "own"), domains=["own"], more=p.fields(25, made))


def endless() -> Iterator[tuple[str, bytes]]:
    """Yield (name, file) of graphs that contain themselves, or nest without end."""
    cycle = [p.node("Add", "x b", "a"), p.node("Add", "a x", "b")]
    yield "a cycle of two nodes", picture(*cycle, p.node("Relu", "b", "y"))
    yield "a node that needs itself", picture(p.node("Add", "x y", "y"))
    yield "nodes in the wrong order", picture(p.node("Relu", "a", "y"), p.node("Relu", "x", "a"))
    yield "branches 20 deep", _branches(20)
    yield "branches 10,000 deep", _branches_deep(10_000)
    yield "a function that calls itself", _functions(("f0", ["f0"]))
    yield "two functions that call each other", _functions(("f0", ["f1"]), ("f1", ["f0"]))
    chain = [(f"f{n}", [f"f{n + 1}", f"f{n + 1}"]) for n in range(60)]
    yield "functions that unfold to 2^60 nodes", _functions(*chain, ("f60", ["Relu"]))
    long = [p.node("Relu", _v(n), _v(n + 1)) for n in range(5_000)]
    yield "5,000 nodes", picture(*long, p.node("Relu", "v5000", "y"))


def _branches_deep(depth: int) -> bytes:
    """Like ``_branches``, with lengths that are written once: the file would else take minutes to make."""
    # From the inside out: the field of the one within, what stands before it, what after; attribute, node and graph.
    layers = (
        (6, p.field(1, "then_branch"), p.field(20, 5)),
        (5, p.field(1, "c") + p.field(2, "z"), p.field(4, "If")),
        (1, b"", p.field(2, "g") + p.field(12, p.value_info("z", FREE))),
    )
    head: list[bytes] = []
    tail: list[bytes] = []
    size = 0
    for number, before, after in layers * depth:
        opening = before + p.varint(number << 3 | 2) + p.varint(size)
        head.append(opening)
        tail.append(after)
        size += len(opening) + len(after)
    content = b"".join(reversed(head)) + b"".join(tail)
    choice = p.node("If", "c", "y", then_branch=("graph", content), else_branch=("graph", b""))
    return picture(choice, weights=(p.tensor("c", (), b"\x01", 9),))


def write(maker: Maker) -> None:
    """Make them."""
    for name, data in elsewhere():
        maker.add(f"onnx with weights {name}", _beside(data), "net.onnx")
    for name, data in (*greedy(), *endless()):
        maker.add(f"onnx with {name}", data, "net.onnx", refused=name not in HARMLESS)


def _beside(data: bytes) -> Callable[[Path], None]:
    """Return what writes a model amid files, links, a device and a queue, all of which would do for its weights."""

    def make(path: Path) -> None:
        path.write_bytes(data)
        folder = path.parent
        (folder / "within").mkdir()
        (folder / "weights").write_bytes(bytes(WEIGHTS))
        (folder.parent / "secret").write_bytes(bytes(WEIGHTS))
        (folder / "link").symlink_to("../secret")
        (folder / "endless").symlink_to("/dev/zero")
        make_queue(folder / "queue")

    return make
