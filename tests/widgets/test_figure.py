"""Figures carry alt text; sliders change the picture."""

import ipywidgets
import matplotlib.pyplot as plt
import pytest

from coursekit.widgets import figure


def test_show_puts_the_alt_text_beside_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    monkeypatch.setattr(figure, "display", shown.append)
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
