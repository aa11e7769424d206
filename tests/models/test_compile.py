"""``torch.compile`` runs the networks to the same values. In a process of its own: the shape checker of the tests cannot be traced."""

import subprocess
import sys

PROGRAM = """
import torch
from torch import nn
from coursekit.models.unet import UNet

cases = {
    "unet 2D": (UNet(ndim=2, base=2, depth=2), (torch.rand(2, 1, 13, 15),)),
    "unet 3D": (UNet(ndim=3, base=2, depth=1, padding="valid"), (torch.rand(2, 1, 20, 22, 20),)),
}
for name, (net, inputs) in cases.items():
    net.eval()
    torch.testing.assert_close(torch.compile(net, backend="eager", fullgraph=True)(*inputs), net(*inputs), rtol=1e-4, atol=1e-4)
    print("same:", name)
"""


def test_the_networks_compile() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.count("same:") == 2
