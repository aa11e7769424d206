# Matrix products, einsum and float64.

# %% output_shape
import math


def output_shape(size, kernel, stride, padding):
    n, k, s, p = (torch.tensor(values) for values in (size, kernel, stride, padding))
    return (torch.div(n + 2 * p - k + s, s, rounding_mode="floor")).clamp(min=0) * (n + 2 * p >= k)


# %% layer_cost


def layer_cost(out, channels, filters, kernel, bias, bytes_each):
    weight = torch.empty(filters, channels, *kernel, device="meta")
    output = torch.empty(filters, *out, device="meta")
    return dict(
        output_bytes=output.numel() * bytes_each,
        parameters=weight.numel() + (filters if bias else 0),
        multiply_adds=math.prod(out) * weight.numel(),
    )


# %% unfold3d
def unfold3d(x, kernel, stride):
    places = [torch.arange(0, n - k + 1, s) for n, k, s in zip(x.shape[1:], kernel, stride)]
    z, y, c = (place[:, None] + torch.arange(k) for place, k in zip(places, kernel))  # (steps, k) each
    z, y, c = z[:, None, None, :, None, None], y[None, :, None, None, :, None], c[None, None, :, None, None, :]
    return torch.einsum("cabdijk->cijkabd", x.double()[:, z, y, c]).reshape(len(x) * math.prod(kernel), -1)


# %% conv3d
def conv3d(x, weight, bias, stride, padding, unfold):
    (d, h, w), x, weight = padding, x.double(), weight.double()
    padded = torch.nn.functional.pad(x, (w, w, h, h, d, d))
    y = None
    kd, kh, kw = weight.shape[2:]
    out = [(n - k) // s + 1 for n, k, s in zip(padded.shape[1:], (kd, kh, kw), stride)]
    ends = [s * (n - 1) + 1 for s, n in zip(stride, out)]
    for i in range(kd):
        for j in range(kh):
            for k in range(kw):
                part = padded[:, i : i + ends[0] : stride[0], j : j + ends[1] : stride[1], k : k + ends[2] : stride[2]]
                term = torch.einsum("fc,cdhw->fdhw", weight[:, :, i, j, k], part)
                y = term if y is None else y + term
    return y + bias.double()[:, None, None, None]


# %% unet_output
def unet_output(size, pools):
    n = torch.tensor(size, dtype=torch.float64) - 4
    for _ in range(pools):
        n = n / 2 - 4
    for _ in range(pools):
        n = 2 * n - 4
    return n


# %% unet_fits
def unet_fits(size, pools):
    bottom = torch.tensor(size, dtype=torch.float64)
    whole = torch.ones(3).bool()
    for _ in range(pools):
        bottom = (bottom - 4) / 2
        whole &= bottom == bottom.round()
    answer = (bottom - 4) * 2**pools - 4 * (2**pools - 1)
    return (whole & (answer >= 1)).all()


# %% smallest_input
def smallest_input(wanted, answers):
    enough = torch.tensor(answers)[None] >= torch.tensor(wanted)[:, None]
    return torch.where(enough, torch.arange(len(answers)), len(answers)).amin(1).double()


# %% masked_loss
def masked_loss(logits, target):
    log_p = logits.double().log_softmax(1)
    one_hot = torch.nn.functional.one_hot(target.long().clamp(min=0), logits.shape[1]).movedim(-1, 1).double()
    w = (target >= 0).double()
    log_p = torch.where(w[:, None] > 0, log_p, torch.zeros(()).double())
    total = torch.einsum("nkdhw,nkdhw,ndhw->", log_p, one_hot, w)
    return -total / w.sum().clamp(min=1)


# %% dice
def dice(truth, prediction):
    a, b = (truth != 0).double(), (prediction != 0).double()
    total = a.sum() + b.sum()
    return torch.where(total > 0, 2 * torch.einsum("dhw,dhw->", a, b) / total, torch.ones(()).double())


# %% agreement
def agreement(readers, dice):
    table = torch.tensor([[float(dice(a, b)) for b in readers] for a in readers], dtype=torch.float64)
    r = len(readers)
    return (table.sum() - table.trace()) / (r * (r - 1))
