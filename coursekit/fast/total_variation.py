"""The engine of TV-L1: ``flow.variational.tv_l1_step`` again and again, in place.

At these sizes a step costs as much in fresh memory as in arithmetic.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Flow = Float[Tensor, "N ndim *size"]


class TVL1:
    """The steps of one level of the pyramid; the dual p, zero at first, is kept from call to call."""

    def __init__(self, flow: Flow, *, attachment: float, tightness: float) -> None:
        ndim = flow.shape[1]
        self.reach, self.tightness, self.step = attachment * tightness, tightness, 0.5 / ndim / tightness
        self.p = [torch.zeros_like(flow) for _ in range(ndim)]  # one (N, ndim, *size) an axis
        self.gradient = [torch.zeros_like(flow) for _ in range(ndim)]
        self.norm = torch.empty_like(flow)

    def steps(self, flow: Flow, residual: Float[Tensor, "N 1 *size"], slope: Flow, *, count: int) -> Flow:
        """``count`` steps from ``flow``, which is left as it is."""
        squared = slope.square().sum(1, keepdim=True).clamp_(min=1e-12)
        for _ in range(count):
            rho = residual.clone()
            for axis in range(flow.shape[1]):
                rho.addcmul_(slope[:, axis, None], flow[:, axis, None])
            twin = torch.addcmul(flow, slope, rho.div_(squared).clamp_(-self.reach, self.reach), value=-1)
            flow = self._smooth(twin)
        return flow

    def _smooth(self, u: Flow) -> Flow:
        """From the twin v, which is overwritten: ``u = v + θ div p``, then the step of p."""
        for axis, p in enumerate(self.p, start=2):  # backward differences, the adjoint of the forward ones below
            n = u.shape[axis]
            u.add_(p, alpha=self.tightness)
            u.narrow(axis, 1, n - 1).sub_(p.narrow(axis, 0, n - 1), alpha=self.tightness)
        for axis, g in enumerate(self.gradient, start=2):  # forward differences, 0 at the far edge
            n = u.shape[axis]
            torch.sub(u.narrow(axis, 1, n - 1), u.narrow(axis, 0, n - 1), out=g.narrow(axis, 0, n - 1))
        torch.mul(self.gradient[0], self.gradient[0], out=self.norm)
        for g in self.gradient[1:]:
            self.norm.addcmul_(g, g)
        self.norm.sqrt_().mul_(self.step).add_(1)
        for p, g in zip(self.p, self.gradient):
            p.add_(g, alpha=self.step).div_(self.norm)
        return u
