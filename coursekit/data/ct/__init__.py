"""Computed tomography of the lung: two real scans, vessels found in them, nodules of real shape set into them."""

from .candidates import Candidate, Candidates, nodules
from .lung_mask import lungs
from .scans import BONE, CT, LUNG, SOFT_TISSUE, SPLIT, centred, load, of_part, patch, three_channels, to_bytes, window
from .slices import SliceItem, Slices, slices
from .thin import Organs, Thin, organs, thin
from .vessels import Vessels, vessels

__all__ = [
    "BONE",
    "CT",
    "LUNG",
    "SOFT_TISSUE",
    "SPLIT",
    "Candidate",
    "Candidates",
    "Organs",
    "SliceItem",
    "Slices",
    "Thin",
    "Vessels",
    "centred",
    "load",
    "lungs",
    "nodules",
    "of_part",
    "organs",
    "patch",
    "slices",
    "thin",
    "three_channels",
    "to_bytes",
    "vessels",
    "window",
]
