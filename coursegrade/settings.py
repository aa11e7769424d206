"""nbgrader's settings that grading counts on. A course's ``nbgrader_config.py`` adds to them; none is needed."""

import os

from traitlets.config import Config

FOLDERS = {"source": "solutions", "release": "assignments", "submitted": "submitted"}  # by nbgrader's names
# Any text on stderr in a graded cell scores 0 (nbgrader.utils.determine_grade), so the kernel sends stderr to stdout:
# Python's stream, and file descriptor 2 for C libraries and subprocesses. Autograde and Validate both read this.
MERGE_STDERR = "import os, sys; os.dup2(1, 2); sys.stderr = sys.stdout; del os, sys"


def settings() -> Config:
    """The settings, to merge into a configuration: ``c.merge(settings())``."""
    c = Config()
    for step, folder in FOLDERS.items():
        c.CourseDirectory[f"{step}_directory"] = folder
    # A server's gradebook, for example postgresql+psycopg://user:password@host/course; without it a file, gradebook.db.
    if database := os.environ.get("COURSEKIT_GRADEBOOK"):
        c.CourseDirectory.db_url = database
    c.ClearSolutions.code_stub = {"python": "raise NotImplementedError"}
    c.ClearSolutions.text_stub = "*Your answer here.*"
    c.Execute.extra_arguments = [
        "--HistoryManager.hist_file=:memory:",
        "--IPKernelApp.log_level=ERROR",
        f"--IPKernelApp.exec_lines={MERGE_STDERR}",
    ]
    c.Execute.timeout = 60  # seconds a cell
    c.Execute.startup_timeout = 120
    c.Execute.iopub_timeout = 10
    # A copied or deleted cell costs nobody the round: see preprocessors.py.
    c.Autograde.sanitize_preprocessors = [
        "nbgrader.preprocessors.ClearOutput",
        "nbgrader.preprocessors.OverwriteKernelspec",
        "coursegrade.preprocessors.RestoreCells",
        "nbgrader.preprocessors.CheckCellMetadata",
    ]
    # Hidden tests stay hidden in what students get back.
    c.GenerateFeedback.preprocessors = [
        "nbgrader.preprocessors.GetGrades",
        "coursegrade.preprocessors.HideTests",
        "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
    ]
    c.LimitOutput.max_lines = 200
    # A heading in a student's answer gets no anchor in the formgrader: it could bear the name of one of its fields.
    c.HTMLExporter.exclude_anchor_links = True
    return c
