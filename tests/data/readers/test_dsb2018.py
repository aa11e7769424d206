"""The 2018 Data Science Bowl in miniature: RGBA images, one mask a nucleus, names as long as the real ones."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from skimage.io import imsave

from coursekit.data import nuclei
from coursekit.data.readers.dsb2018 import DSB2018
from coursekit.data.seeds import part_of
from coursekit.data.simulated.pasting import CopyPaste
from coursekit.testing import assert_close

HIGH, WIDE = 20, 24


def name_of(number: int | str) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def square(top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((HIGH, WIDE), np.uint8)
    mask[top : top + side, left : left + side] = 255
    return mask


def add(
    place: Path, name: str, masks: list[np.ndarray], *, colour: tuple[int, int, int] = (1, 1, 1), ground: int = 10
) -> Path:
    """An image ten times brighter in its masks than around them, colours scaled."""
    folder = place / "stage1_train" / name
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    grey = np.full((HIGH, WIDE), ground, np.uint8)
    for k, mask in enumerate(masks):
        grey[mask > 0] = 100
        imsave(folder / "masks" / f"{k}{name_of(k)[1:]}.png", mask, check_contrast=False)
    rgba = np.stack([*(grey * c for c in colour), np.full_like(grey, 255)], -1)
    imsave(folder / "images" / f"{name}.png", rgba, check_contrast=False)
    return folder


def test_an_image_with_its_nuclei(tmp_path: Path) -> None:
    masks = [square(2, 3, 4), square(10, 12, 5), square(17, 0, 3)]
    add(tmp_path, name_of(1), masks)
    (sample,) = list(DSB2018(tmp_path))
    assert sample.grey.dtype == torch.uint8
    assert sample.name == name_of(1)
    assert sample.note == ""
    assert [torch.equal(sample.labels == k + 1, torch.from_numpy(mask > 0)) for k, mask in enumerate(masks)] == [
        True
    ] * 3
    assert torch.equal(sample.grey, torch.where(sample.labels > 0, 100, 10).to(torch.uint8))


def test_images_are_split_by_id_and_none_is_lost(tmp_path: Path) -> None:
    names = sorted(name_of(k) for k in range(12))
    for name in names:
        add(tmp_path, name, [square(2, 3, 4)])
    train, test = (DSB2018(tmp_path, split=split).names for split in ("train", "test"))
    assert sorted(train + test) == names == DSB2018(tmp_path).names
    assert set(map(part_of, train)) == {"train"}
    assert set(map(part_of, test)) == {"test"}


def test_only_fluorescence_is_kept(tmp_path: Path) -> None:
    add(tmp_path, "fluorescent", [square(2, 3, 4)])
    add(tmp_path, "stained", [square(2, 3, 4)], colour=(2, 1, 2))
    add(tmp_path, "bright_field", [square(2, 3, 4)], ground=240)
    assert DSB2018(tmp_path).names == ["fluorescent"]


def test_a_grey_image_without_alpha_is_read_too(tmp_path: Path) -> None:
    folder = add(tmp_path, "a", [square(2, 3, 4)])
    imsave(folder / "images" / "a.png", np.where(square(2, 3, 4) > 0, 77, 5).astype(np.uint8), check_contrast=False)
    assert DSB2018(tmp_path)[0].grey.unique().tolist() == [5, 77]


def test_shared_pixels_and_empty_masks_are_mended_and_said(tmp_path: Path) -> None:
    add(tmp_path, "a", [square(2, 2, 4), square(4, 4, 4), square(0, 0, 0), square(2, 2, 3)])
    sample = DSB2018(tmp_path)[0]
    assert sample.labels.unique().tolist() == [0, 1, 2]
    assert [int((sample.labels == k).sum()) for k in (1, 2)] == [16, 16 - 4]
    assert sample.note == "13 pixels in two masks went to the first, 2 masks without a pixel of their own left out"


def test_what_is_missing_or_broken_is_named(tmp_path: Path, refuses: Callable[..., None]) -> None:
    refuses("the training images at stage1_train", DSB2018, tmp_path)
    folder = add(tmp_path, "a", [square(2, 3, 4)])
    other = "test" if part_of("a") == "train" else "train"
    refuses(f"in the {other} part of .* none among 1", DSB2018, tmp_path, split=other)
    data = DSB2018(tmp_path)
    imsave(folder / "masks" / "wrong.png", np.zeros((5, 5), np.uint8), check_contrast=False)
    refuses(r"a mask of the image's \(20, 24\) pixels in wrong.png, got \(5, 5\)", lambda: data[0])
    for file in (folder / "masks").iterdir():
        file.unlink()
    assert data[0].labels.max() == 0  # no nucleus is an answer
    (folder / "masks").rmdir()
    refuses("the masks of a at masks", lambda: data[0])
    image = folder / "images" / "a.png"
    image.write_bytes(image.read_bytes()[:60])
    refuses("a PNG image in a.png", DSB2018, tmp_path)
    image.write_text("no image")
    refuses("a PNG image in a.png", DSB2018, tmp_path)
    image.unlink()
    refuses("the image at a.png", DSB2018, tmp_path)


def test_a_mask_is_whatever_is_not_nought(tmp_path: Path) -> None:
    ones = [square(2, 3, 4) // 255, square(10, 12, 5) // 2]
    folder = add(tmp_path, "a", ones)
    PIL.Image.fromarray(square(17, 0, 3)).convert("1").save(folder / "masks" / "9.png")
    palette = PIL.Image.fromarray(square(0, 20, 2) // 255, "P")
    palette.putpalette([0, 0, 0, 200, 10, 10])
    palette.save(folder / "masks" / "90.png")
    (folder / "masks" / "90.png").rename(folder / "masks" / "90.PNG")
    sample = DSB2018(tmp_path)[0]
    assert [int((sample.labels == k).sum()) for k in range(1, 5)] == [16, 25, 9, 4]
    assert sample.note == ""


def test_depth_transparency_damage_and_other_formats_are_refused(tmp_path: Path, refuses: Callable[..., None]) -> None:
    path = add(tmp_path, "a", [square(2, 3, 4)]) / "images" / "a.png"
    noise = np.random.default_rng(0).integers(0, 255, (HIGH, WIDE, 3)).astype(np.uint8)
    whole = path.read_bytes()

    def read() -> object:
        return DSB2018(tmp_path)[0]

    for channels in (1, 3):
        cv2.imwrite(str(path), np.full((HIGH, WIDE, channels), 3007, np.uint16))
        refuses("an image of bytes in a.png, got 16 bits a channel", read)
    PIL.Image.fromarray(np.dstack([noise, np.full((HIGH, WIDE), 100, np.uint8)])).save(path)
    refuses("an image without transparency in a.png", read)
    PIL.Image.fromarray(noise).save(path)
    raw = path.read_bytes()
    for place in range(30, len(raw) - 20, 97):
        flipped = bytearray(raw)
        flipped[place] ^= 0x10
        path.write_bytes(flipped)
        refuses("in a.png, got", read)
    for content in (b"", whole[:20], whole[:-20], raw[: len(raw) // 2]):
        path.write_bytes(content)
        refuses("a PNG image in a.png", read)
    PIL.Image.fromarray(noise).save(path, format="JPEG")
    refuses("a PNG image in a.png", read)
    path.unlink()
    path.mkdir()
    refuses("the image at a.png in .*, got a folder", read)


def test_a_file_in_place_of_a_folder_is_no_empty_folder(tmp_path: Path, refuses: Callable[..., None]) -> None:
    masks = add(tmp_path, "a", [square(2, 3, 4)]) / "masks"
    shutil.rmtree(masks)
    masks.write_text("")
    refuses("the masks of a at masks in .*, got a file", lambda: DSB2018(tmp_path)[0])


def test_the_variable_gives_the_lesson_the_whole_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``images`` is the part, ``load`` the first of it by name, tiles come from all of it."""
    names = sorted(name_of(k) for k in range(12))
    for k, name in enumerate(names):
        add(tmp_path, name, [square(2, 3, 4 + k % 3)])
    monkeypatch.setenv("COURSEKIT_DSB2018", str(tmp_path))
    for split in ("train", "test"):
        mine = [name for name in names if part_of(name) == split]
        images = nuclei.images(split=split)
        assert [one.note for one in images] == [f"{name} of the 2018 Data Science Bowl" for name in mine]
        first = nuclei.load(split=split)
        assert (first.source, first.note, first.count) == ("real", images[0].note, 1)
        assert_close(first.image, (first.labels > 0).float()[None])  # scaled to [0, 1]
    assert nuclei.load().note.startswith(names[0])
    tiles = CopyPaste(nuclei.images(split="train"), size=20, pasted=0.0, length=60)
    assert {int((tile.labels > 0).sum()) for tile in tiles} >= {16, 25, 36}  # nuclei of several images, cut or whole
