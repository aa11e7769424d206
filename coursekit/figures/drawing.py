"""What every figure shares: colours that all readers tell apart, alt text, and sliders."""

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
# Colour is never the only mark: each has a line and a marker of its own.
LINES = dict(zip((ORANGE, GREEN, SKY, VERMILLION, PURPLE, BLUE, YELLOW, BLACK), ("-", "--", ":", "-.") * 2))
MARKERS = dict(zip((BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, YELLOW, BLACK), "os^Dv<>P"))


class Picture(Image):  # type: ignore[misc]
    """A finished figure as PNG with its alt text, shown by a notebook as the value of a cell.

    ``figure`` is Matplotlib's, closed: it can still be looked at and saved, and is not drawn a second time.
    Raises ValueError for an empty ``alt``, which is to say what a reader who cannot see it should know.
    """

    def __init__(self, figure: Figure, *, alt: str) -> None:
        plt.close(figure)
        if not alt.strip():
            raise ValueError("expected alt text, got an empty one: say in a sentence what the figure shows")
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=110, bbox_inches="tight")
        super().__init__(data=png.getvalue(), format="png", metadata={"alt": alt})  # Colab's IPython 7 knows no alt=
        self.figure, self.alt = figure, alt


def show(figure: Figure, *, alt: str) -> None:
    """Show a finished figure with its alt text, and close it."""
    display(Picture(figure, alt=alt))


def interactive(figure: Figure, update: Callable[..., str], **sliders: ipywidgets.Widget) -> ipywidgets.VBox:
    """Sliders over one figure. ``update(**values)`` changes its artists and returns the alt text of what is seen.

    Artists are changed rather than made anew, and drawn once: ``savefig`` would draw twice and take twice as long.
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
