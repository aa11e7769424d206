"""The beating heart: simulated apical four-chamber clips whose volumes are known, and one real clip.

``clips`` and ``frames`` are the lesson's sets (``COURSEKIT_ECHONET`` puts EchoNet-Dynamic in their place), ``real``
is the clip, ``tracing`` and ``volume_by_discs`` measure a mask. The simulation is ``simulated.heart`` (shape, beats,
motion) and ``simulated.ultrasound`` (what is seen of it).

What one frame tells
    Ejection fraction, end-diastolic volume, wall thickness, rate and pose are drawn independently, the clip starts
    anywhere in a beat, and the sector is as deep as the heart needs: neither the size in pixels nor that in mm gives
    the fraction away. What remains in a single frame is honest: as the ventricle empties it grows slimmer, its
    incompressible wall thicker and the atrium longer, and the mitral valve tells filling from ejection.
"""

from .discs import tracing, volume_by_discs, volume_of_tracing
from .sets import Echo, EchoNetSet, EchoSet, Frames, RealClip, clips, frames, real

__all__ = ["Echo", "EchoNetSet", "EchoSet", "Frames", "RealClip"]
__all__ += ["clips", "frames", "real", "tracing", "volume_by_discs", "volume_of_tracing"]
