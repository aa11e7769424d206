"""What a student wrote shows nothing but text, formulas, tables, code and embedded pictures: checked in nbgrader's own
pages.
"""

from html.parser import HTMLParser
from pathlib import Path

import nbgrader
import pytest
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import markdown2html_mistune
from traitlets.config import Config

from coursegrade import clean
from coursegrade.records import CellResult

TAGS = {
    "p",
    "br",
    "em",
    "strong",
    "del",
    "code",
    "pre",
    "blockquote",
    "ul",
    "ol",
    "li",
    "hr",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}
TAGS |= {"h1", "h2", "h3", "h4", "h5", "h6", "a", "img", "input", "dl", "dt", "dd", "div", "span"}
ATTRIBUTES = {"href", "src", "alt", "class", "id", "type", "disabled", "style"}
# Inert: each would run no more than a call of a function that does not exist.
CANARIES = [
    "<script>canary()</script>",
    "<img src=x onerror=canary()>",
    "<svg><script>canary()</script></svg>",
    "<iframe srcdoc='&lt;script&gt;canary()&lt;/script&gt;'></iframe>",
    "<style>body { display: none }</style>",
    "<meta http-equiv=refresh content=0>",
    "<form action=/canary><input name=a></form>",
    "<base href=//canary.invalid>",
    "</div></div></body>",
    "<!-- comment --><!DOCTYPE x><?x ?><![CDATA[x]]>",
    "[link](javascript:canary())",
    "[link](JaVa&#115;cript:canary())",
    "[link](<javascript:canary()>)",
    "[link](java\tscript:canary())",
    "[link][r]\n\n[r]: javascript:canary()",
    "[r]\n\n> [r]: javascript:canary() 'title'",
    "<javascript:canary()>",
    "![picture](https://canary.invalid/beacon.png)",
    "![picture](data:image/svg+xml;base64,PHN2Zz4=)",
    '![a" onerror="canary()](data:image/png;base64,AAAA)',
    "![gone](attachment:gone.png)",
    "`` `<b onclick=canary()>` ",
    "`<b onclick=canary()>",
    "```\n<b onclick=canary()>\n``` \n<b onclick=canary()>",
    '```x"onclick="canary()\n<b>\n```',
    "```mermaid\n<img src=x onerror=canary()> &lt;img src=x onerror=canary()&gt;\n```",
    "~~~ &#109;ermaid\n<script>canary()</script>\n~~~",
    "$<script>canary()</script>$",
    "$$\n<img src=x onerror=canary()>\n$$",
    r"\begin{x}<script>canary()</script>\end{x}",
    r"$\href{javascript:canary()}{x}$",
    '# heading "onclick=canary() <script>canary()</script>',
    'https://canary.invalid/"onclick=canary()',
    "| a |\n|---|\n| <script>canary()</script> |",
    "<\x00script>canary()</script>",
    "<\x0bscript>canary()</script>",
    "> <scr\n> ipt>canary()</script>",
    "&lt;script&gt;canary()&lt;/script&gt;",
    "term\n: <script>canary()</script>",
    "- [ ] <script>canary()</script>",
    r"\<script>canary()\</script>",
    "[x]\\(javascript:canary()) [x] [y](\njavascript:canary())",
]


class Tags(HTMLParser):
    """Every element of a page, with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {key: value or "" for key, value in attrs}))


def harmless(page: str) -> None:
    for name, attributes in Tags(page).found:
        assert name in TAGS, name
        assert set(attributes) <= ATTRIBUTES, attributes
        assert attributes.get("href", "#").startswith(("#", "http://", "https://")), attributes
        assert attributes.get("src", "data:image/png").startswith("data:image/p"), attributes
        assert "mermaid" not in attributes.get("class", "").split(), "a script would draw its text as HTML"
        assert name != "input" or (attributes["type"] == "checkbox" and "disabled" in attributes)


@pytest.mark.parametrize("text", CANARIES)
def test_no_canary_sings(text: str) -> None:
    harmless(markdown2html_mistune(clean.markdown(text)))
    harmless(markdown2html_mistune(clean.markdown(f"> - x {text}\n\n    {text}\n\ny {text}")))


def test_formulas_hold_no_links() -> None:
    assert (
        clean.markdown(r"$\href{javascript:canary()}{x} \require{html} \hbar$")
        == r"$href{javascript:canary()}{x} require{html} \hbar$"
    )


@pytest.mark.parametrize("text", CANARIES)
def test_cleaned_once_is_cleaned(text: str) -> None:
    assert clean.markdown(clean.markdown(text)) == clean.markdown(text)


def test_the_list_would_sing_uncleaned() -> None:
    with pytest.raises(AssertionError):
        harmless(markdown2html_mistune(CANARIES[0]))


@pytest.mark.parametrize(
    "text",
    [
        "Because $a < b$ and $x_1 \\le 3$: *8 pixels*, `a <= b`.",
        "| a | b |\n|---|---|\n| 1<br>2 | 3 |",
        "```python\nif a < b and c << 2:\n    x = y[0] - z\n```",
        "![plot](data:image/png;base64,iVBORw0KGgo=)",
        "$$\\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix}$$",
        "See https://example.org/a?b=1&c=2 – größer, 大きい, <3.",
    ],
)
def test_honest_markdown_is_left_alone(text: str) -> None:
    assert clean.markdown(text) == text


def test_what_was_printed_is_plain_text() -> None:
    assert clean.output("\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07 \x1b(B\x00\ud800") == "red link "
    assert clean.output("10 %\r50 %\r99 %\r\ndone\r\n") == "99 %\ndone\n"
    assert len(clean.output("x" * 10**6)) == 10**6  # at once, not in hours
    assert clean.cut("abcdef", 4) == "abcd\n… (2 more characters)"


def page(path: Path) -> str:
    """A notebook as formgrader shows it."""
    folder = Path(nbgrader.__file__).parent / "server_extensions" / "formgrader"
    config = Config()
    config.HTMLExporter.template_name = "formgrade"
    config.HTMLExporter.extra_template_basedirs = [str(folder / "templates")]
    resources = {"index": 0, "total": 1, "base_url": ""}
    return HTMLExporter(config=config).from_filename(str(path), resources=resources)[0]


@pytest.mark.filterwarnings("ignore")
def test_no_canary_sings_in_formgrader(course_of_one) -> None:
    """Every element of the page with canaries everywhere is one the page without them has, or a harmless one."""
    path = course_of_one.root / "autograded" / "ada" / "a1" / "a1.ipynb"
    course_of_one.grade("ada", {"written": "x", "own": "x"})
    counts = [Tags(page(path)).found]
    text = "\n\n".join(CANARIES)
    came = CellResult(ok=False, message=text, output=text)
    course_of_one.grade(
        "ada", {"written": text, "own": text, "area": text}, {"own": came, "area": came, "area_rectangle": came}
    )
    counts.append(Tags(page(path)).found)
    for loud in ("script", "iframe", "style", "meta", "form", "svg", "base", "link", "object", "textarea", "button"):
        assert len([name for name, _ in counts[1] if name == loud]) == len(
            [name for name, _ in counts[0] if name == loud]
        ), loud
    handlers = [[key for _, attributes in found for key in attributes if key.startswith("on")] for found in counts]
    assert handlers[0] == handlers[1]
    assert not [a for _, a in counts[1] if "javascript:" in a.get("href", "") or "canary" in a.get("src", "")]


@pytest.mark.filterwarnings("ignore")
def test_nbgraders_own_feedback_can_be_made(course_of_one) -> None:
    """Its marks are ours, and hidden tests stay hidden in it."""
    hidden = CellResult(ok=False, hidden=True, message="sides may be fractions")
    course_of_one.grade("ada", {"written": CANARIES[0], "own": "x"}, {"area_rectangle": hidden})
    done = course_of_one.api.generate_feedback("a1", "ada", force=True)
    assert done["success"], done["log"]
    made = (course_of_one.root / "feedback" / "ada" / "a1" / "a1.html").read_text(encoding="utf-8")
    assert "Score: 10.0 / 100.0" in made
    assert "CheckFailed: sides may be fractions" in made
    assert "7.25" not in made
    assert "<script>canary" not in made
