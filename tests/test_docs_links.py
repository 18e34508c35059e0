"""Every relative link of every Markdown page leads to a file, and to a heading where it names one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SKIPPED = {"node_modules", "build", "dist"}
LINK = re.compile(r"\]\(([^()\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.DOTALL | re.MULTILINE)


def pages() -> list[str]:
    found = [path.relative_to(ROOT) for path in ROOT.rglob("*.md")]
    return sorted(
        str(path)
        for path in found
        if not any(part.startswith(".") or part in SKIPPED for part in path.parts)
    )


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings get: lower case, dashes, no punctuation."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_there_are_pages_to_check() -> None:
    assert {"README.md", "docs/architecture.md", "docs/decisions/README.md"} <= set(pages())


@pytest.mark.parametrize("page", pages())
def test_each_relative_link_leads_somewhere(page: str) -> None:
    here = ROOT / page
    text = CODE.sub(lambda code: "" if "\n" in code[0] else "code", here.read_text())
    broken = []
    for link in LINK.findall(text):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = here.parent / path if path else here
        inside = target.resolve().is_relative_to(ROOT)
        if not (inside and target.exists()) or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []
