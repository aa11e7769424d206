"""What students are given: ``make student`` writes it as a git repository, ``build/student``, and a zip beside it.

It is the last commit's content of what is listed here, and nothing else. The repository has a history of its own, one
commit at first and one more whenever something has changed, so that a class that pulls it gets the change. What gives a
solution away, or links what is not handed out, is refused, and then nothing is written.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat

from .leaks import leaks

ROOT = Path(__file__).resolve().parents[2]
HANDED_OUT = [
    "lectures/*.ipynb",
    "lectures/records/*.json",
    "assignments/*/*.ipynb",
    "coursekit/README.md",
    "coursekit/**/*.py",
    "coursekit/**/*.toml",
    "coursegrade/README.md",
    "coursegrade/**/*.py",  # what Validate and coursekit's terminal need of it lies all over
    "docs/data.md",
    "docs/images/*.png",
    "deploy/jupyter/*",
    "course.py",
    "pyproject.toml",
    "environment.yml",
    "nbgrader_config.py",
    "LICENSE*",
    "CITATION.cff",
    "CHANGELOG.md",
    ".gitignore",
]
GIVEN = [f":(glob){pattern}" for pattern in HANDED_OUT]  # to git, whose * is then part of one name
ITS_OWN = Path(__file__).with_name("README.md"), Path(__file__).with_name("Makefile")
FOLDER = "medical_images_3d_video"  # in the zip
LINK = re.compile(r"\]\(<?([^)\s>]+)|(?:src|href)=\"([^\"]+)\"")
ELSEWHERE = re.compile(r"#|[a-z]+:")


def build(root: Path, target: Path) -> Path:
    """Write the hand-out of a checkout; the zip beside it. ValueError if it may not be handed out."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".student-") as temporary:
        folder = Path(temporary, "student")
        take(root, folder)
        if (target / ".git").is_dir():
            shutil.copytree(target / ".git", folder / ".git")
        commit(folder, when=git(root, "log", "-1", "--format=%cI").decode().strip())
        if problems := [*dead_links(folder), *leaks(root, folder)]:
            advice = f"Mend it and commit; what is in git's history alone goes when you remove {target.name}/."
            raise ValueError(f"Nothing was written. {' '.join(problems)} {advice}")
        if target.exists():
            target.rename(Path(temporary, "before"))
        folder.rename(target)
    archive = target.with_suffix(".zip")
    archive.write_bytes(git(target, "archive", "--format=zip", f"--prefix={FOLDER}/", "HEAD"))
    return archive


def take(root: Path, folder: Path) -> None:
    """Copy what is listed, as it was committed last, and the pages that are the hand-out's own."""
    folder.mkdir()
    index = {"GIT_INDEX_FILE": f"{folder}.index"}  # not the checkout's own
    git(root, "-c", "core.autocrlf=false", f"--work-tree={folder}", "checkout", "HEAD", "--", *GIVEN, **index)
    readme = git(root, "show", "HEAD:README.md").decode()
    for page in ITS_OWN:
        text = re.sub(r"<!-- (.+): (.+) -->", lambda wanted: part(readme, *wanted.groups()), page.read_text("utf-8"))
        (folder / page.name).write_text(text, encoding="utf-8")


def part(readme: str, heading: str, what: str) -> str:
    """The first table or the text under a heading of the course's README."""
    section = re.search(rf"^## {re.escape(heading)}\n+(.*?)\n+(?=## |\Z)", readme, re.DOTALL | re.MULTILINE)
    wanted = section and re.search(r"(?:^\|.*\n)+" if what == "table" else r"(?s).+", section[1] + "\n", re.MULTILINE)
    if not wanted:
        raise ValueError(f"expected a {what} under {heading!r} in README.md, got none: mend deploy/student/README.md")
    return wanted[0].strip()


def commit(folder: Path, *, when: str) -> None:
    """Commit what has changed in a folder, in a new repository if it has none; the same content gets the same hash."""
    settings = ["-c", "user.name=The course", "-c", "user.email=course@localhost", "-c", "commit.gpgsign=false"]
    settings += ["-c", "core.autocrlf=false", "-c", f"core.hooksPath={os.devnull}"]
    dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
    if not (folder / ".git").is_dir():
        git(folder, "init", "--quiet", "--template=", "--initial-branch=main")
    git(folder, *settings, "add", "--all", "--force")
    if git(folder, "status", "--porcelain"):
        git(folder, *settings, "commit", "--quiet", "--message=The course, for students", **dates)


def dead_links(folder: Path) -> Iterator[str]:
    """A sentence for each link of a page or notebook to a file that is not in the folder."""
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".md", ".ipynb")):
        for link in LINK.findall("\n".join(_prose(path))):
            target = "".join(link).partition("#")[0]
            if not ELSEWHERE.match("".join(link)) and not (path.parent / target).exists():
                yield f"{path.relative_to(folder).as_posix()} links {target}, which is not handed out."


def _prose(path: Path) -> list[str]:
    if path.suffix == ".md":
        return [path.read_text(encoding="utf-8")]
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]


def git(folder: Path, *arguments: str, **variables: str) -> bytes:
    """What git prints. Raises ValueError with what it complains of."""
    if shutil.which("git") is None:
        raise ValueError("expected the program git on PATH, got none: install it and run this again")
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, env={**os.environ, **variables})
    if done.returncode:
        raise ValueError(f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def main() -> None:
    try:
        archive = build(ROOT, ROOT / "build" / "student")
    except ValueError as error:
        sys.exit(f"make student: {error}")
    changed = git(ROOT, "status", "--porcelain", "--", *GIVEN).decode()
    if changed:
        print(f"Not in it, as it is not committed:\n{changed.rstrip()}")
    folder, size = archive.with_suffix(""), archive.stat().st_size / 1e6
    print(f"wrote {folder}, a git repository to push, and {archive.name} beside it ({size:.0f} MB)")


if __name__ == "__main__":
    main()
