"""Moving pictures: real videos, pairs of frames whose motion is known, and clips whose class lies in the motion alone."""

from .action import MOTIONS, TWIN, Action, ActionSet, actions
from .films import Video, video
from .pair import KINDS, SCENES, FramePair, Pair, PairSet, motion, pairs, stereo, warped

__all__ = [
    "KINDS",
    "MOTIONS",
    "SCENES",
    "TWIN",
    "Action",
    "ActionSet",
    "FramePair",
    "Pair",
    "PairSet",
    "Video",
    "actions",
    "motion",
    "pairs",
    "stereo",
    "video",
    "warped",
]
