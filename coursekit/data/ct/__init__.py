"""Computed tomography of the lung: two real scans, vessels found in them, nodules of real shape set into them."""

from .scans import CT, load

__all__ = ["CT", "load"]
