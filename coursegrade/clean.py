"""What a student wrote or printed, made harmless for the pages that show it."""

import re

_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\^-~])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

_TAG = re.compile(r"<(?!br ?/?>|[\s=<\d-]|\Z)")
_IMAGE = r"\(data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+\)"
_LINK = re.compile(rf"\](?=:|\((?!{_IMAGE[2:]}))")
_MACRO = re.compile(r"\\(?=(?:href|url|class|style|cssId|require)\b)")


def source(text: str) -> str:
    """Text without control characters."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def output(text: str) -> str:
    """What was printed, without terminal codes and without the overwritten part of a progress line."""
    lines = _TERMINAL.sub("", text).split("\n")
    return source("\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines))


def cut(text: str, length: int) -> str:
    """The beginning of a long text, and how much is left out."""
    return text if len(text) <= length else f"{text[:length]}\n… ({len(text) - length} more characters)"


def markdown(text: str) -> str:
    """Markdown whose HTML, in any renderer, holds no raw tag but ``<br>``, no link but a bare address, no image but
    ``data:``.

    nbgrader's formgrader lets raw HTML and any address through, and what counts as code or text depends on the
    renderer. So this looks at characters alone: no ``<`` stays where a tag or an autolink could begin, no ``]`` where
    a link or its definition could. A space in between changes nothing in formulas and tables, little in code, and
    shows a grader what was tried.
    """
    text = _LINK.sub("] ", _TAG.sub("< ", source(text)))
    return _MACRO.sub("", text).replace(
        "mermaid", "Mermaid"
    )  # nbconvert writes a block of that language into the page as it is
