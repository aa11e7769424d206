"""Volumes in ITK's formats (.nrrd, .mhd with .raw) as scans: ITK's world is LPS+ mm, ours RAS+."""

import re
import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .. import _check
from .readers import entry
from .scan import Scan, read_scan

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
BLANK = re.compile(rb"\n\r?\n")  # ends NRRD's header
META = re.compile(rb"^ElementDataFile[ \t]*=.*(\n|$)", re.MULTILINE)  # the last line of MetaImage's header
MM = {
    "": 1.0,
    "?": 1.0,
    "mm": 1.0,
    "millimeter": 1.0,
    "cm": 10.0,
    "m": 1e3,
    "meter": 1e3,
    "um": 1e-3,
    "micron": 1e-3,
    "micrometer": 1e-3,
}


def read(path: Path, *, unit: str = "") -> Scan:
    """The volume (D, H, W) of a NRRD or MetaImage file with the place its header gives it, axes as stored.

    Raises ``ValueError`` for a file that is missing, damaged or neither of these, does not hold a single volume, or
    whose header gives no spacing, no orientation, or a scaling of its values, which ITK would pass over.
    """
    header, rest = _header(path)
    inflated = _sound(path, header, rest)
    mm = _mm(path, header)
    with _check.reading("a volume that ITK reads", path):
        image = sitk.ReadImage(str(path))
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        got = f"{image.GetDimension()} axes of {image.GetNumberOfComponentsPerPixel()} channels"
        raise _check.refuse(f"one volume in {path.name}", got, "split channels or frames into files of their own")
    space = (
        image.GetMetaData("NRRD_space") if image.HasMetaDataKey("NRRD_space") else "none"
    )  # ITK turns right-anterior … to this one
    if "encoding" in header and space != "left-posterior-superior":
        raise _check.refuse(f"an anatomical space in {path.name}", space, "write one such as left-posterior-superior")
    values = sitk.GetArrayFromImage(image)  # (D, H, W): ITK's last axis first
    if inflated is not None and inflated < values.nbytes:
        raise _check.refuse(
            f"{values.nbytes} bytes of voxels in {path.name}", inflated, "copy it again from its source"
        )
    return read_scan(values, np.diag([mm, mm, mm, 1]) @ _affine(image), unit, path)


def _affine(image: sitk.Image) -> np.ndarray:
    """From (d, h, w, 1) to RAS+ in the file's unit: ITK counts (w, h, d) and points to Left, Posterior, Superior."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()  # a column an axis (w, h, d)
    affine[:3, 3] = image.GetOrigin()
    turned: np.ndarray = (LPS_TO_RAS @ affine)[:, [2, 1, 0, 3]]
    return turned


def _header(path: Path) -> tuple[dict[str, str], bytes]:
    """The header's fields, names in lower case, and what follows it in the file."""
    with _check.reading("a volume that ITK reads", path):
        content = path.read_bytes()
    nrrd = content.startswith(b"NRRD")
    end = (BLANK if nrrd else META).search(content)
    if not nrrd and not end:
        raise _check.refuse(
            f"a volume that ITK reads in {path.name}", "neither NRRD nor MetaImage", "copy it again from its source"
        )
    cut = end.end() if end else len(content)
    lines = (line.partition(":" if nrrd else "=") for line in content[:cut].decode(errors="replace").splitlines())
    header = {name.strip().lower(): value.strip() for name, _, value in lines}
    if nrrd and "encoding" not in header:
        raise _check.refuse(
            f"a volume that ITK reads in {path.name}", "a NRRD header that ends early", "copy it again from its source"
        )
    return header, content[cut:]


def _sound(path: Path, header: dict[str, str], rest: bytes) -> int | None:
    """Refuse missing voxels, and compressed ones that are damaged or end before their checksum: ITK does not always
    look.

    Returns how many bytes those of a compressed MetaImage are, which ITK fills up with nought where they are too few.
    """
    name = next((header[field] for field in ("elementdatafile", "data file", "datafile") if field in header), "LOCAL")
    voxels = path if name.upper() == "LOCAL" else entry(path.parent / (name or "?"), f"the voxels of {path.name}")
    if voxels == path and int(header.get("headersize", "0")) > 0:
        raise _check.refuse(
            f"no HeaderSize in {path.name}, which holds its own voxels", header["headersize"], "take that line out"
        )
    if header.get("encoding", "").lower() in ("gz", "gzip") or header.get("compresseddata", "").lower() == "true":
        with _check.reading("compressed voxels", voxels):
            inflating = zlib.decompressobj(47)  # zlib's own frame or gzip's
            stored = rest if voxels == path else voxels.read_bytes()
            skipped = int(header.get("line skip", "0"))
            inflated = inflating.decompress(stored.split(b"\n", skipped)[-1] if skipped else stored)
            if not inflating.eof:
                raise EOFError("cut short")
            if int(header.get("compresseddatasize", len(stored))) != len(stored):
                raise ValueError(f"{len(stored)} bytes where CompressedDataSize is {header['compresseddatasize']}")
        return len(inflated) if "compresseddata" in header else None
    return None


def _mm(path: Path, header: dict[str, str]) -> float:
    """The unit of length in mm. Refuses a header without what ITK would then make up, and a scaling that it would pass
    over.
    """
    nrrd = "encoding" in header
    steps = header.get("space directions" if nrrd else "elementspacing", "none")
    if "none" in steps:
        raise _check.refuse(
            f"{'space directions' if nrrd else 'ElementSpacing'} in {path.name}",
            steps,
            "write them into its header first",
        )
    if not nrrd and not {"transformmatrix", "rotation", "orientation"} & set(header):
        raise _check.refuse(f"a TransformMatrix in {path.name}", "none", "write its directions into its header first")
    scaling = [
        header.get(f"elementtointensityfunction{part}", usual) for part, usual in (("slope", "1"), ("offset", "0"))
    ]
    units = set(re.findall(r'"([^"]*)"', header.get("space units", ""))) or {header.get("distanceunits", "mm")}
    with _check.reading("a unit of length and voxels stored without scaling", path, "convert it first"):
        if [float(part) for part in scaling] != [1, 0]:
            raise ValueError(f"a scaling by {scaling[0]} and {scaling[1]}")
        known = [MM.get(re.sub("[µμ]", "u", re.sub("(meter|micron)s$", r"\1", unit.lower()))) for unit in units]
        if len(known) > 1 or known[0] is None:
            raise ValueError(f"lengths in {' and '.join(sorted(units))}")
        return known[0]
