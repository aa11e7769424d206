"""Figures with alt text, and figures with sliders."""

import base64
import html
import io
from collections.abc import Callable

import ipywidgets
import matplotlib.pyplot as plt
from IPython.display import Image, display
from matplotlib.figure import Figure

# Okabe–Ito: told apart by readers of every kind of colour vision.
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, YELLOW, BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000",
)  # fmt: skip


def png(figure: Figure, *, dpi: int = 96) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def show(figure: Figure, *, alt: str) -> None:
    """Show a finished figure with its alt text, and close it. ``alt`` says what a reader who cannot see it should know."""
    if not alt.strip():
        raise ValueError("expected alt text, got an empty one: say in a sentence what the figure shows")
    display(Image(data=png(figure, dpi=110), format="png", alt=alt))
    plt.close(figure)


def interactive(figure: Figure, update: Callable[..., str], **sliders: ipywidgets.Widget) -> ipywidgets.VBox:
    """Sliders over one figure. ``update(**values)`` changes the figure's artists and returns the alt text of what is seen now.

    Artists are changed rather than drawn anew, which keeps a move well under 100 ms.
    """
    picture = ipywidgets.HTML()

    def redraw(_: object = None) -> None:
        alt = html.escape(update(**{name: slider.value for name, slider in sliders.items()}), quote=True)
        data = base64.b64encode(png(figure, dpi=72)).decode()
        picture.value = f'<img alt="{alt}" src="data:image/png;base64,{data}">'
        figure.set_layout_engine("none")  # laid out once: again at every move would take a third of the time

    for slider in sliders.values():
        slider.observe(redraw, "value")
    redraw()
    plt.close(figure)
    return ipywidgets.VBox([*sliders.values(), picture])
