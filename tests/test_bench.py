"""The comparison compares like with like: the same dictionaries, the same twelve numbers."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from tests.bench.detection import PEERS, SETTINGS, data_set, numbers


@pytest.mark.parametrize("setting", [replace(s, images=6) for s in SETTINGS], ids=lambda s: f"{s.labels} labels")
def test_peers_agree_and_the_input_is_left_alone(setting):
    truth, results = data_set(setting, np.random.default_rng(0))
    before = copy.deepcopy((truth, results))
    ours = numbers(truth, results)
    assert 0 < ours[0] < 1
    for peer in PEERS.values():
        np.testing.assert_allclose(peer(setting, truth, results), ours, rtol=0, atol=1e-12)
    assert before == (truth, results)
