# Advanced indexing, all points at once; results are views of larger tensors.

# %% bilinear
def _read(maps, y, x):
    """(C, H, W) read at y, x of one shape (...): (..., C), with the rules at the border."""
    height, width = maps.shape[-2:]
    near = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    low, left = y.floor().long(), x.floor().long()
    high, right = (low + 1).clamp(max=height - 1), (left + 1).clamp(max=width - 1)
    a, b = y - low, x - left
    corners = (1 - a) * (1 - b) * maps[:, low, left] + (1 - a) * b * maps[:, low, right]
    corners = corners + a * (1 - b) * maps[:, high, left] + a * b * maps[:, high, right]
    return torch.where(near, corners, torch.zeros(())).movedim(0, -1)


def bilinear(feature, y, x):
    return _read(feature[None], torch.tensor([float(y)]), torch.tensor([float(x)]))[0, 0]


# %% snap_bins
def snap(box, spatial_scale):
    scaled = (box * spatial_scale).double()
    halves = torch.where(scaled >= 0, torch.floor(scaled + 0.5), torch.ceil(scaled - 0.5))
    return halves.to(torch.int32).unbind()


def bins(first, last, count):
    edges = torch.arange(count + 1) * max(int(last) - int(first) + 1, 1)
    starts = torch.div(edges[:-1], count, rounding_mode="floor")
    stops = -torch.div(-edges[1:], count, rounding_mode="floor")
    return (torch.stack([starts, stops]) + int(first)).T


# %% roi_pool
def roi_pool(features, box, output_size, spatial_scale):
    left, top, right, bottom = snap(box, spatial_scale)
    big = 64
    padded = torch.nn.functional.pad(features, [big] * 4, value=float("-inf"))
    rows, columns = bins(top, bottom, output_size[0]) + big, bins(left, right, output_size[1]) + big
    out = torch.stack([torch.stack([padded[:, a:b, c:d].amax((1, 2)) for c, d in columns]) for a, b in rows])
    return out.nan_to_num(neginf=0.0).permute(2, 0, 1)


# %% roi_align
def roi_align(features, box, output_size, spatial_scale, sampling_ratio, aligned=True):
    offset = 0.5 if aligned else 0.0
    x1, y1, x2, y2 = (box.double() * spatial_scale - offset).unbind()
    w, h = x2 - x1, y2 - y1
    if not aligned:
        w, h = w.clamp_min(1.0), h.clamp_min(1.0)
    k = (torch.arange(sampling_ratio) + 0.5) / sampling_ratio
    y = y1 + (torch.arange(output_size[0])[:, None] + k) * h / output_size[0]
    x = x1 + (torch.arange(output_size[1])[:, None] + k) * w / output_size[1]
    y, x = torch.broadcast_tensors(y[:, None, :, None], x[None, :, None, :])
    return _read(features.double(), y, x).mean((2, 3)).movedim(-1, 0)


# %% snapping_error
def snapping_error(box, spatial_scale):
    return torch.stack(snap(box, spatial_scale)) / spatial_scale - box
