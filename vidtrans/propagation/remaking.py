"""The request that made a result, so that it can be made again with corrections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from vidtrans.config.programs import refuse_programs
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.output.records import recorded
from vidtrans.propagation.requests import FixRequest, PropagateRequest
from vidtrans.session import Context
from vidtrans.stylizing.made_of import restore
from vidtrans.stylizing.requested_render import StylizeRequest
from vidtrans.video.io.encoding import split_pattern

Remade = StylizeRequest | PropagateRequest | FixRequest
REQUESTS: dict[str, type[Any]] = {cls.COMMAND: cls for cls in (StylizeRequest, PropagateRequest, FixRequest)}


def remake(output: Path, context: Context) -> tuple[Remade, Table, str]:
    """Return the request that made an output, its options, ``seed`` and ``device``, and the digest of all of that.

    What is on record may come from somebody else: nothing of it says where to write, or runs a program. Raises
    UsageError where it is not on record, or not to be made again.
    """
    if not output.exists():
        raise UsageError(str(output), "no such file or folder", "give a result of 'stylize' or 'propagate'")
    value = recorded(context.cache, output)
    if value is None:
        why = "it is not on record as a result, or it was changed since"
        raise UsageError(str(output), why, "give what 'stylize' or 'propagate' has written, and their --cache-dir")
    made_of = value.get("made_of") or {}
    if not isinstance(made_of, dict) or made_of.get("command") not in REQUESTS:
        raise UsageError(str(output), "no result of 'stylize' or 'propagate'", "give one")
    try:
        request = _request(made_of, output, context)
        options = {"seed": int(made_of["options"]["seed"]), "device": str(made_of["options"]["device"])}
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(str(output), f"what is on record of it is damaged ({error})", "make it anew first") from None
    if not isinstance(request, FixRequest):
        refuse_programs(request.recipe.tables, f"the record of {output.name}")
    return request, options, str(value["request"])


def _request(made_of: Table, output: Path, context: Context) -> Remade:
    request: Remade = REQUESTS[made_of["command"]](**restore(made_of, context))
    if isinstance(request, PropagateRequest):
        request = replace(request, preview=False)
    return request if isinstance(request, FixRequest) else replace(request, output=_place(request.output, output))


def _place(asked: Path | None, output: Path) -> Path:
    """Return an output as it was asked for: with the numbers of its pictures, where they have some."""
    pattern = split_pattern(asked)[1] if asked else ""
    return output / pattern if pattern else output
