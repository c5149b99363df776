"""The self-test: run all checks one after the other, and collect their findings and figures."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import vidtrans
from vidtrans.core.errors import TEMPORARY, describe_error
from vidtrans.core.settings import Table
from vidtrans.doctor import CHECKS, Finding, Verdict
from vidtrans.doctor.subject import Scale, Subject
from vidtrans.inference.device import Device
from vidtrans.inference.user_cache import caches_in

LIBRARIES = ("torch", "torchvision", "triton", "numpy", "opencv-python-headless", "av", "onnxruntime", "openvino")
REMEDY = "send the output of 'vidtrans doctor --self-test --json' with a report"


class SelfTest:
    """The checks of a device. Iterate over it once for the findings; then ``table`` holds all figures."""

    def __init__(self, device: Device, scale: Scale | None = None) -> None:
        self._device, self._scale = device, scale or Scale()
        self.table: Table = {"device": device.name, "system": system(), "checks": []}

    def __iter__(self) -> Iterator[Finding]:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="vidtrans-", ignore_cleanup_errors=True) as temporary:
            folder = Path(temporary)
            with caches_in(folder / "engines"):
                for kind in CHECKS:
                    subject = Subject(self._device, folder / kind, self._scale)
                    subject.folder.mkdir()
                    for name, check in CHECKS[kind].load()(subject).items():
                        yield self._run(kind, name, check)
        self.table["seconds"] = round(time.perf_counter() - began, 1)

    def _run(self, kind: str, name: str, check: Callable[[], Verdict]) -> Finding:
        """Run one check and return its finding; an exception becomes a finding, too."""
        began = time.perf_counter()
        try:
            verdict = check()
        except Exception as error:
            verdict = _verdict_of(error)
        seconds = round(time.perf_counter() - began, 2)
        own = {"kind": kind, "name": name, "state": verdict.state, "seconds": seconds, "figures": verdict.figures}
        self.table["checks"].append(own)
        remedy = verdict.remedy or (REMEDY if verdict.state == "wrong" else "")
        return Finding(name, verdict.state, f"{verdict.detail} ({seconds:.1f} s)", remedy)


def _verdict_of(error: Exception) -> Verdict:
    described = describe_error(error)
    if isinstance(error, OSError) and described:  # the checks write temporary files only
        return Verdict("wrong", f"the check could not run: {described[0]}", remedy=TEMPORARY)
    first_line = str(error).partition("\n")[0]
    return Verdict("wrong", described[0] if described else f"{type(error).__name__}: {first_line}")


def system() -> Table:
    """Return the versions of the platform and of the libraries that affect the checks."""
    return {
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "vidtrans": vidtrans.__version__,
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
