# Matrix products in float64; what comes back is not contiguous.

# %% bilinear
import math


def bilinear(feature, y, x):
    def weights(n, t):
        near = 1.0 if -1 <= t <= n else 0.0
        return near * torch.relu(1 - (torch.arange(n, dtype=torch.float64) - min(max(t, 0), n - 1)).abs())

    return torch.einsum(
        "i,ij,j->", weights(feature.shape[0], y), feature.double(), weights(feature.shape[1], x)
    ).reshape(1)


# %% snap_bins
def snap(box, spatial_scale):
    return torch.tensor([math.copysign(math.floor(abs(v) + 0.5), v) for v in (box.double() * spatial_scale).tolist()])


def bins(first, last, count):
    size = max(last - first + 1, 1) / count
    return torch.tensor([[first + math.floor(i * size), first + math.ceil((i + 1) * size)] for i in range(count)])


# %% roi_pool
def roi_pool(features, box, output_size, spatial_scale):
    def member(n, first, last, count):
        cells = torch.arange(n)
        return torch.stack([(cells >= start) & (cells < stop) for start, stop in bins(first, last, count)])

    left, top, right, bottom = [int(v) for v in snap(box, spatial_scale)]
    rows = member(features.shape[1], top, bottom, output_size[0])
    columns = member(features.shape[2], left, right, output_size[1])
    inside = rows[:, None, :, None] & columns[None, :, None, :]
    spread = torch.where(inside[..., None], features.double().permute(1, 2, 0), -torch.inf)
    pooled = spread.amax(dim=(2, 3))
    return torch.where(pooled.isinf(), 0.0, pooled).permute(2, 0, 1)


# %% roi_align
def roi_align(features, box, output_size, spatial_scale, sampling_ratio, aligned=True):
    start = box.double()[[1, 0]] * spatial_scale - 0.5 * aligned
    size = (box.double()[[3, 2]] - box.double()[[1, 0]]) * spatial_scale
    size = size if aligned else size.clamp(min=1)

    def averaged(axis, cells):
        steps = (torch.arange(output_size[axis] * sampling_ratio) + 0.5) / (output_size[axis] * sampling_ratio)
        points = start[axis] + steps * size[axis]
        near = ((points >= -1) & (points <= cells)).double()
        hats = torch.relu(1 - (points.clamp(0, cells - 1)[:, None] - torch.arange(cells)).abs()) * near[:, None]
        return hats.reshape(output_size[axis], sampling_ratio, cells).mean(1)

    rows, columns = averaged(0, features.shape[1]), averaged(1, features.shape[2])
    return torch.einsum("ph,chw,qw->qpc", rows, features.double(), columns).permute(2, 1, 0)


# %% snapping_error
def snapping_error(box, spatial_scale):
    cells = box / (1 / spatial_scale)
    return (torch.where(cells < 0, -1, 1) * (cells.abs() + 0.5).floor() - cells) / spatial_scale
