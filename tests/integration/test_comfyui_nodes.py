"""The nodes for ComfyUI, against a stand-in of its interface; their processes are real."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from clips import decode, moving_frames, write_clip
from comfy_pack import (
    INTERFACE,
    PACK,
    WORKFLOWS,
    ImageBatch,
    forget_pack,
    images,
    load_file,
    load_pack,
    process_environment,
    read_graph,
    to_api,
    widget_values,
)

import vidtrans


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The pack, in a ComfyUI whose folders are in ``tmp_path``."""
    monkeypatch.syspath_prepend(str(INTERFACE))
    for name, value in process_environment().items():
        monkeypatch.setenv(name, value)
    import folder_paths

    folder_paths.BASE = tmp_path
    for name in ("input", "output", "temp", "models"):
        (tmp_path / name).mkdir()
    yield load_pack()
    forget_pack()


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A clip of 12 frames, to be written into ComfyUI's input folder."""
    (tmp_path / "input").mkdir(exist_ok=True)
    return write_clip(tmp_path / "input" / "film.mp4", moving_frames(12))


def nodes_of(pack: ModuleType) -> list[Any]:
    extension = asyncio.run(pack.comfy_entrypoint())
    found: list[Any] = asyncio.run(extension.get_node_list())
    return found


def node(pack: ModuleType, name: str) -> Any:
    return next(one for one in nodes_of(pack) if one.__name__ == f"Vidtrans{name}")


def pictures(path: Path) -> list[np.ndarray]:
    """The frames of a film, (H, W, 3) uint8 RGB."""
    return decode(path)[2]


def video(path: Path, **trim: Any) -> Any:
    from comfy_api.latest import InputImpl

    found = InputImpl.VideoFromFile(str(path))
    vars(found).update(trim)
    return found


def test_the_widgets_are_those_of_the_commands() -> None:
    assert load_file("make_schemas").current() == (PACK / "nodes" / "schemas.json").read_text(encoding="utf-8")


def test_loading_the_nodes_imports_neither_vidtrans_nor_torch() -> None:
    program = (
        f"import sys; sys.path[:0] = [{str(INTERFACE)!r}, {str(Path(__file__).parents[1] / 'support')!r}]\n"
        "import asyncio, comfy_pack; pack = comfy_pack.load_pack()\n"
        "[one.define_schema() for one in asyncio.run(asyncio.run(pack.comfy_entrypoint()).get_node_list())]\n"
        "print(sorted({'vidtrans', 'torch', 'av', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_mask_is_a_clip_or_what_is_found_in_the_picture(pack: ModuleType, film: Path) -> None:
    nodes = sys.modules[f"{pack.__name__}.nodes.inputs"]
    sockets = {one.name: one for one in node(pack, "Stylize").SOCKETS}
    for given, read, num_clips in (
        ("person", "person", 0),
        ("not person + key:#00b140", "not person + key:#00b140", 0),
        ("face - film.mp4", f"face - {film}", 1),
        ("luma:0.2..0.6 - not film.mp4", f"luma:0.2..0.6 - not:{film}", 1),
        ("film.mp4", str(film), 1),
        (video(film), str(film), 1),
    ):
        clips: list[Any] = []
        assert sockets["mask"].read(given, {}, clips) == read
        assert len(clips) == num_clips
    assert isinstance(sockets["mask"], nodes.MatteSocket)
    with pytest.raises(ValueError, match="no such file"):
        sockets["mask"].read("persn", {}, [])
    with pytest.raises(ValueError, match="leads out"):
        sockets["mask"].read("person + ../../a.mkv", {}, [])


def test_a_node_writes_the_bytes_of_the_command_line_and_finds_them_again(
    pack: ModuleType, film: Path, tmp_path: Path
) -> None:
    from comfy.utils import SHOWN

    stylize = node(pack, "Stylize")
    SHOWN.clear()
    given = {"video": video(film), "model": "identity", "temporal": "off", "options": "start: 2\n--end 9"}
    done = stylize.execute(**given)
    made = Path(done.args[1])
    vidtrans.stylize(film, model="identity", temporal="off", start="2", end="9", output="line.mp4", device="cpu")
    assert made.read_bytes() == Path("line.mp4").read_bytes()
    assert made.parent == tmp_path / "output" / "vidtrans"
    assert done.ui.values == [{"filename": made.name, "subfolder": "vidtrans", "type": "output"}]
    assert done.args[0].get_stream_source() == str(made)
    assert SHOWN[-1][:2] == (1, 1)
    before = made.stat().st_mtime_ns, stylize.fingerprint_inputs()
    assert stylize.execute(**given).args[1] == str(made)
    assert (made.stat().st_mtime_ns, stylize.fingerprint_inputs()) == before
    made.unlink()
    assert stylize.fingerprint_inputs() != before[1]  # ComfyUI asks the node again
    assert list((tmp_path / "temp" / "vidtrans" / "jobs").iterdir()) == []


def test_an_image_batch_comes_to_vidtrans_without_loss_and_with_its_sound(pack: ModuleType, tmp_path: Path) -> None:
    from comfy_api.latest import InputImpl

    clips = sys.modules[f"{pack.__name__}.nodes.clips"]
    frames = moving_frames(5, (50, 38))
    tone = np.sin(np.arange(8000, dtype=np.float32) / 20)[None, None].repeat(2, 1)
    parts = SimpleNamespace(
        images=images(frames),
        frame_rate=Fraction(24000, 1001),
        audio={"waveform": ImageBatch(tone), "sample_rate": 8000},
    )
    found = clips.clip_file(InputImpl.VideoFromComponents(parts), "video")
    assert [np.array_equal(a, b) for a, b in zip(decode(Path(found.path))[2], frames, strict=True)] == [True] * 5
    clip = vidtrans.open_clip(found.path)
    assert [np.array_equal(a, b) for a, b in zip(clip, frames, strict=True)] == [True] * 5
    assert list(clip.times) == [n * Fraction(1001, 24000) for n in range(5)]
    assert clips.clip_file(InputImpl.VideoFromComponents(parts), "video").path == found.path
    clear = np.dstack([frames[0], np.full((38, 50), 90, np.uint8)])[None]  # the alpha of a batch comes along
    with av.open(clips.clip_file(images(list(clear)), "video").path) as container:
        assert np.array_equal(next(container.decode(video=0)).to_ndarray(format="rgba"), clear[0])


def test_painted_frames_get_the_numbers_that_are_given(pack: ModuleType, film: Path) -> None:
    clips = sys.modules[f"{pack.__name__}.nodes.clips"]
    batch = images(moving_frames(2))
    folder = Path(clips.painted_folder(batch, "0, 8", "painted"))
    assert sorted(path.name for path in folder.iterdir()) == ["000000.png", "000008.png"]
    for numbers, message in (("0", "2 pictures but 1 number"), ("0, x", "no frame numbers"), ("3 3", "a frame twice")):
        with pytest.raises(ValueError, match=message):
            clips.painted_folder(batch, numbers, "painted")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"video": "gone.mp4"}, "no such file in the folders of ComfyUI"),
    ({"video": "../film.mp4"}, "leads out of the folders of ComfyUI"),
    ({"video": ImageBatch(np.zeros((301, 2, 2, 3), np.float32))}, "connect VIDEO or a path"),
    ({"video": ImageBatch(np.zeros((0, 2, 2, 3), np.float32))}, "the IMAGE batch is empty"),
    ({"video": 3}, "neither VIDEO, IMAGE nor a path"),
    ({"name": "../../out"}, "names no file"),
    ({"model": None}, "no look is chosen"),
    ({"draft": "many"}, "draft: 'many' is no number"),
]


def test_what_is_wrong_with_an_input_is_one_line(pack: ModuleType, film: Path) -> None:
    for given, message in WRONG:
        with pytest.raises(ValueError, match=f"^[^\n]*{message}[^\n]*$"):
            node(pack, "Stylize").execute(**({"video": "film.mp4", "model": "identity"} | given))


def test_a_process_that_dies_is_named_with_its_log(
    pack: ModuleType, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = sys.modules[f"{pack.__name__}.nodes.job"]
    dies = tmp_path / "dies.py"
    dies.write_text("import os, sys; sys.stderr.write('Killed: no memory\\n'); sys.stderr.flush(); os._exit(9)")
    monkeypatch.setattr(job, "LAUNCHER", dies)
    with pytest.raises(job.VidtransError, match=r"exit status 9\): Killed: no memory — queue the workflow again"):
        node(pack, "Stylize").execute(video="film.mp4", model="identity")


def test_cancelling_lets_the_process_save_and_end(
    pack: ModuleType, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.model_management as management

    job = sys.modules[f"{pack.__name__}.nodes.job"]
    waits = tmp_path / "waits.py"
    waits.write_text(
        "import pathlib, sys, time; folder = pathlib.Path(sys.argv[1]); (folder / 'begun').touch()\n"
        "while not (folder / 'stop').exists(): time.sleep(0.02)\n"
        "(folder / 'saved').touch(); sys.exit(130)"
    )
    jobs = tmp_path / "temp" / "vidtrans" / "jobs"

    def interrupt() -> None:
        if any(jobs.glob("*/begun")):
            raise management.InterruptProcessingException

    monkeypatch.setattr(job, "LAUNCHER", waits)
    monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", interrupt)
    with pytest.raises(management.InterruptProcessingException):
        node(pack, "Stylize").execute(video="film.mp4", model="identity")
    assert len([*jobs.glob("*/saved")]) == 1


def test_a_job_ends_when_comfyui_does(tmp_path: Path) -> None:
    """The end of its standard input is that of the process that holds the other end."""
    program = (
        f"import sys; sys.path.insert(0, {str(PACK)!r}); import launch, pathlib\n"
        f"launch.stop_with_parent(pathlib.Path({str(tmp_path)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    time.sleep(0.3)
    assert not (tmp_path / "stop").exists()
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(20) == 0
    assert (tmp_path / "stop").exists()


def test_models_leave_a_gpu_before_vidtrans_needs_it(pack: ModuleType, film: Path) -> None:
    import comfy.model_management as management

    job = sys.modules[f"{pack.__name__}.nodes.job"]
    management.CALLS.clear()
    job._free_gpu()
    assert management.CALLS == []
    management.DEVICE.type = "cuda"
    job._free_gpu()
    assert management.CALLS == ["unload_all_models", "soft_empty_cache"]


def test_progress_is_shown_with_the_last_preview_and_note(
    pack: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from comfy.utils import SHOWN
    from PIL import Image

    status = sys.modules[f"{pack.__name__}.nodes.job"]
    Image.new("RGB", (1000, 500), "red").save(tmp_path / "seen.png")
    table = {"task": "rendering film.mp4", "done": 30, "total": 120, "unit": "frames", "left_s": 95.0}
    (tmp_path / "progress.json").write_text(json.dumps(table | {"preview": "seen.png", "note": "it is dark"}))
    SHOWN.clear()
    shown = status.NodeStatus(tmp_path, "7")
    shown.update()
    shown.update()
    ((done, total, preview),) = SHOWN
    assert (done, total, preview[0], preview[1].size) == (30, 120, "JPEG", (512, 256))
    assert "vidtrans: it is dark" in caplog.text
    assert status.describe(table) == "rendering film.mp4: 30 of 120 frames, 1:35 left"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_fits_its_nodes(pack: ModuleType, path: Path) -> None:
    graph = read_graph(path)
    own = {one.define_schema().node_id: one.define_schema() for one in nodes_of(pack)}
    links = {link[0]: link for link in graph["links"]}
    by_number = {one["id"]: one for one in graph["nodes"]}
    for number, source, slot, target, place, _ in links.values():
        assert number in by_number[source]["outputs"][slot]["links"]
        assert by_number[target]["inputs"][place]["link"] == number
    for one in graph["nodes"]:
        if (schema := own.get(one["type"])) is None:
            continue
        assert {i["name"] for i in one["inputs"]} == {i.id for i in schema.inputs}
        assert [o["type"] for o in one["outputs"]] == [o.io_type for o in schema.outputs]
        values = widget_values(one)
        assert len(values) == len(one["widgets_values"])
        for i in schema.inputs:
            assert i.options is None or values[i.id] in i.options, (one["type"], i.id)
    assert any(node["class_type"] in own for node in to_api(graph).values())
    assert len(WORKFLOWS) == 4
