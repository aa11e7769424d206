"""What students are given: what is listed, nothing that gives a solution away, and it works where they put it."""

import base64
import bz2
import fnmatch
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deploy.student.__main__ import FOLDER, HANDED_OUT, ITS_OWN, build, commit, dead_links
from deploy.student.git import git
from deploy.student.leaks import LONG, leaks, lines, occurring, regions, secrets

ROOT = Path(__file__).parents[1]
NAME = "a1_roi"
NOTEBOOK = f"assignments/{NAME}/{NAME}.ipynb"
SECRET = "bin_height = max(y2 - y1, smallest) / output_size[0]"  # a line of the solution
SECRETS = {  # each lies where only instructors look
    "solutions": SECRET,
    "short lines of a solution": "    a, b = y - y0, x - x0\n    top = (1 - b) * feature[y0, x0] + b * feature[y0, x1]",
    "hidden test": '_hint = "try a map that is not square, and points close to one of the four neighbours."',
    "hidden inputs": "x = torch.rand(2, generator=generator(1000 * VARIANT + 3))",
    "answer in words": "2. Moving the features by a few pixels\nshifts the predicted mask by as many. For a small "
    "object that costs a part of the IoU: a mask otherwise good falls",
    "sheet": "- pool images and average thresholds in the right order, and score a method on real nuclei with a score "
    "of their own (5);\n- say what a bound on IoU means for an area, and what AP asks of the scores (6, by hand).",
    "case": '("weights of x and y swapped", AB, "a, b = x - x0, y - y0"),\n'
    '("weights the wrong way round", AB, "a, b = 1 - (y - y0), 1 - (x - x0)"),',
    "marker": "### BEGIN HIDDEN TESTS",
}


def notebook(**cell: object) -> bytes:
    return nbformat.writes(new_notebook(cells=[new_code_cell("1 + 1", **cell)])).encode()


def shown(**data: str) -> bytes:
    return notebook(outputs=[new_output("display_data", {kind.replace("_", "/"): text for kind, text in data.items()})])


def png(**text: str) -> bytes:
    image, file, written = Image.new("L", (4, 4)), io.BytesIO(), PngInfo()
    for key, value in text.items():
        written.add_text(key, value, zip=True)
    image.save(file, "PNG", pnginfo=written)
    return file.getvalue()


def npz(text: str) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, note=np.array([text]))
    return file.getvalue()


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside", data)
    return file.getvalue()


def coloured(text: str) -> str:
    """A line as IPython's traceback prints it."""
    words = " ".join(f"\x1b[38;5;28m{word}\x1b[39m" for word in text.split())
    return f"\x1b[32m      3\x1b[39m     x = 1\n----> 4     {words}\n"


WRAPPED: dict[str, Callable[[str], bytes]] = {
    "printed": lambda text: notebook(outputs=[new_output("stream", text=f"def f():\n    {text}\n")]),
    "traceback": lambda text: notebook(outputs=[new_output("error", traceback=[coloured(text)])]),
    "page": lambda text: shown(text_html=f"<pre>{''.join(f'<b>{word}</b> ' for word in text.split())}</pre>"),
    "repr": lambda text: shown(text_plain=repr(f"x = 1\n{text}\n")),
    "json in html": lambda text: shown(text_html=f"<script>{json.dumps({'cells': [text]})}</script>"),
    "picture": lambda text: shown(image_png=base64.encodebytes(png(Description=text)).decode()),
    "data in html": lambda text: shown(text_html=f'<img src="data:;base64,{base64.b64encode(png(c=text)).decode()}">'),
    "metadata": lambda text: notebook(metadata={"nbgrader": {"answer": text}}),
    "attachment": lambda text: nbformat.writes(
        new_notebook(
            cells=[new_markdown_cell("", attachments={"a": {"text/plain": base64.b64encode(text.encode()).decode()}})]
        )
    ).encode(),
    "array": npz,
    "saved array of letters": lambda text: text.encode("utf-32-le"),
    "compressed": lambda text: bz2.compress(gzip.compress(text.encode())),
    "archive in an archive": lambda text: zipped(zipped(text.encode())),
    "after a picture": lambda text: png() + text.encode(),
    "among bytes": lambda text: b"\xff\xfe\x00" + text.encode() + b"\x00\xff",
}


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that ``make student`` would write from the last commit; the zip lies beside it."""
    target = tmp_path_factory.mktemp("build") / "student"
    build(ROOT, target)
    return target


@pytest.fixture(scope="module")
def archive(handed_out: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(handed_out.with_suffix(".zip"))


def test_it_holds_what_is_listed_and_nothing_else(handed_out: Path, archive: zipfile.ZipFile) -> None:
    names = git(handed_out, "ls-files", "-z").decode().split("\0")[:-1]
    patterns = [*(pattern.replace("**/", "") for pattern in HANDED_OUT), *(page.name for page in ITS_OWN)]
    assert [name for name in names if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)] == []
    for kept in ("solutions", "tests", "gradebook", "docs/assignments", "instructors", "marks", "submitted"):
        assert not any(kept in name for name in names), kept
    files = [info.filename for info in archive.infolist() if not info.is_dir()]
    assert sorted(files) == sorted(f"{FOLDER}/{name}" for name in names)
    assert {f"assignments/{path.parent.name}/{path.name}" for path in ROOT.glob("solutions/*/*.ipynb")} <= {*names}
    assert all(archive.read(f"{FOLDER}/{name}") == (handed_out / name).read_bytes() for name in names)


def test_its_history_is_one_commit_of_nobody_in_particular(handed_out: Path) -> None:
    assert (
        git(handed_out, "log", "--all", "--format=%an %ae: %s")
        == b"The course course@localhost: The course, for students\n"
    )
    assert not git(handed_out, "fsck", "--unreachable", "--full")
    assert not git(handed_out, "status", "--porcelain")


def test_nothing_in_it_gives_anything_away(handed_out: Path, tmp_path: Path) -> None:
    """In the zip as well: each of its files, decoded; in the folder each object of git's."""
    shutil.copy(handed_out.with_suffix(".zip"), tmp_path)
    assert leaks(ROOT, tmp_path) == []
    assert leaks(ROOT, handed_out) == []


@pytest.mark.parametrize("wrap", WRAPPED)
def test_a_solution_is_found_however_it_is_wrapped(tmp_path: Path, wrap: str) -> None:
    (tmp_path / "lecture").write_bytes(WRAPPED[wrap]("bin_width = x2 - x1"))
    assert leaks(ROOT, tmp_path) == []
    (tmp_path / "lecture").write_bytes(WRAPPED[wrap](SECRET))
    (found,) = leaks(ROOT, tmp_path)
    assert found.startswith("lecture")
    assert "gives away 'bin_height=max(y2-y1,smallest)/output_size[0]'" in found


def test_all_but_short_single_lines_are_looked_for() -> None:
    secret, _ = secrets(ROOT)
    unknown = [text for text in regions(ROOT) if not any(occurring("".join(lines(text)), secret))]
    assert len(regions(ROOT)) > 100
    assert all(len(lines(text)) == 1 and len(lines(text)[0]) < LONG for text in unknown)


@pytest.mark.parametrize("kind", SECRETS)
def test_each_kind_of_secret_is_found(tmp_path: Path, kind: str) -> None:
    (tmp_path / "note.md").write_text(f"See below.\n\n{SECRETS[kind]}\n", encoding="utf-8")
    assert len(leaks(ROOT, tmp_path)) == 1


def test_what_a_commit_took_out_again_is_found_in_the_history(tmp_path: Path) -> None:
    when = "2026-01-01T00:00:00+00:00"
    for text in ("nothing\n", f"{SECRET}\n", "nothing\n"):
        (tmp_path / "note.md").write_text(text)
        commit(tmp_path, when=when)
    (found,) = leaks(ROOT, tmp_path)
    assert found.startswith("git's blob note.md gives away")
    git(tmp_path, "checkout", "--quiet", "--orphan", "new")
    commit(tmp_path, when=when)
    git(tmp_path, "branch", "--quiet", "-D", "main")
    assert len(leaks(ROOT, tmp_path)) == 1  # no branch reaches it any more


def test_a_link_to_what_is_not_handed_out_is_said(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    page = '[a](docs/there.md#part) ![b](gone.png) <img src="docs/gone.svg"> [c](https://a.org) [d](#part)'
    (tmp_path / "README.md").write_text(page)
    (tmp_path / "docs" / "there.md").write_text("[up](../README.md)")
    nbformat.write(
        new_notebook(cells=[new_markdown_cell("[e](../x.md)"), new_code_cell("a[0](x)")]), tmp_path / "n.ipynb"
    )
    assert list(dead_links(tmp_path)) == [
        "README.md links gone.png, which is not handed out.",
        "README.md links docs/gone.svg, which is not handed out.",
        "n.ipynb links ../x.md, which is not handed out.",
    ]


def test_a_change_is_one_more_commit_and_a_leak_is_refused(handed_out: Path, tmp_path: Path) -> None:
    checkout, target = tmp_path / "checkout", tmp_path / "out" / "student"
    shutil.copytree(handed_out, checkout, ignore=shutil.ignore_patterns(".git", "[01]*.ipynb"))
    shutil.copytree(ROOT / "solutions", checkout / "solutions")
    (checkout / "README.md").write_text(
        "## What there is\n\n| 00 |\n|---|\n\n## For students\n\nRead.\n\n## Licence\n\nMIT\n"
    )
    lecture = checkout / "lectures" / "00_start_here.ipynb"
    lecture.write_bytes(notebook())
    commit(checkout, when=git(ROOT, "log", "-1", "--format=%cI").decode().strip())
    me = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    build(checkout, target)
    first = git(target, "rev-parse", "HEAD")
    git(target, "remote", "add", "origin", "https://example.org/course.git")
    build(checkout, target)
    assert git(target, "rev-parse", "HEAD") == first
    (checkout / "docs" / "data.md").write_text("Not yet committed.")
    lecture.write_bytes(notebook(metadata={"note": "harmless"}))
    git(checkout, *me, "commit", "--quiet", "-m", "harmless", str(lecture))
    build(checkout, target)
    assert git(target, "rev-parse", "HEAD~1") == first
    assert git(target, "remote").strip() == b"origin"
    assert git(target, "diff", "--name-only", "HEAD~1").split() == [b"lectures/00_start_here.ipynb"]
    before = target.with_suffix(".zip").read_bytes()
    lecture.write_bytes(notebook(metadata={"note": SECRET}))
    git(checkout, *me, "commit", "--quiet", "-m", "harmful", str(lecture))
    with pytest.raises(ValueError, match=r"Nothing was written\. lectures/00_start_here\.ipynb gives away 'bin_height"):
        build(checkout, target)
    assert target.with_suffix(".zip").read_bytes() == before
    assert git(target, "rev-parse", "HEAD~1") == first
    assert not list(target.parent.glob(".student-*"))


def test_without_git_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: Callable[..., None]) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    refuses("expected the program git on PATH, got none", build, ROOT, tmp_path / "student")


# --- in a student's hands ---


def in_the_folder(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the folder's own Python there, as a student's terminal would."""
    python = folder / ".venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    outside = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(python), *arguments], cwd=folder, env={**outside, "PYTHONUTF8": "1"}, capture_output=True, encoding="utf-8"
    )


@pytest.mark.slow
@pytest.mark.network
def test_it_installs_and_passes_a_students_checks_in_a_folder_of_any_name(
    archive: zipfile.ZipFile, tmp_path: Path
) -> None:
    """What pip would download is shared with this test run's environment; all else is as on a fresh computer."""
    archive.extractall(tmp_path / "Köln course")
    folder = tmp_path / "Köln course" / FOLDER
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / ".venv")], check=True)
    (packages,) = (folder / ".venv").glob("**/site-packages")
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    started = in_the_folder(folder, "course.py", "lab", "--version")
    assert started.returncode == 0, started.stdout + started.stderr
    assert "installing grade, lab" in started.stdout
    assert in_the_folder(folder, "course.py", "test").stderr == "Say what to do: python3 course.py lab\n"
    home = in_the_folder(folder, "-P", "-c", "import coursekit, coursegrade; print(coursekit.__file__)").stdout
    assert Path(home.strip()).is_relative_to(folder)
    assert "shown" in in_the_folder(folder, "-m", "coursekit", "claims", "table").stdout
    validate = ["-m", "nbgrader", "validate", NOTEBOOK]
    assert "VALIDATION FAILED" in in_the_folder(folder, *validate).stdout
    solve(folder / NOTEBOOK)
    assert "Success!" in in_the_folder(folder, *validate).stdout
    ran = in_the_folder(
        folder, "-m", "nbconvert", "--execute", "--to", "notebook", "--stdout", "lectures/00_start_here.ipynb"
    )
    assert ran.returncode == 0, ran.stderr


def solve(path: Path) -> None:
    """Fill a released notebook with the solutions."""
    source = nbformat.read(ROOT / "solutions" / NAME / path.name, as_version=4).cells
    answers = {c.metadata.nbgrader.grade_id: c.source for c in source if c.metadata.get("nbgrader", {}).get("solution")}
    released = nbformat.read(path, as_version=4)
    for cell in released.cells:
        cell.source = answers.get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
    nbformat.write(released, path)
