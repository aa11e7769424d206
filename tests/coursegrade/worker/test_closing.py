"""What is read off a closed name is closed too, and says which it is."""

import pytest

from coursegrade.worker.closing import Closed, stub


def test_what_is_read_off_a_closed_name_is_closed() -> None:
    matching = stub("coursekit.metrics.matching")
    for call in (lambda: matching.match_greedy([[1.0]]), lambda: getattr(matching, "match_" + "greedy")()):
        with pytest.raises(Closed, match=r"^coursekit\.metrics\.matching\.match_greedy$"):
            call()
    with pytest.raises(Closed, match=r"^coursekit\.metrics\.matching$"):
        matching()
    assert not hasattr(matching, "__wrapped__")  # what Python asks of any class is answered as before
