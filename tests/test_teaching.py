"""The instructor's guide, held to what it speaks of: lectures, assignments, records, and its own code."""

import json
import re
from pathlib import Path

import pytest
import tifffile
import torch

from coursekit import claims
from coursekit.data import readers
from coursekit.data.simulated import phantoms

ROOT = Path(__file__).parents[1]
GUIDE, README = ((ROOT / name).read_text(encoding="utf-8") for name in ("docs/teaching.md", "README.md"))
LECTURES = {path.stem.split("_")[0]: path for path in sorted((ROOT / "lectures").glob("*.ipynb"))}
SOURCES = {path.stem: json.loads(path.read_text("utf-8")) for path in (ROOT / "assignments").glob("*/*.ipynb")}
LECTURE = re.compile(r"\b(?:0\d|1[0-7])[ab]?\b")
VERDICTS = {"shown": "shown", "not shown": "not shown", "refuted": "reversed"}
TIMES = re.compile(r"(\d+) min · (\d+) s")


def rows(text: str, first: str) -> list[list[str]]:
    """The cells of the table whose heading begins with this word."""
    table = re.search(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)[1]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def numbers(text: str) -> set[float]:
    return {float(number.replace(",", "")) for number in re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?!\w)", text)}


def lecture_of(cell: str) -> str:
    return re.search(r"lectures/(\w+?)_", cell)[1]


PLAN = {lecture_of(row[2]): row for row in rows(GUIDE, "week")}
SECTIONS = dict(re.findall(r"^### (\w+) · .+\n\n((?:(?!^#).*\n)+)", GUIDE, re.MULTILINE))
NEEDS = {lecture: LECTURE.findall(needs) for lecture, needs in rows(GUIDE, "lecture")}


def text_of(notebook: dict) -> str:
    """All that a notebook says: its cells, what they printed, and its pictures' words."""
    parts = []
    for cell in notebook["cells"]:
        parts += cell["source"]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            parts += [*output.get("text", []), *data.get("text/plain", []), *data.get("text/markdown", []), "\n"]
            parts += data.get("text/html", []) if "image/png" not in data else []
            parts.append(output.get("metadata", {}).get("image/png", {}).get("alt", ""))
        parts.append("\n")
    return "".join(parts)


TEXTS = {lecture: text_of(json.loads(path.read_text("utf-8"))) for lecture, path in LECTURES.items()}


def after(assignment: str) -> list[str]:
    """The lectures that an assignment's head asks for."""
    head = "".join(SOURCES[assignment]["cells"][0]["source"])
    return re.findall(r"\d\d", re.search(r"\*\*After\*\* lectures? (.+?)\.", head)[1])


def test_the_plan_has_each_lecture_once_with_the_times_of_the_front_page() -> None:
    assert list(PLAN) == list(LECTURES)
    for row in rows(README, "lecture"):
        lecture = lecture_of(row[0])
        assert PLAN[lecture][3] == row[4], "the front page's times have changed: the plan follows"
        read = TIMES.fullmatch(row[4])[1]
        assert f"**Time** {read} minutes to read" in TEXTS[lecture]


def test_weeks_follow_each_other_and_totals_are_right() -> None:
    for column, last in ((0, 14), (1, 7)):
        weeks = [int(row[column]) for row in PLAN.values() if row[column]]
        assert weeks == sorted(weeks)
        assert set(weeks) == set(range(1, last + 1))
    minutes = {lecture: int(TIMES.fullmatch(row[3])[1]) for lecture, row in PLAN.items()}
    short = sum(minutes[lecture] for lecture, row in PLAN.items() if row[1])
    assert f"{sum(minutes.values())} minutes of reading in all, and {short} in the short course" in GUIDE
    of_assignment = {}
    for name, notebook in SOURCES.items():
        head = "".join(notebook["cells"][0]["source"])
        of_assignment[name] = sum(int(row[3]) for row in rows(head, "exercise"))
    assert {minutes for name, minutes in of_assignment.items() if name in ("a1_roi", "a2_mask_ap")} == {125}
    assert {minutes for name, minutes in of_assignment.items() if name not in ("a1_roi", "a2_mask_ap")} == {150}
    assert f"{sum(of_assignment.values())} minutes" in GUIDE


@pytest.mark.parametrize("assignment", sorted(SOURCES))
def test_an_assignment_goes_out_behind_its_last_lecture_and_comes_in_two_weeks_later(assignment: str) -> None:
    (out,) = [lecture for lecture, row in PLAN.items() if row[4] == assignment]
    (week_in,) = [int(row[0]) for row in PLAN.values() if row[5] == assignment]
    assert out == max(after(assignment))
    assert week_in == int(PLAN[out][0]) + 2
    assert f"{assignment} goes out" in SECTIONS[out]
    if short := PLAN[out][1]:
        assert f"{assignment} in {short}" in GUIDE or assignment == "a4_inflation"


def test_what_a_lecture_needs_is_what_its_first_cell_says_and_comes_before_it() -> None:
    assert list(NEEDS) == list(LECTURES)
    for lecture, needs in NEEDS.items():
        sentences = re.search(r"\*\*You need\*\*(.+?)\n\n", TEXTS[lecture], re.DOTALL)[1].split(".")
        asked = {n for s in sentences if "not needed" not in s for n in LECTURE.findall(s)}
        assert {n.rstrip("ab") for n in needs} == {n.rstrip("ab") for n in asked}, lecture
        assert all(int(PLAN[need][0]) <= int(PLAN[lecture][0]) for need in needs), lecture
    needed = {need for needs in NEEDS.values() for need in needs}
    free = [lecture for lecture in LECTURES if lecture not in needed | {"17"}]
    assert f"No lecture needs {', '.join(free)} or 17." in GUIDE
    short = [lecture for lecture, row in PLAN.items() if row[1]]
    on_video = LECTURE.findall(re.search(r"A course on video is (.+?), with section 1 of 05b", GUIDE)[1])
    for course in (short, on_video):  # 06 helps
        missing = {need for k, lecture in enumerate(course) for need in NEEDS[lecture] if need not in course[:k]}
        assert missing == {"05b", "06"}


@pytest.mark.parametrize("lecture", LECTURES)
def test_what_a_section_names_and_counts_stands_in_its_lecture(lecture: str) -> None:
    section = SECTIONS[lecture]
    assert section.startswith("It teaches")
    assert {"**Show**", "**Ask**", "**Goes wrong**"} <= set(re.findall(r"\*\*.+?\*\*", section))
    tests = {cell["metadata"].get("nbgrader", {}).get("grade_id") for n in SOURCES.values() for cell in n["cells"]}
    names = set(re.findall(r"`(.+?)`", section)) - tests - set(claims.names())
    assert not [name for name in names if name not in TEXTS[lecture]]
    assert not numbers(section) - numbers(TEXTS[lecture] + PLAN[lecture][3])


@pytest.mark.parametrize("name", claims.names())
def test_verdicts_are_those_of_the_records(name: str) -> None:
    record = claims.load(name)
    stated = {
        lecture: verdict
        for lecture, section in SECTIONS.items()
        for verdict in re.findall(rf"`{name}` \*(.+?)\*", section)
    }
    assert set(stated.values()) == {VERDICTS[claims.verdict(record)]}
    assert set(stated) <= set(record["lecture"].split(", "))


def test_the_folders_are_all_that_the_loaders_know() -> None:
    named = {name for row in rows(GUIDE, "variable") for name in re.findall(r"`(COURSEKIT_\w+)`", row[0])}
    assert named == set(readers.VARIABLES)


def test_own_data_reach_a_lectures_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The code of the page, run as it stands on two images: one lies in each part."""
    for number in (1, 2):
        image, labels = phantoms.nuclei(generator=torch.Generator().manual_seed(number))
        tifffile.imwrite(tmp_path / f"cells_{number:02d}.tif", (1000 * image[0]).short().numpy())
        tifffile.imwrite(tmp_path / f"cells_{number:02d}_labels.tif", labels.short().numpy())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSEKIT_DSB2018", "")  # so that it is put back
    exec("\n".join(re.findall(r"^```python\n(.+?)^```", GUIDE, re.MULTILINE | re.DOTALL)), {})
    first, *table, train, test = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"125 nuclei: \d+ to learn from, \d+ held out", first)
    assert [line.split("  ")[0] for line in table][-1] == "U-Net, watershed"
    assert all(re.search(r"AP50 [01]\.\d\d", line) for line in table)
    assert float(table[-1].split("AP50 ")[1][:4]) > 0.5
    assert (train, test) == ("train: 1 of the images", "test: 1 of the images")
