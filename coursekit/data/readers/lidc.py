"""LIDC-IDRI as The Cancer Imaging Archive ships it: DICOM slices and, in the folder of a CT series, the readers' XML.

Layout: ``LIDC-IDRI-0001/<study uid>/<series uid>/*.dcm`` and ``*.xml``; ``COURSEKIT_LIDC`` names the folder that holds
the patients' folders, or the one above it. The XML's root is ``LidcReadMessage``: a ``readingSession`` a reader, in it
an ``unblindedReadNodule`` a nodule, with nine ``characteristics`` and a ``roi`` a slice. Nodules under 3 mm are one
point without characteristics and are left out, as are marks of what is no nodule and X-ray studies (another root).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pydicom
import torch
from pydicom import Dataset
from pydicom.pixels import pixel_array

from ... import _check
from ..scan import Scan, oriented
from . import entry
from .contours import RATINGS, Contour, Reading, Readings

NAMESPACE = {"nih": "http://www.nih.gov"}
ROOT = "{http://www.nih.gov}LidcReadMessage"
CHARACTERISTICS = [f"nih:characteristics/nih:{name}" for name in ("subtlety", "internalStructure", *RATINGS[2:])]
HELD = {  # what these hold where they hold anything
    "Modality": ("CT",),
    "RescaleType": ("HU",),
    "SamplesPerPixel": (1,),
    "PhotometricInterpretation": ("MONOCHROME1", "MONOCHROME2"),
    "NumberOfFrames": (1,),
}
NUMBERS = {  # how many of these a slice must hold
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "PixelSpacing": 2,
    "RescaleSlope": 1,
    "RescaleIntercept": 1,
}
STORED = ("BitsStored", "HighBit", "PixelPaddingValue", "PixelPaddingRangeLimit")
AIR = -1024.0  # HU: the circle outside the field of view is stored as something lower
OFF = 0.1  # voxels: how far a slice may lie from where all of them together put it
LPS = -1, -1, 1  # DICOM's world to RAS
AGAIN, ALONE = "copy it again from its source", "keep the slices of one CT series alone in the folder"


def readings(folder: Path) -> Iterator[Readings]:
    """What was read in each CT, sorted by patient. Reads every slice's header, for the spacing, and no pixels."""
    top = folder / "LIDC-IDRI" if (folder / "LIDC-IDRI").is_dir() else folder
    drawn: dict[Path, list[Reading]] = {}
    for path in sorted(top.glob("LIDC-IDRI-*/*/*/[!.]*.xml")):
        with _check.reading("readings in XML", path, AGAIN):
            root = ElementTree.parse(path).getroot()
            if root.tag == ROOT:
                drawn.setdefault(path.parent, []).extend(_readings(root))
    if not drawn:
        got = "no LIDC-IDRI-*/<study>/<series>/*.xml with a LidcReadMessage"
        advice = "name the folder that holds LIDC-IDRI-0001 and the others"
        raise _check.refuse(f"patients of LIDC-IDRI in {folder.name}", got, advice)
    for place, read in drawn.items():
        headers = _headers(place)
        heights = np.unique([float(header.ImagePositionPatient[2]) for header in headers])
        patient, series = str(headers[0].PatientID), str(headers[0].SeriesInstanceUID)
        pixel_mm, slice_mm = float(headers[0].PixelSpacing[0]), float(np.median(np.diff(heights)))
        yield Readings(patient, series, pixel_mm, slice_mm, tuple(read))


def _readings(root: ElementTree.Element) -> Iterator[Reading]:
    """All with nine ratings, which a nodule under 3 mm has not, and an outer contour, reader after reader."""
    for nodule in root.iterfind("nih:readingSession/nih:unblindedReadNodule", NAMESPACE):
        ratings = [nodule.findtext(place, "", NAMESPACE).strip() for place in CHARACTERISTICS]
        contours = tuple(_contour(roi) for roi in nodule.iterfind("nih:roi", NAMESPACE))
        if all(ratings) and any(contour.included for contour in contours):
            yield Reading(contours, tuple(map(int, ratings)))


def _contour(roi: ElementTree.Element) -> Contour:
    points = [
        [int(point.findtext(f"nih:{axis}", "", NAMESPACE)) for axis in ("xCoord", "yCoord")]
        for point in roi.iterfind("nih:edgeMap", NAMESPACE)
    ]
    if np.min(points) < 0:
        raise ValueError(f"a point at {min(points)}")
    included = roi.findtext("nih:inclusion", "TRUE", NAMESPACE).strip().upper() == "TRUE"
    z_mm = float(roi.findtext("nih:imageZposition", "", NAMESPACE))
    return Contour(z_mm, np.stack(points).astype(np.int64), included)


# --- the slices ---


def series(place: Path) -> Scan:
    """The CT in one folder as a scan in HU, float32, axes SPL; padding and what is below −1024 HU become that.

    MONOCHROME1, low values shown bright, changes no HU. Refused: slices of several series, sizes or directions, a slice
    missing or there twice, places that lie on no line, and a file that is no CT slice or cannot be decoded.
    """
    headers = _headers(place)
    planes = [_hu(header) for header in headers]
    _alike(place, "size", [plane.shape for plane in planes])
    across, down = np.array(headers[0].ImageOrientationPatient, float).reshape(2, 3) * LPS
    row_mm, column_mm = map(float, headers[0].PixelSpacing)
    corners = np.array([header.ImagePositionPatient for header in headers], float) * LPS  # (D, 3), mm
    step = (corners[-1] - corners[0]) / (len(corners) - 1)
    affine = np.eye(4)
    affine[:3] = np.column_stack([step, row_mm * down, column_mm * across, corners[0]])
    scan = Scan(torch.from_numpy(np.stack(planes).clip(min=AIR)), affine, "HU")
    off = np.abs(scan.index(corners) - np.arange(len(corners))[:, None] * (1, 0, 0)).max(1)  # voxels
    if off.max() > OFF:
        apart = np.linalg.norm(np.diff(corners, axis=0), axis=1)
        got = f"steps of {apart.min():.2f} to {apart.max():.2f} mm, slice {off.argmax()} {off.max():.2f} voxels off"
        raise _check.refuse(f"each slice of {place.name} once, evenly spaced on one line", got, AGAIN)
    return oriented(scan)


def _headers(place: Path) -> list[Dataset]:
    """Of all slices of one series, from foot to head."""
    listed = entry(place, "the folder of a series", is_folder=True).glob("[!.]*")
    headers = [_header(path) for path in sorted(listed) if path.suffix.lower() == ".dcm"]
    heights = [float(header.ImagePositionPatient[2]) for header in headers]
    if len(set(heights)) < 2:
        got = f"{len(headers)} .dcm files at {len(set(heights))}"
        raise _check.refuse(f"slices at two heights or more in {place.name}", got, AGAIN)
    _alike(place, "series", [header.SeriesInstanceUID for header in headers])
    _alike(place, "patient", [header.PatientID for header in headers])
    _alike(place, "pixel spacing", [header.PixelSpacing for header in headers])
    directions = [np.array(header.ImageOrientationPatient, float).round(4) + 0.0 for header in headers]  # no -0
    _alike(place, "orientation", directions)
    return [headers[k] for k in np.argsort(heights, kind="stable")]


def _header(path: Path) -> Dataset:
    """That of a CT slice in HU whose place is known."""
    with _check.reading("a DICOM file", path, AGAIN):
        tags = ["SeriesInstanceUID", "PatientID", *HELD, *NUMBERS, *STORED]
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
        numbers = {tag: np.ravel(np.array(header.get(tag), float)) for tag in NUMBERS}
    for tag, count in NUMBERS.items():
        if len(numbers[tag]) != count or not np.isfinite(numbers[tag]).all():
            raise _check.refuse(f"{count} finite numbers as {tag} in {path.name}", header.get(tag), ALONE)
    for tag, wanted in HELD.items():
        if (header.get(tag) or wanted[0]) not in wanted:
            raise _check.refuse(f"{tag} {' or '.join(map(str, wanted))} in {path.name}", header.get(tag), ALONE)
    across, down = numbers["ImageOrientationPatient"].reshape(2, 3)
    if not np.allclose([across @ across, down @ down, across @ down], [1, 1, 0], atol=1e-3):
        got = header.ImageOrientationPatient
        raise _check.refuse(f"two directions at right angles in {path.name}", got, AGAIN)
    _check.positive(f"PixelSpacing in {path.name}", numbers["PixelSpacing"].tolist())
    if numbers["RescaleSlope"] == 0:
        raise _check.refuse(f"a RescaleSlope other than 0 in {path.name}", 0, AGAIN)
    return header


def _alike(place: Path, what: str, values: Sequence[object]) -> None:
    kinds = Counter(map(str, values)).most_common(2)
    if len(kinds) > 1:
        got = " and ".join(f"{kind} in {count} files" for kind, count in kinds)
        raise _check.refuse(f"one {what} in {place.name}", got, ALONE)


def _hu(header: Dataset) -> np.ndarray:
    path = Path(header.filename)
    with _check.reading("a CT slice in HU", path, f"install a decoder, decompress it elsewhere, or {AGAIN}"):
        if header.HighBit != header.BitsStored - 1:  # pydicom takes the lowest bits
            raise ValueError(f"{header.BitsStored} bits up to bit {header.HighBit}")
        stored = pixel_array(path)
    hu = stored.astype(np.float32) * np.float32(header.RescaleSlope) + np.float32(header.RescaleIntercept)
    padding = header.get("PixelPaddingValue")
    if padding is not None:  # all from it to the limit is padding too
        low, high = sorted((int(padding), int(header.get("PixelPaddingRangeLimit") or padding)))
        hu[(stored >= low) & (stored <= high)] = AIR
    return np.asarray(hu)
