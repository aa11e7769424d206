"""Convolution as its definition says: a loop over every output and every tap."""

import itertools

import torch
from torch import Tensor


def conv_loop(x: Tensor, weight: Tensor, *, stride: tuple, padding: tuple, dilation: tuple, groups: int) -> Tensor:
    """y[n, f, o] = Σ_{c, k} w[f, c, k] · x[n, c, o·s + k·d − p], zero outside ``x``."""
    n, f, c = x.shape[0], weight.shape[0], weight.shape[1]
    size, kernel = x.shape[2:], weight.shape[2:]
    out = [(a + 2 * p - d * (k - 1) - 1) // s + 1 for a, k, s, p, d in zip(size, kernel, stride, padding, dilation)]
    y = torch.zeros(n, f, *out, dtype=x.dtype)
    for o in itertools.product(*map(range, out)):
        for k in itertools.product(*map(range, kernel)):
            at = [oi * s + ki * d - p for oi, s, ki, d, p in zip(o, stride, k, dilation, padding)]
            if all(0 <= a < m for a, m in zip(at, size)):
                for j in range(f):
                    first = j // (f // groups) * c
                    y[:, j, *o] += (x[:, first : first + c, *at] * weight[j, :, *k]).sum(1)
    return y
