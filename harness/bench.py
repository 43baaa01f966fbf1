#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What bench.sh measured, as a table, and as a plot.

in:   a folder with CELL.tsv (cell, side, operation, unit, n, min, median, max) and
      CELL.size (what bloat-o-meter printed), and the cells wanted
out:  bench.md and bench.svg in that folder, and the table on stdout
exit: 0; 1 with one line when something that was asked for is not there

The difference is that of the medians. It is marked when it is more than what the
repetitions of one kernel differ by, from the least to the median, on both sides:
the rest says nothing.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROW = 16
LABEL = 240
HALF = 220


@dataclass
class Figure:
    unit: str
    least: float
    median: float


@dataclass
class Line:
    cell: str
    operation: str
    base: Figure
    series: Figure

    @property
    def difference(self) -> float:
        return self.series.median - self.base.median

    @property
    def ratio(self) -> float:
        return self.series.median / self.base.median

    @property
    def spread(self) -> float:
        return max(side.median - side.least for side in (self.base, self.series))

    @property
    def is_more_than_noise(self) -> bool:
        return abs(self.difference) > self.spread


class Missing(Exception):
    """Something was not measured."""


def read_cell(folder: Path, cell: str) -> list[Line]:
    path = folder / f"{cell}.tsv"
    if not path.is_file():
        raise Missing(f"{cell} was not measured: run make bench CELLS={cell}")
    sides: dict[tuple[str, str], Figure] = {}
    for row in path.read_text().splitlines():
        _, side, operation, unit, _, least, median, _ = row.split("\t")
        sides[operation, side] = Figure(unit, float(least), float(median))
    return [Line(cell, operation, figure, sides[operation, "series"])
            for (operation, side), figure in sides.items()
            if side == "base" and (operation, "series") in sides]


def size(folder: Path, cell: str) -> tuple[int, int, int]:
    """Bytes before, after, and their difference: bloat-o-meter's last line."""
    path = folder / f"{cell}.size"
    if not path.is_file():
        raise Missing(f"{cell}: no {path.name}: run make bench CELLS={cell}")
    words = path.read_text().split("Total: ")[-1].replace(",", "").split()
    before, after = (int(word.partition("=")[2]) for word in words[:2])
    return before, after, after - before


def table(lines: list[Line]) -> str:
    out = ["| cell | operation | per | base | series | difference | ratio | spread |",
           "|---|---|---|--:|--:|--:|--:|--:|"]
    for line in lines:
        mark = "**" if line.is_more_than_noise else ""
        out.append(f"| {line.cell} | {line.operation} | {line.base.unit} "
                   f"| {line.base.median:.1f} | {line.series.median:.1f} "
                   f"| {mark}{line.difference:+.1f}{mark} | {line.ratio:.4f} "
                   f"| {line.spread:.1f} |")
    return "\n".join(out) + "\n"


def size_table(sizes: dict[str, tuple[int, int, int]]) -> str:
    out = ["| cell | base, bytes | series, bytes | difference |",
           "|---|--:|--:|--:|"]
    out += [f"| {cell} | {before} | {after} | {difference:+d} |"
            for cell, (before, after, difference) in sizes.items()]
    return "\n".join(out) + "\n"


def plot(lines: list[Line]) -> str:
    """A bar for each line, in per cent of the base: left is less."""
    most = max([abs(line.ratio - 1) for line in lines] + [0.005])
    height = (len(lines) + 2) * ROW
    width = LABEL + 2 * HALF + 80
    middle = LABEL + HALF
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
           f'font-family="sans-serif" font-size="11" role="img">',
           "<title>Instructions an operation, series against base</title>",
           f'<rect width="{width}" height="{height}" fill="#fff"/>',
           f'<path d="M{middle} {ROW}V{height - ROW}" stroke="#888"/>']
    for i, line in enumerate(lines):
        y = (i + 1) * ROW
        change = (line.ratio - 1) / most * HALF * 0.8
        colour = ("#999" if not line.is_more_than_noise
                  else "#1a7f37" if change < 0 else "#cf222e")
        x = middle + min(change, 0)
        text = middle + change + (4 if change >= 0 else -4)
        anchor = "start" if change >= 0 else "end"
        out += [f'<text x="{LABEL - 6}" y="{y + 11}" text-anchor="end">'
                f"{escape(line.cell)} {escape(line.operation)}</text>",
                f'<rect x="{x:.1f}" y="{y + 3}" width="{abs(change):.1f}" '
                f'height="{ROW - 6}" fill="{colour}"/>',
                f'<text x="{text:.1f}" y="{y + 11}" text-anchor="{anchor}">'
                f"{100 * (line.ratio - 1):+.2f} %</text>"]
    return "\n".join(out + ["</svg>"]) + "\n"


def main(argv: list[str]) -> int:
    if len(argv) < 2:
        print("usage: bench.py FOLDER CELL...", file=sys.stderr)
        return 1
    folder = Path(argv[0])
    try:
        lines = [line for cell in argv[1:] for line in read_cell(folder, cell)]
        sizes = {cell: size(folder, cell) for cell in argv[1:]}
    except Missing as missing:
        print(f"error: {missing}", file=sys.stderr)
        return 1
    text = table(lines) + "\n" + size_table(sizes)
    (folder / "bench.md").write_text(text)
    (folder / "bench.svg").write_text(plot(lines))
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
