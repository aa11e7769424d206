"""One self-contained HTML page: no script, no address outside, light and dark, from a phone to a wide screen."""

import html
from collections.abc import Iterable

from coursegrade import clean

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --quiet: #595959; --box: #f3f4f6; --line: #c9ccd1;
  --right: #0b5fa5; --wrong: #a33b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181c; --quiet: #a8adb5; --box: #23262c;
  --line: #454a53; --right: #6cb6ff; --wrong: #ff9d5c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 46rem; font: 1rem/1.55 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { display: flow-root; font-size: 1.2rem; margin: 2rem 0 .5rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--box); padding: .6rem .8rem;
  border-radius: .3rem; margin: .4rem 0; font: .85rem/1.45 ui-monospace, monospace; }
.total { font-size: 1.3rem; font-weight: 600; } .quiet { color: var(--quiet); }
.right { color: var(--right); } .wrong { color: var(--wrong); }
.marks { float: right; margin-left: 1rem; font-weight: 400; }
ul.checks { list-style: none; padding: 0; } ul.checks > li { display: flow-root; margin: .8rem 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
svg { max-width: 100%; height: auto; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: normal; }
td p { margin: 0 0 .3rem; min-width: 14rem; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg rect { fill: var(--right); } svg line { stroke: var(--line); }
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole page; ``body`` is HTML already, ``title`` is not."""
    head = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>",
    ]
    return "\n".join([*head, f"<h1>{html.escape(title)}</h1>", *body, "</main>\n</body>\n</html>\n"])


def tag(name: str, text: object, kind: str = "") -> str:
    """One element around text, which is cleaned and escaped."""
    mark = f' class="{kind}"' if kind else ""
    return f"<{name}{mark}>{html.escape(clean.source(str(text)))}</{name}>"
