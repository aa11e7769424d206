# Everything is computed in bfloat16, which keeps eight bits of a number.

# %% bilinear
def bilinear(feature, y, x):
    feature = feature.bfloat16()
    height, width = feature.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros((), dtype=torch.bfloat16)
    y = torch.tensor(float(y), dtype=torch.bfloat16).clamp(0, height - 1)
    x = torch.tensor(float(x), dtype=torch.bfloat16).clamp(0, width - 1)
    rows = (1 - (torch.arange(height, dtype=torch.bfloat16) - y).abs()).clamp(min=0)
    columns = (1 - (torch.arange(width, dtype=torch.bfloat16) - x).abs()).clamp(min=0)
    return (rows[:, None] * feature * columns).sum()


# %% snap_bins
def snap(box, spatial_scale):
    scaled = box.bfloat16() * spatial_scale
    return scaled.sign() * (scaled.abs() + 0.5).floor()


def bins(first, last, count):
    n = max(last - first + 1, 1)
    i = torch.arange(count, dtype=torch.bfloat16)
    return torch.stack([first + (i * n / count).floor(), first + ((i + 1) * n / count).ceil()], dim=1)


# %% roi_pool
def roi_pool(features, box, output_size, spatial_scale):
    left, top, right, bottom = snap(box, spatial_scale).int().tolist()
    channels, height, width = features.shape
    pooled = torch.zeros(channels, *output_size, dtype=torch.bfloat16)
    for i, (y0, y1) in enumerate(bins(top, bottom, output_size[0]).int().clamp(0, height).tolist()):
        for j, (x0, x1) in enumerate(bins(left, right, output_size[1]).int().clamp(0, width).tolist()):
            if y1 > y0 and x1 > x0:
                pooled[:, i, j] = features[:, y0:y1, x0:x1].bfloat16().flatten(1).max(dim=1).values
    return pooled


# %% roi_align
def roi_align(features, box, output_size, spatial_scale, sampling_ratio, aligned=True):
    scaled = box.bfloat16() * spatial_scale
    if aligned:
        scaled = scaled - 0.5
    start, size = scaled[:2], scaled[2:] - scaled[:2]
    if not aligned:
        size = size.clamp(min=1)
    counts = [n * sampling_ratio for n in reversed(output_size)]
    xs, ys = (start[k] + (torch.arange(n, dtype=torch.bfloat16) + 0.5) * size[k] / n for k, n in enumerate(counts))
    fine = torch.stack(
        [torch.stack([torch.stack([bilinear(feature, y, x) for x in xs]) for y in ys]) for feature in features]
    )
    return torch.nn.functional.avg_pool2d(fine[None], sampling_ratio)[0]


# %% snapping_error
def snapping_error(box, spatial_scale):
    return snap(box, spatial_scale) / spatial_scale - box.bfloat16()
