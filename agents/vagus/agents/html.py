"""The text of a web page, as a person would read it, in time that is linear in its bytes.

Pages are hostile. A tree of one, as HTML5 has it, takes quadratic time for elements in each other
or for the attributes of one tag (8 to 24 s for half a megabyte, in C), so none is built: tags are
passed over where they stand. Left out is what is not shown: scripts, styles, comments, drawings,
navigation, letters without a shape, and what an attribute of its own hides. That is where words
for machines are put.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["lines_of", "text_of"]

# Elements whose content is no markup; of some of them it is text that is shown.
_RAW = frozenset({"iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp"})
_READ = frozenset({"textarea", "title", "xmp"})
_LEFT_OUT = frozenset(
    {"audio", "canvas", "datalist", "math", "nav", "noscript", "object", "svg", "template", "video"}
)
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
_INLINE = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "b",
        "bdi",
        "bdo",
        "big",
        "cite",
        "code",
        "data",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "ins",
        "kbd",
        "label",
        "mark",
        "meter",
        "nobr",
        "output",
        "q",
        "ruby",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "time",
        "tt",
        "u",
        "var",
        "wbr",
    ]
)
_CELLS = frozenset({"dt", "option", "td", "th"})

_NAME = re.compile(r"[a-zA-Z][^\t\n\f\r />]*")
_ATTRIBUTE = re.compile(
    r"[\t\n\f\r /]*(?:(?P<end>>)|(?P<name>[^\t\n\f\r />][^\t\n\f\r />=]*)"
    r"(?:[\t\n\f\r ]*=[\t\n\f\r ]*"
    r"(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|(?P<bare>[^\t\n\f\r >\"'][^\t\n\f\r >]*))?)?)"
)
_COMMENT_END = re.compile("--!?>")
_RAW_END = {
    name: re.compile(rf"</{name}(?=[\t\n\f\r />])", re.IGNORECASE | re.ASCII) for name in _RAW
}
_HIDING_STYLE = re.compile(
    r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|font-size\s*:\s*0(?![.\d])"
    r"|opacity\s*:\s*0(?![.\d]))",
    re.IGNORECASE | re.ASCII,
)
_WHITE = re.compile("[\t\n\f\r ]+")
# Numbers of characters that `html.unescape` would read for long, or not at all.
_LONG_NUMBER = re.compile("&#[xX]?[0-9a-fA-F]{8,};?")
# Controls, fillers, directions, joiners of words, variation selectors, tags: nobody sees them.
# Written out, since what `unicodedata` knows differs between versions of Python.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


@dataclass(frozen=True, slots=True)
class _Tag:
    """A tag; hides: whether an attribute of it says that the element is not shown."""

    name: str
    ends: bool
    hides: bool = False


def text_of(source: str) -> str:
    """Return what an HTML document shows: its title and its text, a block a line, spaces as one."""
    pieces: list[str] = []
    hidden, levels = "", 0  # the element that is left out, and how many of its name are open
    for each in _tokens(source):
        if isinstance(each, str):
            if not levels:
                pieces.append(_WHITE.sub(" ", _characters(each)))
        elif levels:
            if each.name == hidden:
                levels += -1 if each.ends else 1
        elif not each.ends and (each.hides or each.name in _LEFT_OUT) and each.name not in _VOID:
            hidden, levels = each.name, 1
        elif each.name not in _INLINE:
            pieces.append(" " if each.name in _CELLS else "\n")
    return lines_of("".join(pieces))


def lines_of(text: str) -> str:
    """Return the lines of a text that show something, without what nobody sees, spaces as one."""
    lines = _UNSEEN.sub("", text).split("\n")
    return "\n".join(line for line in (" ".join(each.split()) for each in lines) if line)


def _tokens(source: str) -> Iterator[str | _Tag]:
    """Yield texts, entities and all, and tags; what is cut off in a tag or a comment is dropped."""
    at = 0
    while at < len(source):
        begin = source.find("<", at)
        if begin != at:
            yield source[at:] if begin < 0 else source[at:begin]
        if begin < 0:
            return
        ends = source.startswith("/", begin + 1)
        if name := _NAME.match(source, begin + 1 + ends):
            tag, at = _tag(source, name, ends=ends)
            if at < 0:
                return
            yield tag
            if tag.name in _RAW and not ends:
                end = _RAW_END[tag.name].search(source, at)
                if tag.name in _READ:
                    yield source[at : end.start() if end else None]
                if end is None:
                    return
                at = end.start()
        elif source.startswith(("<!", "<?", "</"), begin):
            comment = source.startswith("<!--", begin)
            found = _COMMENT_END.search(source, begin + 2) if comment else None
            at = found.end() if found else (0 if comment else source.find(">", begin) + 1)
            if at == 0:
                return
        else:
            yield "<"
            at = begin + 1


def _tag(source: str, name: re.Match[str], *, ends: bool) -> tuple[_Tag, int]:
    """Return a tag and where it ends, -1 where it does not."""
    at, hides = name.end(), False
    while found := _ATTRIBUTE.match(source, at):
        at = found.end()
        if found["end"]:
            return _Tag(name[0].lower(), ends, hides), at
        hides = hides or _hides(found)
    return _Tag("", ends), -1


def _hides(attribute: re.Match[str]) -> bool:
    value = attribute["double"] or attribute["single"] or attribute["bare"] or ""
    match attribute["name"].lower():
        case "hidden":
            return True
        case "aria-hidden":
            return value.lower() == "true"
        case "style":
            return _HIDING_STYLE.search(_characters(value)) is not None
        case _:
            return False


def _characters(text: str) -> str:
    return html.unescape(_LONG_NUMBER.sub("\ufffd", text)) if "&" in text else text
