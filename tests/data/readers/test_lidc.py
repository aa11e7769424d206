"""LIDC-IDRI's folders, written in little with pydicom and as XML in the collection's namespace, and then broken in
every way.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEGLosslessSV1,
    RLELossless,
    generate_uid,
)

from coursekit.data.ct import lidc as room
from coursekit.data.readers import lidc as reader
from coursekit.data.readers.contours import Contour, Nodule, Reading, Readings, grouped
from tests.data.nodules_by_hand import ball

PIXEL, STEP, FIRST_Z, ROWS, COLUMNS = 0.7, 1.5, -30.0, 20, 24
NAMES = (
    "subtlety",
    "internalStructure",
    "calcification",
    "sphericity",
    "margin",
    "lobulation",
    "spiculation",
    "texture",
    "malignancy",
)


def volume(count: int = 41) -> np.ndarray:
    """Stored values that differ everywhere, from foot to head."""
    return (np.arange(count * ROWS * COLUMNS) % 4000).reshape(count, ROWS, COLUMNS).astype(np.int16)


def write_slice(path: Path, stored: np.ndarray, z: float, series: str, patient: str, **tags: object) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        CTImageStorage,
        generate_uid(entropy_srcs=[path.name, series]),
    )
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID, one.Modality = CTImageStorage, meta.MediaStorageSOPInstanceUID, "CT"
    one.PatientID, one.SeriesInstanceUID, one.StudyInstanceUID = patient, series, "1.2.3"
    one.ImagePositionPatient, one.ImageOrientationPatient = [-160.0, -150.0, z], [1, 0, 0, 0, 1, 0]
    one.PixelSpacing, one.SliceThickness = [PIXEL, PIXEL], 2.5
    one.Rows, one.Columns = stored.shape
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
    one.RescaleSlope, one.RescaleIntercept = 2, -1024
    one.PixelData = stored.tobytes()
    for name, value in tags.items():
        setattr(one, name, value)
    one.save_as(path)


def xml(sessions: Sequence[Sequence[Reading]]) -> str:
    """As the readers' software wrote it, with a small nodule and a mark of what is no nodule in each session."""
    text = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<LidcReadMessage uid="1.3.6" xmlns="http://www.nih.gov">',
        "<ResponseHeader/>",
    ]
    for readings in sessions:
        text.append("<readingSession><servicingRadiologistID>anon</servicingRadiologistID>")
        for k, reading in enumerate(readings):
            rated = "".join(f"<{name}>{value}</{name}>" for name, value in zip(NAMES, reading.ratings))
            text.append(f"<unblindedReadNodule><noduleID>{k}</noduleID><characteristics>{rated}</characteristics>")
            text.extend(_roi(contour) for contour in reading.contours)
            text.append("</unblindedReadNodule>")
        point = _roi(Contour(FIRST_Z, np.array([[3, 4]])))
        text.append(f"<unblindedReadNodule><noduleID>small</noduleID>{point}</unblindedReadNodule>")
        text.append(
            "<nonNodule><nonNoduleID>1</nonNoduleID><locus><xCoord>1</xCoord><yCoord>2</yCoord></locus></nonNodule></readingSession>"
        )
    return "\n".join([*text, "</LidcReadMessage>"])


def _roi(contour: Contour) -> str:
    points = "".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in contour.points.tolist())
    place = f"<imageZposition>{contour.z_mm}</imageZposition><inclusion>{str(contour.included).upper()}</inclusion>"
    return f"<roi>{place}{points}</roi>"


def drawn(patient: int) -> tuple[Reading, ...]:
    """Four readings of a ball; the first has a hole."""
    ratings = [(patient + 1, 1, 6, 3, 4, 1, 1, 5, malignancy) for malignancy in (2, 3, 4, 5)]
    radii = (4.0, 5.0, 5.5, 6.0)
    first, *others = (ball(r, pixel=PIXEL, step=STEP, ratings=rated, z0=0.0) for r, rated in zip(radii, ratings))
    hole = Contour(0.0, np.array([[131, 231], [133, 231], [133, 233], [131, 233], [131, 231]]), False)
    return (Reading((*first.contours, hole), first.ratings), *others)


def write_series(top: Path, patient: str, sessions: Sequence[Sequence[Reading]]) -> Path:
    place = top / patient / "1.2.840.1" / f"1.2.840.2.{int(patient[-4:])}"
    place.mkdir(parents=True)
    for k, stored in enumerate(volume()):
        write_slice(
            place / f"{(7 * k) % 41:06d}.dcm", stored, FIRST_Z + k * STEP, place.name, patient
        )  # names in no order
    (place / "069.xml").write_text(xml(sessions))
    return place


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients with a CT each; the second also has an X-ray study, whose XML is of another kind."""
    top = tmp_path_factory.mktemp("data") / "LIDC-IDRI"
    for k, patient in enumerate(("LIDC-IDRI-0001", "LIDC-IDRI-0002")):
        write_series(top, patient, [[reading] for reading in drawn(k)])
    xray = top / "LIDC-IDRI-0002" / "1.2.840.9" / "1.2.840.10"
    xray.mkdir(parents=True)
    (xray / "070.xml").write_text('<IdriReadMessage xmlns="http://www.nih.gov"><ResponseHeader/></IdriReadMessage>')
    (top / "LICENSE").write_text("of the collection")
    return top


@pytest.fixture
def place(collection: Path, tmp_path: Path) -> Path:
    """A series of its own, to be broken."""
    source = next(collection.glob("LIDC-IDRI-0001/*/*"))
    return Path(shutil.copytree(source, tmp_path / "LIDC-IDRI-0001" / "1.2" / source.name))


def test_a_series_is_sorted_scaled_and_keeps_its_place(place: Path) -> None:
    scan = reader.series(place)
    assert (scan.axes, scan.unit, scan.values.dtype, tuple(scan.values.shape)) == (
        "SPL",
        "HU",
        torch.float32,
        (41, ROWS, COLUMNS),
    )
    assert torch.equal(scan.values, torch.from_numpy(volume().astype(np.float32) * 2 - 1024))
    np.testing.assert_allclose(scan.spacing_mm, (STEP, PIXEL, PIXEL))
    (corner,) = scan.world(np.array([[3, 4, 5]]))
    np.testing.assert_allclose(
        corner, [160 - 5 * PIXEL, 150 - 4 * PIXEL, FIRST_Z + 3 * STEP]
    )  # LPS to RAS: x and y change sign


def test_air_outside_the_field_of_view_is_air_and_a_feet_first_series_is_turned(tmp_path: Path) -> None:
    for k in range(3):
        stored = np.full((4, 6), -1000 + k, np.int16)
        tags = {"ImageOrientationPatient": [-1, 0, 0, 0, 1, 0], "ImagePositionPatient": [160.0, -150.0, 3.0 * k]}
        write_slice(
            tmp_path / f"{k}.dcm", stored, 0, "1.2", "p", RescaleSlope=1, RescaleIntercept=-1000 * (k == 1), **tags
        )
    scan = reader.series(tmp_path)
    assert scan.axes == "SPL"
    assert scan.values[:, 0, 0].tolist() == [-1000, -1024, -998]
    np.testing.assert_allclose(
        scan.world(np.array([[0, 0, 5]]))[0], [-160, 150, 0]
    )  # columns ran to the right, now to the left


def test_the_xml_gives_back_every_readers_contours_and_ratings(place: Path) -> None:
    (scan,) = reader.readings(place.parents[2])
    assert (scan.patient, scan.scan, scan.pixel_mm, scan.slice_mm) == ("LIDC-IDRI-0001", place.name, PIXEL, STEP)
    assert len(scan.readings) == 4  # neither the small nodules nor the marks
    for found, truth in zip(scan.readings, drawn(0)):
        assert found.ratings == truth.ratings
        assert len(found.contours) == len(truth.contours)
        for a, b in zip(found.contours, truth.contours):
            assert (a.z_mm, a.included) == (b.z_mm, b.included)
            assert (a.points == b.points).all()


def test_the_consensus_comes_out_as_from_the_same_readings_by_hand(place: Path) -> None:
    (scan,) = reader.readings(place.parents[2])
    (found,) = grouped(scan)
    (truth,) = grouped(Readings("LIDC-IDRI-0001", place.name, PIXEL, STEP, drawn(0)))
    assert torch.equal(found.shape, truth.shape)
    assert (found.volume_ml, found.diameter_mm, found.malignancy) == (
        truth.volume_ml,
        truth.diameter_mm,
        truth.malignancy,
    )


@pytest.mark.parametrize("above", [False, True])
def test_the_variable_switches_the_room_to_the_folder(
    collection: Path, monkeypatch: pytest.MonkeyPatch, above: bool
) -> None:
    monkeypatch.setenv("COURSEKIT_LIDC", str(collection.parent if above else collection))
    found = room.nodules()
    assert [one.patient for one in found] == ["LIDC-IDRI-0001", "LIDC-IDRI-0002"]
    assert all(isinstance(one, Nodule) and len(one.readings) == 4 for one in found)
    by_part = [one.patient for part in ("train", "test") for one in room.nodules(split=part)]
    assert sorted(by_part) == ["LIDC-IDRI-0001", "LIDC-IDRI-0002"]


def test_a_folder_without_readings_is_refused(tmp_path: Path, refuses) -> None:
    (tmp_path / "LIDC-IDRI-0001" / "1" / "2").mkdir(parents=True)
    refuses("patients of LIDC-IDRI in", lambda: list(reader.readings(tmp_path)))


def test_a_missing_or_repeated_slice_is_refused(place: Path, refuses) -> None:
    third = next(
        path for path in place.glob("*.dcm") if pydicom.dcmread(path).ImagePositionPatient[2] == FIRST_Z + 3 * STEP
    )
    twice = place / "000099.dcm"
    shutil.copy(third, twice)
    refuses("once, evenly spaced on one line, got steps of 0.00 to 1.50 mm", reader.series, place)
    twice.unlink()
    third.unlink()
    refuses("once, evenly spaced on one line, got steps of 1.50 to 3.00 mm", reader.series, place)
    (scan,) = reader.readings(place.parents[2])
    assert len(scan.readings) == 4  # the readings need no pixels, so nothing of them is lost


def test_mixed_series_sizes_and_spacings_are_refused(place: Path, refuses) -> None:
    extra, stored = place / "000099.dcm", volume()[0]
    write_slice(extra, stored, 90.0, "1.9.9", "LIDC-IDRI-0001")
    refuses("one series in .*, got 1.2.840.2.1 in 41 files and 1.9.9 in 1", reader.series, place)
    refuses("one series in", lambda: list(reader.readings(place.parents[2])))
    write_slice(extra, stored[:-1], 31.5, place.name, "LIDC-IDRI-0001")
    refuses("one size in", reader.series, place)
    write_slice(extra, stored, 31.5, place.name, "LIDC-IDRI-0001", PixelSpacing=[0.5, 0.5])
    refuses("one pixel spacing in", reader.series, place)
    write_slice(extra, stored, 31.5, place.name, "LIDC-IDRI-0001", ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    refuses("one orientation in", reader.series, place)


def test_slices_that_cannot_be_read_are_refused(place: Path, refuses) -> None:
    extra = place / "000099.dcm"
    extra.write_bytes(b"no DICOM at all")
    refuses("a DICOM file in 000099.dcm", reader.series, place)
    write_slice(extra, volume()[0], 31.5, place.name, "LIDC-IDRI-0001", ImagePositionPatient=None)
    refuses("3 finite numbers as ImagePositionPatient in 000099.dcm, got None", reader.series, place)
    write_slice(extra, volume()[0], 31.5, place.name, "LIDC-IDRI-0001", PixelData=b"\0\0")
    refuses("a CT slice in HU in 000099.dcm", reader.series, place)
    for path in sorted(place.glob("*.dcm"))[1:]:
        path.unlink()
    refuses("slices at two heights or more in .*, got 1 .dcm files at 1", reader.series, place)
    refuses("the folder of a series", reader.series, place / "nowhere")


SLICE = np.arange(-3, 17, dtype=np.int16).reshape(4, 5)


def small(folder: Path) -> Path:
    """Four small slices 2 mm apart."""
    for k in range(4):
        tags = {"ImagePositionPatient": [0.0, 0.0, 2.0 * k], "RescaleSlope": 1, "RescaleIntercept": 0}
        write_slice(folder / f"{k}.dcm", SLICE, 0, "1.2", "p", **tags)
    return folder


@pytest.mark.parametrize(
    ("tag", "value", "says"),
    [
        ("RescaleSlope", None, "1 finite numbers as RescaleSlope in 1.dcm, got None"),
        ("RescaleIntercept", None, "1 finite numbers as RescaleIntercept in 1.dcm, got None"),
        ("RescaleIntercept", float("nan"), "1 finite numbers as RescaleIntercept in 1.dcm"),
        ("RescaleSlope", 0, "a RescaleSlope other than 0 in 1.dcm"),
        ("RescaleSlope", [1, 2], "1 finite numbers as RescaleSlope in 1.dcm"),
        ("PhotometricInterpretation", "PALETTE COLOR", "PhotometricInterpretation MONOCHROME1 or MONOCHROME2 in 1.dcm"),
        ("SamplesPerPixel", 3, "SamplesPerPixel 1 in 1.dcm, got 3"),
        ("NumberOfFrames", 2, "NumberOfFrames 1 in 1.dcm, got 2"),
        ("PixelSpacing", [0.7, 0.0], "PixelSpacing in 1.dcm"),
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0], "two directions at right angles in 1.dcm"),
        ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0], "two directions at right angles in 1.dcm"),
        ("HighBit", 16, "a CT slice in HU in 1.dcm, got ValueError .16 bits up to bit 16"),
        ("RescaleType", "US", "RescaleType HU in 1.dcm, got US"),
        ("Modality", "MR", "Modality CT in 1.dcm, got MR"),
        ("PixelSpacing", [0.7], "2 finite numbers as PixelSpacing in 1.dcm"),
        ("ImagePositionPatient", [0, 0], "3 finite numbers as ImagePositionPatient in 1.dcm"),
        ("ImagePositionPatient", [0.2, 0, 2], "evenly spaced on one line, got .* slice 1 0.29 voxels off"),
        ("Rows", None, "a CT slice in HU in 1.dcm"),
        ("PatientID", "q", "one patient in"),
    ],
)
def test_header_values_are_looked_at(tmp_path: Path, refuses, tag: str, value: object, says: str) -> None:
    rescale = {"RescaleSlope": 1, "RescaleIntercept": 0}
    for k in range(4):
        tags = {"ImagePositionPatient": [0.0, 0.0, 2.0 * k], **rescale} | ({tag: value} if k == 1 else {})
        write_slice(tmp_path / f"{k}.dcm", SLICE, 0, "1.2", "p", **tags)
    refuses(says, reader.series, tmp_path)


def test_a_tilted_gantry_is_a_line(tmp_path: Path) -> None:
    for k in range(4):
        tags = {"ImagePositionPatient": [0.0, 0.7 * k, 2.0 * k], "RescaleSlope": 1, "RescaleIntercept": 0}
        write_slice(tmp_path / f"{k}.dcm", SLICE, 0, "1.2", "p", **tags)
    scan = reader.series(tmp_path)
    np.testing.assert_allclose(scan.world(np.array([[3, 0, 0]]))[0], [0, -2.1, 6])


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("shown", ["MONOCHROME1", "MONOCHROME2"])
def test_the_bits_that_belong_to_a_value_are_read(tmp_path: Path, signed: int, shown: str) -> None:
    """Twelve bits, with something else in the other four; bright or dark on the screen, HU are the same."""
    values = np.array([[-1000, -5, 0, 3], [7, 900, 1500, 2000]]) + (0 if signed else 1000)
    stored = ((values & 0xFFF) | 0xA000).astype(np.uint16)
    for k in range(2):
        bits = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": signed, "PhotometricInterpretation": shown}
        place = {
            "ImagePositionPatient": [0.0, 0.0, 2.0 * k],
            "RescaleSlope": 1,
            "RescaleIntercept": 0 if signed else -1000,
        }
        write_slice(tmp_path / f"{k}.dcm", stored, 0, "1.2", "p", **bits, **place)
    assert torch.equal(reader.series(tmp_path).values[0], torch.from_numpy(values - (0 if signed else 1000)).float())


def test_padding_is_air(tmp_path: Path) -> None:
    for k in range(2):
        tags = {
            "ImagePositionPatient": [0.0, 0.0, 2.0 * k],
            "RescaleSlope": 1,
            "RescaleIntercept": 0,
            "PixelPaddingValue": 16,
        }
        write_slice(tmp_path / f"{k}.dcm", SLICE, 0, "1.2", "p", **tags)
    assert reader.series(tmp_path).values[0].flatten()[-2:].tolist() == [15, -1024]
    for k in range(2):
        one = pydicom.dcmread(tmp_path / f"{k}.dcm")
        one.PixelPaddingValue = 15
        one.add_new("PixelPaddingRangeLimit", "SS", 13)
        one.save_as(tmp_path / f"{k}.dcm")
    assert reader.series(tmp_path).values[0].flatten()[-5:].tolist() == [12, -1024, -1024, -1024, 16]


def test_no_slice_is_lost_for_the_letters_of_its_name(tmp_path: Path) -> None:
    whole = reader.series(small(tmp_path)).values
    last = max(tmp_path.glob("*.dcm"))
    last.rename(last.with_suffix(".DCM"))
    assert torch.equal(reader.series(tmp_path).values, whole)


def test_compression_is_named_with_what_decodes_it(tmp_path: Path, refuses) -> None:
    for syntax, says in (
        (JPEGLosslessSV1, r"a CT slice in HU in 0.dcm, got .*JPEG Lossless.* requires gdcm.*: install a decoder"),
        (HTJ2KLossless, "a CT slice in HU in 0.dcm, got .*High-Throughput JPEG 2000.*pylibjpeg-openjpeg"),
        (MPEG2MPML, "a CT slice in HU in 0.dcm, got .*MPEG2.*: install a decoder, decompress it elsewhere"),
        (UID("1.2.3"), "a CT slice in HU in 0.dcm, got .*not a transfer syntax"),
        (RLELossless, "a CT slice in HU in 0.dcm"),
    ):
        for path in sorted(small(tmp_path).glob("*.dcm")):
            one = pydicom.dcmread(path)
            one.file_meta.TransferSyntaxUID, one.PixelData = syntax, encapsulate([b"\xff\xd8\xff\xc3" + bytes(40)])
            one["PixelData"].is_undefined_length = True
            one.save_as(path)
        refuses(says, reader.series, tmp_path)


@pytest.mark.parametrize("left", [0, 100, 200, -10])
def test_a_file_cut_short_is_refused_by_name(tmp_path: Path, refuses, left: int) -> None:
    path = small(tmp_path) / "1.dcm"
    path.write_bytes(path.read_bytes()[:left])
    (tmp_path / "._0.dcm").write_bytes(b"a Mac left this")
    refuses("in 1.dcm", reader.series, tmp_path)


def test_what_is_no_number_or_no_file_is_refused(tmp_path: Path, refuses) -> None:
    path = small(tmp_path) / "1.dcm"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"0.7\\0.7 ", b"0.7\\abc "))
    assert path.read_bytes() != whole
    refuses("a DICOM file in 1.dcm", reader.series, tmp_path)
    path.unlink()
    path.mkdir()
    refuses("a DICOM file in 1.dcm", reader.series, tmp_path)


def test_xml_that_is_none_or_cut_short_is_refused_by_name(place: Path, refuses) -> None:
    path = place / "069.xml"
    whole = path.read_text()
    for content in (
        "",
        '<?xml version="1.0" encoding="no-such"?><a/>',
        whole[: len(whole) // 2],
        whole.replace("<xCoord>", "<xCoord>a", 1),
        whole.replace("<xCoord>", "<xCoord>-", 1),
        whole.replace("<xCoord>", "<xCoord>" + "9" * 30, 1),
        whole.replace("<malignancy>", "<malignancy>high", 1),
        whole.replace("<imageZposition>", "<imageZposition>z", 1),
        re.sub("<edgeMap>.*?</roi>", "</roi>", whole),
    ):
        path.write_text(content)
        refuses("readings in XML in 069.xml", lambda: list(reader.readings(place.parents[2])))


def test_a_nodule_without_ratings_or_outline_is_no_reading(place: Path, refuses) -> None:
    path = place / "069.xml"
    whole = path.read_text()
    path.write_text(re.sub("<malignancy>2</malignancy>", "<malignancy></malignancy>", whole))
    (scan,) = reader.readings(place.parents[2])
    assert len(scan.readings) == 3
    path.write_text(whole.replace("<inclusion>TRUE", "<inclusion>FALSE"))
    (scan,) = reader.readings(place.parents[2])
    assert scan.readings == ()
    path.write_text(whole.replace("LidcReadMessage", "IdriReadMessage"))
    refuses("patients of LIDC-IDRI in", lambda: list(reader.readings(place.parents[2])))
