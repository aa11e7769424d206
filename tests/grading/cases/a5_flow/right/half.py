# Results in few bits; a tensor of another layout; formulas in another order.

# %% gradients
def gradients(first, second):
    frames = torch.stack([first, second]).float()
    mean = frames.mean(0)
    tall = torch.cat([mean[:1], mean, mean[-1:]])
    wide = torch.cat([mean[:, :1], mean, mean[:, -1:]], dim=1)
    spatial = [tall[2:] - tall[:-2], wide[:, 2:] - wide[:, :-2]]
    return torch.stack([*(s / 2 for s in spatial), frames.diff(dim=0)[0]], -1).permute(2, 0, 1).half()


# %% warp
def warp(image, flow):
    values = torch.nn.functional.pad(image.float()[None, None], (0, 1, 0, 1), mode="replicate")[0, 0]
    places = []
    for axis, n in enumerate(image.shape):
        index = torch.arange(n).view(-1, *[1] * (1 - axis))
        places.append((index + flow[axis].float()).clamp(0, n - 1))
    (y, x), (i, j) = places, (p.trunc().int() for p in places)
    y, x, i, j = y - i, x - j, i.long(), j.long()
    result = values[i, j] * (1 - y) * (1 - x) + values[i + 1, j] * y * (1 - x)
    return (result + values[i, j + 1] * (1 - y) * x + values[i + 1, j + 1] * y * x).half()


# %% lucas_kanade
def lucas_kanade(g, smallest):
    a, b = g[:2].reshape(2, -1).T.double(), -g[2].reshape(-1).double()
    u, s, v = torch.linalg.svd(a, full_matrices=False)
    counts = s.square() > smallest
    return ((u.T @ b) * counts / s.where(counts, torch.ones_like(s)) @ v).half()


# %% horn_schunck_step
def horn_schunck_step(flow, g, smoothness):
    dy, dx = flow.float()
    bars = []
    for part in (dy, dx):
        rows = torch.cat([part[:1], part, part[-1:]]).unfold(0, 3, 1)
        columns = torch.cat([part[:, :1], part, part[:, -1:]], 1).unfold(1, 3, 1)
        bars.append((rows[..., 0] + rows[..., 2] + columns[..., 0] + columns[..., 2]).div(4))
    gy, gx, gt = g.unbind(0)
    strength = 1 / (smoothness**2 + gy**2 + gx**2)
    error = torch.addcmul(torch.addcmul(gt, gy, bars[0]), gx, bars[1])
    return torch.stack([bars[0] - gy * error * strength, bars[1] - gx * error * strength]).half()


# %% end_point_error
def end_point_error(truth, flow, known):
    apart = (truth - flow).abs().square().sum(0).sqrt()
    return apart.where(known, torch.nan).nanmean().half()


# %% flow_colours
def flow_colours(flow, largest):
    complex_flow = torch.complex(flow[1].double(), flow[0].double())
    turn = complex_flow.angle() * 3 / math.pi
    shares = [((turn + 6 - c + 3) % 6 - 3).abs() for c in (0, 2, 4)]
    saturation = (complex_flow.abs() / largest).clamp(max=1)
    layers = [torch.lerp(torch.ones_like(s), (2 - s).clamp(0, 1), saturation) for s in shares]
    picture = torch.stack(layers)
    picture[:, flow.isnan().any(dim=0)] = 0
    return picture.half()
