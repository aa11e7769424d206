"""What of a test cell students may see: one rule for release, reading and checking."""

import pytest

from coursegrade.records import parts


@pytest.mark.parametrize(
    ("source", "visible", "hidden"),
    [
        (
            "assert a\n### BEGIN HIDDEN TESTS\nassert b\n### END HIDDEN TESTS\nassert c",
            "assert a\nassert c",
            "assert b\n",
        ),
        ("assert a\n#BEGIN HIDDEN TESTS\nassert b\n#END HIDDEN TESTS", "assert a\n", "assert b\n"),
        ("assert a\n  ## BEGIN HIDDEN TESTS, the second\nassert b", "assert a\n", "assert b"),
        ("assert a", "assert a", ""),
    ],
    ids=["nbgrader's own", "without a blank", "never ended", "none"],
)
def test_a_hidden_test_is_never_in_the_visible_part(source: str, visible: str, hidden: str) -> None:
    assert parts(source) == (visible, hidden)
