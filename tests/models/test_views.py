"""Views of a volume, the shared network over them, and the linear classifier against another optimiser."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from coursekit import losses
from coursekit.models import views
from coursekit.models.nodule import PatchFeatures
from coursekit.models.views import JointViews, fit_linear, orthogonal_views, view_features
from coursekit.testing import assert_close, generator
from tests.tensors import fake_cuda


def numbered(side: int) -> Tensor:
    """A volume whose voxel (z, y, x) holds 10000 z + 100 y + x."""
    z, y, x = torch.meshgrid(*[torch.arange(side, dtype=torch.float64)] * 3, indexing="ij")
    return (10_000 * z + 100 * y + x)[None, None]


@pytest.mark.parametrize("side", [1, 2, 7, 8])
def test_three_planes_through_the_middle(side: int) -> None:
    m, line = side // 2, torch.arange(side, dtype=torch.float64)
    rows, columns = line[:, None], line
    expected = [10_000 * m + 100 * rows + columns, 10_000 * rows + 100 * m + columns, 10_000 * rows + 100 * columns + m]
    found = orthogonal_views(numbered(side))
    assert found.shape == (1, 3, 1, side, side)
    for view, plane in zip(found[0, :, 0], expected, strict=True):
        assert torch.equal(view, plane)


def test_views_also_of_whole_numbers_and_of_channels() -> None:
    volume = torch.randint(0, 255, (2, 3, 5, 5, 5), dtype=torch.uint8)
    found = orthogonal_views(volume)
    assert found.shape == (2, 3, 3, 5, 5)
    assert torch.equal(found[1, 1, 2], volume[1, 2, :, 2])


def test_a_photograph_of_hounsfield_units() -> None:
    grey = torch.tensor([-2000.0, -1000.0, -300.0, 400.0, 3000.0]).view(1, 1, 1, 5)
    found = views.as_photograph(grey, low=-1000, high=400)
    assert found.shape == (1, 3, 1, 5)
    assert_close(found[0, 1, 0], torch.tensor([0.0, 0.0, 127.5, 255.0, 255.0]))


# --- joint ---


def joint() -> JointViews:
    return JointViews(PatchFeatures(ndim=2, size=9, hidden=6), width=6, classes=3).eval()


def test_each_view_goes_through_the_one_network() -> None:
    x = torch.rand(4, 3, 1, 9, 9)
    net = joint()
    by_hand = torch.cat([net.features(x[:, v]) for v in range(3)], 1) @ net.classifier.weight.T + net.classifier.bias
    assert_close(net(x), by_hand)


def test_parameters_do_not_grow_with_the_views_but_for_the_last_layer() -> None:
    nets = [JointViews(PatchFeatures(ndim=2, size=8, hidden=6), width=6, views=n) for n in (3, 9)]
    three, nine = (sum(p.numel() for p in net.parameters()) for net in nets)
    assert nine - three == 6 * 6 * 2


def test_learns_one_batch_by_heart() -> None:
    net, truth = joint().train(), torch.arange(6) % 3
    x = torch.rand(6, 3, 1, 9, 9)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(60):
        loss = losses.cross_entropy(net(x), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


def test_runs_where_its_input_lies_and_in_half_precision() -> None:
    volume = torch.rand(2, 1, 9, 9, 9)
    with fake_cuda() as to_cuda:
        assert to_cuda(joint())(orthogonal_views(to_cuda(volume))).device.type == "cuda"
    net, x = joint(), orthogonal_views(volume)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = net(x)
    assert_close(half, net(x).bfloat16(), atol=0.02)


# --- two stages ---


def test_features_of_each_view_one_behind_the_other() -> None:
    x, net = torch.rand(5, 3, 1, 9, 9), PatchFeatures(ndim=2, size=9, hidden=4).eval()
    found = view_features(net, x, batch=4)
    assert found.shape == (5, 12)
    assert not found.requires_grad
    assert_close(found[3, 4:8], net(x[3:4, 1])[0])


def problem(classes: int) -> tuple[Tensor, Tensor]:
    labels = torch.arange(60) % classes
    return torch.randn(60, 4, generator=generator(0)) * torch.tensor([1.0, 5.0, 0.1, 1.0]) + labels[
        :, None
    ] * 0.4 + 3, labels


@pytest.mark.parametrize("classes", [2, 3])
def test_the_linear_classifier_is_where_another_optimiser_ends(classes: int) -> None:
    features, labels = problem(classes)
    x = features.double().numpy()
    x = (x - x.mean(0)) / x.std(0)

    def loss(w: np.ndarray) -> float:
        w = w.reshape(classes, 5)
        logits = x @ w[:, :4].T + w[:, 4]
        log_sum = np.log(np.exp(logits).sum(1))
        return float((log_sum - logits[np.arange(60), labels]).mean() + 0.5 * (w[:, :4] ** 2).sum() * 2.0 / 60)

    best = minimize(loss, np.zeros(5 * classes), method="BFGS", options={"gtol": 1e-7})
    found = fit_linear(features, labels, classes=classes, l2=2.0)
    np.testing.assert_allclose(found.linear.weight, best.x.reshape(classes, 5)[:, :4], atol=1e-4)
    own = np.concatenate([found.linear.weight.numpy(), found.linear.bias.numpy()[:, None]], 1)
    assert loss(own) <= best.fun + 1e-9
    assert found(features).argmax(1).eq(labels).float().mean() > 0.6


def test_a_feature_that_never_varies_counts_nothing() -> None:
    features, labels = problem(2)
    found = fit_linear(torch.cat([features, torch.full((60, 1), 0.1)], 1), labels)
    assert_close(found.linear.weight[:, 4], torch.zeros(2, dtype=torch.float64))
    assert_close(found.linear.weight[:, :4], fit_linear(features, labels).linear.weight, rtol=1e-4, atol=1e-5)


def test_refuses_what_it_cannot_take(refuses) -> None:
    cube, features, labels = torch.rand(1, 1, 4, 4, 4), *problem(2)
    refuses(r"volume of shape \(N, C, S, S, S\)", orthogonal_views, cube[:, :, :3])
    refuses(r"grey of shape \(N, 1, H, W\)", views.as_photograph, torch.rand(1, 3, 4, 4), low=0.0, high=1.0)
    refuses("low < high", views.as_photograph, torch.rand(1, 1, 4, 4), low=1.0, high=0.0)
    refuses(r"views of shape \(N, 3, C, H, W\)", JointViews.forward, joint(), torch.rand(1, 9, 1, 9, 9))
    refuses("batch, volumes and views > 0", view_features, nn.Identity(), torch.rand(0, 3, 1, 9, 9))
    refuses("features to be finite", fit_linear, features * torch.nan, labels)
    refuses("one label a row", fit_linear, features, labels[:9])
    refuses("truth in", fit_linear, features, labels + 1)
    refuses("classes, samples and l2 > 0", fit_linear, features, labels, l2=0.0)
    refuses(
        r"features of shape \(N, 4\)", views.LinearClassifier.forward, fit_linear(features, labels), features[:, :3]
    )
