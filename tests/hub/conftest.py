"""The machine with the hub on it, for all tests here."""

import shutil
from collections.abc import Iterator

import pytest

from tests.hub.hub import DEPLOY, NAME, OUTSIDER, ROOT, STUDENTS, TEACHER, Machine, booted, password_of


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """The machine with the hub installed, an instructor, students, and somebody of no class."""
    with booted() as machine:
        machine.run("systemctl", "start", "systemd-journald")
        shutil.copytree(DEPLOY, machine.root / "root/jupyterhub")
        machine.configure(STUDENT_MEMORY="1200M", STUDENT_TASKS="300")
        machine.run("/root/jupyterhub/install", TEACHER)
        for name in (*STUDENTS, OUTSIDER):
            machine.run("useradd", "--create-home", "--shell", "/bin/bash", name)
        for name in STUDENTS:
            machine.run("usermod", "--append", "--groups", "students", name)
        everybody = (TEACHER, *STUDENTS, OUTSIDER)
        machine.run("chpasswd", text="".join(f"{name}:{password_of(name)}\n" for name in everybody))
        give_course_to_teacher(machine)
        machine.wait_for_hub()
        yield machine


def give_course_to_teacher(machine: Machine) -> None:
    """What the instructor's checkout holds, as far as a round needs it."""
    course = machine.root / "home" / TEACHER / "course"
    shutil.copytree(ROOT / "solutions" / NAME, course / "solutions" / NAME)
    (course / "lectures").mkdir()
    shutil.copy(ROOT / "lectures/00_start_here.ipynb", course / "lectures")
    shutil.copy(ROOT / "nbgrader_config.py", course)
    machine.run("chown", "--recursive", f"{TEACHER}:", f"/home/{TEACHER}/course")
