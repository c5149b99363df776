"""The documents say what is true: every command is there, and every room in the walk-through."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import vidtrans as api
from vidtrans.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("README.md")])


def test_the_commands_of_the_readme_are_right() -> None:
    text = (ROOT / "README.md").read_text()
    typed = re.findall(r"(?:^|`|&& )vidtrans ([a-z-]+)", text, re.MULTILINE)
    assert {"demo", "stylize"} <= set(typed) <= set(cli.help_lines())


def test_the_citation_has_the_version_of_the_package() -> None:
    assert re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE) == [api.__version__]


def test_the_architecture_page_names_every_room_and_files_that_exist() -> None:
    text, package = (ROOT / "docs/architecture.md").read_text(), Path(api.__file__).parent
    rooms = [f"`{p.name}/`" for p in package.iterdir() if (p / "__init__.py").is_file()]
    leaves = [f"`{p.name}`" for p in package.glob("*.py") if not p.name.startswith("__")]
    assert [name for name in rooms + leaves if name not in text] == []
    named = re.findall(r"`((?!benchmarks|tests|docs)[a-z_]+(?:/[a-z0-9_]+)+\.(?:py|html|js))`", text)
    assert len(set(named)) > 50
    assert [n for n in named if not (package / n).is_file()] == []


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as Python-Markdown makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower() for heading in headings]
    return {re.sub(r"[-\s]+", "-", heading) for heading in plain}


def links(page: Path) -> list[str]:
    """Return the links of a page, but for those to other sites."""
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\]\((?!https://|mailto:)([^)\s]+)\)", prose)


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    broken = []
    for page, link in [(p, link) for p in PAGES for link in links(p)]:
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append((page.name, link))
    assert broken == []


def test_the_contents_of_the_site_name_every_page() -> None:
    named = set(re.findall(r":\s+([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert named == {p.relative_to(ROOT / "docs").as_posix() for p in PAGES if p.is_relative_to(ROOT / "docs")}


def test_what_pages_include_is_there() -> None:
    included = [re.findall(r'--8<-- "(.+?)"', p.read_text(encoding="utf-8")) for p in PAGES]
    assert [name for names in included for name in names if not (ROOT / name).is_file()] == []


def test_the_benchmarks_that_pages_and_code_name_are_there() -> None:
    sources = [*PAGES, *(ROOT / "vidtrans").rglob("*.py"), *(ROOT / "examples").rglob("*.md")]
    pages = [path for path in sources if path.name != "CHANGELOG.md"]  # it tells the history
    found = {name for page in pages for name in re.findall(r"\bbenchmarks(?:[./][a-z]\w*)+", page.read_text("utf-8"))}
    names = {name.removesuffix(".py").replace(".", "/") for name in found if not name.endswith(".md")}
    assert names
    assert [n for n in sorted(names) if not ((ROOT / n).is_dir() or (ROOT / f"{n}.py").is_file())] == []


def test_what_benchmarks_import_is_there() -> None:
    trees = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "benchmarks").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    modules |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    neighbours = [ROOT / name.replace(".", "/") for name in modules if name.startswith("benchmarks")]
    assert [p for p in neighbours if not (p.is_dir() or p.with_suffix(".py").is_file())] == []
    assert [name for name in modules if name.startswith("vidtrans") and not importlib.util.find_spec(name)] == []
