# Plain loops over pixels, plain numbers.

# %% gradients
def gradients(first, second):
    height, width = first.shape
    a, b = first.tolist(), second.tolist()

    def mean(i, j):
        i, j = min(max(i, 0), height - 1), min(max(j, 0), width - 1)
        return (a[i][j] + b[i][j]) / 2

    rows, columns = range(height), range(width)
    return [
        [[(mean(i + 1, j) - mean(i - 1, j)) / 2 for j in columns] for i in rows],
        [[(mean(i, j + 1) - mean(i, j - 1)) / 2 for j in columns] for i in rows],
        [[b[i][j] - a[i][j] for j in columns] for i in rows],
    ]


# %% warp
def warp(image, flow):
    height, width = image.shape
    result = torch.zeros(height, width)
    for i in range(height):
        for j in range(width):
            y = min(max(i + flow[0, i, j].item(), 0), height - 1)
            x = min(max(j + flow[1, i, j].item(), 0), width - 1)
            for row in (int(y), int(y) + 1):
                for column in (int(x), int(x) + 1):
                    weight = (1 - abs(y - row)) * (1 - abs(x - column))
                    if weight > 0:
                        result[i, j] += weight * image[row, column]
    return result


# %% lucas_kanade
def lucas_kanade(g, smallest):
    yy = xx = yx = yt = xt = 0.0
    for row in range(g.shape[1]):
        for column in range(g.shape[2]):
            gy, gx, gt = g[:, row, column].tolist()
            yy, xx, yx = yy + gy * gy, xx + gx * gx, yx + gy * gx
            yt, xt = yt + gy * gt, xt + gx * gt
    half, root = (yy + xx) / 2, math.sqrt(((yy - xx) / 2) ** 2 + yx**2)
    if half - root > smallest:
        determinant = yy * xx - yx * yx
        return (yx * xt - xx * yt) / determinant, (yx * yt - yy * xt) / determinant
    large = half + root
    if large <= smallest:
        return 0, 0
    turn = math.atan2(2 * yx, yy - xx) / 2
    e = math.cos(turn), math.sin(turn)
    along = -(e[0] * yt + e[1] * xt) / large
    return along * e[0], along * e[1]


# %% horn_schunck_step
def horn_schunck_step(flow, g, smoothness):
    _, height, width = flow.shape
    old, g = flow.tolist(), g.tolist()
    new = [[[0.0] * width for _ in range(height)] for _ in range(2)]
    for i in range(height):
        for j in range(width):
            near = [(max(i - 1, 0), j), (min(i + 1, height - 1), j), (i, max(j - 1, 0)), (i, min(j + 1, width - 1))]
            dy, dx = (sum(part[k][m] for k, m in near) / 4 for part in old)
            gy, gx, gt = (channel[i][j] for channel in g)
            step = (gy * dy + gx * dx + gt) / (smoothness * smoothness + gy * gy + gx * gx)
            new[0][i][j], new[1][i][j] = dy - gy * step, dx - gx * step
    return new


# %% end_point_error
def end_point_error(truth, flow, known):
    total, count = 0.0, 0
    for i, j in known.nonzero().tolist():
        total += math.dist(truth[:, i, j].tolist(), flow[:, i, j].tolist())
        count += 1
    return total / count if count else math.nan


# %% flow_colours
def flow_colours(flow, largest):
    corners = [(1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 0, 0)]
    picture = torch.zeros(3, *flow.shape[1:])
    for i in range(flow.shape[1]):
        for j in range(flow.shape[2]):
            dy, dx = flow[:, i, j].tolist()
            if math.isnan(dy) or math.isnan(dx):
                continue
            place = math.degrees(math.atan2(dy, dx)) % 360 / 60
            k = min(int(place), 5)
            speed = min(math.hypot(dy, dx) / largest, 1)
            for c in range(3):
                hue = corners[k][c] + (place - k) * (corners[k + 1][c] - corners[k][c])
                picture[c, i, j] = 1 - speed * (1 - hue)
    return picture
