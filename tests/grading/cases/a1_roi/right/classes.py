# A class and helpers; the functions asked for are its methods, a lambda, and objects that can be called.

# %% bilinear
from dataclasses import dataclass
from functools import partial


@dataclass
class Axis:
    """One axis of a map."""

    cells: int

    def near(self, t: float) -> bool:
        return -1 <= t <= self.cells

    def neighbours(self, t: float) -> list[tuple[int, float]]:
        t = max(0.0, min(float(t), self.cells - 1.0))
        low = int(t)
        return [(low, 1 - (t - low)), (min(low + 1, self.cells - 1), t - low)]


class Sampler:
    def __call__(self, feature, y, x):
        rows, columns = map(Axis, feature.shape)
        if not (rows.near(y) and columns.near(x)):
            return torch.tensor(0.0)
        return sum(v * u * feature[i, j] for i, v in rows.neighbours(y) for j, u in columns.neighbours(x))


bilinear = Sampler()


# %% snap_bins
class Region:
    @staticmethod
    def nearest(value: float) -> int:
        whole = int(abs(value) + 0.5)
        return whole if value > 0 else -whole

    @classmethod
    def snap(cls, box, spatial_scale):
        return tuple(cls.nearest(float(v) * spatial_scale) for v in box)


snap = Region.snap
bins = lambda first, last, count: [  # noqa: E731
    (first + i * max(last - first + 1, 1) // count, first - (-(i + 1) * max(last - first + 1, 1)) // count)
    for i in range(count)
]


# %% roi_pool
def _pool(reduce, features, box, output_size, spatial_scale):
    left, top, right, bottom = snap(box, spatial_scale)
    _, height, width = features.shape
    rows = [range(max(a, 0), min(b, height)) for a, b in bins(top, bottom, output_size[0])]
    columns = [range(max(a, 0), min(b, width)) for a, b in bins(left, right, output_size[1])]
    values = [[reduce(features[:, list(r)][:, :, list(c)]) for c in columns] for r in rows]
    return torch.stack([torch.stack(row, -1) for row in values], -2)


def _largest(cells):
    return cells.flatten(1).max(1)[0] if cells.numel() else cells.new_zeros(len(cells))


roi_pool = partial(_pool, _largest)


# %% roi_align
class Aligner:
    def __init__(self, box, spatial_scale, aligned):
        self.begin = [v * spatial_scale - (0.5 if aligned else 0) for v in (box[1], box[0])]
        sides = [(box[3] - box[1]) * spatial_scale, (box[2] - box[0]) * spatial_scale]
        self.sides = sides if aligned else [max(side, torch.tensor(1.0)) for side in sides]

    def points(self, axis, bin, count, ratio):
        step = self.sides[axis] / count / ratio
        return [float(self.begin[axis] + (bin * ratio + k + 0.5) * step) for k in range(ratio)]


def roi_align(features, box, output_size, spatial_scale, sampling_ratio, aligned=True):
    aligner = Aligner(box, spatial_scale, aligned)

    def mean(feature, i, j):
        ys, xs = (
            aligner.points(0, i, output_size[0], sampling_ratio),
            aligner.points(1, j, output_size[1], sampling_ratio),
        )
        return torch.stack([torch.as_tensor(bilinear(feature, y, x)) for y in ys for x in xs]).mean()

    out = torch.empty(len(features), *output_size)
    for c, i, j in torch.cartesian_prod(*map(torch.arange, out.shape)).tolist():
        out[c, i, j] = mean(features[c], i, j)
    return out


# %% snapping_error
def snapping_error(box, spatial_scale):
    return torch.tensor(
        [cell / spatial_scale - float(v) for cell, v in zip(snap(box, spatial_scale), box)], dtype=torch.float16
    )
