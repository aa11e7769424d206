"""Whatever is handed in is read, or refused with a sentence: broken files, wrong names, cells moved, copied, deleted,
changed.
"""

import copy
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coursegrade import notebook as files
from coursegrade.intake import Reading, read
from coursegrade.people import Origin, keep_origin
from coursegrade.records import HIDDEN, Step, to_json
from coursegrade.source import Source, read_source

Cells = list[dict[str, Any]]


def cell(name: str, source: str, kind: str = "code", **marks: Any) -> dict[str, Any]:
    roles = {"grade_id": name, "grade": False, "solution": False, "locked": True, "task": False, "schema_version": 3}
    return {"cell_type": kind, "id": name, "metadata": {"nbgrader": roles | marks}, "source": source}


def text(name: str, source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": source}


def own(source: str, kind: str = "code") -> dict[str, Any]:
    return {"cell_type": kind, "metadata": {}, "source": source}


CELLS = [
    text("title", "# Assignment"),
    cell("setup", 'import math\nCLOSED = ("a.b",)'),
    cell("f", "def f():\n    return 1", solution=True, locked=False),
    cell(
        "f_right",
        "assert f() == 1\n### BEGIN HIDDEN TESTS\nassert f() > 0, 'positive'\n### END HIDDEN TESTS\n",
        grade=True,
        points=40,
    ),
    cell("gh", "def g():\n    return 2\n\n\nh = 3", solution=True, locked=False),
    cell("g_right", "assert g() == 2", grade=True, points=40),
    text("why_asked", "## Why?"),
    cell("why", "Because.", "markdown", solution=True, grade=True, points=15, locked=False),
    cell("plot", "draw()", solution=True, grade=True, points=5, locked=False),
]
MINE = {"f": "def f():\n    return 10", "gh": "def g():\n    return 20\nh = 30", "why": "It is so.", "plot": "draw(1)"}
ORDER = ["title", "setup", "f", "f_right", "gh", "g_right", "why_asked", "why", "plot"]
NAMED = [name for name in ORDER if name not in ("title", "why_asked")]


def packed(cells: Cells, **more: Any) -> dict[str, Any]:
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **more}


def write(path: Path, cells: Cells) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(packed(cells)), encoding="utf-8")
    return path


def handed() -> Cells:
    """The released notebook with answers in it."""
    cells = copy.deepcopy(CELLS)
    for c in cells:
        c["source"] = MINE.get(c["id"], HIDDEN.sub("", c["source"]))
    return cells


def at(cells: Cells, name: str) -> dict[str, Any]:
    return next(c for c in cells if c.get("id") == name)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    write(tmp_path / "solutions" / "a1" / "a1.ipynb", CELLS)
    return read_source(tmp_path, "a1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "submitted" / "ada" / "a1"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def submit(source: Source, folder: Path) -> Callable[[Cells], Reading]:
    def submit(cells: Cells) -> Reading:
        write(folder / "a1.ipynb", cells)
        return look(folder, source)

    return submit


def look(folder: Path, source: Source) -> Reading:
    """Read, and hold what is true of every reading."""
    reading = read(folder, source, student="ada")
    assert reading == read(folder, source, student="ada")
    assert bool(reading.problem) != bool(reading.jobs)
    for sentence in (*reading.remarks, *reading.flags, *filter(None, [reading.problem])):
        assert sentence.endswith(".")
        assert "\n" not in sentence
    for job in reading.jobs:
        to_json(job).encode()
        assert job.closed == ("a.b",)
        assert [s.grade_id for s in job.steps if s.grade_id] == NAMED
        for step in job.steps:
            if step.grade_id and step.grade_id not in MINE:
                assert step.source == at(CELLS, step.grade_id)["source"], "the instructor's, hidden tests and all"
    return reading


def steps(reading: Reading) -> list[Step]:
    (job,) = reading.jobs
    return list(job.steps)


def answers(reading: Reading) -> dict[str, str]:
    return {s.grade_id: s.source for s in steps(reading) if s.grade_id in MINE}


def order(reading: Reading) -> list[str]:
    return [s.grade_id or s.source for s in steps(reading)]


def said(reading: Reading, part: str, *, flag: bool = False) -> bool:
    assert any(part in remark for remark in reading.remarks), reading
    assert reading.flags or not flag
    return True


# ---- cells


def test_a_plain_submission(submit: Callable[[Cells], Reading]) -> None:
    reading = submit(handed())
    assert (reading.remarks, reading.flags, reading.problem) == ((), (), "")
    assert answers(reading) == MINE
    (job,) = reading.jobs
    assert (job.assignment, job.notebook, job.student) == ("a1", "a1", "ada")
    kinds = {s.grade_id: (s.kind, s.by_hand, s.points) for s in steps(reading)}
    assert kinds["gh"] == ("answer", False, 0)
    assert steps(reading)[4].defines == ("g", "h")
    assert kinds["why"] == ("text", True, 15)
    assert kinds["plot"] == ("answer", True, 5)
    assert kinds["f_right"] == ("test", False, 40)
    assert order(reading)[0] == "# Assignment"


def test_own_cells_stay_where_they_are(submit: Callable[[Cells], Reading]) -> None:
    cells = handed()
    cells.insert(3, own("helper = 1"))
    cells.insert(0, own("import early"))
    cells.append(own("raw", "raw"))
    reading = submit(cells)
    assert order(reading) == [
        "import early",
        "# Assignment",
        "setup",
        "f",
        "helper = 1",
        *NAMED[2:5],
        "## Why?",
        "why",
        "plot",
        "raw",
    ]
    assert [s.kind for s in steps(reading) if s.source in ("helper = 1", "raw")] == ["own", "text"]
    assert reading.remarks == ()


def test_deleted_cells(submit: Callable[[Cells], Reading]) -> None:
    cells = [c for c in handed() if c["id"] not in ("setup", "f_right", "gh", "why")]
    reading = submit(cells)
    assert answers(reading) == MINE | {"gh": "", "why": ""}
    assert said(reading, "No cell was found for these answers, so they count as empty", flag=True)
    assert said(reading, "missing and were put back: 'setup', 'f_right'.")


def test_of_copies_the_last_counts(submit: Callable[[Cells], Reading]) -> None:
    cells = handed()
    cells.insert(4, cell("f", "def f():\n    return 11", solution=True, locked=False))
    reading = submit(cells)
    assert answers(reading)["f"] == "def f():\n    return 11"
    assert said(reading, "different content, of which the last one counted: 'f'.", flag=True)
    assert [s.kind for s in steps(reading) if s.source == MINE["f"]] == ["own"]


def test_a_copied_test_changes_nothing(submit: Callable[[Cells], Reading]) -> None:
    cells = handed()
    cells.append(copy.deepcopy(at(cells, "f_right")))
    reading = submit(cells)
    assert said(reading, "there more than once, of which the last one counted: 'f_right'.")
    assert [s.grade_id for s in steps(reading) if s.kind == "test"] == ["f_right", "g_right"]


def test_a_renamed_answer_is_known_by_what_it_defines(submit: Callable[[Cells], Reading]) -> None:
    cells = handed()
    at(cells, "gh").update(
        id="other", metadata={"nbgrader": {"grade_id": "mine", "grade": True, "solution": False, "points": 99}}
    )
    cells.insert(4, own("not in its old place"))
    reading = submit(cells)
    assert answers(reading) == MINE
    assert said(reading, "recognised by their content: 'gh'.")


def test_a_renamed_answer_that_does_not_parse(submit: Callable[[Cells], Reading]) -> None:
    cells = handed()
    at(cells, "f").update(id="other", metadata={}, source="def f(:\n    return")
    assert answers(submit(cells))["f"] == "def f(:\n    return"


def test_what_is_ambiguous_is_not_guessed(submit: Callable[[Cells], Reading]) -> None:
    cells = handed()
    at(cells, "f").update(id="other", metadata={})
    cells.append(own("def f():\n    return 12"))
    reading = submit(cells)
    assert answers(reading) == MINE, "the one that stands in the answer's place"
    cells.insert(2, own("between = 1"))
    reading = submit(cells)
    assert answers(reading)["f"] == ""
    assert [s.kind for s in steps(reading) if s.source.startswith("def f")] == ["own", "own"]
    assert said(
        reading,
        "No cell was found for these answers, but other cells define what they ask for, and that was graded: 'f'.",
        flag=True,
    )


def test_what_another_cell_defines_does_not_count_as_empty(submit: Callable[[Cells], Reading]) -> None:
    cells = [c for c in handed() if c["id"] not in ("gh", "why")]
    at(cells, "f")["source"] += "\n" + MINE["gh"]
    reading = submit(cells)
    assert said(reading, "and that was graded: 'gh'.", flag=True)
    assert said(reading, "so they count as empty; put them into the released notebook's own cells: 'why'.", flag=True)


def test_all_metadata_dropped(submit: Callable[[Cells], Reading]) -> None:
    cells = [own(c["source"], c["cell_type"]) for c in handed()]
    reading = submit(cells)
    assert answers(reading) == MINE | {"plot": ""}, "nothing tells a drawing from any other cell"
    assert order(reading) == ["# Assignment", *NAMED[:5], "## Why?", "why", "draw(1)", "plot"]
    assert said(reading, "recognised by their content")


def test_metadata_dropped_but_ids_kept(submit: Callable[[Cells], Reading]) -> None:
    reading = submit([{**c, "metadata": {}} for c in handed()])
    assert answers(reading) == MINE
    assert order(reading) == ["# Assignment", *NAMED[:5], "## Why?", "why", "plot"]


def test_a_written_answer_deleted_is_not_the_next_text(submit: Callable[[Cells], Reading]) -> None:
    cells = [{"cell_type": "markdown", "source": "# Assignment"} if c["id"] == "why" else c for c in handed()]
    assert answers(submit(cells))["why"] == ""


def test_another_order(submit: Callable[[Cells], Reading]) -> None:
    cells = handed()
    cells.insert(3, own("after f"))
    cells.reverse()
    reading = submit(cells)
    assert [name for name in order(reading) if name in NAMED] == NAMED
    assert answers(reading) == MINE
    assert said(reading, "another order than in the released notebook")
    assert order(reading)[order(reading).index("f_right") + 1] == "after f", "behind the cell it followed"


@pytest.mark.parametrize("kind", ["markdown", "raw", "nonsense", None, 3, ["code"]])
def test_code_retyped_is_read_as_code(submit: Callable[[Cells], Reading], kind: object) -> None:
    cells = handed()
    at(cells, "f")["cell_type"] = kind
    reading = submit(cells)
    assert answers(reading) == MINE
    assert said(reading, "had become text cells and were read as code: 'f'.")
    assert steps(reading)[2].kind == "answer"


def test_words_retyped_are_read_as_words(submit: Callable[[Cells], Reading]) -> None:
    cells = handed()
    at(cells, "why")["cell_type"] = "code"
    reading = submit(cells)
    assert said(reading, "had become code cells and were read as text: 'why'.")
    assert [s.kind for s in steps(reading) if s.grade_id == "why"] == ["text"]


@pytest.mark.parametrize(
    ("key", "value", "flag"),
    [
        ("points", 99, True),
        ("points", float("nan"), True),
        ("grade", False, True),
        ("locked", False, False),
        ("schema_version", 9, False),
    ],
)
def test_changed_settings_have_no_effect(
    submit: Callable[[Cells], Reading], key: str, value: object, flag: bool
) -> None:
    cells = handed()
    at(cells, "g_right")["metadata"]["nbgrader"][key] = value
    reading = submit(cells)
    assert said(reading, "which has no effect: 'g_right'.", flag=flag)
    assert [(s.kind, s.points) for s in steps(reading) if s.grade_id == "g_right"] == [("test", 40)]


@pytest.mark.parametrize("name", ["setup", "f_right"])
def test_what_belongs_to_the_instructor_is_the_instructor_s(submit: Callable[[Cells], Reading], name: str) -> None:
    cells = handed()
    at(cells, name)["source"] = "CLOSED = ()\nassert True"
    assert said(
        submit(cells), f"the original was used, so put what you added into a cell of your own: '{name}'.", flag=True
    )
    at(cells, name)["source"] = HIDDEN.sub("", at(CELLS, name)["source"]).replace("\n", "  \r\n") + "\r\n\r\n"
    assert submit(cells).flags == (), "line ends are no change"


def test_a_foreign_kernel(submit: Callable[[Cells], Reading], folder: Path, source: Source) -> None:
    for spec, foreign in [
        ({"name": "ir", "language": "R"}, True),
        ({"name": "conda-env-x-py"}, False),
        ({"name": 3}, True),
        ("x", False),
    ]:
        (folder / "a1.ipynb").write_text(json.dumps(packed(handed(), metadata={"kernelspec": spec})))
        assert any("it was graded with Python" in remark for remark in look(folder, source).remarks) == foreign, spec


def test_a_merge_conflict_inside_an_answer(submit: Callable[[Cells], Reading]) -> None:
    cells = handed()
    at(cells, "f")["source"] = "<<<<<<< HEAD\ndef f(): ...\n=======\n>>>>>>> theirs"
    assert said(submit(cells), "marks of a merge conflict in them; decide for one version: 'f'.")


def test_odd_cells(submit: Callable[[Cells], Reading]) -> None:
    cells: list[Any] = handed()
    at(cells, "f")["source"] = ["def f():\n", "    return 10", 3, None]
    at(cells, "gh")["source"] = 17
    at(cells, "why")["source"] = "lone \ud800 surrogate"
    at(cells, "plot").update(id=["not", "an", "id"])
    at(cells, "title").update(id="f")
    cells += [
        None,
        3,
        "text",
        [],
        {},
        {"metadata": 7},
        {"metadata": {"nbgrader": []}},
        {"metadata": {"nbgrader": {"grade_id": ["f"]}}},
    ]
    reading = submit(cells)
    assert answers(reading) == {"f": MINE["f"], "gh": "", "why": "lone ? surrogate", "plot": "draw(1)"}
    assert said(reading, "held 4 entries that are not cells")


def test_too_many_cells_and_too_long_ones(submit: Callable[[Cells], Reading]) -> None:
    assert "2010 cells, and at most 2000" in submit(handed() + [own("x")] * 2001).problem
    reading = submit([*handed(), own("#" * (files.LONGEST + 1))])
    assert said(reading, "cells of more than 500,000 characters (1)")
    assert max(len(s.source) for s in steps(reading)) < 1000


def test_the_notebook_of_another_assignment(submit: Callable[[Cells], Reading]) -> None:
    assert submit([text("x", "# Hello"), own("print(1)")]).problem == (
        "a1.ipynb has none of the cells of a1: hand in the released notebook with your answers in it."
    )


# ---- files


def data() -> bytes:
    return json.dumps(packed([*handed(), own("# Grüße")]), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "a1.ipynb is empty"),
        (b" \n\0", "a1.ipynb is empty"),
        (data()[:700], "a1.ipynb breaks off in the middle"),
        (data()[:-2], "a1.ipynb breaks off in the middle"),
        (
            b'{\n "cells": [\n<<<<<<< HEAD\n {}\n=======\n {}\n>>>>>>> x\n]}',
            "a1.ipynb has the marks of a merge conflict (line 3)",
        ),
        (b"<!DOCTYPE html><p>Jupyter</p>", "a1.ipynb is a web page"),
        (b"PK\x03\x04\xff\xff", "a1.ipynb is a zip archive under the name of a notebook"),
        (b"%PDF-1.4\n%\xe2\xe3", "a1.ipynb is a PDF"),
        (b"\x89PNG\r\n", "a1.ipynb is a picture"),
        (b"import torch\n", "a1.ipynb is not a notebook (line 1 is not valid JSON)"),
        (bytes(range(256)), "a1.ipynb is not a notebook"),
        (b"[" * 200_000, "a1.ipynb is nested too deeply"),
        (b'{"cells": ' * 200_000, "a1.ipynb is nested too deeply"),
        (b"[1, 2]", "a1.ipynb holds data, but no notebook"),
        (b"NaN", "a1.ipynb holds data, but no notebook"),
        (b"1" * 10_000, "a1.ipynb is not a notebook"),
        (b'{"cells": 3, "nbformat": 4}', "a1.ipynb has no list of cells"),
        (b"{}", "a1.ipynb has no list of cells"),
        (b'{"cells": [], "nbformat": 4}', "a1.ipynb has none of the cells of a1"),
        (b'{"worksheets": [3, {"cells": 4}]}', "a1.ipynb has none of the cells of a1"),
        (b"[" + b"[]," * 3_000_000 + b"[]]", "a1.ipynb is too large to read (millions of values)"),
    ],
)
def test_what_is_no_notebook(folder: Path, source: Source, content: bytes, sentence: str) -> None:
    (folder / "a1.ipynb").write_bytes(content)
    reading = look(folder, source)
    assert reading.problem.startswith(sentence)
    assert "hand" in reading.problem
    assert len(reading.sha) == 64


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_other_encodings(folder: Path, source: Source, encoding: str) -> None:
    (folder / "a1.ipynb").write_bytes(data().decode().encode(encoding))
    reading = look(folder, source)
    assert order(reading)[-1] == "# Grüße"
    assert said(reading, "instead of plain UTF-8; it was read all the same.")


@pytest.mark.parametrize(
    "version", [{"nbformat_minor": 99}, {"nbformat": 5}, {"nbformat": "x"}, {"nbformat_minor": None}]
)
def test_other_versions(folder: Path, source: Source, version: dict[str, Any]) -> None:
    (folder / "a1.ipynb").write_text(json.dumps(packed(handed()) | version))
    assert answers(look(folder, source)) == MINE


def test_format_3(folder: Path, source: Source) -> None:
    cells = [{"input" if k == "source" and c["cell_type"] == "code" else k: v for k, v in c.items()} for c in handed()]
    cells.append({"cell_type": "heading", "level": 2, "source": "End"})
    (folder / "a1.ipynb").write_text(
        json.dumps({"worksheets": [{"cells": cells[:4]}, {"cells": cells[4:]}], "nbformat": 3})
    )
    reading = look(folder, source)
    assert answers(reading) == MINE
    assert said(reading, "is in an old notebook format and was converted")


def test_a_large_notebook_is_read_without_its_outputs(
    folder: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = handed()
    at(cells, "f")["outputs"] = [{"output_type": "stream", "text": "x" * 100_000}] * 50
    write(folder / "a1.ipynb", cells)
    tracemalloc.start()
    try:
        reading = read(folder, source, student="ada")
        assert tracemalloc.get_traced_memory()[1] < 12e6, "the bytes and the text of the file, but no output"
    finally:
        tracemalloc.stop()
    assert answers(reading) == MINE
    monkeypatch.setattr(files, "LARGEST", 1_000_000)
    assert look(folder, source).problem.startswith(
        "a1.ipynb is too large to read (5 MB), probably because of its outputs: clear all"
    )


def test_a_hundred_megabytes(folder: Path, source: Source) -> None:
    cells = handed()
    at(cells, "f")["outputs"] = ["LARGE"]
    before, after = json.dumps(packed(cells)).split('"LARGE"')
    with (folder / "a1.ipynb").open("w") as file:
        file.write(f'{before}{{"output_type": "display_data", "data": {{"image/png": "')
        for _ in range(100):
            file.write("A" * 1_000_000)
        file.write(f'"}}}}{after}')
    reading = read(folder, source, student="ada")
    assert answers(reading) == MINE
    assert reading.remarks == ()


@pytest.mark.parametrize(
    "name",
    [
        "roi (1).ipynb",
        "a1-Copy1.ipynb",
        "A1.IPYNB",
        "a1.ipynb.txt",
        "a1.ipynb.json",
        "a1.json",
        "a1",
        "deep/er/a1.ipynb",
        "x/solution.ipynb",
    ],
)
def test_a_wrong_name_is_put_right(folder: Path, source: Source, name: str) -> None:
    write(folder / name, handed())
    reading = look(folder, source)
    assert answers(reading) == MINE
    assert said(reading, f"You handed in {name}; it was taken as a1.ipynb.")


@pytest.mark.parametrize("other", ["a1-Copy1.ipynb", "sub/a1.ipynb"])
def test_of_two_the_right_name_wins(folder: Path, source: Source, other: str) -> None:
    write(folder / "a1.ipynb", handed())
    write(folder / other, [own("other")])
    write(folder / ".ipynb_checkpoints" / "a1-checkpoint.ipynb", [own("old")])
    write(folder / "._a1.ipynb", [own("macOS")])
    reading = look(folder, source)
    assert answers(reading) == MINE
    assert reading.remarks == (f"Beside a1.ipynb you handed in other notebooks, which were not read: {other}.",)


def test_the_right_name_wins_in_a_subfolder(folder: Path, source: Source) -> None:
    write(folder / "hw" / "a1.ipynb", handed())
    write(folder / "hw" / "play.ipynb", [own("other")])
    assert answers(look(folder, source)) == MINE


@pytest.mark.parametrize("names", [("b.ipynb", "a1 (1).ipynb"), ("x/a1.ipynb", "y/a1.ipynb"), ("b.json", "c.json")])
def test_of_several_none_is_guessed(folder: Path, source: Source, names: tuple[str, ...]) -> None:
    for name in names:
        write(folder / name, handed())
    assert (
        f"is meant is not clear ({', '.join(sorted(names))}): hand in one, named a1.ipynb."
        in look(folder, source).problem
    )


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("a1.py", "hand in the notebook itself, the .ipynb file."),
        ("a1.pdf", "hand in the notebook itself, the .ipynb file."),
        ("work.zip", "unpack it and hand in the notebook itself."),
    ],
)
def test_something_else_instead(folder: Path, source: Source, name: str, end: str) -> None:
    (folder / name).write_bytes(b"PK")
    assert look(folder, source).problem == f"a1.ipynb is not there, but {name}: {end}"


def test_nothing(folder: Path, source: Source) -> None:
    assert look(folder, source).problem == "Nothing was handed in: a1.ipynb is expected."
    assert "it has no folder" in look(folder / "gone", source).problem


def test_links_are_never_followed(folder: Path, source: Source, tmp_path: Path) -> None:
    secret = write(tmp_path / "secret" / "a1.ipynb", handed())
    link = folder / "a1.ipynb"
    link.symlink_to(secret)
    reading = look(folder, source)
    assert reading.problem == "a1.ipynb is a link, not a notebook: hand in the file itself."
    assert reading.flags == ("There is a link among the files, which was not followed: a1.ipynb.",)
    link.unlink()
    (folder / "sub").symlink_to(secret.parent)
    assert look(folder, source).problem.startswith("a1.ipynb is not there, but sub")
    (folder.parent / "linked").symlink_to(secret.parent)
    assert "its folder is a link" in look(folder.parent / "linked", source).problem
    link.symlink_to(secret)
    with pytest.raises(files.Unreadable, match="cannot be opened"):
        files.read_bytes(link)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes that lie in folders")
def test_a_folder_and_a_pipe_named_like_the_notebook(folder: Path, source: Source) -> None:
    (folder / "a1.ipynb").mkdir()
    assert look(folder, source).problem == "a1.ipynb is a folder, not a notebook: hand in the file itself."
    (folder / "a1.ipynb").rmdir()
    os.mkfifo(folder / "a1.ipynb")
    assert "not a notebook" in look(folder, source).problem, "and it does not wait for a writer"
    with pytest.raises(files.Unreadable, match="is not a file"):
        files.read_bytes(folder / "a1.ipynb")


def test_permissions(folder: Path, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "a1.ipynb", handed())

    def denied(*arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", denied)
        assert look(folder, source).problem.startswith(
            "a1.ipynb cannot be opened (Permission denied): ask your instructor"
        )
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "its folder cannot be opened" in look(folder, source).problem


def test_a_name_that_cannot_be_printed(folder: Path, source: Source) -> None:
    os.close(os.open(os.fsencode(folder) + b"/\xff\n\x1b[31m.py", os.O_CREAT))
    assert "but ???[31m.py: hand" in look(folder, source).problem


def test_thousands_of_files(folder: Path, source: Source) -> None:
    for n in range(1500):
        (folder / f"{n}.txt").touch()
    assert look(folder, source).problem.startswith("a1.ipynb is not there, but 0.txt")


def test_the_sha_follows_what_was_handed_in(folder: Path, source: Source, submit: Callable[[Cells], Reading]) -> None:
    first = submit(handed()).sha
    assert submit(handed()).sha == first
    (folder / "data.csv").write_text("1")
    second = look(folder, source).sha
    (folder / "data.csv").write_text("2")
    assert len({first, second, look(folder, source).sha}) == 3


def test_two_notebooks(tmp_path: Path, folder: Path) -> None:
    second = [cell("k", "k = 1", solution=True), cell("k_right", "assert k == 1", grade=True, points=1)]
    write(tmp_path / "solutions" / "a1" / "a1.ipynb", CELLS)
    write(tmp_path / "solutions" / "a1" / "b.ipynb", second)
    source = read_source(tmp_path, "a1")
    write(folder / "a1 (1).ipynb", handed())
    write(folder / "b-2.ipynb", second)
    reading = read(folder, source, student="ada")
    assert [job.notebook for job in reading.jobs] == ["a1", "b"]
    assert reading.remarks[0] == "a1: You handed in a1 (1).ipynb; it was taken as a1.ipynb."
    (folder / "b-2.ipynb").write_text("{")
    reading = read(folder, source, student="ada")
    assert [job.notebook for job in reading.jobs] == ["a1"], "one bad notebook does not cost the other"
    assert reading.problem.startswith("b-2.ipynb breaks off")
    write(folder / "b-2.ipynb", second)
    (folder / "a1 (1).ipynb").write_text("{")
    assert [job.notebook for job in read(folder, source, student="ada").jobs] == ["b"]


KEYS = ["cells", "cell_type", "source", "metadata", "nbgrader", "id"]
JUNK = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["cell_type", "source", "metadata", "nbgrader", "id"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.lists(JUNK, max_size=4), place=st.sampled_from(["source", "metadata", "id", "cell_type"]), top=JUNK)
def test_no_content_raises(folder: Path, source: Source, junk: list[Any], place: str, top: Any) -> None:
    cells = handed()
    for c, value in zip(cells, junk):
        c[place] = value
    (folder / "a1.ipynb").write_text(json.dumps(packed([*cells, *junk], metadata=top)))
    look(folder, source)
    (folder / "a1.ipynb").write_text(json.dumps(top))
    look(folder, source)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=64), cut=st.integers(0, 3000))
def test_no_bytes_raise(folder: Path, source: Source, content: bytes, cut: int) -> None:
    for bad in (content, data()[:cut] + content + data()[cut:]):
        (folder / "a1.ipynb").write_bytes(bad)
        look(folder, source)


# ---- what the learning platform says


def test_what_was_left_out_is_said_where_nothing_else_is_there(folder: Path, source: Source) -> None:
    keep_origin(
        folder, Origin("canvas", "ada", "1", left_out=("a1.ipynb was not unpacked: it grows too large when unpacked.",))
    )
    reading = look(folder, source)
    assert reading.problem == "a1.ipynb was not unpacked: it grows too large when unpacked."


def test_what_was_left_out_beside_a_notebook_is_a_remark(submit: Callable[[Cells], Reading], folder: Path) -> None:
    plain = submit(handed())
    keep_origin(
        folder, Origin("canvas", "ada", "1", left_out=("big.bin was not unpacked: it grows too large when unpacked.",))
    )
    reading = submit(handed())
    assert said(reading, "big.bin was not unpacked")
    assert reading.sha != plain.sha, "so that it is graded again"


def test_late_again_is_graded_again(submit: Callable[[Cells], Reading], folder: Path) -> None:
    keep_origin(folder, Origin("canvas", "ada", "1"))
    plain = submit(handed())
    keep_origin(folder, Origin("canvas", "ada", "1", late=True))
    assert submit(handed()).sha != plain.sha


def test_files_beside_the_notebook_are_said(submit: Callable[[Cells], Reading], folder: Path) -> None:
    for name in ("timestamp.txt", "submission_secret.txt", "helper.py", "notes.pdf", ".hidden"):
        (folder / name).write_text("x = 1")
    reading = submit(handed())
    sentence = (
        "Beside the notebook you handed in helper.py, notes.pdf, which was not read: put what your "
        "answers need into the notebook."
    )
    assert reading.remarks == (sentence,)
    assert reading.flags == ("Other files were handed in beside the notebook and were not read: helper.py, notes.pdf.",)


def test_files_that_were_released_are_no_addition(tmp_path: Path, folder: Path) -> None:
    write(tmp_path / "solutions" / "a1" / "a1.ipynb", CELLS)
    (tmp_path / "solutions" / "a1" / "data.csv").write_text("1")
    write(folder / "a1.ipynb", handed())
    (folder / "data.csv").write_text("1")
    assert look(folder, read_source(tmp_path, "a1")).flags == ()


@pytest.mark.parametrize(("name", "kind"), [("why", "markdown"), ("plot", "code")])
def test_an_answer_in_a_cell_of_its_own_under_an_empty_one_waits_for_a_person(
    submit: Callable[[Cells], Reading], name: str, kind: str
) -> None:
    cells = handed()
    at(cells, name)["source"] = ""
    cells.insert(cells.index(at(cells, name)) + 1, own("Mine.", kind))
    (step,) = [step for step in steps(submit(cells)) if step.grade_id == name]
    assert (step.source, step.blank) == ("Mine.", False)


AROUND = {
    "between the question and the stub": (7, own("Mine.", "markdown")),
    "above the question": (6, own("Mine.", "markdown")),
    "remarks in code": (8, own("# Mine.")),
    "a string in code": (8, own('"""Mine.\nAll mine."""')),
}


@pytest.mark.parametrize("case", AROUND)
def test_a_written_answer_around_an_untouched_stub_waits_for_a_person(
    submit: Callable[[Cells], Reading], case: str
) -> None:
    place, mine = AROUND[case]
    cells = handed()
    at(cells, "why")["source"] = ""
    cells.insert(place, mine)
    (step,) = [step for step in steps(submit(cells)) if step.grade_id == "why"]
    assert (step.source, step.blank) == (mine["source"], False)


def test_a_written_answer_in_the_question_s_own_cell_waits_for_a_person(submit: Callable[[Cells], Reading]) -> None:
    cells = handed()
    at(cells, "why")["source"] = ""
    at(cells, "why_asked")["source"] += "\n\nBecause I say so."
    (step,) = [step for step in steps(submit(cells)) if step.grade_id == "why"]
    assert step.source.endswith("Because I say so.")
    assert not step.blank


@pytest.mark.parametrize("released", [False, True])
def test_the_instructor_s_own_text_is_no_answer(tmp_path: Path, folder: Path, released: bool) -> None:
    """Also where it was another at an earlier release, and below the stub."""
    cells = [*copy.deepcopy(CELLS), text("end", "## The end")]
    cells.insert(8, text("next", "## The next question"))
    if released:
        write(tmp_path / "marks" / "a1.released" / "a1" / "1.ipynb", cells)
    given = copy.deepcopy(cells)
    if released:
        at(cells, "next")["source"] = at(cells, "why_asked")["source"] = "In better words."
    write(tmp_path / "solutions" / "a1" / "a1.ipynb", cells)
    at(given, "why")["source"] = at(given, "plot")["source"] = ""
    write(folder / "a1.ipynb", [*given, own("")])
    reading = look(folder, read_source(tmp_path, "a1"))
    assert {step.grade_id for step in steps(reading) if step.by_hand and step.blank} == {"why", "plot"}


def test_what_was_added_to_a_locked_cell_runs_behind_it(submit: Callable[[Cells], Reading]) -> None:
    cells = handed()
    at(cells, "setup")["source"] = "import math\nimport numpy as np\nCLOSED = ()\n\n\ndef f():\n    return np.ones(1)"
    ran = steps(submit(cells))
    (k,) = [k for k, step in enumerate(ran) if step.grade_id == "setup"]
    assert (ran[k].source, ran[k + 1].kind) == (CELLS[1]["source"], "own")
    assert ran[k + 1].source.split() == ["import", "numpy", "as", "np", "def", "f():", "return", "np.ones(1)"]
    assert said(
        submit(cells), "the original was used, so put what you added into a cell of your own: 'setup'.", flag=True
    )
    at(cells, "setup")["source"] = "import numpy as np\n# of the assignment\n" + CELLS[1]["source"]
    reading = submit(cells)
    assert said(reading, "What you added to these cells of the assignment was run beside the original: 'setup'.")
    assert reading.flags == ()


def test_an_answer_in_a_test_cell_runs_before_the_test(submit: Callable[[Cells], Reading]) -> None:
    """It holds in the student's own notebook; checks of the student's stay out."""
    cells = handed()
    at(cells, "f_right")["source"] = (
        "import numpy as np\ndef f():\n    return np.ones(1)\nprint(f())\nassert f() == 1\n"
    )
    ran = steps(submit(cells))
    (k,) = [k for k, step in enumerate(ran) if step.grade_id == "f_right"]
    assert (ran[k - 1].kind, ran[k - 1].source) == ("own", "import numpy as np\ndef f():\n    return np.ones(1)")
    assert ran[k].source == CELLS[3]["source"]
