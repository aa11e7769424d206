"""Figures with alt text, and figures with sliders."""

import base64
import html
import io
from collections.abc import Callable

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image, display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL.Image import fromarray

# Okabe–Ito: told apart by readers of every kind of colour vision.
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, YELLOW, BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000",
)  # fmt: skip


def show(figure: Figure, *, alt: str) -> None:
    """Show a finished figure with its alt text, and close it. ``alt`` says what a reader who cannot see it should know."""
    if not alt.strip():
        raise ValueError("expected alt text, got an empty one: say in a sentence what the figure shows")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    display(Image(data=buffer.getvalue(), format="png", alt=alt))
    plt.close(figure)


def interactive(figure: Figure, update: Callable[..., str], **sliders: ipywidgets.Widget) -> ipywidgets.VBox:
    """Sliders over one figure. ``update(**values)`` changes the figure's artists and returns the alt text of what is
    seen now.

    Artists are changed rather than made anew, and drawn once: ``savefig`` would draw twice and compress harder, and
    take twice as long.
    """
    picture, canvas = ipywidgets.HTML(), FigureCanvasAgg(figure)
    figure.set_dpi(72)

    def redraw(_: object = None) -> None:
        alt = html.escape(update(**{name: slider.value for name, slider in sliders.items()}), quote=True)
        canvas.draw()
        buffer = io.BytesIO()
        fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).save(buffer, "png", compress_level=1)
        data = base64.b64encode(buffer.getvalue()).decode()
        picture.value = f'<img alt="{alt}" src="data:image/png;base64,{data}">'

    for slider in sliders.values():
        slider.observe(redraw, "value")
    redraw()  # lays out, roughly
    redraw()  # and well: pictures of fixed shape take two turns
    figure.set_layout_engine("none")  # again at every move would take a third of the time
    plt.close(figure)
    return ipywidgets.VBox([*sliders.values(), picture])
