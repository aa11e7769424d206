"""Optical flow: Lucas–Kanade, Horn–Schunck, TV-L1, and flow as colours or channels."""

from coursekit.flow.colour import colour_key, colour_wheel, flow_to_colour, to_channels
from coursekit.flow.local import lucas_kanade, structure_tensor
from coursekit.flow.variational import horn_schunck, tv_l1

__all__ = [
    "colour_key", "colour_wheel", "flow_to_colour", "horn_schunck", "lucas_kanade", "structure_tensor", "to_channels",
    "tv_l1",
]  # fmt: skip
