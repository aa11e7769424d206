"""LIDC-IDRI as The Cancer Imaging Archive ships it: DICOM slices and, in the folder of a CT series, the readers' XML.

Layout: ``LIDC-IDRI-0001/<study uid>/<series uid>/*.dcm`` and ``*.xml``; the variable ``COURSEKIT_LIDC`` names the folder that holds the
patients' folders, or the one above it, which then holds ``LIDC-IDRI``. The XML's root is ``LidcReadMessage`` in the namespace
http://www.nih.gov: a ``readingSession`` a reader, in it an ``unblindedReadNodule`` a nodule, with nine ``characteristics`` and a ``roi`` a
slice. Nodules under 3 mm are a single point without characteristics and are left out, as are the marks of what is no nodule and
the X-ray studies, whose XML has another root.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pydicom
import torch
from pydicom import Dataset
from pydicom.errors import InvalidDicomError

from ... import _check
from ..ct.readings import RATINGS, Contour, Reading, Readings
from ..scan import Scan, oriented
from . import entry

NAMESPACE = {"nih": "http://www.nih.gov"}
ROOT = "{http://www.nih.gov}LidcReadMessage"
CHARACTERISTICS = ("subtlety", "internalStructure", *RATINGS[2:])
HEADER = ["SeriesInstanceUID", "PatientID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]
AIR = -1024.0  # HU: the circle outside the field of view is stored as something lower
AGAIN = "copy it again from its source"


def readings(folder: Path) -> Iterator[Readings]:
    """What was read in each CT, sorted by patient. Reads every slice's header, for the spacing, and no pixels."""
    for place in ct_series(folder):
        yield scan_readings(place)


def ct_series(folder: Path) -> list[Path]:
    """The folders of all CT series with readings."""
    top = folder / "LIDC-IDRI" if (folder / "LIDC-IDRI").is_dir() else folder
    found = sorted({path.parent for path in top.glob("LIDC-IDRI-*/*/*/*.xml") if _root(path).tag == ROOT})
    if not found:
        got = "no LIDC-IDRI-*/<study>/<series>/*.xml with a LidcReadMessage"
        raise _check.refuse(f"patients of LIDC-IDRI in {folder.name}", got, "name the folder that holds LIDC-IDRI-0001 and the others")
    return found


def scan_readings(place: Path) -> Readings:
    """What was read in the CT of one series' folder."""
    slices = _headers(place)
    above = np.diff(sorted(float(one.ImagePositionPatient[2]) for one in slices))
    drawn = [reading for path in sorted(place.glob("*.xml")) if _root(path).tag == ROOT for reading in xml_readings(path)]
    first = slices[0]
    return Readings(str(first.PatientID), str(first.SeriesInstanceUID), float(first.PixelSpacing[0]), float(np.median(above)), tuple(drawn))


# --- the readers' XML ----------------------------------------------------------------------------------------------------


def _root(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise _check.refuse(f"an XML file in {path.name}", f"{error}", AGAIN) from error


def xml_readings(path: Path) -> list[Reading]:
    """All readings of a file with a contour and nine ratings, reader after reader."""
    root = _root(path)
    if root.tag != ROOT:
        raise _check.refuse(f"a LidcReadMessage in {path.name}", root.tag, "take the XML in the folder of the CT series")
    found = (_reading(nodule, path) for nodule in root.iterfind("nih:readingSession/nih:unblindedReadNodule", NAMESPACE))
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
    except ValueError as error:
        raise _check.refuse(f"a number as imageZposition in {path.name}", repr(z), AGAIN) from error
    if not edge:
        raise _check.refuse(f"an edgeMap in every roi of {path.name}", f"none at z = {level:g}", AGAIN)
    return Contour(level, np.array(edge, np.int64), roi.findtext("nih:inclusion", "TRUE", NAMESPACE).strip().upper() == "TRUE")


def _whole(text: str, path: Path) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise _check.refuse(f"whole numbers in {path.name}", repr(text), AGAIN) from error


# --- the slices ----------------------------------------------------------------------------------------------------------


def series(place: Path) -> Scan:
    """The CT in one folder as a scan in HU, float32, axes SPL; what is below −1024 HU, outside the field of view, is set to it.

    Refused: slices of several series, sizes or directions, a slice missing or there twice, and a file that is no DICOM image.
    """
    slices = _headers(place, pixels=True)
    across, down = (np.array(slices[0].ImageOrientationPatient[k : k + 3], float) for k in (0, 3))
    corner = np.array([one.ImagePositionPatient for one in slices], float)  # (D, 3), LPS mm
    height = corner @ np.cross(across, down)
    order = np.argsort(height, kind="stable")
    _even(height[order], place)
    values = np.stack([_hu(slices[k], place) for k in order])
    row, column = (float(step) for step in slices[0].PixelSpacing)
    affine = np.eye(4)
    step = (corner[order[-1]] - corner[order[0]]) / (len(order) - 1)
    affine[:3] = np.column_stack([step, row * down, column * across, corner[order[0]]])
    affine[:2] *= -1  # LPS to RAS
    return oriented(Scan(torch.from_numpy(values.clip(min=AIR)), affine, "HU"))


def _headers(place: Path, *, pixels: bool = False) -> list[Dataset]:
    files = sorted(entry(place, "the folder of a series").glob("*.dcm"))
    if len(files) < 2:
        raise _check.refuse(f"at least two .dcm files in {place.name}", len(files), AGAIN)
    slices = [_header(path, pixels) for path in files]
    _alike(place, "series", [str(one.SeriesInstanceUID) for one in slices])
    _alike(place, "pixel spacing", [tuple(map(float, one.PixelSpacing)) for one in slices])
    _alike(place, "orientation", [tuple(round(float(part), 4) for part in one.ImageOrientationPatient) for one in slices])
    if pixels:
        _alike(place, "size", [(int(one.Rows), int(one.Columns)) for one in slices])
    return slices


def _header(path: Path, pixels: bool) -> Dataset:
    try:
        one = pydicom.dcmread(path) if pixels else pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*HEADER])
    except (InvalidDicomError, EOFError, OSError) as error:
        raise _check.refuse(f"a DICOM file in {path.name}", f"{type(error).__name__}", AGAIN) from error
    missing = [tag for tag in HEADER if not one.get(tag)]
    if missing:
        raise _check.refuse(f"{missing[0]} in {path.name}", "nothing", "keep the slices of one CT series alone in the folder")
    return one


def _alike(place: Path, what: str, found: Sequence[object]) -> None:
    kinds = sorted(set(found), key=str)
    if len(kinds) > 1:
        got = f"{len(kinds)}: {kinds[0]} in {found.count(kinds[0])} files, {kinds[1]} in {found.count(kinds[1])}"
        raise _check.refuse(f"one {what} in {place.name}", got, "keep the slices of one CT series alone in a folder")


def _even(height: np.ndarray, place: Path) -> None:
    """Refuse a slice that is there twice, or missing, or out of step."""
    steps = np.diff(height)
    usual = float(np.median(steps))
    for problem, bad in (("the same place twice", steps < 0.01), ("a slice missing", np.abs(steps - usual) > max(0.05 * usual, 0.01))):
        if bad.any():
            at = int(np.argmax(bad))
            got = f"{problem}: {steps[at]:.2f} mm from z = {height[at]:.2f} to {height[at + 1]:.2f}, otherwise {usual:.2f}"
            raise _check.refuse(f"evenly spaced slices in {place.name}", got, AGAIN)


def _hu(one: Dataset, place: Path) -> np.ndarray:
    try:
        hu: np.ndarray = one.pixel_array.astype(np.float32) * np.float32(one.RescaleSlope) + np.float32(one.RescaleIntercept)
    except (AttributeError, ValueError, RuntimeError, NotImplementedError) as error:
        advice = "it must hold pixels, RescaleSlope and RescaleIntercept: " + AGAIN
        raise _check.refuse(f"a CT slice in HU in every file of {place.name}", f"{type(error).__name__}", advice) from error
    return hu
