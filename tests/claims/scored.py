"""What every experiment owes its claim."""

import math

from coursekit.claims import Claim, Scores


def complete(claim: Claim, scores: Scores) -> None:
    """Every measure and arm that is compared, and the baseline, has a score, and all scores are finite."""
    for measure, *arms in [*claim.comparisons, claim.baseline]:
        assert {*arms} <= scores[measure].keys()
    assert all(math.isfinite(value) for arms in scores.values() for value in arms.values())
