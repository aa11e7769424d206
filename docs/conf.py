"""The site: lectures as stored, the pages of ``docs/``, coursekit from its docstrings. ``make site`` builds it."""

import os
import re
import sys
from pathlib import Path

from sphinx.errors import ConfigError

sys.path[:0] = [str(Path(__file__).parent / "site"), str(Path(__file__).parents[1])]
project = html_title = "Medical Images: 3D and Video"
author = copyright = "the course's authors"
extensions = ["myst_nb", "sphinx_copybutton", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "pages"]
root_doc = "README"
include_patterns = [
    "*.md",
    "docs/**.md",
    "lectures/*.ipynb",
    "assignments/*/*.ipynb",
    "course*/README.md",
    "deploy/**.md",
]
exclude_patterns = ["docs/assignments/**", "deploy/student/**"]  # sheets give answers away
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "attrs_inline"]
myst_heading_anchors = 3
myst_update_mathjax = False
mathjax_path = "mathjax/MathJax.js?config=TeX-AMS-MML_HTMLorMML-full"  # pip brings it
mathjax2_config = {
    "showMathMenu": False,
    "HTML-CSS": {"availableFonts": [], "webFont": "STIX-Web", "imageFont": None},
    "messageStyle": "none",
    "tex2jax": {"processClass": "math", "ignoreClass": ".*"},
}
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"undoc-members": False}
html_theme = "sphinx_book_theme"
html_theme_options = {"home_page_in_toc": True, "show_toc_level": 2}
repository, hub = os.environ.get("COURSE_REPOSITORY", ""), os.environ.get("COURSE_HUB", "")
if (repository or hub) and not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
    raise ConfigError(f"expected COURSE_REPOSITORY=owner/name, a repository on GitHub, got {repository!r}")
if repository:
    colab = "https://colab.research.google.com"
    html_theme_options |= {
        "repository_url": f"https://github.com/{repository}",
        "repository_branch": "main",
        "launch_buttons": {"colab_url": colab, "jupyterhub_url": hub, "notebook_interface": "jupyterlab"},
    }
html_static_path = ["site/static"]
html_css_files = ["course.css"]
html_js_files = ["frames.js"]
