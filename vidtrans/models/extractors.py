"""Find the extractor of a model: the network that makes its input, see ``pairing.extracted``; refuse what is none."""

from __future__ import annotations

import glob
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from vidtrans.core.errors import ModelError
from vidtrans.core.files import digest_of
from vidtrans.models.formats import format_of, load_format, suffixes
from vidtrans.models.model_file import model_folders
from vidtrans.pairing.base import Extraction, Pairing

SHOWN_DIGITS = 12  # of a digest, in messages


PLACE = "give its file with --set pairing.model=PATH, or put it into models/ or beside the model"


def find_extractor(wanted: Extraction, folder: Path, digest: Callable[[Path], str], remedy: str = PLACE) -> Path:
    """Return the file with the content that ``wanted`` names, looked for by its name first, then by content alone.

    Args:
        wanted: what a pairing on record says; the digest is known.
        folder: where it is looked for before the folders of models: that of the model.
        digest: returns the SHA-256 of a file's content.
        remedy: what is to be done where it is missing.

    Raises:
        ModelError: it is in none of them.
    """
    # A record is a stranger's: only the last part of the name counts, so nothing outside of the folders is read.
    name, folders = Path(wanted.model).name, list(dict.fromkeys([folder, *model_folders()]))
    named = [path for place in folders for path in sorted(place.glob(f"{glob.escape(name)}.*"))] if name else []
    others = [path for place in folders for ending in suffixes() for path in sorted(place.glob(f"*{ending}"))]
    for path in dict.fromkeys([*named, *others]):
        with suppress(OSError, ModelError):
            if path.is_file() and file_digest(path, digest) == wanted.digest:
                return path
    raise ModelError(
        f"network '{wanted.model}'",
        f"it makes the input, and no file here has its content (SHA-256 {wanted.digest[:SHOWN_DIGITS]}…)",
        remedy,
    )


def file_digest(path: Path, digest: Callable[[Path], str]) -> str:
    """Return the SHA-256 (hex) of a model file's content, with that of the files beside it that belong to it.

    ``digest`` returns that of one file. Raises ModelError where it is no model file.
    """
    digests = [digest(file) for file in load_format(format_of(path)).files(path)]
    return digests[0] if len(digests) == 1 else digest_of(digests)


def check_digest(path: Path, found: str, wanted: Extraction) -> None:
    """Raise ModelError where a file has another content than the one that is wanted."""
    if wanted.digest and found != wanted.digest:
        theirs, its = wanted.digest[:SHOWN_DIGITS], found[:SHOWN_DIGITS]
        why = f"its content (SHA-256 {its}…) is not that of the network '{wanted.model}' ({theirs}…) that is asked for"
        raise ModelError(str(path), why, "give the file that the dataset was made with")


def check_extractor(name: str, pairing: Pairing, *, remembers: bool = False, optimises: bool = False) -> None:
    """Raise ModelError where a model does not make its picture of one frame alone, in one pass."""
    reasons = {
        "its own input is made by another network": pairing.extraction is not None,
        "it looks at several frames": pairing.offsets != (0,),
        "it goes by a clock": pairing.has_clock,
        "it paints each frame from the one before": remembers,
        "its input is a folder of guides": bool(pairing.guides),
        "it looks at a mask": pairing.uses_mask,
        "it puts pixels of the frame back into its pictures": pairing.finishes,
        "it optimises each frame, for seconds or minutes": optimises,
    }
    if why := next((reason for reason, applies in reasons.items() if applies), ""):
        remedy = "choose one that makes a picture of a single frame and of nothing else"
        raise ModelError(f"model '{name}'", f"it cannot make the input of another: {why}", remedy)
