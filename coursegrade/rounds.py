"""One grading round in one go."""

from pathlib import Path

from .directory import release
from .exporting import export
from .records import Record, total
from .reporting import report
from .returning import feedback
from .running import run, students
from .source import read_source


def round_trip(assignment: str, course_dir: str | Path = ".") -> list[Record]:
    """Release, grade, make feedback, table and report, and print who got what."""
    release(assignment, course_dir)
    if not students(assignment, course_dir):
        place = f"submitted/STUDENT/{assignment}/"
        print(f"Released assignments/{assignment}. Nothing to grade: put notebooks into {place}.")
        return []
    graded = run(assignment, course_dir)
    feedback(assignment, course_dir)
    path, page = export(assignment, course_dir), report(assignment, course_dir)
    most = sum(cell.step.points for cells in read_source(course_dir, assignment).notebooks.values() for cell in cells)
    width = max(len(record.student) for record in graded)
    for record in graded:
        reached = f"{total(record.points.values()):g}" if record.points else "–"
        print(f"{record.student:<{width}}  {reached:>5} / {most:g}  {record.state}")
    by_hand = "hand grading: Formgrader in JupyterLab"
    print(f"Marks: {path} · report: {page} · feedback: feedback/STUDENT/{assignment}/ · {by_hand}")
    return graded
