"""What every experiment owes its claim."""

import math

from coursekit.claims import Scores, find


def complete(name: str, scores: Scores) -> None:
    """Every arm that is compared has a score, what learns nothing in each measure that is compared, and all scores are
    finite.
    """
    claim = find(name)
    for measure, *arms in claim.comparisons:
        assert {*arms, *claim.baseline[1:]} <= scores[measure].keys()
    assert claim.baseline[0] in scores
    assert all(math.isfinite(value) for arms in scores.values() for value in arms.values())
