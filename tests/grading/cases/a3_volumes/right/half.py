# Results in few bits, booleans as numbers, strange wrappings.

# %% output_shape
import itertools


def output_shape(size, kernel, stride, padding):
    return torch.tensor(
        [len(range(0, max(n + 2 * p - k + 1, 0), s)) for n, k, s, p in zip(size, kernel, stride, padding)]
    ).to(torch.int16)


# %% layer_cost
def layer_cost(out, channels, filters, kernel, bias, bytes_each):
    cost = {"output_bytes": float(out[0] * out[1] * out[2] * filters * bytes_each)}
    cost["multiply_adds"] = torch.tensor(channels * filters).double() * torch.tensor([*kernel, *out]).prod()
    cost["parameters"] = [filters * (channels * kernel[0] * kernel[1] * kernel[2] + bool(bias))][0]
    return cost


# %% unfold3d
def unfold3d(x, kernel, stride):
    rows = []
    for channel in x:
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                for k in range(kernel[2]):
                    last = [n - size + at + 1 for n, size, at in zip(channel.shape, kernel, (i, j, k))]
                    part = channel[i : last[0] : stride[0], j : last[1] : stride[1], k : last[2] : stride[2]]
                    rows.append(part.reshape(-1).bfloat16())
    return torch.stack(rows)


# %% conv3d
def conv3d(x, weight, bias, stride, padding, unfold):
    d, h, w = padding
    padded = torch.nn.functional.pad(x, [w, w, h, h, d, d])
    columns = unfold(padded, weight.shape[2:], stride)
    y = (columns.T @ weight.reshape(len(weight), -1).T + bias).T
    depth = (padded.shape[1] - weight.shape[2]) // stride[0] + 1
    rows = (padded.shape[2] - weight.shape[3]) // stride[1] + 1
    return y.unflatten(1, (depth, rows, -1)).bfloat16()


# %% unet_output
def unet_output(size, pools):
    return torch.tensor([_valid(n, pools) for n in size]).float()


def _valid(n, pools):
    if pools == 0:
        return n - 4
    return 2 * _valid((n - 4) // 2, pools - 1) - 4


# %% unet_fits
def unet_fits(size, pools):
    return 1.0 if all(_ends(n, pools) >= 1 for n in size) else 0.0


def _ends(n, pools):
    n -= 4
    if pools == 0 or n < 0:
        return n
    return -1 if n % 2 else 2 * _ends(n // 2, pools - 1) - 4


# %% smallest_input
def smallest_input(wanted, answers):
    place = {}
    for n in range(len(answers) - 1, -1, -1):
        place[answers[n]] = n
    return torch.tensor([min(n for a, n in place.items() if a >= w) for w in wanted]).short()


# %% masked_loss
def masked_loss(logits, target):
    seen = target.flatten() > -1
    z = logits.float().movedim(1, -1).flatten(0, -2)[seen]
    if z.numel() == 0:
        return torch.zeros(1)
    z = z - z.amax(1, keepdim=True)
    own = torch.stack([row[int(y)] for row, y in zip(z, target.flatten()[seen])])
    return (z.exp().sum(1).log() - own).mean()


# %% dice
def dice(truth, prediction):
    a, b = truth.bool(), prediction.bool()
    if not (a | b).any():
        return True
    return (2 * (a * b).sum() / torch.stack([a, b]).sum()).double().half()


# %% agreement


def agreement(readers, dice):
    return torch.tensor([float(dice(*pair)) for pair in itertools.combinations(readers, 2)]).mean().half()
