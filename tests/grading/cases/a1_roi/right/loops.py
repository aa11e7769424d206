# Plain Python: loops, lists and numbers.

# %% bilinear
def bilinear(feature, y, x):
    rows = feature.tolist()
    height, width = len(rows), len(rows[0])
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0
    y, x = sorted((0, y, height - 1))[1], sorted((0, x, width - 1))[1]
    total = 0.0
    for i in {int(y), min(int(y) + 1, height - 1)}:
        for j in {int(x), min(int(x) + 1, width - 1)}:
            total += (1 - abs(y - i)) * (1 - abs(x - j)) * rows[i][j]
    return total


# %% snap_bins
def snap(box, spatial_scale):
    cells = []
    for value in box.tolist():
        scaled = value * spatial_scale
        cells.append(int(scaled + 0.5) if scaled >= 0 else -int(0.5 - scaled))
    return cells


def bins(first, last, count):
    pairs = []
    cells = last - first + 1 if last >= first else 1
    for i in range(count):
        stop, rest = divmod((i + 1) * cells, count)
        pairs.append([first + (i * cells) // count, first + stop + (rest > 0)])
    return pairs


# %% roi_pool
def roi_pool(features, box, output_size, spatial_scale):
    left, top, right, bottom = snap(box, spatial_scale)
    result = []
    for channel in features.tolist():
        rows = []
        for y0, y1 in bins(top, bottom, output_size[0]):
            row = []
            for x0, x1 in bins(left, right, output_size[1]):
                inside = [
                    (y, x)
                    for y in range(y0, y1)
                    for x in range(x0, x1)
                    if 0 <= y < len(channel) and 0 <= x < len(channel[0])
                ]
                row.append(max((channel[y][x] for y, x in inside), default=0))
            rows.append(row)
        result.append(rows)
    return result


# %% roi_align
def roi_align(features, box, output_size, spatial_scale, sampling_ratio, aligned=True):
    x1, y1, x2, y2 = (float(v) * spatial_scale - aligned / 2 for v in box)
    height, width = y2 - y1, x2 - x1
    if not aligned:
        height, width = max(height, 1), max(width, 1)
    r, (ph, pw) = sampling_ratio, output_size
    pooled = [[[0.0] * pw for _ in range(ph)] for _ in features]
    for c in range(len(features)):
        for i in range(ph * r):
            for j in range(pw * r):
                value = bilinear(features[c], y1 + (i + 0.5) * height / (ph * r), x1 + (j + 0.5) * width / (pw * r))
                pooled[c][i // r][j // r] += value / r**2
    return pooled


# %% snapping_error
def snapping_error(box, spatial_scale):
    error = []
    for value, cell in zip(box.tolist(), snap(box, spatial_scale)):
        error.append(float(cell) / spatial_scale - value)
    return error
