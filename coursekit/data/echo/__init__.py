"""The beating heart: simulated apical four-chamber clips whose volumes are known, and one real clip.

Ejection fraction, end-diastolic volume, wall, rate and pose are drawn independently, the clip starts anywhere in a
beat, and the sector is as deep as the heart needs: no size gives the fraction away. What remains in a single frame is
honest: an emptying ventricle grows slimmer, its incompressible wall thicker, and the valve tells filling from ejection.
"""

from .discs import tracing, volume_by_discs, volume_of_tracing
from .sets import Echo, EchoNetSet, EchoSet, Frames, RealClip, clips, frames, real

__all__ = ["Echo", "EchoNetSet", "EchoSet", "Frames", "RealClip"]
__all__ += ["clips", "frames", "real", "tracing", "volume_by_discs", "volume_of_tracing"]
