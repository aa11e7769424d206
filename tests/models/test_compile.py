"""``torch.compile`` runs the networks to the same values. In a process of its own: the shape checker of the tests
cannot be traced.
"""

import subprocess
import sys

PROGRAM = """
import torch
from coursekit.models.echo import EFRegressor
from coursekit.models.efficientnet_lite import EfficientNetLite0
from coursekit.models.inception import Inception
from coursekit.models.nodule import NoduleNet, PatchFeatures
from coursekit.models.pyramid import small_pyramid
from coursekit.models.recurrent import CNNRNN, Recurrent
from coursekit.models.refine import BoundaryRefiner
from coursekit.models.unet import UNet
from coursekit.models.video import ARCHITECTURES
from coursekit.models.views import JointViews

cases = {
    "unet 2D": (UNet(ndim=2, base=2, depth=2), (torch.rand(2, 1, 13, 15),)),
    "unet 3D": (UNet(ndim=3, base=2, depth=1, padding="valid"), (torch.rand(2, 1, 20, 22, 20),)),
    "nodule": (NoduleNet(size=16), (torch.rand(2, 1, 16, 16, 16),)),
    "views": (JointViews(PatchFeatures(ndim=2, size=16), width=32), (torch.rand(2, 3, 1, 16, 16),)),
    "refiner": (BoundaryRefiner(size=16, depth=2), (torch.rand(2, 2, 16, 16),)),
    "lite": (EfficientNetLite0(classes=2), (torch.rand(2, 3, 32, 32),)),
    "inception 2D": (Inception(ndim=2, classes=2), (torch.rand(2, 3, 32, 32),)),
    "inception 3D": (Inception(ndim=3, classes=2), (torch.rand(2, 3, 4, 32, 32),)),
    "pyramid": (small_pyramid(), (torch.rand(2, 1, 32, 36),)),
    "rnn": (Recurrent(3, 4, cell="rnn"), (torch.rand(2, 5, 3),)),
    "cnn + lstm": (CNNRNN(EfficientNetLite0(classes=3), width=3, classes=2), (torch.rand(2, 3, 2, 32, 32),)),
    "echo": (EFRegressor(widths=(4, 6)), (torch.rand(2, 1, 4, 16, 16),)),
}
clip = torch.rand(2, 1, 6, 16, 16), torch.rand(2, 2, 5, 16, 16)
cases |= {name: (kind(3, widths=(4, 6)), clip) for name, kind in ARCHITECTURES.items()}
for name, (net, inputs) in cases.items():
    net.eval()
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*inputs), net(*inputs), rtol=1e-4, atol=1e-4)
    print("same:", name)
"""


def test_the_networks_compile() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.count("same:") == 17
