"""The catalogues of the pages' texts: complete, and without texts that no page has any more."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from vidtrans import shipped_looks

PACKAGE = Path(__file__).resolve().parents[2] / "vidtrans"
CATALOGUES = sorted((PACKAGE / "web/page/text").glob("*.json"))
SOURCES = [
    *(path for name in ("studio", "live", "voting", "web") for path in (PACKAGE / name).rglob("*.*")),
    *(path for name in ("commands", "pipeline", "strokes", "training") for path in (PACKAGE / name).rglob("*.py")),
]


def read(path: Path) -> dict[str, str]:
    texts: dict[str, str] = json.loads(path.read_text("utf-8"))
    return texts


@pytest.fixture(scope="module")
def sources() -> str:
    kinds = (".js", ".html", ".py")
    text = "".join(path.read_text("utf-8") for path in SOURCES if path.suffix in kinds)
    text = re.sub(r'"\s*\n\s*f?"', "", text)  # Texts in several lines
    looks = [spelling for name in shipped_looks() for spelling in (name, name.replace("-", " "))]
    labels = ["Keep colour", "Keep shading", "Stroke size", "Looseness"]  # Composed of the names of settings
    return "\n".join([re.sub(r"\s+", " ", text), *looks, *labels])


def test_all_languages_have_the_same_texts() -> None:
    assert len(CATALOGUES) >= 2
    texts = [set(read(path)) for path in CATALOGUES]
    assert all(one == texts[0] for one in texts)
    assert len(texts[0]) > 150


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_places_for_names_and_numbers_are_kept(path: Path) -> None:
    for text, translation in read(path).items():
        assert translation.strip(), text
        assert set(re.findall(r"\{(\d)\}", translation)) <= set(map(str, range(1, text.count("{}") + 1))), text


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_each_text_is_in_a_page(path: Path, sources: str) -> None:
    stale = []
    for text in read(path):
        parts = [part for part in re.split(r"\{\}", text) if re.search(r"\w\w", part)]
        # A label may be composed of a word and a name: "Pause: clip"
        words = [part.strip(" :.") for part in parts]
        if not all(part.strip() in sources or f'"{word}"' in sources for part, word in zip(parts, words, strict=True)):
            stale.append(text)
    assert stale == []
