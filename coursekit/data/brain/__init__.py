"""The brain: simulated PET with lesions whose truth is known, and two real MRIs with a tumour."""

from .scans import Mri, mri, normalised
from .simulated import pet
from .volumes import Lesion, PetItem, PetSet

__all__ = ["Lesion", "Mri", "PetItem", "PetSet", "mri", "normalised", "pet"]
