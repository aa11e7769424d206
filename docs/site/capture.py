"""Inside a notebook's kernel: every picture and table under sliders, as it is at some of their values."""

import base64
import io
import itertools
import json
import math
import re
from collections.abc import Callable

import ipywidgets
from PIL import Image

from coursekit import figures
from coursekit.figures import drawing, images

MOST_FRAMES = 40
MOST_BYTES = 280_000
captured: dict[str, dict] = {}
cell = ""  # the id of the cell that runs


def watch() -> None:
    """From now on, what ``figures.interactive`` is given, and a table shown under choices, is also drawn beforehand."""
    plain, shown = drawing.interactive, ipywidgets.VBox._repr_mimebundle_

    def interactive(figure: object, update: Callable[..., str], **sliders: ipywidgets.Widget) -> ipywidgets.VBox:
        box = plain(figure, update, **sliders)
        captured[cell] = drawn(sliders, box.children[-1])
        return box

    def show(box: ipywidgets.VBox, **options: object) -> object:
        *choices, table = box.children
        if cell not in captured and isinstance(table, ipywidgets.HTML):
            captured[cell] = drawn({choice.description: choice for choice in choices}, table)
        return shown(box, **options)

    drawing.interactive = images.interactive = figures.interactive = interactive
    ipywidgets.VBox._repr_mimebundle_ = show


def told() -> None:
    """Print all that was captured."""
    print(json.dumps(captured))


def drawn(named: dict[str, ipywidgets.Widget], below: ipywidgets.HTML) -> dict:
    """All combinations of a few values each, or one slider after the other where those are too many."""
    sliders = list(named.values())
    starts = [slider.value for slider in sliders]
    most = max(3, int(MOST_FRAMES ** (1 / len(sliders)))) if len(sliders) < 3 else MOST_FRAMES // len(sliders)
    ladders = [values_of(slider, most) for slider in sliders]
    begin = tuple(ladder.index(start) for ladder, start in zip(ladders, starts))
    places = list(itertools.product(*(range(len(ladder)) for ladder in ladders)))
    if len(places) > MOST_FRAMES:
        places = [place for place in places if sum(a != b for a, b in zip(place, begin)) <= 1]
    shots = {place: shot(sliders, ladders, place, below) for place in places}
    for slider, start in zip(sliders, starts):
        slider.value = start
    names = [slider.description or name for name, slider in named.items()]
    rows = [{"name": n, "values": list(map(label, v)), "start": b} for n, v, b in zip(names, ladders, begin)]
    return {"sliders": rows, "frames": {",".join(map(str, place)): frame for place, frame in packed(shots).items()}}


def label(value: object) -> str:
    """A value as a reader sees it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def values_of(slider: ipywidgets.Widget, most: int) -> list:
    """At most ``most`` values of a slider, evenly over its range, the one it begins with among them."""
    if hasattr(slider, "options"):
        return [value for _, value in slider._options_full]
    if isinstance(slider.value, bool):
        return [False, True]
    count = round((slider.max - slider.min) / slider.step)
    every = max(1, math.ceil((count + 1) / most))
    begin = round((slider.value - slider.min) / slider.step)
    steps = sorted({*range(begin % every, count + 1, every), 0, count})
    return [slider.value if step == begin else type(slider.value)(slider.min + step * slider.step) for step in steps]


def shot(sliders: list[ipywidgets.Widget], ladders: list[list], place: tuple, below: ipywidgets.HTML) -> tuple:
    """The picture and its alt text at one place, or the table."""
    for slider, ladder, step in zip(sliders, ladders, place):
        slider.value = ladder[step]
    picture = re.search(r'alt="([^"]*)" src="data:image/png;base64,([^"]*)"', below.value)
    if not picture:
        return (below.value,)
    alt, data = picture.groups()
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), alt


def packed(shots: dict[tuple, tuple]) -> dict[tuple, list[str]]:
    """Pictures as WebP, at the largest size and best quality at which all of them fit; tables as they are."""
    if all(len(table) == 1 for table in shots.values()):
        return {place: list(table) for place, table in shots.items()}
    for scale, quality in itertools.product((1.0, 0.8, 0.6, 0.4), (85, 70, 55, 40)):
        frames = {}
        for place, (image, alt) in shots.items():
            small = image.resize((round(image.width * scale), round(image.height * scale)))
            small.save(buffer := io.BytesIO(), "webp", quality=quality, method=6)
            frames[place] = ["data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode(), alt]
        if sum(len(frame[0]) + len(frame[1]) for frame in frames.values()) < MOST_BYTES:
            break
    return frames
