"""The two curves of growth as a picture: docs/growth.svg.

Owns: how they are drawn. The same numbers give the same bytes. Must not know: how they were measured.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from scripts.dev.bench.service import BenchFailed

_STYLE: Final = {
    "svg.hashsalt": "storepulse",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
_OURS: Final = "#1f6f8b"
_OTHER: Final = "#c8553d"


@dataclass(slots=True)
class Curve:
    """Several measurements at each point."""

    x: list[int] = field(default_factory=list)
    y: list[Sequence[float]] = field(default_factory=list)

    def add(self, x: int, y: Sequence[float]) -> None:
        """One more point."""
        self.x.append(x)
        self.y.append(y)

    def medians(self) -> list[float]:
        """One value a point."""
        return [median(values) for values in self.y]


def draw(path: Path, reports: Curve, by_stores: Curve, by_days: Curve) -> None:
    """Report time over stores; cost of a live poll over stores and over days. Raises BenchFailed."""
    try:
        matplotlib: Any = importlib.import_module("matplotlib")
        figure_module: Any = importlib.import_module("matplotlib.figure")
    except ModuleNotFoundError as error:
        raise BenchFailed(f"{error.name} is not installed; requirements-bench.lock has it") from error
    with matplotlib.rc_context(_STYLE):
        figure = figure_module.Figure(figsize=(9, 3), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        _draw_reports(left, reports)
        _draw_costs(middle, by_stores, "stores, 1 day of polls each", "log")
        _draw_costs(right, by_days, "days of hourly polls a store", "linear")
        right.set_xticks(by_days.x)
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _draw_reports(axes: Any, curve: Curve) -> None:
    took = curve.medians()
    axes.plot(curve.x, took, "o-", color=_OURS, label="measured")
    a_store = took[-1] / curve.x[-1]
    axes.plot(curve.x, [a_store * stores for stores in curve.x], "--", color=_OTHER, label="in proportion")
    axes.set(xscale="log", yscale="log", xlabel="stores", ylabel="seconds", title="A report")
    axes.legend()


def _draw_costs(axes: Any, curve: Curve, xlabel: str, xscale: str) -> None:
    costs = curve.medians()
    axes.plot(curve.x, costs, "o-", color=_OURS)
    axes.set(xscale=xscale, xlabel=xlabel, ylabel="worker's processor time, µs", title="A live poll")
    axes.set_ylim(0, 1.3 * max(costs))
