"""Two and a half dimensions: 2D networks look at a few planes through the middle of a volume.

Three planes at right angles cost 3·S² values instead of S³, and a 2D network trained on photographs can read them.
Two ways: *jointly*, one network shared by all views, its features fused, all trained together (``JointViews``); or in
*two stages*, features from a network that stays as it is, then a linear classifier on them (``view_features``,
``fit_linear``; Ciompi et al. 2015 took the features of OverFeat). What no plane passes through is not seen.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Integer, Shaped
from torch import Tensor, nn

from .. import _check
from ..losses import cross_entropy


def orthogonal_views(volume: Shaped[Tensor, "N C D H W"]) -> Shaped[Tensor, "N 3 C S S"]:
    """Planes through voxel S // 2 of a cube of side S: across z (the axial one), across y, across x.

    Rows and columns keep the order of the axes. Resample to equal spacing first. Source: Ciompi et al. 2015.
    """
    side = _check.tensor("volume", volume, "N C S S S", "cut a cube around the candidate")[-1]
    _check.positive("the side of volume", side)
    return torch.stack([volume.select(axis, side // 2) for axis in (2, 3, 4)], 1)


def as_photograph(grey: Float[Tensor, "N 1 H W"], *, low: float, high: float) -> Float[Tensor, "N 3 H W"]:
    """What an ImageNet network takes: ``low`` … ``high`` (e.g. −1000 … 400 HU) to 0 … 255, one channel to three.

    Values beyond are cut. Source: Ciompi et al. 2015.
    """
    _check.tensor("grey", grey, "N 1 H W", "pass one channel")
    if not low < high:
        raise _check.refuse("low < high", f"{low:g} and {high:g}", "give the darkest value first")
    return (((grey - low) / (high - low)).clamp(0, 1) * 255).expand(-1, 3, -1, -1)


# --- trained together ---


class JointViews(nn.Module):
    """One 2D network for all views, its features joined, one classifier: ``(N, V, C, S, S)`` to ``(N, classes)``.

    ``features`` takes ``(N, C, S, S)`` to ``(N, width)``, e.g. ``nodule.PatchFeatures(ndim=2, size=S)``.
    Source: Setio et al. 2016 (late fusion: concatenated features, shared weights).
    """

    def __init__(self, features: nn.Module, *, width: int, views: int = 3, classes: int = 2) -> None:
        super().__init__()
        _check.positive("width, views and classes", (width, views, classes))
        self.features, self.views = features, views
        self.classifier = nn.Linear(width * views, classes)

    def forward(self, views: Float[Tensor, "N V C H W"]) -> Float[Tensor, "N K"]:
        _check.tensor("views", views, f"N {self.views} C H W", "cut as many as the network was made for")
        each = self.features(views.flatten(0, 1))  # (N·V, width)
        logits: Tensor = self.classifier(each.unflatten(0, (-1, self.views)).flatten(1))
        return logits


# --- in two stages ---


@torch.no_grad()
def view_features(
    features: Callable[[Tensor], Tensor], views: Float[Tensor, "N V C H W"], *, batch: int = 64
) -> Float[Tensor, "N width"]:
    """The features of each view, one behind the other, without a gradient: ``(N, V · width)``.

    ``features`` takes ``(B, C, H, W)`` to ``(B, width)``: a frozen network in evaluation mode, with what prepares its
    input, e.g. ``lambda x: net.features(prepare(as_photograph(x, low=-1000, high=400)))``. ``batch`` planes at a time.
    """
    n, count, *_ = _check.tensor("views", views, "N V C H W", "cut them with orthogonal_views")
    _check.positive("batch, volumes and views", (batch, n, count))
    parts = [features(part) for part in views.flatten(0, 1).split(batch)]
    return torch.cat(parts).reshape(n, -1)


class LinearClassifier(nn.Module):
    """Features ``(N, F)``, standardised as those of the training set, times one weight a class: ``(N, classes)``."""

    mean: Float[Tensor, "F"]
    scale: Float[Tensor, "F"]

    def __init__(self, mean: Float[Tensor, "F"], scale: Float[Tensor, "F"], *, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.linear = nn.Linear(len(mean), classes, dtype=mean.dtype, device=mean.device)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Float[Tensor, "N F"]) -> Float[Tensor, "N K"]:
        _check.tensor("features", features, f"N {len(self.mean)}", "make them as the training features were made")
        logits: Tensor = self.linear((features.to(self.mean.dtype) - self.mean) / self.scale)
        return logits


def fit_linear(
    features: Float[Tensor, "N F"], labels: Integer[Tensor, "N"], *, classes: int = 2, l2: float = 1.0
) -> LinearClassifier:
    """Logistic regression: mean cross-entropy + l2 / 2N · Σ weights², the bias free, by L-BFGS in float64.

    The loss is convex, so where it starts does not matter. A feature that never varies counts nothing. Returns
    float64 weights.
    """
    count, _ = _check.tensor("features", features, "N F", "one row a sample", of="numbers")
    _check.tensor("labels", labels, str(count), "one label a row of features")
    _check.positive("classes, samples and l2", (classes, count, l2))
    x = features.detach().double()
    spread = x.std(0, correction=0)
    varies = spread > 1e-9 * x.abs().amax(0).clamp(min=1e-30)
    model = LinearClassifier(x.mean(0), spread.where(varies, 1.0), classes=classes)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = cross_entropy(model(x), labels) + l2 / (2 * count) * model.linear.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    return model.requires_grad_(False).eval()
