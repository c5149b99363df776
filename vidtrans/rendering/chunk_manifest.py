"""The manifest that workers of one result share: versions, source, model and options that must be equal."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidtrans.core.errors import UsageError
from vidtrans.core.files import read_small_json
from vidtrans.core.settings import Table
from vidtrans.inference.engine import Engine
from vidtrans.rendering.render_job import RenderJob
from vidtrans.session import Context
from vidtrans.store.cache_entry import CacheEntry
from vidtrans.store.library_versions import libraries, media_libraries
from vidtrans.store.shared_locks import warning_about_locks
from vidtrans.store.stages import PartsStage

if TYPE_CHECKING:
    from vidtrans.inference.device import Device

PROCESSOR_FILE = "processor.json"
REMEDIES = {
    "threads": "set OMP_NUM_THREADS={there} on all workers",
    "source": "give all workers the same file",
    "model": "give all workers the same file",
    "options": "give all workers the same options",
    "device": "render one clip on one kind of device",
}


@dataclass(frozen=True)
class ChunkManifest:
    """The properties that all parts of one result must share; the first worker records them under the output's name.

    ``request``: the digest of the request. ``output``: the path of the result.
    """

    job: RenderJob
    engine: Engine
    request: str
    output: str

    def terms(self) -> dict[str, str]:
        """Return the properties that affect the bytes of a part: versions, engine, source, model and options."""
        plan = self.job.plan
        identity = {key: str(value) for key, value in self.engine.identity_at(*plan.size).items()}
        return {
            **libraries("vidtrans"),
            **media_libraries(),
            **identity,
            "source": plan.clip.digest,
            "model": str(plan.model.for_key()),
            "options": self.request,
        }

    @property
    def _entry(self) -> CacheEntry:
        stage = _stage(self.job.context, self.output)
        return self.job.context.cache.entry(stage.name, stage.key)

    def join(self) -> None:
        """Record the terms if none are recorded, else check that they are equal; warn if locks work on one host only.

        Raises:
            UsageError: the terms differ, and --overwrite, which replaces the recorded ones, is not set.
        """
        context, entry = self.job.context, self._entry
        if warning := warning_about_locks(context.cache.root):
            context.warn_once(warning)
        with entry.locked(wait_for=f"another run that begins to render {self.output}"):
            if entry.read() is None or context.overwrite:
                entry.finish({"terms": self.terms(), "host": socket.gethostname()})
        self.check()

    def check(self) -> None:
        """Raise UsageError if the recorded terms differ, unless --overwrite is to replace them."""
        own, known = self.terms(), self._entry.read()
        if known is None or self.job.context.overwrite:
            return
        differing = [key for key in (*own, *known["terms"]) if own.get(key) != known["terms"].get(key)]
        if differing:
            raise self._refusal(differing[0], own, known)

    def _refusal(self, key: str, own: dict[str, str], known: Table) -> UsageError:
        here, there = own.get(key, "none"), known["terms"].get(key, "none")
        if key in ("source", "model", "options"):
            why = f"{known['host']} began to render it with {'other options' if key == 'options' else f'another {key}'}"
        else:
            why = (
                f"{known['host']} began to render it with {key} {there}, and here it is {here}: the parts would differ"
            )
        remedy = f"give all workers the same {key}"
        if key in (*media_libraries(), "vidtrans", "torch"):
            remedy = f"install {key} {there}"
        elif key in REMEDIES:
            remedy = REMEDIES[key].format(there=there)
        return UsageError(self.output, why, f"{remedy}, or start over with --overwrite")


def forget_terms(context: Context, output: str) -> None:
    """Delete the recorded terms of a result, once it is complete."""
    stage = _stage(context, output)
    entry = context.cache.entry(stage.name, stage.key)
    if entry.folder.exists():
        entry.delete()


def _stage(context: Context, output: str) -> PartsStage:
    # Relative to the cache's folder: hosts may have it in different places.
    return PartsStage(os.path.relpath(os.path.realpath(output), context.cache.root.resolve().parent))


def check_processor(segments: CacheEntry, device: Device, output: str) -> None:
    """Record the kind of processor that renders the chunks of a clip, and check later workers against it.

    The processor is part of no cache key, so a finished clip stays valid; but one clip must not mix two kinds.

    Raises:
        UsageError: chunks were rendered on another kind of processor.
    """
    path, here = segments.folder / PROCESSOR_FILE, processor(device)
    try:
        with path.open("x", encoding="ascii") as file:
            json.dump({"processor": here, "host": socket.gethostname()}, file)
        return
    except FileExistsError:
        pass
    try:
        known = read_small_json(path)
        there, host = str(known["processor"]), str(known["host"])
    except (OSError, ValueError, KeyError, TypeError):  # incomplete: another worker is writing it, or was killed
        return
    if there != here:
        why = f"{host} began to render it on {there}, and this is {here}: the parts would differ"
        remedy = "use one kind of processor for one clip, or run 'vidtrans cache clean --stage render'"
        raise UsageError(output, why, remedy)


def processor(device: Device) -> str:
    """Return the hardware property that affects rounding: the CPU capability, or the graphics card."""
    import torch

    if device.kind == "cpu":
        return str(torch.backends.cpu.get_cpu_capability())
    return device.card or device.kind
