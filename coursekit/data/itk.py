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
UNITS = {1.0: ("", "?", "mm", "millimeter"), 10.0: ("cm",), 1e3: ("m", "meter"), 1e-3: ("um", "micron", "micrometer")}
AGAIN, FIRST = "copy it again from its source", "write them into its header first"


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
    space = image.GetMetaData("NRRD_space") if image.HasMetaDataKey("NRRD_space") else "none"
    if "encoding" in header and space != "left-posterior-superior":  # ITK turns right-anterior … to this one
        raise _check.refuse(f"an anatomical space in {path.name}", space, "write one such as left-posterior-superior")
    values = sitk.GetArrayFromImage(image)  # (D, H, W): ITK's last axis first
    if inflated is not None and inflated < values.nbytes:
        raise _check.refuse(f"{values.nbytes} bytes of voxels in {path.name}", inflated, AGAIN)
    affine = np.eye(4)  # from (w, h, d, 1), a column an axis
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return read_scan(values, np.diag([mm, mm, mm, 1]) @ (LPS_TO_RAS @ affine)[:, [2, 1, 0, 3]], unit, path)


def _header(path: Path) -> tuple[dict[str, str], bytes]:
    """The header's fields, names in lower case, and what follows it in the file."""
    with _check.reading("a volume that ITK reads", path):
        content = path.read_bytes()
    nrrd = content.startswith(b"NRRD")
    end = (BLANK if nrrd else META).search(content)
    cut = end.end() if end else len(content)
    lines = (line.partition(":" if nrrd else "=") for line in content[:cut].decode(errors="replace").splitlines())
    header = {name.strip().lower(): value.strip() for name, _, value in lines}
    if not nrrd and not end:
        raise _check.refuse(f"a volume that ITK reads in {path.name}", "neither NRRD nor MetaImage", AGAIN)
    if nrrd and "encoding" not in header:
        raise _check.refuse(f"a volume that ITK reads in {path.name}", "a NRRD header that ends early", AGAIN)
    return header, content[cut:]


def _sound(path: Path, header: dict[str, str], rest: bytes) -> int | None:
    """Refuse missing voxels, and compressed ones that are damaged or end before their checksum: ITK may not look.

    Returns how many bytes those of a compressed MetaImage are, which ITK fills up with nought where they are too few.
    """
    name = next((header[field] for field in ("elementdatafile", "data file", "datafile") if field in header), "LOCAL")
    voxels = path if name.upper() == "LOCAL" else entry(path.parent / (name or "?"), f"the voxels of {path.name}")
    if voxels == path and int(header.get("headersize", "0")) > 0:
        wanted = f"no HeaderSize in {path.name}, which holds its own voxels"
        raise _check.refuse(wanted, header["headersize"], "take that line out")
    if header.get("encoding", "").lower() not in ("gz", "gzip") and header.get("compresseddata", "").lower() != "true":
        return None
    with _check.reading("compressed voxels", voxels):
        stored = rest if voxels == path else voxels.read_bytes()
        if (skipped := int(header.get("line skip", "0"))) > 0:
            stored = stored.split(b"\n", skipped)[-1]
        inflating = zlib.decompressobj(47)  # zlib's own frame or gzip's
        inflated = inflating.decompress(stored)
        if not inflating.eof:
            raise EOFError("cut short")
        if int(header.get("compresseddatasize", len(stored))) != len(stored):
            raise ValueError(f"{len(stored)} bytes where CompressedDataSize is {header['compresseddatasize']}")
    return len(inflated) if "compresseddata" in header else None


def _mm(path: Path, header: dict[str, str]) -> float:
    """The unit of length in mm; refuses a header without what ITK would make up, or with what it would pass over."""
    field = "space directions" if "encoding" in header else "ElementSpacing"
    if "none" in (steps := header.get(field.lower(), "none")):
        raise _check.refuse(f"{field} in {path.name}", steps, FIRST)
    if "encoding" not in header and not {"transformmatrix", "rotation", "orientation"} & set(header):
        raise _check.refuse(f"a TransformMatrix in {path.name}", "none", FIRST)
    slope = header.get("elementtointensityfunctionslope", "1")
    offset = header.get("elementtointensityfunctionoffset", "0")
    names = set(re.findall(r'"([^"]*)"', header.get("space units", ""))) or {header.get("distanceunits", "mm")}
    with _check.reading("a unit of length and voxels stored without scaling", path, "convert it first"):
        if (float(slope), float(offset)) != (1, 0):
            raise ValueError(f"a scaling by {slope} and {offset}")
        plain = {re.sub("[µμ]", "u", re.sub("(meter|micron)s$", r"\1", name.lower())) for name in names}
        known = [mm for mm, same in UNITS.items() if plain <= set(same)]
        if not known:
            raise ValueError(f"lengths in {' and '.join(sorted(names))}")
        return known[0]
