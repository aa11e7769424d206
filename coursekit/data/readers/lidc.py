"""LIDC-IDRI as The Cancer Imaging Archive ships it: DICOM slices and, in the folder of a CT series, the readers' XML.

Layout: ``LIDC-IDRI-0001/<study uid>/<series uid>/*.dcm`` and ``*.xml``; ``COURSEKIT_LIDC`` names the folder that holds
the patients' folders, or the one above it. The XML's root is ``LidcReadMessage``: a ``readingSession`` a reader, in it
an ``unblindedReadNodule`` a nodule, with nine ``characteristics`` and a ``roi`` a slice. Nodules under 3 mm are one
point without characteristics and are left out, as are marks of what is no nodule and X-ray studies (another root).
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pydicom
import torch
from pydicom import Dataset

from ... import _check
from ..scan import Scan, oriented
from . import entry
from .contours import RATINGS, Contour, Reading, Readings

NAMESPACE = {"nih": "http://www.nih.gov"}
ROOT = "{http://www.nih.gov}LidcReadMessage"
CHARACTERISTICS = [f"nih:characteristics/nih:{name}" for name in ("subtlety", "internalStructure", *RATINGS[2:])]
NAMES = {"SeriesInstanceUID": 0, "PatientID": 0}  # the tags that a slice must hold, and of how many numbers each is
PLACE = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
PIXELS = {"Rows": 1, "Columns": 1, "RescaleSlope": 1, "RescaleIntercept": 1}
ONLY = {  # what these hold where they are there at all
    "Modality": ("CT",),
    "RescaleType": ("HU",),
    "SamplesPerPixel": (1,),
    "PhotometricInterpretation": ("MONOCHROME1", "MONOCHROME2"),
    "NumberOfFrames": (1,),
}
AIR = -1024.0  # HU: the circle outside the field of view is stored as something lower
AGAIN, ALONE = "copy it again from its source", "keep the slices of one CT series alone in the folder"
EMPTY = (None, "")


def readings(folder: Path) -> Iterator[Readings]:
    """What was read in each CT, sorted by patient. Reads every slice's header, for the spacing, and no pixels."""
    return map(scan_readings, ct_series(folder))


def ct_series(folder: Path) -> list[Path]:
    """The folders of all CT series with readings."""
    top = folder / "LIDC-IDRI" if (folder / "LIDC-IDRI").is_dir() else folder
    places = sorted({path.parent for path in top.glob("LIDC-IDRI-*/*/*/[!.]*.xml") if _root(path).tag == ROOT})
    if not places:
        got = "no LIDC-IDRI-*/<study>/<series>/*.xml with a LidcReadMessage"
        advice = "name the folder that holds LIDC-IDRI-0001 and the others"
        raise _check.refuse(f"patients of LIDC-IDRI in {folder.name}", got, advice)
    return places


def scan_readings(place: Path) -> Readings:
    """What was read in the CT of one series' folder."""
    headers = _headers(place)
    steps = np.diff(sorted({float(header.ImagePositionPatient[2]) for header in headers}))
    if not len(steps):
        raise _check.refuse(f"slices at several heights in {place.name}", f"{len(headers)} at one", AGAIN)
    files = [path for path in sorted(place.glob("[!.]*.xml")) if _root(path).tag == ROOT]
    drawn = tuple(reading for path in files for reading in xml_readings(path))
    patient, series = str(headers[0].PatientID), str(headers[0].SeriesInstanceUID)
    return Readings(patient, series, float(headers[0].PixelSpacing[0]), float(np.median(steps)), drawn)


# --- the readers' XML ---


def _root(path: Path) -> ElementTree.Element:
    with _check.reading("an XML file", path):
        return ElementTree.parse(path).getroot()


def xml_readings(path: Path) -> list[Reading]:
    """All readings of a file with a contour and nine ratings, reader after reader.

    A nodule under 3 mm has no ratings; one without any outer contour is left out too.
    """
    root = _root(path)
    if root.tag != ROOT:
        advice = "take the XML in the folder of the CT series"
        raise _check.refuse(f"a LidcReadMessage in {path.name}", root.tag, advice)
    drawn = []
    for nodule in root.iterfind("nih:readingSession/nih:unblindedReadNodule", NAMESPACE):
        ratings = [nodule.findtext(place, "", NAMESPACE).strip() for place in CHARACTERISTICS]
        contours = tuple(_contour(roi, path) for roi in nodule.iterfind("nih:roi", NAMESPACE))
        if all(ratings) and any(contour.included for contour in contours):
            drawn.append(Reading(contours, tuple(_whole(text, path) for text in ratings)))
    return drawn


def _contour(roi: ElementTree.Element, path: Path) -> Contour:
    text = roi.findtext("nih:imageZposition", "", NAMESPACE)
    try:
        z_mm = float(text)
    except ValueError:
        z_mm = math.nan
    if not math.isfinite(z_mm):
        raise _check.refuse(f"a number as imageZposition in {path.name}", repr(text), AGAIN)
    points = [
        [_whole(point.findtext(f"nih:{axis}", "", NAMESPACE), path) for axis in ("xCoord", "yCoord")]
        for point in roi.iterfind("nih:edgeMap", NAMESPACE)
    ]
    if not points:
        raise _check.refuse(f"an edgeMap in every roi of {path.name}", f"none at z = {z_mm:g}", AGAIN)
    included = roi.findtext("nih:inclusion", "TRUE", NAMESPACE).strip().upper() == "TRUE"
    return Contour(z_mm, np.array(points, np.int64), included)


def _whole(text: str, path: Path) -> int:
    if not text.strip().isdecimal() or not int(text[:20]) < 2**16:  # a pixel's place or a rating
        raise _check.refuse(f"whole numbers in {path.name}", repr(text), AGAIN)
    return int(text)


# --- the slices ---


def series(place: Path) -> Scan:
    """The CT in one folder as a scan in HU, float32, axes SPL; padding and what is below −1024 HU become that.

    Whether a file asks for its low values to be shown bright (MONOCHROME1) changes no HU. Refused: slices of several
    series, sizes or directions, a slice missing or there twice, places that lie on no line, and a file that is no CT
    slice or cannot be decoded.
    """
    slices = _headers(place, pixels=True)
    across, down = np.array(slices[0].ImageOrientationPatient, float).reshape(2, 3)
    row_mm, column_mm = map(float, slices[0].PixelSpacing)
    corner = np.array([header.ImagePositionPatient for header in slices], float)  # (D, 3), LPS mm
    height = corner @ np.cross(across, down)
    order = np.argsort(height, kind="stable")
    corner, height = corner[order], height[order]
    affine = np.eye(4)
    step = (corner[-1] - corner[0]) / (len(corner) - 1)
    affine[:3] = np.column_stack([step, row_mm * down, column_mm * across, corner[0]])
    _evenly_placed(corner, height, affine, place)
    values = np.stack([_hu(slices[k], place) for k in order])
    affine[:2] *= -1  # LPS to RAS
    return oriented(Scan(torch.from_numpy(values.clip(min=AIR)), affine, "HU"))


def _headers(place: Path, *, pixels: bool = False) -> list[Dataset]:
    listed = entry(place, "the folder of a series", is_folder=True).glob("[!.]*")
    files = sorted(path for path in listed if path.suffix.lower() == ".dcm")
    if len(files) < 2:
        raise _check.refuse(f"at least two .dcm files in {place.name}", len(files), AGAIN)
    slices = [_header(path, pixels) for path in files]
    _alike(place, "series", [str(header.SeriesInstanceUID) for header in slices])
    _alike(place, "patient", [str(header.PatientID) for header in slices])
    _alike(place, "pixel spacing", [tuple(map(float, header.PixelSpacing)) for header in slices])
    directions = [tuple(round(float(part), 4) for part in header.ImageOrientationPatient) for header in slices]
    _alike(place, "orientation", directions)
    if pixels:
        _alike(place, "size", [(int(header.Rows), int(header.Columns)) for header in slices])
    return slices


def _header(path: Path, pixels: bool) -> Dataset:
    """A slice whose tags hold what this reader takes them to hold."""
    tags = NAMES | PLACE | (PIXELS if pixels else {})
    with _check.reading("a DICOM file", path, AGAIN):
        header = pydicom.dcmread(path, stop_before_pixels=not pixels, specific_tags=None if pixels else [*tags])
        held = {tag: header.get(tag) for tag in [*tags, *ONLY]}
        numbers = {tag: np.array(held[tag], float).ravel() for tag in tags if tags[tag] and held[tag] not in EMPTY}
    for tag, count in tags.items():
        if held[tag] in EMPTY:
            raise _check.refuse(f"{tag} in {path.name}", "nothing", ALONE)
        if count and (len(numbers[tag]) != count or not np.isfinite(numbers[tag]).all()):
            raise _check.refuse(f"{count} finite numbers as {tag} in {path.name}", held[tag], AGAIN)
    across, down = numbers["ImageOrientationPatient"].reshape(2, 3)
    if not np.allclose([across @ across, down @ down, across @ down], [1, 1, 0], atol=1e-3):
        got = list(header.ImageOrientationPatient)
        raise _check.refuse(f"two directions at right angles in {path.name}", got, AGAIN)
    _check.positive(f"PixelSpacing in {path.name}", numbers["PixelSpacing"].tolist())
    for tag, allowed in ONLY.items() if pixels else ():
        if held[tag] not in (*EMPTY, *allowed):
            raise _check.refuse(f"{tag} {' or '.join(map(str, allowed))} in {path.name}", held[tag], ALONE)
    if pixels and numbers["RescaleSlope"] == 0:
        raise _check.refuse(f"a RescaleSlope other than 0 in {path.name}", 0, AGAIN)
    return header


def _alike(place: Path, what: str, values: Sequence[object]) -> None:
    kinds = sorted(set(values), key=str)
    if len(kinds) > 1:
        got = f"{len(kinds)}: {kinds[0]} in {values.count(kinds[0])} files, {kinds[1]} in {values.count(kinds[1])}"
        raise _check.refuse(f"one {what} in {place.name}", got, ALONE)


def _evenly_placed(corner: np.ndarray, height: np.ndarray, affine: np.ndarray, place: Path) -> None:
    """Refuse a slice that is there twice, missing, or a tenth of a voxel from where the affine of all puts it."""
    steps = np.diff(height)
    usual = float(np.median(steps))
    twice, missing = steps < 0.01, np.abs(steps - usual) > max(0.05 * usual, 0.01)
    for problem, bad in (("the same place twice", twice), ("a slice missing", missing)):
        if bad.any():
            k = int(np.argmax(bad))
            got = f"{problem}: {steps[k]:.2f} mm from z = {height[k]:.2f} to {height[k + 1]:.2f}, otherwise {usual:.2f}"
            raise _check.refuse(f"evenly spaced slices in {place.name}", got, AGAIN)
    count = np.arange(len(corner))[:, None]
    aside = corner - affine[:3, 3] - count * affine[:3, 0]  # (D, 3), mm
    voxels = np.abs(np.linalg.solve(affine[:3, :3], aside.T)).max(0)
    worst = int(voxels.argmax())
    if voxels[worst] > 0.1:
        got = f"slice {worst} of {len(corner)} {np.linalg.norm(aside[worst]):.2f} mm beside it"
        raise _check.refuse(f"slices on one line in {place.name}", got, AGAIN)


def _hu(header: Dataset, place: Path) -> np.ndarray:
    file, syntax = place / Path(header.filename).name, header.file_meta.get("TransferSyntaxUID")
    kind = syntax.name if syntax else "of no known transfer syntax"
    with _check.reading(f"a CT slice in HU, {kind},", file, f"install a decoder, decompress it elsewhere, or {AGAIN}"):
        if header.HighBit != header.BitsStored - 1:  # pydicom takes the lowest bits
            raise ValueError(f"{header.BitsStored} bits up to bit {header.HighBit}")
        stored = header.pixel_array
        if stored.shape != (header.Rows, header.Columns):
            raise ValueError(f"pixels of shape {stored.shape} where {header.Rows} × {header.Columns} are announced")
        hu = stored.astype(np.float32) * np.float32(header.RescaleSlope) + np.float32(header.RescaleIntercept)
        padding = header.get("PixelPaddingValue")
        if padding not in EMPTY:  # all from it to the limit is padding too
            low, high = sorted((int(padding), int(header.get("PixelPaddingRangeLimit") or padding)))
            hu[(stored >= low) & (stored <= high)] = AIR
        return np.asarray(hu)
