"""Fixtures shared by all tests, and the rule that a skipped test is a failed one unless it is listed here."""

import fnmatch
import inspect
from collections.abc import Callable, Generator
from typing import Any

import pytest
import torch
from hypothesis import settings

settings.register_profile("course", deadline=None)  # no test asserts a time
settings.load_profile("course")

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
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a GPU its tests are left out, not skipped: the closing line counts them as deselected."""
    if not torch.cuda.is_available():
        without = [item for item in items if item.get_closest_marker("gpu")]
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]


def forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip that is not listed into a failure that quotes its reason."""
    listed = any(fnmatch.fnmatch(report.nodeid, pattern) for pattern in ALLOWED_SKIPS)
    if report.skipped and not hasattr(report, "wasxfail") and not listed:
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
