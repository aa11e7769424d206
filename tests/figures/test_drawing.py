"""Figures carry alt text; sliders change the picture."""

import ipywidgets
import matplotlib.pyplot as plt
import pytest

from coursekit.figures import drawing as figure


def test_show_puts_the_alt_text_beside_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    monkeypatch.setattr(figure, "display", shown.append)
    plt.close("all")  # what an earlier test left open is not this one's
    figure.show(plt.figure(), alt="nothing yet")
    data, metadata = shown[0]._repr_mimebundle_()  # type: ignore[attr-defined]
    assert metadata["image/png"]["alt"] == "nothing yet"
    assert "image/png" in data
    assert not plt.get_fignums()
    with pytest.raises(ValueError, match="alt text"):
        figure.show(plt.figure(), alt=" ")
    plt.close("all")


def test_moving_a_slider_redraws_and_says_so() -> None:
    drawing, axes = plt.subplots()
    (line,) = axes.plot([0, 1], [0, 1])

    def update(height: float) -> str:
        line.set_ydata([0, height])
        return f'a line to "{height}"'

    slider = ipywidgets.FloatSlider(1.0, min=0, max=1)
    box = figure.interactive(drawing, update, height=slider)
    before = box.children[-1].value
    slider.value = 0.5
    after = box.children[-1].value
    assert before != after
    assert "a line to &quot;0.5&quot;" in after


def test_what_is_laid_out_fits() -> None:
    drawing, axes = plt.subplots(1, 3, figsize=(9, 3.1), layout="constrained")
    for place in axes:
        place.imshow([[0.0] * 32] * 30)
        place.set(xlabel="x (pixels)", ylabel="y (pixels)")
    for place in axes[1:]:
        place.set(title="narrow", xticks=[], yticks=[], box_aspect=1)
    figure.interactive(
        drawing, lambda height: f"a height of {height}", height=ipywidgets.FloatSlider(1.0, min=0, max=1)
    )
    assert all(place.xaxis.label.get_window_extent().y0 > -1 for place in axes)
