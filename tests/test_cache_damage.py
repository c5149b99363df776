"""Damage to what the cache remembers beside its entries: digests, records of results, what minutes come to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chain import TINY

import vidtrans as api
from vidtrans.errors import VidtransError


def damage(file: Path, old: bytes, new: bytes) -> None:
    data = file.read_bytes()
    assert data.count(old) == 1, "the test tells nothing"
    file.write_bytes(data.replace(old, new))


def test_a_record_of_a_result_that_was_damaged_is_none(clip: Path) -> None:
    api.stylize(clip, "identity", "a.mp4")
    assert api.stylize(clip, "identity", "a.mp4")["cached"]
    [record] = Path(".vidtrans/outputs").iterdir()
    whole = record.read_bytes()
    damage(record, b'"frames":40', b'"frames":41')
    made = Path("a.mp4").read_bytes()
    with pytest.raises(VidtransError, match="it exists"):
        api.stylize(clip, "identity", "a.mp4")
    assert Path("a.mp4").read_bytes() == made
    assert api.stylize(clip, "identity", "a.mp4", overwrite=True)["frames"] == 40
    assert Path("a.mp4").read_bytes() == made
    # Those that were written before records had a sum of their own still count.
    value = json.loads(whole)
    del value["sha256"]
    record.write_text(json.dumps(value))
    assert api.stylize(clip, "identity", "a.mp4")["cached"]


def test_what_minutes_come_to_is_measured_again_where_its_record_is_damaged(clip: Path) -> None:
    tables = {k: TINY[k] for k in ("generator", "discriminator", "training")}
    api.make_dataset(clip, settings=TINY)
    heard: list[str] = []

    def steps() -> int:
        Path("clip.safetensors").unlink(missing_ok=True)
        table = api.train("clip.dataset", minutes=0.002, settings=tables, report=lambda e: heard.append(str(e)))
        return int(table["steps"])

    found = steps()
    [memo] = Path(".vidtrans/resolved").iterdir()
    whole = memo.read_bytes()
    damage(memo, f'"steps":{found}'.encode(), f'"steps":{found}0'.encode())
    assert steps() < found * 10
    assert any("damaged in the cache; measured again" in text for text in heard)
    memo.write_bytes(whole)
    assert steps() == found
