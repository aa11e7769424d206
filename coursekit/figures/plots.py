"""Curves with intervals, and what a claim's record says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import ArrayLike

from .. import _check
from .drawing import BLUE, GREEN, LINES, MARKERS, ORANGE, PURPLE, SKY, VERMILLION, Picture

ORDER = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY)


@dataclass(frozen=True, eq=False)
class Curve:
    """``y`` over ``x``; ``low`` and ``high``, if given, bound its interval."""

    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None


def curves(lines: Mapping[str, Curve], *, x: str, y: str, alt: str, title: str = "", x_log: bool = False) -> Picture:
    """Curves by name in one plot, each with a colour, a line and a marker of its own, and its interval as a band.

    ``x`` and ``y`` name the axes with their units. ValueError for more than six curves: no reader tells them apart.
    """
    if not 0 < len(lines) <= len(ORDER):
        raise _check.refuse(f"1 to {len(ORDER)} curves", len(lines), "draw them in several plots")
    figure, axes = plt.subplots(figsize=(7.0, 3.8), layout="constrained")
    for colour, (name, curve) in zip(ORDER, lines.items()):
        along, values = np.asarray(curve.x, float), np.asarray(curve.y, float)
        marker = MARKERS[colour] if len(along) <= 30 else ""
        axes.plot(along, values, color=colour, ls=LINES[colour], marker=marker, label=name)
        if curve.low is not None and curve.high is not None:
            low, high = np.asarray(curve.low, float), np.asarray(curve.high, float)
            axes.fill_between(along, low, high, color=colour, alpha=0.2, lw=0)
    axes.set(xlabel=x, ylabel=y, title=title)
    if x_log:
        axes.set_xscale("log")
    axes.legend(frameon=False)
    return Picture(figure, alt=alt)


def effects(record: Mapping[str, Any], *, alt: str, measures: Sequence[str] | None = None) -> Picture:
    """A record's paired differences with their intervals, a row each, filled where the interval leaves out zero.

    ``measures`` picks those shown, by default all. ``record`` is what ``claims.load`` gives.
    """
    rows = [e for e in record["effects"] if measures is None or e["measure"] in measures]
    if not rows:
        known = ", ".join(sorted({e["measure"] for e in record["effects"]}))
        raise _check.refuse(f"measures of {record['name']}", measures, f"take some of {known}")
    figure, axes = plt.subplots(figsize=(9.5, 0.34 * len(rows) + 1.1), layout="constrained")
    for k, e in enumerate(rows):
        apart = e["low"] > 0 or e["high"] < 0
        look: dict[str, Any] = {"fmt": "o", "capsize": 4, "color": BLUE, "mfc": BLUE if apart else "white"}
        axes.errorbar(e["effect"], k, xerr=[[e["effect"] - e["low"]], [e["high"] - e["effect"]]], **look)
    axes.axvline(0, color="black", lw=0.8)
    axes.set(yticks=range(len(rows)), yticklabels=[f"{e['measure']}: {e['better']} minus {e['worse']}" for e in rows])
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel="difference; 95 % t interval over seeds, paired")
    figure.suptitle(f"{record['name']}, {record['seeds']} seeds; filled: the interval leaves out 0", fontsize=10)
    return Picture(figure, alt=alt)


def record_table(record: Mapping[str, Any]) -> str:
    """A record in words: what it took, the mean of every arm on every measure, the differences with their verdicts.

    "better" and "worse" need an interval (paired over seeds, 95 %, Student's t) that leaves out zero; anything else is
    "not shown", which is not the same as no effect.
    """
    scores = record["scores"]
    packages = [(name, number) for name, number in record["versions"].items() if name in ("torch", "coursekit")]
    versions = " and ".join(f"{name} {number}" for name, number in packages)
    lines = [f"{record['seeds']} seeds, {record['cpu_s_total']:.0f} CPU s, made {record['made']} with {versions}"]
    base = record["baseline"]
    lines += [f"best without learning: {base['arm']}, {base['measure']} {base['mean']:.2f}", ""]
    measures = list(scores[0])
    arms = list(dict.fromkeys(arm for measure in measures for arm in scores[0][measure]))
    wide, narrow = max(map(len, [*arms, "mean over seeds"])), max(map(len, [*measures, "-0.00"]))
    lines.append("mean over seeds".ljust(wide) + "".join(f"  {measure:>{narrow}}" for measure in measures))
    for arm in arms:
        means = [[seed[measure][arm] for seed in scores if arm in seed[measure]] for measure in measures]
        cells = [f"{sum(mean) / len(mean):.2f}" if mean else "" for mean in means]
        lines.append(arm.ljust(wide) + "".join(f"  {cell:>{narrow}}" for cell in cells))
    lines.append("")
    names = [f"{e['measure']}: {e['better']} minus {e['worse']}" for e in record["effects"]]
    for name, e in zip(names, record["effects"]):
        verdict = "better" if e["low"] > 0 else "worse" if e["high"] < 0 else "not shown"
        interval = f"{e['effect']:+.2f} [{e['low']:+.2f}, {e['high']:+.2f}]"
        lines.append(f"{name.ljust(max(map(len, names)))}  {interval}  {verdict}")
    return "\n".join(lines)
