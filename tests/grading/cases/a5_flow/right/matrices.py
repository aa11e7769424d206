# Matrix products and einsum; the result of a function of another kind where there is one.

# %% gradients
def _difference(n):
    """(n, n): half the difference of the two neighbours, the edge repeated."""
    m = torch.zeros(n, n, dtype=torch.float64)
    for i in range(n):
        m[i, min(i + 1, n - 1)] += 0.5
        m[i, max(i - 1, 0)] -= 0.5
    return m


def gradients(first, second):
    frames = torch.stack([first, second]).to(torch.float64)
    along_y = torch.einsum("ij,fjw->iw", _difference(first.shape[0]), frames) / 2
    along_x = torch.einsum("ij,fhj->hi", _difference(first.shape[1]), frames) / 2
    return torch.stack([along_y, along_x, torch.einsum("f,fhw->hw", torch.tensor([-1.0, 1.0]).double(), frames)])


# %% warp
def _weights(places, n):
    return torch.relu(1 - (places[..., None] - torch.arange(n)).abs())


def warp(image, flow):
    height, width = image.shape
    i, j = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    y = torch.clip(flow[0].double() + i, 0, height - 1)
    x = torch.clip(flow[1].double() + j, 0, width - 1)
    return torch.einsum("ijy,yx,ijx->ij", _weights(y, height), image.double(), _weights(x, width))


# %% lucas_kanade
def lucas_kanade(g, smallest):
    gram = torch.einsum("ahw,bhw->ab", g.double(), g.double())
    values, vectors = torch.linalg.eigh(gram[:2, :2])
    inverse = torch.where(values > smallest, 1 / values, 0.0)
    return torch.einsum("ai,i,bi,b->a", vectors, inverse, vectors, -gram[:2, 2])


# %% horn_schunck_step
def horn_schunck_step(flow, g, smoothness):
    cross = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]).double() / 4
    padded = torch.nn.functional.pad(flow[None].double(), (1, 1, 1, 1), mode="replicate")[0]
    mean = torch.nn.functional.conv2d(padded[:, None], cross[None, None])[:, 0]
    space = g[:2].double()
    away = torch.einsum("ahw,ahw->hw", space, mean) + g[2]
    return mean - torch.einsum("ahw,hw->ahw", space, away / (smoothness**2 + torch.einsum("ahw,ahw->hw", space, space)))


# %% end_point_error
def end_point_error(truth, flow, known):
    weights = known.double() / known.sum()
    d = torch.where(known, flow.double() - truth.double(), 0.0)
    return torch.einsum("hw,hw->", weights, torch.einsum("ahw,ahw->hw", d, d).sqrt())


# %% flow_colours
def flow_colours(flow, largest):
    turn = torch.atan2(flow[0], flow[1]).double() / (math.pi / 3) % 6
    knots = torch.tensor([[1, 1, 0, 0, 0, 1], [0, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1]]).double()
    away = (turn[..., None] - torch.arange(6)).abs()
    hats = (1 - torch.minimum(away, 6 - away)).clamp(min=0)
    hue = torch.einsum("hwk,ck->chw", hats, knots)
    colour = 1 - (flow.double().norm(dim=0) / largest).clamp(0, 1) * (1 - hue)
    return torch.where(flow.isnan().any(0), torch.zeros(()).double(), colour)
