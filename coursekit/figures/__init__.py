"""One-call pictures with alt text, in colours that all readers tell apart: what a lecture draws in one line.

``pictures`` images in a row with masks, boxes and contours · ``planes`` three slices of a volume, to scale ·
``browse`` them under sliders · ``strip`` a clip, frame by frame · ``flow_field`` motion as colour and as components ·
``curves`` with intervals · ``effects`` a record's differences, ``record_table`` in words · ``interactive`` sliders.
Each picture returns a :class:`Picture`, which a notebook shows when it is the value of a cell.
"""

from .drawing import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION, YELLOW, Picture, interactive, show
from .images import Areas, Boxes, Outlines, Panel, browse, pictures, planes
from .motion import flow_field, strip
from .plots import Curve, curves, effects, record_table

__all__ = [
    "BLACK", "BLUE", "GREEN", "ORANGE", "PURPLE", "SKY", "VERMILLION", "YELLOW",
    "Areas", "Boxes", "Curve", "Outlines", "Panel", "Picture",
    "browse", "curves", "effects", "flow_field", "interactive", "pictures", "planes", "record_table", "show", "strip",
]  # fmt: skip
