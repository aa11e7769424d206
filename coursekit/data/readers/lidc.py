"""LIDC-IDRI as The Cancer Imaging Archive ships it: DICOM slices and, in the folder of a CT series, the readers' XML.

Layout: ``LIDC-IDRI-0001/<study uid>/<series uid>/*.dcm`` and ``*.xml``; the variable ``COURSEKIT_LIDC`` names the
folder that holds the patients' folders, or the one above it, which then holds ``LIDC-IDRI``. The XML's root is
``LidcReadMessage`` in the namespace http://www.nih.gov: a ``readingSession`` a reader, in it an
``unblindedReadNodule`` a nodule, with nine ``characteristics`` and a ``roi`` a slice. Nodules under 3 mm are a single
point without characteristics and are left out, as are the marks of what is no nodule and the X-ray studies, whose XML
has another root.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pydicom
import torch
from pydicom import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from ... import _check
from ..ct.readings import RATINGS, Contour, Reading, Readings
from ..scan import Scan, oriented
from . import entry

NAMESPACE = {"nih": "http://www.nih.gov"}
ROOT = "{http://www.nih.gov}LidcReadMessage"
CHARACTERISTICS = ("subtlety", "internalStructure", *RATINGS[2:])
HEADER = ["SeriesInstanceUID", "PatientID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]
COUNTS = {
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "PixelSpacing": 2,
    "RescaleSlope": 1,
    "RescaleIntercept": 1,
}
AIR = -1024.0  # HU: the circle outside the field of view is stored as something lower
AGAIN = "copy it again from its source"


def readings(folder: Path) -> Iterator[Readings]:
    """What was read in each CT, sorted by patient. Reads every slice's header, for the spacing, and no pixels."""
    for place in ct_series(folder):
        yield scan_readings(place)


def ct_series(folder: Path) -> list[Path]:
    """The folders of all CT series with readings."""
    top = folder / "LIDC-IDRI" if (folder / "LIDC-IDRI").is_dir() else folder
    found = sorted({path.parent for path in top.glob("LIDC-IDRI-*/*/*/[!.]*.xml") if _root(path).tag == ROOT})
    if not found:
        got = "no LIDC-IDRI-*/<study>/<series>/*.xml with a LidcReadMessage"
        raise _check.refuse(
            f"patients of LIDC-IDRI in {folder.name}", got, "name the folder that holds LIDC-IDRI-0001 and the others"
        )
    return found


def scan_readings(place: Path) -> Readings:
    """What was read in the CT of one series' folder."""
    slices = _headers(place)
    above = np.diff(sorted({float(one.ImagePositionPatient[2]) for one in slices}))
    if not len(above):
        raise _check.refuse(f"slices at several heights in {place.name}", f"{len(slices)} at one", AGAIN)
    drawn = [
        reading for path in sorted(place.glob("[!.]*.xml")) if _root(path).tag == ROOT for reading in xml_readings(path)
    ]
    first = slices[0]
    return Readings(
        str(first.PatientID),
        str(first.SeriesInstanceUID),
        float(first.PixelSpacing[0]),
        float(np.median(above)),
        tuple(drawn),
    )


# --- the readers' XML
# ----------------------------------------------------------------------------------------------------


def _root(path: Path) -> ElementTree.Element:
    with _check.reading("an XML file", path):
        return ElementTree.parse(path).getroot()


def xml_readings(path: Path) -> list[Reading]:
    """All readings of a file with a contour and nine ratings, reader after reader."""
    root = _root(path)
    if root.tag != ROOT:
        raise _check.refuse(
            f"a LidcReadMessage in {path.name}", root.tag, "take the XML in the folder of the CT series"
        )
    found = (
        _reading(nodule, path) for nodule in root.iterfind("nih:readingSession/nih:unblindedReadNodule", NAMESPACE)
    )
    return [reading for reading in found if reading is not None]


def _reading(nodule: ElementTree.Element, path: Path) -> Reading | None:
    """None for a nodule under 3 mm, which has no ratings, or one without any outer contour."""
    texts = [nodule.findtext(f"nih:characteristics/nih:{name}", "", NAMESPACE).strip() for name in CHARACTERISTICS]
    contours = tuple(_contour(roi, path) for roi in nodule.iterfind("nih:roi", NAMESPACE))
    if not all(texts) or not any(contour.included for contour in contours):
        return None
    return Reading(contours, tuple(_whole(text, path) for text in texts))


def _contour(roi: ElementTree.Element, path: Path) -> Contour:
    z = roi.findtext("nih:imageZposition", "", NAMESPACE)
    edge = [
        [_whole(point.findtext(f"nih:{axis}", "", NAMESPACE), path) for axis in ("xCoord", "yCoord")]
        for point in roi.iterfind("nih:edgeMap", NAMESPACE)
    ]
    try:
        level = float(z)
    except ValueError:
        level = math.nan
    if not math.isfinite(level):
        raise _check.refuse(f"a number as imageZposition in {path.name}", repr(z), AGAIN)
    if not edge:
        raise _check.refuse(f"an edgeMap in every roi of {path.name}", f"none at z = {level:g}", AGAIN)
    return Contour(
        level, np.array(edge, np.int64), roi.findtext("nih:inclusion", "TRUE", NAMESPACE).strip().upper() == "TRUE"
    )


def _whole(text: str, path: Path) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value < 2**16:  # a pixel's place or a rating
        raise _check.refuse(f"whole numbers in {path.name}", repr(text), AGAIN)
    return value


# --- the slices
# ----------------------------------------------------------------------------------------------------------


def series(place: Path) -> Scan:
    """The CT in one folder as a scan in HU, float32, axes SPL; padding, and what is below −1024 HU outside the field
    of view, become that.

    Whether a file asks for its low values to be shown bright (MONOCHROME1) changes no HU. Refused: slices of several
    series, sizes or directions, a slice missing or there twice, places that lie on no line, and a file that is no CT
    slice or cannot be decoded.
    """
    slices = _headers(place, pixels=True)
    across, down = (np.array(slices[0].ImageOrientationPatient[k : k + 3], float) for k in (0, 3))
    corner = np.array([one.ImagePositionPatient for one in slices], float)  # (D, 3), LPS mm
    height = corner @ np.cross(across, down)
    order = np.argsort(height, kind="stable")
    _even(height[order], place)
    row, column = (float(step) for step in slices[0].PixelSpacing)
    step = (corner[order[-1]] - corner[order[0]]) / (len(order) - 1)
    affine = np.eye(4)
    affine[:3] = np.column_stack([step, row * down, column * across, corner[order[0]]])
    _on_a_line(corner[order], affine, place)
    values = np.stack([_hu(slices[k], place) for k in order])
    affine[:2] *= -1  # LPS to RAS
    return oriented(Scan(torch.from_numpy(values.clip(min=AIR)), affine, "HU"))


def _headers(place: Path, *, pixels: bool = False) -> list[Dataset]:
    listed = entry(place, "the folder of a series", is_folder=True).glob("[!.]*")
    files = sorted(path for path in listed if path.suffix.lower() == ".dcm")
    if len(files) < 2:
        raise _check.refuse(f"at least two .dcm files in {place.name}", len(files), AGAIN)
    slices = [_header(path, pixels) for path in files]
    _alike(place, "series", [str(one.SeriesInstanceUID) for one in slices])
    _alike(place, "patient", [str(one.PatientID) for one in slices])
    _alike(place, "pixel spacing", [tuple(map(float, one.PixelSpacing)) for one in slices])
    _alike(
        place, "orientation", [tuple(round(float(part), 4) for part in one.ImageOrientationPatient) for one in slices]
    )
    if pixels:
        _alike(place, "size", [(int(one.Rows), int(one.Columns)) for one in slices])
    return slices


def _header(path: Path, pixels: bool) -> Dataset:
    """A slice whose tags hold what this reader takes them to hold."""
    wanted = [*HEADER, *(("Rows", "Columns", "RescaleSlope", "RescaleIntercept") if pixels else ())]
    with _check.reading("a DICOM file", path, AGAIN):
        one = (
            pydicom.dcmread(path) if pixels else pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*HEADER])
        )
        held = {tag: one.get(tag) for tag in wanted}
        numbers = {
            tag: np.array(value, float).ravel()
            for tag, value in held.items()
            if tag in COUNTS and value not in (None, "")
        }
    for tag, value in held.items():
        if value in (None, ""):
            raise _check.refuse(
                f"{tag} in {path.name}", "nothing", "keep the slices of one CT series alone in the folder"
            )
    for tag, parts in numbers.items():
        if len(parts) != COUNTS[tag] or not np.isfinite(parts).all():
            raise _check.refuse(f"{COUNTS[tag]} finite numbers as {tag} in {path.name}", held[tag], AGAIN)
    across, down = (np.array(one.ImageOrientationPatient[k : k + 3], float) for k in (0, 3))
    if not np.allclose([across @ across, down @ down, across @ down], [1, 1, 0], atol=1e-3):
        raise _check.refuse(f"two directions at right angles in {path.name}", list(one.ImageOrientationPatient), AGAIN)
    _check.positive(f"PixelSpacing in {path.name}", [float(part) for part in one.PixelSpacing])
    if pixels:
        _ct(one, path)
    return one


def _ct(one: Dataset, path: Path) -> None:
    """Refuse what is no single slice in HU."""
    usual = {
        "Modality": ("CT",),
        "RescaleType": ("HU",),
        "SamplesPerPixel": (1,),
        "PhotometricInterpretation": ("MONOCHROME1", "MONOCHROME2"),
    }
    for tag, allowed in {**usual, "NumberOfFrames": (1,)}.items():
        if (value := one.get(tag)) not in (None, "", *allowed):
            what = f"{tag} {' or '.join(map(str, allowed))} in {path.name}"
            raise _check.refuse(what, value, "keep the slices of one CT series alone in the folder")
    if float(one.RescaleSlope) == 0:
        raise _check.refuse(f"a RescaleSlope other than 0 in {path.name}", 0, AGAIN)


def _alike(place: Path, what: str, found: Sequence[object]) -> None:
    kinds = sorted(set(found), key=str)
    if len(kinds) > 1:
        got = f"{len(kinds)}: {kinds[0]} in {found.count(kinds[0])} files, {kinds[1]} in {found.count(kinds[1])}"
        raise _check.refuse(f"one {what} in {place.name}", got, "keep the slices of one CT series alone in a folder")


def _even(height: np.ndarray, place: Path) -> None:
    """Refuse a slice that is there twice, or missing, or out of step."""
    steps = np.diff(height)
    usual = float(np.median(steps))
    for problem, bad in (
        ("the same place twice", steps < 0.01),
        ("a slice missing", np.abs(steps - usual) > max(0.05 * usual, 0.01)),
    ):
        if bad.any():
            at = int(np.argmax(bad))
            got = f"{problem}: {steps[at]:.2f} mm from z = {height[at]:.2f} to {height[at + 1]:.2f}, otherwise {usual:.2f}"
            raise _check.refuse(f"evenly spaced slices in {place.name}", got, AGAIN)


def _on_a_line(corner: np.ndarray, affine: np.ndarray, place: Path) -> None:
    """Refuse slices of which one lies a tenth of a voxel or more from where the affine of all puts it."""
    index = np.linalg.solve(affine[:3, :3], (corner - affine[:3, 3]).T).T  # (D, 3), to be (k, 0, 0)
    off = np.abs(index - np.arange(len(corner))[:, None] * [1, 0, 0]).max(1)
    if off.max() > 0.1:
        worst = int(off.argmax())
        aside = np.linalg.norm(corner[worst] - affine[:3, :3] @ [worst, 0, 0] - affine[:3, 3])
        raise _check.refuse(
            f"slices on one line in {place.name}", f"slice {worst} of {len(corner)} {aside:.2f} mm beside it", AGAIN
        )


def _hu(one: Dataset, place: Path) -> np.ndarray:
    """The slice in HU."""
    file, syntax = place / Path(one.filename).name, one.file_meta.get("TransferSyntaxUID")
    if syntax is not None and syntax.is_transfer_syntax and not syntax.is_private and syntax.is_compressed:
        _decodable(syntax, file)
    with _check.reading(f"a CT slice in HU, {syntax.name if syntax else 'of no known transfer syntax'},", file, AGAIN):
        if one.HighBit != one.BitsStored - 1:  # pydicom takes the lowest bits
            raise ValueError(f"{one.BitsStored} bits up to bit {one.HighBit}")
        stored = one.pixel_array
        if stored.shape != (one.Rows, one.Columns):
            raise ValueError(f"pixels of shape {stored.shape} where {one.Rows} × {one.Columns} are announced")
        hu: np.ndarray = stored.astype(np.float32) * np.float32(one.RescaleSlope) + np.float32(one.RescaleIntercept)
        padding = one.get("PixelPaddingValue")
        if padding in (None, ""):
            return hu
        ends = sorted((int(padding), int(one.get("PixelPaddingRangeLimit") or padding)))  # all between is padding too
        return np.where((stored >= ends[0]) & (stored <= ends[1]), np.float32(AIR), hu)


def _decodable(syntax: UID, file: Path) -> None:
    """Refuse what no installed package decompresses, and name those that would."""
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        needs = []
    else:
        if decoder.is_available:
            return
        needs = [package.partition("requires ")[2] for package in decoder.missing_dependencies]
    advice = f"install {', or '.join(needs)}" if needs else "decompress it with another program"
    raise _check.refuse(
        f"pixels that can be decoded in {file.name}", f"compressed as {syntax.name}, without a decoder for it", advice
    )
