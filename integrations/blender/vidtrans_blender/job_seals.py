"""Seals of jobs: a job is started only if this add-on, under this user's account, stored its command lines.

Jobs lie beside the .blend, perhaps in a folder that somebody else has packed. Without a seal, opening a file would
start whatever programs a ``job.json`` names.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

NUM_BYTES = 32  # of a key


def read_key(path: Path) -> bytes | None:
    """Return the secret key of a file, which is created if it is missing; None if it cannot be read or created."""
    with suppress(OSError):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
            with open(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(secrets.token_bytes(NUM_BYTES))
            part.replace(path)
        key = path.read_bytes()
        return key if len(key) == NUM_BYTES else None
    return None


def seal_of(key: bytes, steps: Sequence[dict[str, Any]]) -> str:
    """Return the seal of the processes of a job, as hexadecimal digits."""
    return hmac.new(key, json.dumps(steps, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def is_sealed(key: bytes, steps: Sequence[dict[str, Any]], seal: object) -> bool:
    """Return whether a seal is that of the processes of a job."""
    return isinstance(seal, str) and hmac.compare_digest(seal_of(key, steps).encode(), seal.encode("utf-8", "replace"))
