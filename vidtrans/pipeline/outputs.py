"""Results that a user keeps: never half-written, never overwritten unasked, and known again when they are made
a second time.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from vidtrans.errors import UsageError
from vidtrans.files import write_json
from vidtrans.pipeline.cache import Cache
from vidtrans.settings import Table


def _record_path(cache: Cache, output: Path) -> Path:
    name = hashlib.sha256(str(output.resolve()).encode()).hexdigest()
    return cache.root / "outputs" / f"{name}.json"


def recorded(cache: Cache, output: Path) -> dict[str, Any] | None:
    """What is on record of an output, if its content is still what was written."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        value: dict[str, Any] = json.loads(_record_path(cache, output).read_text())
        if cache.digest(output) == value["digest"]:
            return value
    return None


def record(cache: Cache, output: Path, request: str, result: Table) -> None:
    """Remember that ``request`` made ``output``, and what was reported of it."""
    cache.prepare()
    digest = cache.digest(output)
    write_json(_record_path(cache, output), {"digest": digest, "request": request, "result": result})
    cache.save_digests()


def up_to_date(cache: Cache, output: Path, request: str, sources: list[Path], overwrite: bool) -> Table | None:
    """The recorded result, if ``output`` is just what ``request`` makes; None if it has to be made.

    Raises UsageError where the output is one of the sources, is a folder, or is something else that exists and
    ``overwrite`` was not asked for.
    """
    for source in sources:
        if output.exists() and source.exists() and output.samefile(source):
            raise UsageError(str(output), "the output is one of the inputs", "choose another name with -o")
    for parent in output.absolute().parents:
        if parent.exists() and not parent.is_dir():
            raise UsageError(str(output), f"'{parent}' is a file, not a folder", "choose another place with -o")
    if not output.exists():
        return None
    if output.is_dir():
        raise UsageError(str(output), "the output is an existing folder", "give a file name with -o")
    held = recorded(cache, output)
    if held and held["request"] == request:
        result: Table = held["result"]
        return result
    if overwrite:
        return None
    why = "it exists, made with other inputs or options" if held else "it exists"
    raise UsageError(str(output), why, "use --overwrite, or another name with -o")
