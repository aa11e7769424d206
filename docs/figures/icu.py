"""docs/images/data_icu.png: three simulated rooms, what happens in them, and when."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Patch

from coursekit.data import icu

OUT = Path(__file__).parents[1] / "images" / "data_icu.png"
ROWS = ((2, 0), (0, 3), (4, 1))  # room, activity shown
COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#E69F00")  # safe for the colour-blind


def frames(video: icu.Video, activity: int, fps: float) -> list[int]:
    """Five moments: just before the first event of that activity, three within it, just after."""
    start, end = video.of(activity)[0].tolist()
    return [round(t * fps) for t in (start - 1, *np.linspace(start, end, 5)[1:-1], end + 1)]


def timeline(axis: plt.Axes, video: icu.Video, fps: float, number: int) -> None:
    for (start, end), kind in zip(video.events.tolist(), video.classes.tolist()):
        axis.axvspan(start, end, color=COLOURS[kind], alpha=0.9)
    axis.step(np.arange(len(video.people)) / fps, video.people, color="black", where="post", linewidth=1)
    axis.set(
        xlim=(0, len(video.people) / fps),
        ylim=(0, 5.2),
        yticks=range(6),
        xlabel="time in seconds",
        ylabel="people seen",
    )
    keys = [Patch(color=colour, label=name) for colour, name in zip(COLOURS, icu.ACTIVITIES)]
    axis.legend(handles=keys, ncols=4, fontsize=7, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    axis.set_title(f"the whole of room {number}", loc="left", fontsize=8)


def main() -> None:
    rooms = icu.rooms(split="train", count=6)
    figure = plt.figure(figsize=(9, 6.3), layout="constrained")
    grid = figure.add_gridspec(4, 5, height_ratios=[1, 1, 1, 0.8])
    for row, (number, activity) in enumerate(ROWS):
        video = rooms[number]
        for column, frame in enumerate(frames(video, activity, rooms.fps)):
            axis = figure.add_subplot(grid[row, column])
            depth = np.ma.masked_equal(video.depth[0, frame].numpy(), 0)
            shown = axis.imshow(depth, cmap=plt.get_cmap("viridis_r", 40).with_extremes(bad="black"), vmin=1, vmax=6)
            now = [icu.ACTIVITIES[k] for k in video.targets[frame].nonzero().flatten().tolist()]
            axis.set_title(f"{frame / rooms.fps:.1f} s: {now[0] if now else 'no event'}", fontsize=8)
            axis.set(xticks=[], yticks=[])
            if column == 0:
                axis.set_ylabel(f"room {number}", fontsize=8)
    figure.colorbar(shown, ax=figure.axes, label="depth in metres (black: missing)", shrink=0.6)
    timeline(figure.add_subplot(grid[3, :]), rooms[ROWS[0][0]], rooms.fps, ROWS[0][0])
    figure.suptitle("Simulated rooms of an intensive care unit, 48 × 64 pixels, 2 frames a second", fontsize=10)
    figure.savefig(OUT, dpi=95)


if __name__ == "__main__":
    main()
