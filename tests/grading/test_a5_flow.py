"""Assignment a5_flow: what it closes, its last looks, its sheet for instructors, and other variants."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]
NAME = "a5_flow"
BEGIN = {
    "gradients": "grad",
    "warp": "warp",
    "lucas_kanade": "window",
    "horn_schunck_step": "step",
    "end_point_error": "epe",
    "flow_colours": "colour",
}
SAMPLED = """
def warp(image, flow):
    size = torch.tensor(image.shape).view(2, 1, 1)
    place = torch.stack(torch.meshgrid(*map(torch.arange, image.shape), indexing="ij")) + flow
    place = (2 * place / (size - 1).clamp(min=1) - 1).flip(0).movedim(0, -1)[None].float()
    image = image[None, None].float()
    return {}[0, 0]
"""
CLOSED = {
    "coursekit.flow.pyramid.derivatives": """
from coursekit.flow import pyramid


def gradients(first, second):
    space = getattr(pyramid, "deriv" + "atives")((first + second)[None, None] / 2)[0]
    return torch.cat([space, (second - first)[None]])
""",
    "coursekit.ops.warp.warp": """
from coursekit.ops.warp import warp as renamed


def warp(image, flow):
    return renamed(image[None, None], flow[None])[0, 0]
""",
    "torch.nn.functional.grid_sample": SAMPLED.format(
        'torch.nn.functional.grid_sample(image, place, padding_mode="border", align_corners=True)'
    ),
    "torch.grid_sampler": SAMPLED.format("torch.grid_sampler(image, place, 0, 1, True)"),
    "torch.ops.aten.grid_sampler": SAMPLED.format("torch.ops.aten.grid_sampler_2d(image, place, 0, 1, True)"),
    "scipy.ndimage": """
def warp(image, flow):
    import numpy as np
    from scipy.ndimage import map_coordinates as renamed

    return renamed(image.numpy(), np.indices(image.shape) + flow.numpy(), order=1, mode="nearest")
""",
    "scipy.interpolate": """
from scipy.interpolate import RegularGridInterpolator


def warp(image, flow):
    read = RegularGridInterpolator(tuple(map(torch.arange, image.shape)), image.numpy())
    place = torch.stack(torch.meshgrid(*map(torch.arange, image.shape), indexing="ij")) + flow
    return read(place.movedim(0, -1).numpy())
""",
    "scipy.signal": """
def horn_schunck_step(flow, g, smoothness):
    import numpy as np
    from scipy.signal import convolve2d

    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]) / 4
    mean = torch.tensor(np.stack([convolve2d(u, cross, "same", "symm") for u in flow.numpy()]))
    return mean - g[:2] * ((g[:2] * mean).sum(0) + g[2]) / (smoothness**2 + g[:2].square().sum(0))
""",
    "skimage.transform": """
def warp(image, flow):
    import numpy as np
    import skimage.transform

    return skimage.transform.warp(image.numpy(), np.indices(image.shape) + flow.numpy(), order=1, mode="edge")
""",
    "coursekit.flow.variational.neighbour_mean": """
from coursekit.flow.variational import neighbour_mean


def horn_schunck_step(flow, g, smoothness):
    mean = neighbour_mean(flow[None])[0]
    return mean - g[:2] * ((g[:2] * mean).sum(0) + g[2]) / (smoothness**2 + g[:2].square().sum(0))
""",
    "coursekit.metrics.motion.motion_error": """
from coursekit.metrics.motion import motion_error


def end_point_error(truth, flow, known):
    return motion_error(truth[None], flow[None], valid=known[None]).end_point
""",
    "coursekit.flow.colour.flow_to_colour": """
from coursekit import flow as library


def flow_colours(flow, largest):
    return library.flow_to_colour(flow[None], largest=largest)[0]
""",
}


@pytest.mark.parametrize("closed", CLOSED)
def test_closed_is_refused(assignment: Callable[[str], Any], closed: str) -> None:
    a5 = assignment(NAME)
    (answer,) = re.findall(r"^def (\w+)", CLOSED[closed], re.MULTILINE)
    cell = next(test for test in a5.points if test.startswith(f"{BEGIN[answer]}_"))
    assert f"{answer} calls {closed}" in renamed(a5.messages({answer: CLOSED[closed]}, only=cell)[cell], answer)


def renamed(message: str, answer: str) -> str:
    """The message with the function's own name where a check looks at a part of its result."""
    return re.sub(r"^.*?( calls )", rf"{answer}\1", message)


@pytest.mark.parametrize("exercise", BEGIN)
def test_each_exercise_is_paid_once(assignment: Callable[[str], Any], exercise: str) -> None:
    a5 = assignment(NAME)
    lost = a5.lost({exercise: a5.stubs[exercise]})
    assert lost
    assert lost == {test for test in a5.points if test.startswith(f"{BEGIN[exercise]}_")}


@pytest.fixture(scope="module")
def shown(assignment: Callable[[str], Any]) -> dict[str, Any]:
    """The notebook's names after the two last looks, with the solution; the pictures are under "shown"."""
    a5 = assignment(NAME)
    names, pictures = a5.looked_at("setup", *a5.answers, "heart", "look")
    return names | {"shown": pictures}


def test_the_heart_by_yours_and_by_the_library(shown: dict[str, Any]) -> None:
    picture = shown["shown"][0]
    yours, library, seen = shown["heart_yours"], shown["heart_library"], shown["seen"]
    assert f"{shown['apart']:.2f} pixels apart" in picture.alt
    still = float(torch.linalg.vector_norm(library, dim=0)[seen].mean())
    assert shown["apart"] < 0.8 * still  # nearer to the library's than no motion is
    moving = seen & (yours.norm(dim=0) > 0)
    same_way = (yours * library).sum(0)[moving] > 0
    assert same_way.float().mean() > 0.9


def test_the_stereo_pair_by_yours_and_by_the_library(shown: dict[str, Any]) -> None:
    picture = shown["shown"][1]
    for name in ("your_error", "library_error"):
        assert f"{shown[name]:.2f}" in picture.alt
    assert max(shown["your_error"], shown["library_error"]) < 0.3 * shown["still_error"]


def test_the_checks_colours_are_near_the_librarys(assignment: Callable[[str], Any]) -> None:
    """The stated rule and that of Baker et al. agree where both have a corner: at right, and at no motion."""
    names: dict[str, Any] = {"torch": torch}
    exec(assignment(NAME).answers["flow_colours"], names)
    from coursekit.flow import flow_to_colour

    flow = torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]]])
    torch.testing.assert_close(names["flow_colours"](flow, 1.0).float(), flow_to_colour(flow[None], largest=1.0)[0])
