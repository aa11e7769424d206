"""A class on the hub of ``deploy/jupyterhub``, from the first login to the page with the marks.

Everything goes through the hub's HTTP door: what a student tries to read, they try in their own server.
"""

import csv
import io
import json
import os
import textwrap
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.hub.hub import AS_ROOT, NAME, OUTSIDER, ROOT, STUDENTS, TEACHER, Machine, Person, password_of

pytestmark = AS_ROOT
COURSE = "medical_images_3d_video"
EXCHANGE = "/srv/nbgrader/exchange"
ADA, BOB, EVE = STUDENTS
PAGE = f"medical-images/assignments/{NAME}/{NAME}.ipynb"
PUBLISH = f"""
set -e
cd ~/course
coursekit grade release {NAME}
nbgrader release_assignment {NAME}
mkdir -p ~/student && cp -r assignments lectures ~/student && cd ~/student
git init -q -b main && git add . && git -c user.name=teacher -c user.email=teacher@example.org commit -qm course
git push -q /srv/course.git main
"""
ROUND = f"""
set -e
cd ~/course
coursekit grade collect {NAME} {EXCHANGE}/{COURSE}
coursekit grade run {NAME}
coursekit grade feedback {NAME}
nbgrader release_feedback {NAME}
coursekit grade export {NAME}
"""


@pytest.fixture(scope="module")
def people(machine: Machine) -> dict[str, Person]:
    """Everybody, each in a server of their own."""
    with ThreadPoolExecutor() as pool:
        started = pool.map(lambda name: Person(machine, name, password_of(name)).start(), (TEACHER, *STUDENTS))
        return {person.name: person for person in started}


@pytest.fixture(scope="module")
def handed_out(people: dict[str, Person]) -> dict[str, str]:
    """The course at each student's, and what nbgitpuller said of it."""
    script(people[TEACHER], PUBLISH)
    link = {"repo": "file:///srv/course.git", "branch": "main", "targetpath": "medical-images"}
    return {name: people[name].ask("GET", "git-pull/api", params=link).text for name in STUDENTS}


@pytest.fixture(scope="module")
def handed_in(people: dict[str, Person], handed_out: dict[str, str]) -> None:
    """Ada solves everything, Bob a part, Eve nothing; each hands in with the button of the assignment list."""
    source = json.loads((ROOT / "solutions" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in source["cells"] if cell["metadata"].get("nbgrader", {}).get("solution")]
    solved = {ADA: cells, BOB: cells[:1], EVE: []}
    for name, right in solved.items():
        solve(people[name], right)
        data = {"course_id": COURSE, "assignment_id": NAME}
        answer = people[name].ask("POST", "assignments/submit", data=data).json()
        assert answer["success"], answer


def solve(student: Person, answers: list[dict[str, Any]]) -> None:
    """Open the released notebook, put these answers into their cells, save it."""
    notebook = student.api("GET", f"contents/{PAGE}")["content"]
    by_name = {cell["metadata"]["nbgrader"]["grade_id"]: cell["source"] for cell in answers}
    for cell in notebook["cells"]:
        about = cell["metadata"].get("nbgrader", {})
        if about.get("solution") and about["grade_id"] in by_name:
            cell["source"] = "".join(by_name[about["grade_id"]])
    student.api("PUT", f"contents/{PAGE}", json={"type": "notebook", "content": notebook})


@pytest.fixture(scope="module")
def round_of_grading(people: dict[str, Person], handed_in: None) -> str:
    """What the instructor's round printed. Before it Eve hands in something in Ada's name."""
    forged = f"{EXCHANGE}/{COURSE}/inbound/{ADA}+{NAME}+2099-01-01 00:00:00.000000 UTC+x"
    assert "Error" not in people[EVE].run(f"import shutil; shutil.copytree('/home/{EVE}/{PAGE[:-13]}', {forged!r})")
    return script(people[TEACHER], ROUND)


def script(person: Person, text: str) -> str:
    """Run a script of bash in a person's server; it ends with a mark only if no step failed."""
    person.run(f"open('script.sh', 'w').write({text!r})")
    printed = person.sh("bash script.sh 2>&1 && echo all went through")
    assert printed.rstrip().endswith("all went through"), printed
    return printed


def test_a_wrong_password_and_somebody_of_no_class_are_refused(machine: Machine) -> None:
    assert Person(machine, ADA, "guessed").log_in().status_code == 403
    assert Person(machine, OUTSIDER, password_of(OUTSIDER)).log_in().status_code == 403
    assert Person(machine, ADA, password_of(ADA)).log_in().status_code == 302


@pytest.mark.parametrize("name", STUDENTS)
def test_a_student_works_under_their_own_account_in_an_environment_they_cannot_change(
    people: dict[str, Person], name: str
) -> None:
    student = people[name]
    assert student.sh("id -un").strip() == name
    printed = student.run("import coursekit, os, sys, torch; print(coursekit.__file__, torch.get_num_threads())")
    assert printed.split() == [f"{ROOT}/coursekit/__init__.py", "2"]
    assert student.run("open(f'{sys.prefix}/mine', 'w')").startswith("\nOSError")
    assert "NoNewPrivs:\t1" in student.run("print(open('/proc/self/status').read())")


def test_the_course_arrives_without_solutions(people: dict[str, Person], handed_out: dict[str, str]) -> None:
    for name in STUDENTS:
        assert '"phase": "finished"' in handed_out[name], handed_out[name]
        released = people[name].api("GET", f"contents/{PAGE}")["content"]
        sources = "".join("".join(cell["source"]) for cell in released["cells"])
        assert "raise NotImplementedError" in sources
        assert "BEGIN SOLUTION" not in sources
        assert "BEGIN HIDDEN TESTS" not in sources
        assert people[name].api("GET", "contents/medical-images/lectures")["content"]


def test_each_gets_the_marks_of_their_own_work(people: dict[str, Person], round_of_grading: str) -> None:
    table = people[TEACHER].api("GET", f"contents/course/marks/{NAME}.csv")["content"]
    marks = {row["student"]: row for row in csv.DictReader(io.StringIO(table))}
    assert marks.keys() == set(STUDENTS)
    points = {name: float(row["total"]) for name, row in marks.items()}
    assert points[ADA] > points[BOB] > points[EVE] == 0
    assert points[ADA] == 85  # all that a machine can mark


def test_what_somebody_hands_in_under_another_name_is_left_out_and_told(round_of_grading: str) -> None:
    (line,) = [line for line in round_of_grading.splitlines() if line.startswith(f"{ADA}: ") and EVE in line]
    assert "left out" in line


def test_the_page_goes_back_to_the_right_student_alone(people: dict[str, Person], round_of_grading: str) -> None:
    for name in STUDENTS:
        data = {"course_id": COURSE, "assignment_id": NAME}
        assert people[name].ask("POST", "assignments/fetch_feedback", data=data).ok
        pages = people[name].sh(f"cat medical-images/assignments/{NAME}/feedback/*/{NAME}.html")
        assert name in pages
        assert not any(other in pages for other in STUDENTS if other != name)


def test_the_instructor_marks_by_hand_in_the_formgrader(people: dict[str, Person], round_of_grading: str) -> None:
    page = people[TEACHER].ask("GET", f"formgrader/api/submissions/{NAME}")
    assert {row["student"] for row in page.json()} == set(STUDENTS)


def attempts(inbound: str) -> dict[str, str]:
    """Python of a student who looks where nothing is to be seen; each must raise PermissionError."""
    teacher = f"/home/{TEACHER}"
    return {
        "another student's files": f"os.listdir('/home/{ADA}')",
        "another student's notebook": f"open('/home/{ADA}/{PAGE}')",
        "the solutions": f"open('{teacher}/course/solutions/{NAME}/{NAME}.ipynb')",
        "the gradebook": f"open('{teacher}/course/gradebook.db', 'rb')",
        "the marks": f"open('{teacher}/course/marks/{NAME}.csv')",
        "a list of what was handed in": f"os.listdir('{os.path.dirname(inbound)}')",
        "a list of what goes back": f"os.listdir('{EXCHANGE}/{COURSE}/feedback')",
        "taking away what was handed in, its name known": f"os.rename({inbound!r}, {inbound + '-mine'!r})",
        "another course in the place of this one": f"os.rename('{EXCHANGE}/{COURSE}', '{EXCHANGE}/mine')",
        "what others pull": "open('/srv/course.git/HEAD', 'a')",
        "the hub's list of people": "open('/var/lib/jupyterhub/jupyterhub.sqlite', 'rb')",
        "the token of another server": f"os.listdir('/run/jupyter-{ADA}-singleuser')",
    }


def test_a_student_sees_nothing_of_others(machine: Machine, people: dict[str, Person], round_of_grading: str) -> None:
    folder = f"{EXCHANGE}/{COURSE}/inbound"
    (inbound,) = [f"{folder}/{name}" for name in machine.run("ls", folder).splitlines() if name.startswith(BOB)]
    for what, code in attempts(inbound).items():
        assert "No such file" not in as_root(machine, code), f"{what} is not there at all"
        printed = people[EVE].run(f"import os; {code}")
        assert printed.startswith("\nPermissionError"), f"{what}: {printed or 'could be had'}"
    assert ADA not in people[EVE].sh("ps -eo user:32")
    assert ADA in people[ADA].sh("ps -eo user:32")


def as_root(machine: Machine, code: str) -> str:
    """Whether what it is about exists."""
    path = code.split("'")[1]
    return machine.run("sh", "-c", 'test -e "$1" && echo there || echo No such file', "sh", path)


def test_a_student_cannot_use_the_server_of_another(people: dict[str, Person]) -> None:
    assert people[EVE].ask("GET", "api/contents", whose=EVE).ok
    assert people[EVE].ask("GET", "api/contents", whose=ADA).status_code in (403, 404)
    assert people[EVE].ask("GET", "api/contents", whose=TEACHER).status_code in (403, 404)


def test_one_persons_memory_and_processes_end_where_their_limits_are(
    machine: Machine, people: dict[str, Person]
) -> None:
    eve = people[EVE]
    assert eve.run("kept = [b'x' * 500_000_000]; print(len(kept))") == "1\n"
    assert eve.run("kept += [b'x' * 500_000_000 for _ in range(3)]; print(len(kept))") == "the kernel died"
    assert eve.api("GET", "status")["kernels"] >= 1  # her server goes on
    eve.kernel = ""
    fork = """
        import subprocess
        started = []
        try:
            for _ in range(400):
                started.append(subprocess.Popen(["sleep", "60"]))
        except OSError as error:
            print("stopped at", len(started), error.strerror)
        for process in started:
            process.kill()
            process.wait()
    """
    assert "Resource temporarily unavailable" in eve.run(textwrap.dedent(fork))
    limits = {name: cpu_limit(machine, name) for name in (ADA, TEACHER)}
    assert limits == {ADA: "2s", TEACHER: "infinity"}


def cpu_limit(machine: Machine, name: str) -> str:
    """Seconds a second, as systemd has it."""
    shown = machine.run("systemctl", "show", f"jupyter-{name}-singleuser", "--property=CPUQuotaPerSecUSec", "--value")
    return shown.strip()
