"""Computed tomography of the lung: real scans, vessels found in them, nodules of real shape set into them."""

from .candidates import Candidates, nodules
from .lung_mask import lungs
from .nodule_slices import Slices, slices
from .scans import CT, LUNG, SOFT_TISSUE, centred, load, patch, three_channels, to_bytes, window
from .thin_slices import Thin, organs, thin

__all__ = [
    "CT", "LUNG", "SOFT_TISSUE", "Candidates", "Slices", "Thin", "centred", "load", "lungs", "nodules", "organs",
    "patch", "slices", "thin", "three_channels", "to_bytes", "window",
]  # fmt: skip
