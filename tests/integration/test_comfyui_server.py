"""The nodes in the real ComfyUI: only where VIDTRANS_COMFYUI names its folder (VIDTRANS_COMFYUI_PYTHON: its Python)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import psutil
import pytest
from clips import moving_frames, write_clip
from comfy_pack import INTERFACE, WORKFLOWS, Graph, number_of, process_environment, read_graph, to_api
from comfy_server import ComfyServer, comfy_folder, comfy_python, error_of
from processes import until

import vidtrans

pytestmark = pytest.mark.skipif(comfy_folder() is None, reason="VIDTRANS_COMFYUI names no folder of ComfyUI")
SIGNATURES = Path(__file__).parents[1] / "support" / "comfy_signatures.py"
QUICK = {"VidtransLook": {"steps": 2}, "VidtransTrain": {"steps": 2}}
QUICK |= {"VidtransPropagate": {"minutes": "0"}, "VidtransDataset": {"size": "64"}}
QUICK |= {"VidtransStylize": {"options": "engine: torch"}}


@pytest.fixture(scope="module")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    base = tmp_path_factory.mktemp("comfyui")
    (base / "input").mkdir()
    size = (160, 120)
    write_clip(base / "input" / "film.mp4", moving_frames(30, size))
    write_clip(base / "input" / "other.mp4", moving_frames(12, size, shots=(0, 6)), sound=True)
    write_clip(base / "input" / "animatediff.mp4", [255 - frame for frame in moving_frames(30, size)])
    write_clip(base / "input" / "long.mp4", moving_frames(300, (480, 360)))
    cv2.imwrite(str(base / "input" / "painting.png"), moving_frames(1, (96, 96))[0])
    server = ComfyServer(base, environment=process_environment())
    yield server
    server.close()


def one(kind: str, **inputs: Any) -> Graph:
    return {"class_type": kind, "inputs": inputs}


def stylized(file: str, **inputs: Any) -> Graph:
    given = {"video": ["1", 0], "model": ["2", 0], "temporal": "off"} | inputs
    model = one("VidtransLoadModel", model="identity")
    return {"1": one("LoadVideo", file=file), "2": model, "3": one("VidtransStylize", **given)}


def film_of(comfy: ComfyServer, history: Graph, number: str) -> Path:
    shown = history["outputs"][number]["images"][0]
    return comfy.base / shown["type"] / shown["subfolder"] / shown["filename"]


def test_the_stand_in_has_the_signatures_of_the_real_interface() -> None:
    found = []
    for python, folder, more in ((comfy_python(), comfy_folder(), ["--cpu"]), (sys.executable, INTERFACE, [])):
        line = [python, str(SIGNATURES), str(folder), *more]
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout.strip().splitlines()[-1]))
    real, stand_in = found
    for name, parameters in stand_in.items():
        known = [p for p in real[name] if p in parameters]  # newer versions have more, at the end
        loose = any(p in ("kwargs", "args") for p in real[name])
        assert loose or known == parameters, (name, real[name], parameters)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs(comfy: ComfyServer, path: Path) -> None:
    workflow = to_api(read_graph(path))
    for node in workflow.values():
        node["inputs"].update(QUICK.get(node["class_type"], {}))
    if path.stem == "diffusion-paints-four-frames":  # no checkpoint: a node of ComfyUI paints instead
        painter = number_of(workflow, "VAEDecode")
        frames = workflow[number_of(workflow, "ImageScaleToTotalPixels")]["inputs"]["image"]
        for kind in ("CheckpointLoaderSimple", "CLIPTextEncode", "CLIPTextEncode", "VAEEncode", "KSampler"):
            del workflow[number_of(workflow, kind)]
        del workflow[number_of(workflow, "ImageScaleToTotalPixels")]
        workflow[painter] = one("ImageQuantize", image=frames, colors=6, dither="none")
    history = comfy.run(workflow)
    assert error_of(history) == ""
    last = next(n for n in reversed(workflow) if workflow[n]["class_type"] in ("VidtransStylize", "VidtransPropagate",
                                                                             "VidtransDeflicker"))  # fmt: skip
    table = vidtrans.probe(film_of(comfy, history, last))
    assert table["frames"] == (12 if path.stem == "film-to-pix2pix-to-film" else 30)


def test_cancelled_and_killed_runs_go_on(comfy: ComfyServer) -> None:
    workflow = stylized("long.mp4", name="vidtrans/long", temporal="window")  # seconds for a chunk
    chunks = comfy.base / "output" / "vidtrans" / ".vidtrans" / "render"

    def count_chunks() -> int:
        return len([*chunks.rglob("*.sha256"), *chunks.rglob("*.json")])

    def begin() -> str:
        before, number = count_chunks(), comfy.queue(workflow)
        until(lambda: count_chunks() > before)
        return str(number)

    number = begin()
    comfy.post("/interrupt", {})
    assert error_of(comfy.wait(number)) == "interrupted"
    number = begin()
    for process in psutil.Process(comfy.process.pid).children():
        process.kill()
    assert "its process ended without a result" in error_of(comfy.wait(number))
    history = comfy.run(workflow)
    assert error_of(history) == ""
    assert vidtrans.probe(film_of(comfy, history, "3"))["frames"] == 300
