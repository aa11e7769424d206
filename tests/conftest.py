"""Fixtures shared by all tests, and the rule that a skipped test is a failed one unless it is listed here."""

import fnmatch
import inspect
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from hypothesis import settings

settings.register_profile("course", deadline=None)  # no test asserts a time
settings.load_profile("course")

TESTS = Path(__file__).parent
ALLOWED_SKIPS = {  # test ids → why they may be skipped; any other skip fails the run
    "*test_timing.py::test_peak_memory_sees_an_allocation": "peak memory is read from /proc, which is Linux's",
    "*test_postgres.py::*": "it needs a server from Debian's package postgresql, which CI installs",
    "*coursegrade/worker/*bubblewrap*": "bubblewrap is not everywhere; grading says so and refuses",
    "*coursegrade/worker/*landlock*": "Landlock of version 6 needs Linux 6.12",
    "*test_course.py::test_make_only_passes_on": "Windows has no make",
    "*test_package.py::test_a_course_of_ones_own_*": "submissions are graded on Linux",
    "*tests/hub/*": "a hub has accounts of the system, which root makes; CI runs its tests as root",
    "*test_workflows.py::test_the_*_script_*": "the lanes' scripts are for Linux",
    "*test_deploy.py::test_the_gpu_runner_*": "the GPU runner's script is for Linux",
    "*test_ct_thin.py::test_it_takes_less_than_two_gigabytes": "peak memory is read from /proc, which is Linux's",
    "*test_fetch.py::test_an_interrupted_fetch_*": "Windows has no signals of POSIX",
    "*test_intake.py::test_a_folder_and_a_pipe_*": "Windows has no pipes that lie in folders",
    "*test_collect.py::test_links_pipes_and_litter_are_left": "Windows has no pipes that lie in folders",
}

GRADED_ON_LINUX = "submissions are graded on Linux"
LINUX_ALONE = {  # below tests/, what other systems skip as a whole without importing it → why
    "coursegrade/worker": GRADED_ON_LINUX,
    "coursegrade/test_running.py": GRADED_ON_LINUX,
    "coursegrade/test_grade_doctor.py": GRADED_ON_LINUX,
    "coursegrade/test_postgres.py": GRADED_ON_LINUX,
    "coursegrade/test_provisioner.py": GRADED_ON_LINUX,
    "coursegrade/test_variants.py": GRADED_ON_LINUX,
}
ALLOWED_SKIPS |= {f"*{place}": reason for place, reason in LINUX_ALONE.items()}


class Elsewhere(pytest.File):
    """A folder or file of ``LINUX_ALONE`` on another system."""

    def collect(self) -> NoReturn:
        pytest.skip(LINUX_ALONE[self.path.relative_to(TESTS).as_posix()])


def on_linux_alone(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    place = path.relative_to(TESTS).as_posix()
    return Elsewhere.from_parent(parent, path=path) if place in LINUX_ALONE and sys.platform != "linux" else None


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    return on_linux_alone(path, parent)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    return on_linux_alone(module_path, parent)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a GPU its tests are left out, not skipped: the closing line counts them as deselected. What another
    system would skip must be listed on this one already.
    """
    conditional = [item.nodeid for item in items if item.get_closest_marker("skipif")]
    if unlisted := [name for name in conditional if not is_listed(name)]:
        raise pytest.UsageError(f"expected every skipif in ALLOWED_SKIPS (tests/conftest.py), got {unlisted}")
    if not torch.cuda.is_available():
        without = [item for item in items if item.get_closest_marker("gpu")]
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]


def is_listed(name: str) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in ALLOWED_SKIPS)


def forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip that is not listed into a failure that quotes its reason."""
    if report.skipped and not hasattr(report, "wasxfail") and not is_listed(report.nodeid):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}: this skip is not in ALLOWED_SKIPS (tests/conftest.py)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    forbid_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of attacks on the grader: reports bring its rows, also from other processes."""
    reports = [
        report
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport)
    ]
    attacks = [row for report in reports for name, row in report.user_properties if name == "attack"]
    if attacks:
        terminalreporter.section("attacks on the grader: what came of each")
        terminalreporter.write("".join(f"{row}\n" for row in sorted(set(attacks))))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def refuses() -> Callable[..., None]:
    """``refuses("one sentence", function, *args)``: the function itself says it, not the test run's shape checker."""

    def check(match: str, function: Callable[..., object], *args: object, **kwargs: object) -> None:
        with pytest.raises(ValueError, match=match) as caught:
            inspect.unwrap(function)(*args, **kwargs)
        assert "\n" not in str(caught.value)

    return check
