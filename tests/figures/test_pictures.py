"""One-call pictures: axes named with units, marks that differ by more than colour, texts apart."""

import itertools
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from ipywidgets import VBox, Widget
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.text import Text

from coursekit import claims, figures
from coursekit.figures import GREEN, ORANGE, Areas, Boxes, Curve, Outlines, Panel, drawing, images

IMAGE = torch.linspace(0, 1, 40 * 60).view(40, 60)
LABELS = torch.zeros(40, 60, dtype=torch.int64)
LABELS[5:15, 5:25], LABELS[15:30, 5:25], LABELS[30:, 50:] = 1, 2, 3
MASKS = torch.stack([k == LABELS for k in (1, 2, 3)])
CUBE = torch.zeros(1, 12, 40, 60, dtype=torch.bool)
CUBE[0, 4:8, 10:20, 20:40] = True
BOXES = torch.tensor([[5.0, 5.0, 25.0, 15.0], [50.0, 30.0, 60.0, 40.0]])
FLOW = torch.stack([torch.linspace(-2, 3, 60).expand(40, 60), torch.full((40, 60), 1.0)])
X = torch.linspace(0, 1, 8)
HU = torch.arange(12 * 40 * 60).view(12, 40, 60).short() - 2000

DRAWN: dict[str, Callable[..., figures.Picture]] = {
    "pictures": lambda **k: figures.pictures(
        {
            "instances": Panel(IMAGE, [Areas(LABELS, "instance")], 0, 1),
            "outlines": Panel(IMAGE[None], [Outlines(MASKS, "truth", GREEN), Boxes(BOXES, "box", ORANGE)]),
            "colour": IMAGE.expand(3, 40, 60),
        },
        title="Three answers",
        **k,
    ),
    "pictures to scale": lambda **k: figures.pictures([IMAGE, IMAGE, IMAGE], columns=2, spacing_mm=0.7, **k),
    "planes": lambda **k: figures.planes(
        torch.rand(12, 40, 60), spacing_mm=(5.0, 0.7, 0.7), masks=[Outlines(CUBE, "nodule")], unit="HU", **k
    ),
    "strip": lambda **k: figures.strip(torch.rand(30, 40, 60), fps=25, title="a clip", **k),
    "flow": lambda **k: figures.flow_field(FLOW, image=IMAGE, **k),
    "curves": lambda **k: figures.curves(
        {"one": Curve(X, X, X - 0.1, X + 0.1), "other": Curve(X, X**2)}, x="recall", y="precision", **k
    ),
    "effects": lambda **k: figures.effects(claims.load("second_stage"), **k),
    "effects of long names": lambda **k: figures.effects(claims.load("roi_align_vs_roi_pool"), **k),
}


def texts(figure: Figure) -> list[Text]:
    """All that can be read in a figure, once it is laid out: not the labels of ticks beyond the ends of an axis."""
    figure.draw_without_rendering()
    beyond = set()
    drawn = [axes for axes in figure.findobj(Axes) if axes.axison]
    hidden = {text for axes in figure.findobj(Axes) if not axes.axison for text in axes.findobj(Text)}
    for axis in (axis for axes in drawn for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        beyond |= {tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [text for text in shown if text not in beyond | hidden]


@pytest.mark.parametrize("name", DRAWN)
def test_texts_stay_inside_and_apart(name: str) -> None:
    figure = DRAWN[name](alt="something").figure
    width, height = figure.get_size_inches() * figure.dpi
    places = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    assert len(places) > 2
    for text, place in places:
        assert place.x0 > -2 and place.y0 > -2 and place.x1 < width + 2 and place.y1 < height + 2, text  # noqa: PT018
    for (first, one), (second, other) in itertools.combinations(places, 2):
        wide = min(one.x1, other.x1) - max(one.x0, other.x0)
        tall = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(wide, tall) < 2, f"{first!r} lies on {second!r}"


@pytest.mark.parametrize("name", DRAWN)
def test_every_picture_asks_for_alt_text(name: str) -> None:
    with pytest.raises(TypeError, match="alt"):
        DRAWN[name]()
    with pytest.raises(ValueError, match=r"^expected alt text, got an empty one"):
        DRAWN[name](alt="  ")
    _, metadata = DRAWN[name](alt="three answers")._repr_mimebundle_()
    assert metadata["image/png"]["alt"] == "three answers"


@pytest.mark.parametrize("name", ["pictures", "flow", "curves"])
def test_axes_say_what_they_measure(name: str) -> None:
    axes = [axes for axes in DRAWN[name](alt="x").figure.axes if axes.axison]
    assert axes
    assert all(one.get_xlabel() or one.get_ylabel() for one in axes)


@pytest.mark.parametrize(("name", "words"), {"planes": "5 mm", "pictures to scale": "10 mm", "strip": "0.48 s"}.items())
def test_scale_and_time_are_named(name: str, words: str) -> None:
    assert words in [text.get_text() for text in texts(DRAWN[name](alt="x").figure)]


def test_a_scale_bar_is_as_long_as_it_says() -> None:
    axes = DRAWN["pictures to scale"](alt="x").figure.axes[0]
    (bar,) = axes.lines
    assert np.ptp(bar.get_xdata()) * 60 * 0.7 == pytest.approx(10)


def test_a_thick_slice_looks_thick() -> None:
    figure = DRAWN["planes"](alt="x").figure
    figure.draw_without_rendering()
    sides = [(place.width, place.height) for place in (axes.get_window_extent() for axes in figure.axes)]
    wanted = [(60 * 0.7, 40 * 0.7), (60 * 0.7, 12 * 5.0), (40 * 0.7, 12 * 5.0)]
    for (wide, tall), (millimetres_wide, millimetres_tall) in zip(sides, wanted):
        assert wide / tall == pytest.approx(millimetres_wide / millimetres_tall, rel=0.03)


def test_the_crosshair_is_in_the_middle_of_the_voxel_that_was_asked_for() -> None:
    figure = figures.planes(torch.rand(12, 40, 60), spacing_mm=(5.0, 0.7, 0.7), at=(-1, 10, 20), alt="x").figure
    lines = [[float(np.mean(line.get_data()[k])) for k, line in zip((1, 0), axes.lines)] for axes in figure.axes]
    assert lines == [[10.5, 20.5], [11.5, 20.5], [11.5, 10.5]]


def test_the_head_is_up() -> None:
    figure = DRAWN["planes"](alt="x").figure
    assert [axes.yaxis_inverted() for axes in figure.axes] == [True, False, False]


@pytest.fixture
def browsed(monkeypatch: pytest.MonkeyPatch) -> tuple[Figure, dict[str, Widget]]:
    """The figure under the sliders of ``browse``, and those by name."""
    kept: list[Any] = []
    whole = drawing.interactive

    def spied(figure: Figure, update: Callable[..., str], **sliders: Widget) -> VBox:
        kept.extend((figure, sliders))
        return whole(figure, update, **sliders)

    monkeypatch.setattr(images, "interactive", spied)
    kept.append(figures.browse(HU, spacing_mm=(5.0, 0.7, 0.7), labels=CUBE[0], low=-1000, high=400, unit="HU"))
    return kept[0], kept[1] | {"picture": kept[2].children[-1]}


def test_browsing_moves_the_crosshair_of_all_three_slices(browsed: tuple[Figure, dict[str, Widget]]) -> None:
    figure, sliders = browsed
    for name, index in {"axial": 5, "coronal": 11, "sagittal": 22}.items():
        sliders[name].value = index
    lines = [[float(np.mean(line.get_data()[k])) for k, line in zip((1, 0), axes.lines)] for axes in figure.axes]
    assert lines == [[11.5, 22.5], [5.5, 22.5], [5.5, 11.5]]
    for axes, cut in zip(figure.axes, (HU[5], HU[:, 11], HU[:, :, 22])):
        assert np.array_equal(axes.images[0].get_array(), cut)
    assert f"at the crosshair {HU[5, 11, 22]:.4g} HU, label 1" in sliders["picture"].value
    assert "voxel [5, 11, 22] of [12, 40, 60]" in sliders["picture"].value


def test_browsing_keeps_the_slices_to_scale(browsed: tuple[Figure, dict[str, Widget]]) -> None:
    assert [axes.get_aspect() for axes in browsed[0].axes] == pytest.approx([1, 5 / 0.7, 5 / 0.7])


def test_level_and_width_are_the_window(browsed: tuple[Figure, dict[str, Widget]]) -> None:
    figure, sliders = browsed
    assert [axes.images[0].get_clim() for axes in figure.axes] == [(-1000, 400)] * 3
    sliders["level"].value, sliders["width"].value = 40, 400
    assert [axes.images[0].get_clim() for axes in figure.axes] == [(-160, 240)] * 3
    assert "black -160, white 240 HU" in sliders["picture"].value


def test_the_overlay_lies_where_its_labels_are_and_can_be_lifted(browsed: tuple[Figure, dict[str, Widget]]) -> None:
    figure, sliders = browsed
    sliders["axial"].value, sliders["coronal"].value = 5, 11
    painted = figure.axes[0].images[1]
    assert painted.get_extent() == [0, 60, 40, 0]
    assert np.array_equal(painted.to_rgba(painted.get_array())[..., 3] > 0, CUBE[0, 5])
    sliders["axial"].value = 0  # without a label
    assert [axes.images[1].get_visible() for axes in figure.axes] == [False, True, True]
    sliders["overlay"].value = False
    assert not any(axes.images[1].get_visible() for axes in figure.axes)


def test_browsing_asks_for_labels_of_the_same_shape(refuses: Callable[..., None]) -> None:
    refuses(
        r"labels of shape \(12, 40, 60\), got \(11", figures.browse, HU, spacing_mm=(1.0, 1.0, 1.0), labels=CUBE[0, 1:]
    )
    assert len(figures.browse(HU, spacing_mm=(1.0, 1.0, 1.0)).children) == 3  # and goes without


def test_outlines_close_at_the_edge_and_go_round_each_mask() -> None:
    panel = Panel(IMAGE, [Outlines(MASKS[2:], "corner")])
    (lines,) = figures.pictures([panel], alt="x").figure.axes[0].findobj(ContourSet)
    path = np.concatenate([path.vertices for path in lines.get_paths()])
    assert path.min(0) == pytest.approx([50, 30], abs=0.01)
    assert path.max(0) == pytest.approx([60, 40], abs=0.01)


def test_outlines_of_many_small_masks_keep_no_whole_image_each() -> None:
    masks = torch.zeros(40, 512, 512, dtype=torch.bool)
    for k, mask in enumerate(masks):
        mask[10 * k : 10 * k + 8, 5:25] = True
    axes = Figure().subplots()
    tracemalloc.start()
    Outlines(masks).draw(axes)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < masks.nbytes  # a float64 of every pixel, its x and its y are 24 bytes a pixel and mask


def test_neighbours_of_one_colour_are_told_apart_by_their_rims() -> None:
    figure = figures.pictures([Panel(IMAGE, [Areas(LABELS, colours=(ORANGE,))])], alt="x").figure
    painted = np.asarray(figure.axes[0].images[1].get_array())
    assert painted[7, 7, 3] == pytest.approx(0.4)
    assert (painted[14:16, 10, 3] == 1).all()
    assert painted[14, 10, :3] == pytest.approx(to_rgb(ORANGE))
    assert painted[0, 0, 3] == 0


def test_colour_is_never_the_only_mark() -> None:
    figure = DRAWN["curves"](alt="x").figure
    looks = [(line.get_color(), line.get_linestyle(), line.get_marker()) for line in figure.axes[0].lines]
    assert all(len(set(look)) == len(looks) for look in zip(*looks))
    pairs = [(drawing.LINES[c], drawing.MARKERS[c]) for c in drawing.LINES]
    assert len(set(pairs)) == len(pairs)


def test_the_components_share_a_scale_about_zero() -> None:
    images = [axes.images[0] for axes in DRAWN["flow"](alt="x").figure.axes[2:4]]
    assert [image.get_clim() for image in images] == [(-3.0, 3.0)] * 2


def test_effects_are_filled_where_the_interval_leaves_out_zero() -> None:
    record = claims.load("second_stage")
    axes = DRAWN["effects"](alt="x").figure.axes[0]
    filled = [line.get_markerfacecolor() != "white" for line in axes.lines if line.get_marker() == "o"]
    assert filled == [e["low"] > 0 or e["high"] < 0 for e in record["effects"]]
    assert True in filled
    assert False in filled


def test_a_record_in_words_holds_every_arm_and_every_verdict() -> None:
    for name in claims.names():
        record = claims.load(name)
        words = figures.record_table(record)
        lines = words.splitlines()
        assert all(
            any(line.startswith(arm) for line in lines) for arm in record["scores"][0][record["effects"][0]["measure"]]
        )
        verdicts = [line.rsplit("  ", 1)[1] for line in lines[-len(record["effects"]) :]]
        signs = ["better" if e["low"] > 0 else "worse" if e["high"] < 0 else "not shown" for e in record["effects"]]
        assert verdicts == signs


def test_bad_input_is_one_sentence(refuses: Callable[..., None]) -> None:
    refuses("at least one image, got none", figures.pictures, [], alt="x")
    refuses(r"\(3, H, W\), got \(2, 4, 4\)", figures.pictures, [torch.zeros(2, 4, 4)], alt="x")
    refuses("1 to 6 curves, got 7", figures.curves, {str(k): Curve(X, X) for k in range(7)}, x="x", y="y", alt="x")
    refuses(
        "measures of second_stage, got .'AP10'.*AP50",
        figures.effects,
        claims.load("second_stage"),
        alt="x",
        measures=["AP10"],
    )
    with pytest.raises(IndexError, match="a voxel"):
        figures.planes(torch.zeros(2, 3, 4), spacing_mm=(1, 1, 1), at=(2, 0, 0), alt="x")
