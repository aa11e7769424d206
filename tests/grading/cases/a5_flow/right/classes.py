# Classes and helpers; the functions asked for are methods, a partial, and objects that can be called.

# %% gradients
import colorsys
from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True)
class Frame:
    """A frame that goes on beyond its edge."""

    values: torch.Tensor

    @classmethod
    def of(cls, frame):
        return cls(frame.to(torch.float64))

    def __add__(self, other):
        return Frame(self.values + other.values)

    def at(self, rows, columns):
        height, width = self.values.shape
        return self.values[rows.clamp(0, height - 1)[:, None], columns.clamp(0, width - 1)]

    def slope(self, axis):
        rows, columns = (torch.arange(n) for n in self.values.shape)
        dy, dx = int(axis == 0), int(axis == 1)
        return (self.at(rows + dy, columns + dx) - self.at(rows - dy, columns - dx)) / 2

    @staticmethod
    def gradients(first, second):
        first, second = Frame.of(first), Frame.of(second)
        both = first + second
        return [both.slope(0) / 2, both.slope(1) / 2, second.values - first.values]


gradients = Frame.gradients


# %% warp
class Reader:
    def __init__(self, image):
        self.image, self.ends = image.float(), [n - 1 for n in image.shape]

    def read(self, *place):
        (y, a), (x, b) = (self.split(p, end) for p, end in zip(place, self.ends))
        corners = self.image[y : y + 2, x : x + 2]
        near_y, near_x = torch.tensor([1 - a, a])[: len(corners)], torch.tensor([1 - b, b])[: corners.shape[1]]
        return near_y @ corners @ near_x

    @staticmethod
    def split(place, end):
        inside = float(min(max(place, 0), end))
        return int(inside), inside - int(inside)


def warp(image, flow):
    reader, (rows, columns) = Reader(image), image.shape
    return [
        [reader.read(i + float(flow[0, i, j]), j + float(flow[1, i, j])) for j in range(columns)] for i in range(rows)
    ]


# %% lucas_kanade
@dataclass
class Window:
    g: torch.Tensor

    def turned(self, e):
        """The window's slopes along a direction, and their sum of squares."""
        slope = e[0] * self.g[0] + e[1] * self.g[1]
        return slope, float((slope**2).sum())

    def directions(self):
        gy, gx = self.g[0], self.g[1]
        angle = 0.5 * math.atan2(2 * float((gy * gx).sum()), float((gy**2 - gx**2).sum()))
        yield math.cos(angle), math.sin(angle)
        yield -math.sin(angle), math.cos(angle)

    def motion(self, smallest):
        total = [0.0, 0.0]
        for e in self.directions():
            slope, energy = self.turned(e)
            if energy > smallest:
                speed = -float((slope * self.g[2]).sum()) / energy
                total = [t + speed * part for t, part in zip(total, e)]
        return total


def lucas_kanade(g, smallest):
    return Window(g.double()).motion(smallest)


# %% horn_schunck_step
class Step:
    """Shifted copies, then the correction."""

    @staticmethod
    def shift(u, axis, by):
        n = u.shape[axis]
        return u.index_select(axis, (torch.arange(n) + by).clamp(0, n - 1))

    def __call__(self, flow, g, smoothness):
        bar = sum(self.shift(flow, axis, by) for axis in (1, 2) for by in (-1, 1)) / 4
        slope, change = g[:2], g[2]
        return bar - slope * (((slope * bar).sum(0) + change) / (smoothness**2 + slope.square().sum(0)))


horn_schunck_step = Step()


# %% end_point_error
def _score(measure, truth, flow, known):
    pairs = zip(truth.movedim(0, -1)[known], flow.movedim(0, -1)[known])
    errors = [measure(t - f) for t, f in pairs]
    return torch.stack(errors).mean() if errors else float("nan")


end_point_error = partial(_score, torch.linalg.vector_norm)


# %% flow_colours
class Palette:
    def __init__(self, largest):
        self.largest = largest

    def paint(self, dy, dx):
        if dy != dy or dx != dx:
            return 0.0, 0.0, 0.0
        hue = math.atan2(dy, dx) / (2 * math.pi) % 1.0
        return colorsys.hsv_to_rgb(hue, min(1.0, math.hypot(dy, dx) / self.largest), 1.0)


def flow_colours(flow, largest):
    palette = Palette(largest)
    rows = [[palette.paint(*flow[:, i, j].tolist()) for j in range(flow.shape[2])] for i in range(flow.shape[1])]
    return torch.tensor(rows).permute(2, 0, 1)
