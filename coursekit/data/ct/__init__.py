"""Computed tomography of the lung: real scans, vessels found in them, nodules of real shape set into them."""

from .candidates import Candidate, Candidates, nodules
from .ground import Vessels, vessels
from .lung_mask import lungs
from .nodule_slices import SliceItem, Slices, slices
from .scans import CT, LUNG, SOFT_TISSUE, SPLIT, centred, load, patch, three_channels, to_bytes, window
from .thin_slices import Organs, Thin, organs, thin

__all__ = [
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
    "organs",
    "patch",
    "slices",
    "thin",
    "three_channels",
    "to_bytes",
    "vessels",
    "window",
]
