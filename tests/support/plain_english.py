"""Measures of the pages that people read: the length of sentences, and words that only the authors understand.

    python tests/support/plain_english.py docs/guides/looks.md …

prints the sentences to rewrite.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

MAX_SENTENCE_WORDS = 30
# Words that are not the field's terms, or that state a relation without its subject; each with what to write
PRIVATE_WORDS = {
    r"manners?": "style",
    r"foret(?:old|ells?)|foreseen": "forecast, estimated",
    r"anew": "again",
    r"what (?:became|becomes|of)\b(?! (?:the|a) )": "name the thing",
    r"what became of": "results, report",
    r"told apart|tells? apart": "distinguish",
    r"(?:is|are|was|were|be|been) told": "name who tells whom, or show, print",
    r"(?:is|are|was|were) said": "print, show, state",
    r"so many": "that many, or the number",
    r"goes on|go on with|gone on": "continue",
    r"(?:is|are|was|were) asked": "name who asks, or required, requested",
    r"by (?:itself|themselves)": "automatically, on its own",
    r"elsewhere": "name the place",
    r"likewise": "also",
    r"nought|naught": "zero",
    r"whither|whence|thereof|therein|wherein|thereby|hitherto|hereby|whilst|amongst": "a common word",
    r"lies? ready|stands? ready": "is ready, exists",
    r"does not do|will not do": "is not enough",
    r"brings? along|takes? along": "includes",
}
_PRIVATE = {re.compile(rf"\b(?:{words})\b", re.IGNORECASE): instead for words, instead in PRIVATE_WORDS.items()}
_ABBREVIATION = re.compile(r"\b(e\.g|i\.e|etc|vs|cf|al|approx|Fig|No)\.")


def prose(markdown: str) -> list[str]:
    """Return the paragraphs, list items and table cells of a page, without code, links' addresses and marks."""
    text = re.sub(r"^( *)(```|~~~).*?^\1\2", "\n\n", markdown, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^---\n.*?\n---\n", "", text, count=1, flags=re.DOTALL) if text.startswith("---") else text
    text = re.sub(r"<!--.*?-->|<(script|style|svg)\b.*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r"`[^`\n]*`", "code", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)(\{[^}\n]*\})?", r"\1", text)
    text = re.sub(r"<[^>\n]*>", "\n\n", text)
    blocks: list[str] = []
    is_open = False
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or re.fullmatch(r"[|:\-\s]+", stripped) or stripped.startswith(("--8<--", "!!!", "???")):
            is_open = False
        elif stripped.startswith("#"):
            blocks.append(stripped.lstrip("# "))
            is_open = False
        elif stripped.startswith("|"):
            blocks += [cell.strip() for cell in stripped.strip("|").split("|") if cell.strip()]
            is_open = False
        elif is_open and not re.match(r"(?:[-*+]|\d+\.)\s", stripped):
            blocks[-1] += " " + stripped
        else:
            blocks.append(re.sub(r"^(?:>\s*)?(?:[-*+]|\d+\.)\s+", "", stripped))
            is_open = True
    return [block.replace("**", "").replace("*", "") for block in blocks]


def sentences(markdown: str) -> list[str]:
    """Return the sentences of a page. A colon before a list ends none; a semicolon ends none either."""
    found: list[str] = []
    for block in prose(markdown):
        marked = _ABBREVIATION.sub(lambda match: match[0].replace(".", "\0"), block)
        parts = re.split(r"(?<=[.!?])[\"”’)]*\s+(?=[\"“‘(]*[A-Z0-9`])", marked)
        found += [part.replace("\0", ".").strip() for part in parts if part.strip()]
    return found


def words(sentence: str) -> int:
    """Return the number of words of a sentence; numbers and units count, signs do not."""
    return sum(bool(re.search(r"\w", word)) for word in sentence.split())


def faults(markdown: str) -> list[str]:
    """Return a line for each sentence that is too long or has a private word."""
    found = []
    for sentence in sentences(markdown):
        if (count := words(sentence)) > MAX_SENTENCE_WORDS:
            found.append(f"{count} words: {sentence}")
        found += [
            f"“{match[0]}” → {instead}: {sentence}" for p, instead in _PRIVATE.items() if (match := p.search(sentence))
        ]
    return found


if __name__ == "__main__":
    for name in sys.argv[1:]:
        page = Path(name).read_text(encoding="utf-8")
        sys.stdout.writelines(f"{line}\n" for line in (f"{name}: {len(page.split())} words", *faults(page)))
