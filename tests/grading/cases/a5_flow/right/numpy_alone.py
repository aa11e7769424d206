# NumPy alone.

# %% gradients
import numpy as np


def gradients(first, second):
    first, second = (np.asarray(frame, dtype=np.float64) for frame in (first, second))
    m = np.pad((first + second) / 2, 1, mode="edge")
    return np.stack([(m[2:, 1:-1] - m[:-2, 1:-1]) / 2, (m[1:-1, 2:] - m[1:-1, :-2]) / 2, second - first])


# %% warp
def warp(image, flow):
    image, flow = np.asarray(image, dtype=np.float64), np.asarray(flow, dtype=np.float64)
    ends = np.array(image.shape).reshape(2, 1, 1) - 1
    place = np.clip(np.indices(image.shape) + flow, 0, ends)
    low = np.minimum(np.floor(place), np.maximum(ends - 1, 0)).astype(int)
    high = np.minimum(low + 1, ends)
    (a, b), (y0, x0), (y1, x1) = place - low, low, high
    above = image[y0, x0] + b * (image[y0, x1] - image[y0, x0])
    below = image[y1, x0] + b * (image[y1, x1] - image[y1, x0])
    return above + a * (below - above)


# %% lucas_kanade
def lucas_kanade(g, smallest):
    gy, gx, gt = np.asarray(g, dtype=np.float64).reshape(3, -1)
    slopes = np.column_stack([gy, gx])
    left, singular, right = np.linalg.svd(slopes, full_matrices=False)
    singular = np.pad(singular, (0, max(0, right.shape[0] - len(singular))))
    keep = singular**2 > smallest
    parts = -(left.T @ gt)[keep] / singular[keep]
    return right[keep].T @ parts


# %% horn_schunck_step
def horn_schunck_step(flow, g, smoothness):
    u, (gy, gx, gt) = np.asarray(flow, dtype=np.float64), np.asarray(g, dtype=np.float64)
    up, down = np.concatenate([u[:, :1], u[:, :-1]], 1), np.concatenate([u[:, 1:], u[:, -1:]], 1)
    left, right = np.concatenate([u[:, :, :1], u[:, :, :-1]], 2), np.concatenate([u[:, :, 1:], u[:, :, -1:]], 2)
    dy, dx = np.mean([up, down, left, right], axis=0)
    step = (gy * dy + gx * dx + gt) / (np.square(smoothness) + gy**2 + gx**2)
    return np.array([dy - gy * step, dx - gx * step])


# %% end_point_error
def end_point_error(truth, flow, known):
    apart = np.linalg.norm(np.asarray(flow, np.float64) - np.asarray(truth, np.float64), axis=0)
    inside = np.asarray(known)
    return np.average(apart[inside]) if inside.any() else np.nan


# %% flow_colours
def flow_colours(flow, largest):
    dy, dx = flow.numpy().astype(np.float64)
    turn = np.degrees(np.arctan2(dy, dx)) % 360
    table = np.array([[1, 1, 0, 0, 0, 1, 1], [0, 1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1, 0]])
    hue = np.stack([np.interp(turn, np.arange(0, 361, 60), row) for row in table])
    colour = 1 - np.minimum(np.hypot(dy, dx) / largest, 1) * (1 - hue)
    return np.where(np.isnan(dy + dx), 0, colour)
