"""The start and the installation of vidtrans for nodes of ComfyUI: a node's values have the limits of a page's."""

from __future__ import annotations

import json
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from clips import moving_frames, write_clip
from comfy_pack import load_file
from packaging.specifiers import SpecifierSet

from vidtrans.core.errors import UsageError


@pytest.fixture
def launch() -> ModuleType:
    return load_file("launch")


@pytest.fixture
def job(tmp_path: Path) -> dict[str, Any]:
    """A job that renders a clip of the input folder."""
    (tmp_path / "in put").mkdir()
    film = write_clip(tmp_path / "in put" / "film.mp4", moving_frames(3))
    values = {"video": [str(film)], "model": ["identity"], "output": str(tmp_path / "out" / "a.mp4")}
    folders = [str(tmp_path / "in put"), str(tmp_path / "out")]
    job = {"command": "stylize", "values": values, "options": "", "files": [], "folders": folders}
    return job | {"cache": str(tmp_path / "out" / ".vidtrans"), "device": "cpu"}


def test_a_job_becomes_a_command_line(launch: ModuleType, job: dict[str, Any], tmp_path: Path) -> None:
    job["values"] |= {"temporal": "off", "strength": 1.0}  # the default is left out
    job["options"] = "# a note\n--keep-colour 0.5\nstart: 1\nmask = matte.png\nstrength: 0: 0.2, 2s: 1\nscore"
    words = launch.words_of(job)
    assert words[:2] == ["stylize", str(tmp_path / "in put" / "film.mp4")]
    pairs = dict(pairwise(words[2:]))
    assert pairs["--temporal"] == "off"
    assert (pairs["--set"], pairs["--start"], pairs["--mask"]) == ("rendering.keep_colour=0.5", "1", "matte.png")
    assert (pairs["--strength"], pairs["--device"], pairs["--cache-dir"]) == ("0: 0.2, 2s: 1", "cpu", job["cache"])
    assert "--score" in words


TOO_FAR = [
    "filter: negate",
    "codec: ffmpeg:libx264",
    "settings: {}",
    "cache_dir: /tmp",
    "print_jobs: commands",
    "preset: mine.toml",
    "mask: ../secret.png",
    "mask: ~/secret.png",
    "mask: C:\\secret.png",
    "mask: {in}/a.png,/etc/passwd",
    "mask: {in}-beside/secret.png",
    "mask: https://somewhere/x.png",
    "look: /etc/a.jpg: 0.5, oil: 0.5",
    "strength: csv('/etc/passwd', 'a')",
    "output: {in}/film.mp4",
    "overwrite",
    "no_such_option: 1",
    "draft: many",
    "!",
    "mask:",
]


def test_an_option_that_reaches_too_far_is_one_line(launch: ModuleType, job: dict[str, Any]) -> None:
    for options in TOO_FAR:
        job["options"] = options.replace("{in}", job["folders"][0])
        with pytest.raises(UsageError) as error:
            launch.words_of(job)
        assert "\n" not in str(error.value)


def test_a_drive_of_windows_leads_out_of_the_folders(launch: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "WINDOWS", True)
    for name in ("D:secret.png", "a.png,D:secret.png", "region=D:secret.png", "D:\\secret.png"):
        with pytest.raises(UsageError, match="leads out of the folders of ComfyUI"):
            launch.AllowedPaths(["/in"], [])(name)
    launch.AllowedPaths(["/in"], [])("oil: 0.5, ink: 0.5")


def test_files_of_other_nodes_may_lie_elsewhere_but_not_their_neighbours(
    launch: ModuleType, job: dict[str, Any], tmp_path: Path
) -> None:
    there = tmp_path / "another disk"
    there.mkdir()
    film = write_clip(there / "film.mp4", moving_frames(3))
    job["values"]["video"] = [str(film)]
    with pytest.raises(UsageError, match="leads out of the folders of ComfyUI"):
        launch.words_of(job)
    job["files"] = [str(film)]
    assert launch.words_of(job)[1] == str(film)
    job["options"] = f"mask: {there / 'film.mp4.png'}"
    with pytest.raises(UsageError):
        launch.words_of(job)


def entry(name: str, version: str, *requirements: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "version": version, "requires_python": ">=3.11"}
    return {"metadata": found | {"requires_dist": list(requirements)}}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """install.py whose pip is emulated: vidtrans lacks numpy and av, and pip would bring a torch with its CUDA."""
    module = load_file("install")
    module.PACKAGES = tmp_path / "pack" / "packages"
    module.PACKAGES.parent.mkdir()
    calls: list[tuple[str, ...]] = []

    def pip(*words: str) -> str:
        calls.append(words)
        if "--report" in words:
            own = entry("vidtrans", "0.1.0", "torch<2.14,>=2.8", "numpy>=2.2", "av<19,>=18.1", 'onnx; extra == "onnx"')
            others = [entry("numpy", "2.4.6"), entry("av", "18.1.0"), entry("torch", "2.13.0")]
            others += [entry("nvidia-cublas-cu12", "12.8"), entry("triton", "3.4")]
            table = {"install": [own] if "--no-deps" in words else others}
            Path(words[words.index("--report") + 1]).write_text(json.dumps(table))
        else:
            target = Path(words[words.index("--target") + 1])
            target.mkdir()
            (target / "vidtrans.py").write_text("new")
        return ""

    monkeypatch.setattr(module, "pip", pip)
    monkeypatch.setattr(metadata, "version", lambda name: "2.12.1+cu130")
    module.calls = calls
    return module


def test_what_comfyui_lacks_goes_into_a_folder_and_torch_never(install: ModuleType) -> None:
    assert install.install("vidtrans.whl") == ["numpy==2.4.6", "av==18.1.0"]
    asked = install.calls[1]
    assert "numpy>=2.2" in asked
    assert not [word for word in asked if word.startswith(("torch", "onnx"))]
    put = install.calls[-1]
    assert put[:4] == ("install", "--quiet", "--no-deps", "--upgrade")
    assert put[-3:] == ("vidtrans.whl", "numpy==2.4.6", "av==18.1.0")
    assert (install.PACKAGES / "vidtrans.py").read_text() == "new"
    assert all("--dry-run" in words or "--target" in words for words in install.calls)  # nothing else is installed


def test_a_failed_installation_leaves_the_one_before_it(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    install.install("vidtrans.whl")
    (install.PACKAGES / "vidtrans.py").write_text("old")
    emulated = install.pip

    def fails(*words: str) -> str:
        if "--target" in words:
            raise install.InstallError("pip install failed:\nno space left on device")
        text: str = emulated(*words)
        return text

    monkeypatch.setattr(install, "pip", fails)
    with pytest.raises(SystemExit, match="no space left"):
        install.main()
    assert (install.PACKAGES / "vidtrans.py").read_text() == "old"
    assert [path.name for path in install.PACKAGES.parent.iterdir()] == ["packages"]


def test_a_torch_that_was_not_tested_is_named_and_kept_and_without_any_it_is_the_wrong_python(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings = {"2.13.0+cpu": "", "2.8": "", "2.99.0+cu999": "(<2.14)", "2.14.0": "(<2.14)", "2.6.0": "(>=2.8)"}
    for version, warning in warnings.items():
        monkeypatch.setattr(metadata, "version", lambda name, version=version: version)
        found = install.check_torch(SpecifierSet("<2.14,>=2.8"))
        assert warning in found
        assert bool(found) == bool(warning)
    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(SystemExit, match="run this with the Python that runs ComfyUI"):
        install.main()


def missing(name: str) -> str:
    raise metadata.PackageNotFoundError(name)
