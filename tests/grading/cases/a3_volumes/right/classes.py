# Classes, recursion and helpers; some of the functions asked for are methods, partials or objects that can be called.

# %% output_shape
from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True)
class Axis:
    n: int
    k: int
    s: int
    p: int

    @property
    def steps(self):
        return sum(1 for start in range(0, self.n + 2 * self.p, self.s) if start + self.k <= self.n + 2 * self.p)


def output_shape(size, kernel, stride, padding):
    return tuple(Axis(*numbers).steps for numbers in zip(size, kernel, stride, padding))


# %% layer_cost
class Layer:
    def __init__(self, channels, filters, kernel, bias):
        self.volume = channels
        for k in kernel:
            self.volume *= k
        self.filters, self.bias = filters, bias

    def parameters(self):
        return self.filters * self.volume + (self.filters if self.bias else 0)

    def at(self, out):
        d, h, w = out
        return d * h * w * self.filters


def layer_cost(out, channels, filters, kernel, bias, bytes_each):
    layer = Layer(channels, filters, kernel, bias)
    written_ = layer.at(out)
    return {
        "parameters": layer.parameters(),
        "multiply_adds": written_ * layer.volume,
        "output_bytes": written_ * bytes_each,
    }


# %% unfold3d
class Unfolder:
    def places(self, size, kernel, stride):
        if not size:
            yield ()
            return
        for start in range(0, size[0] - kernel[0] + 1, stride[0]):
            for rest in self.places(size[1:], kernel[1:], stride[1:]):
                yield (slice(start, start + kernel[0]), *rest)

    def __call__(self, x, kernel, stride):
        blocks = [x[(slice(None), *place)] for place in self.places(tuple(x.shape[1:]), tuple(kernel), tuple(stride))]
        return torch.cat([block.reshape(-1, 1) for block in blocks], dim=1)


unfold3d = Unfolder()


# %% conv3d
class Conv:
    def __init__(self, weight, bias):
        self.weight, self.bias = weight, bias

    def forward(self, x, stride, unfold):
        kernel = tuple(self.weight.shape[2:])
        columns = unfold(x, kernel, stride)
        out = [1 + (n - k) // s for n, k, s in zip(x.shape[1:], kernel, stride)]
        return torch.stack([(f.reshape(1, -1) @ columns + b).reshape(out) for f, b in zip(self.weight, self.bias)])


def conv3d(x, weight, bias, stride, padding, unfold):
    around = torch.zeros(x.shape[0], *[n + 2 * p for n, p in zip(x.shape[1:], padding)])
    inner = tuple(slice(p, p + n) for n, p in zip(x.shape[1:], padding))
    around[(slice(None), *inner)] = x
    return Conv(weight, bias).forward(around, stride, unfold)


# %% unet_output
class Way:
    def __init__(self, pools):
        self.steps = ["conv", "conv", *["pool", "conv", "conv"] * pools, *["up", "conv", "conv"] * pools]

    def walk(self, n):
        for step in self.steps:
            if step == "pool" and n % 2:
                return 0
            n = {"conv": n - 2, "pool": n // 2, "up": 2 * n}[step]
            if n < 1:
                return 0
        return n


def unet_output(size, pools):
    return list(map(Way(pools).walk, size))


# %% unet_fits
class Fits:
    def __call__(self, size, pools):
        return min(self.axis(n - 4, pools) for n in size) > 0

    def axis(self, n, pools):
        if n < 1 or (pools and n % 2):
            return 0
        return n if pools == 0 else 2 * self.axis(n // 2 - 4, pools - 1) - 4


unet_fits = Fits()


# %% smallest_input


def _smallest(key, wanted, answers):
    return tuple(min(filter(lambda n: answers[n] >= w, range(len(answers))), key=key) for w in wanted)


smallest_input = partial(_smallest, lambda n: n)


# %% masked_loss
class Mean:
    def __init__(self):
        self.total, self.count = 0.0, 0

    def add(self, values):
        self.total, self.count = self.total + float(values.sum()), self.count + values.numel()

    @property
    def value(self):
        return self.total / max(self.count, 1)


def masked_loss(logits, target):
    mean = Mean()
    for k in range(logits.shape[1]):
        there = target == k
        z = logits.transpose(0, 1)[:, there]  # (K, voxels)
        mean.add(-z.double().log_softmax(0)[k])
    return mean.value


# %% dice
class Mask:
    def __init__(self, values):
        self.voxels = set(map(tuple, values.nonzero().tolist()))

    def dice(self, other):
        both = len(self.voxels) + len(other.voxels)
        return 2 * len(self.voxels & other.voxels) / both if both else 1.0


def dice(truth, prediction):
    return Mask(truth).dice(Mask(prediction))


# %% agreement
def agreement(readers, dice):
    others = [[dice(one, two) for j, two in enumerate(readers) if j != i] for i, one in enumerate(readers)]
    return torch.tensor([sum(row) / len(row) for row in others]).mean()
