# NumPy alone.

# %% bilinear
import numpy as np


def bilinear(feature, y, x):
    values = np.asarray(feature)
    height, width = values.shape
    if y < -1 or x < -1 or y > height or x > width:
        return np.float32(0)
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    (a, top), (b, left) = np.modf(y), np.modf(x)
    square = np.pad(values, ((0, 1), (0, 1)))[int(top) :, int(left) :][:2, :2]
    return np.array([1 - a, a]) @ square @ np.array([1 - b, b])


# %% snap_bins
def snap(box, spatial_scale):
    scaled = box.numpy() * spatial_scale
    return np.trunc(scaled + np.copysign(0.5, scaled))


def bins(first, last, count):
    n = max(last - first + 1, 1)
    i = np.arange(count)
    return np.stack([first + i * n // count, first + (i * n + n + count - 1) // count], axis=1)


# %% roi_pool
def roi_pool(features, box, output_size, spatial_scale):
    values = features.numpy()
    channels, height, width = values.shape
    left, top, right, bottom = snap(box, spatial_scale).astype(int)
    pooled = np.zeros((channels, *output_size), values.dtype)
    rows, columns = bins(top, bottom, output_size[0]).clip(0, height), bins(left, right, output_size[1]).clip(0, width)
    for i, j in np.ndindex(*output_size):
        cells = values[:, slice(*rows[i]), slice(*columns[j])]
        if cells.size:
            pooled[:, i, j] = cells.max(axis=(1, 2))
    return pooled


# %% roi_align
def roi_align(features, box, output_size, spatial_scale, sampling_ratio, aligned=True):
    x1, y1, x2, y2 = np.array(box, dtype=float) * spatial_scale - (0.5 if aligned else 0)
    sides = np.array([y2 - y1, x2 - x1])
    if not aligned:
        sides = np.maximum(sides, 1)
    counts = np.array(output_size) * sampling_ratio
    ys, xs = (begin + (np.arange(n) + 0.5) * side / n for begin, n, side in zip((y1, x1), counts, sides))
    read = np.vectorize(lambda c, y, x: bilinear(features[c], y, x), otypes=[float])
    fine = read(np.arange(len(features))[:, None, None], ys[:, None], xs)
    return fine.reshape(len(features), output_size[0], sampling_ratio, output_size[1], sampling_ratio).mean((2, 4))


# %% snapping_error
def snapping_error(box, spatial_scale):
    return snap(box, spatial_scale) / np.float64(spatial_scale) - box.numpy()
