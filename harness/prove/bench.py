#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What bench.sh measured, as a table, and as a plot.

in:   a folder with CELL.tsv (cell, side, operation, unit, n, min, median, max) and
      CELL.size (what bloat-o-meter printed), and the cells wanted: all without any
out:  bench.md, bench.svg and scale.svg in that folder, and the table on stdout; with
      --readme a smaller table in README.md, between its two comments, and the plots in
      harness/prove/bench/
exit: 0; 1 with one line when something that was asked for is not there

The difference is that of the medians. It is marked when it is more than what the
repetitions of one kernel differ by, from the least to the median, on both sides:
the rest says nothing.

What a retracted table costs is told from operations retract_N_M, collapses with N
tables in M processes, and from collapse, which has none: (retract_N_M - collapse) / N.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from dataclasses import dataclass
from html import escape
from pathlib import Path

SCALE = re.compile(r"retract_(\d+)_(\d+)")
ROOT = Path(__file__).resolve().parents[2]
README_BEGIN = "<!-- what make bench measured, as make bench-report wrote it -->"
README_END = "<!-- end of what make bench measured -->"
ROW = 16
LABEL = 290
HALF = 220
CUT = 0.1
PANEL = 240
COLOURS = ("#0969da", "#bf8700", "#8250df")


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

    @property
    def verdict(self) -> str:
        if not self.is_more_than_noise:
            return "the same"
        return "fewer" if self.difference < 0 else "more"


class Missing(ValueError):
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


def count(lines: list[Line]) -> str:
    counts = Counter(line.verdict for line in lines)
    return (f"{len(lines)} figures: {counts['fewer']} with fewer instructions than the "
            f"base, {counts['the same']} the same, {counts['more']} with more")


@dataclass
class Retraction:
    """What a table costs when there are many, in instructions."""
    cell: str
    tables: int
    processes: int
    base: float
    series: float


def retractions(lines: list[Line]) -> list[Retraction]:
    alone = {line.cell: line for line in lines if line.operation == "collapse"}
    out = []
    for line in lines:
        match = SCALE.fullmatch(line.operation)
        if match and line.cell in alone:
            tables, processes = map(int, match.groups())
            none = alone[line.cell]
            out.append(Retraction(line.cell, tables, processes,
                                  (line.base.median - none.base.median) / tables,
                                  (line.series.median - none.series.median) / tables))
    return out


def scale_table(costs: list[Retraction]) -> str:
    out = ["| cell | tables | processes | base, per table | series, per table |",
           "|---|--:|--:|--:|--:|"]
    out += [f"| {cost.cell} | {cost.tables} | {cost.processes} | {cost.base:.0f} "
            f"| {cost.series:.0f} |" for cost in costs]
    return "\n".join(out) + "\n"


def without_scale(lines: list[Line]) -> list[Line]:
    return [line for line in lines if not SCALE.fullmatch(line.operation)]


def small_table(lines: list[Line], costs: list[Retraction],
                sizes: dict[str, tuple[int, int, int]]) -> str:
    """Operations by cells: instructions of a call, else per cent of the base."""
    cells = list(sizes)
    found = {(line.operation, line.cell): line for line in lines}
    out = [f"| series against base | {' | '.join(cells)} |",
           "|---|" + "--:|" * len(cells)]
    for operation in dict.fromkeys(line.operation for line in lines):
        row = []
        for cell in cells:
            line = found.get((operation, cell))
            row.append("-" if not line else
                       "same" if not line.is_more_than_noise else
                       f"{line.difference:+.0f}" if line.base.unit == "call" else
                       f"{100 * (line.ratio - 1):+.2f} %")
        out.append(f"| {operation} | {' | '.join(row)} |")
    # Of the most tables, of which each has the smallest share of all the rest.
    last = {cost.cell: cost for cost in sorted(costs, key=lambda c: (c.tables, -c.processes))}
    if last:
        out.append("| a retracted table | " + " | ".join(
            f"{100 * (last[cell].series / last[cell].base - 1):+.1f} %"
            if cell in last else "-" for cell in cells) + " |")
    out.append("| size, bytes | " + " | ".join(f"{sizes[cell][2]:+d}" for cell in cells)
               + " |")
    return "\n".join(out) + "\n"


def replace_between(path: Path, begin: str, end: str, text: str) -> None:
    """What is between two lines of a file becomes the text, which ends with a newline."""
    before, found, rest = path.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise Missing(f"{path}: no lines {begin} and {end}")
    new = path.with_name(path.name + ".new")
    new.write_text(f"{before}{begin}\n{text}{end}{after}")
    new.replace(path)


def size_table(sizes: dict[str, tuple[int, int, int]]) -> str:
    out = ["| cell | base, bytes | series, bytes | difference |",
           "|---|--:|--:|--:|"]
    out += [f"| {cell} | {before} | {after} | {difference:+d} |"
            for cell, (before, after, difference) in sizes.items()]
    return "\n".join(out) + "\n"


def plot(lines: list[Line]) -> str:
    """A bar for each operation of userspace, in per cent of the base: left is less. What
    is beyond CUT ends there, and says by how much it is."""
    lines = [line for line in lines if line.base.unit != "call"]
    most = min(max([abs(line.ratio - 1) for line in lines] + [0.005]), CUT)
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
        change = max(min((line.ratio - 1) / most, 1), -1) * HALF * 0.7
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


def scale_plot(costs: list[Retraction]) -> str:
    """A panel for each cell: instructions a table by the number of tables, a line for
    each number of processes; the base is dashed."""
    cells = list(dict.fromkeys(cost.cell for cost in costs))
    tables = sorted({cost.tables for cost in costs})
    most = max([max(cost.base, cost.series) for cost in costs] + [1])
    columns = max(min(len(cells), 4), 1)
    width = columns * PANEL
    height = -(-len(cells) // columns) * PANEL + ROW
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
           f'font-family="sans-serif" font-size="11" role="img">',
           "<title>Instructions to retract a page table, by the number of tables</title>",
           f'<rect width="{width}" height="{height}" fill="#fff"/>']
    for i, cell in enumerate(cells):
        left, top = i % columns * PANEL + 50, i // columns * PANEL + 2 * ROW
        side = PANEL - 80

        def point(cost: Retraction, y: float, left: int = left, top: int = top,
                  side: int = side) -> str:
            x = left + side * tables.index(cost.tables) / max(len(tables) - 1, 1)
            return f"{x:.1f},{top + side * (1 - y / most):.1f}"

        out += [f'<text x="{left}" y="{top - 6}">{escape(cell)}</text>',
                f'<path d="M{left} {top}V{top + side}H{left + side}" fill="none" '
                f'stroke="#888"/>']
        out += [f'<text x="{left + side * n / max(len(tables) - 1, 1):.1f}" '
                f'y="{top + side + 14}" text-anchor="middle">{number}</text>'
                for n, number in enumerate(tables)]
        out += [f'<text x="{left - 4}" y="{top + side * (1 - part) + 4:.1f}" '
                f'text-anchor="end">{most * part:.0f}</text>' for part in (0, 0.5, 1)]
        mine = [cost for cost in costs if cost.cell == cell]
        for number, processes in enumerate(sorted({cost.processes for cost in mine})):
            line = [cost for cost in mine if cost.processes == processes]
            colour = COLOURS[number % len(COLOURS)]
            for dashes, points in ((' stroke-dasharray="4"', [point(c, c.base) for c in line]),
                                   ("", [point(c, c.series) for c in line])):
                out.append(f'<polyline points="{" ".join(points)}" fill="none" '
                           f'stroke="{colour}" stroke-width="1.5"{dashes}>'
                           f"<title>{escape(cell)}, {processes} processes</title></polyline>")
    out.append(f'<text x="50" y="{height - 4}">tables; solid: series, dashed: base; '
               + "".join(f'<tspan fill="{COLOURS[n % len(COLOURS)]}">{processes} '
                         f"process{'es' if processes > 1 else ''} </tspan>"
                         for n, processes in
                         enumerate(sorted({cost.processes for cost in costs})))
               + "</text>")
    return "\n".join(out + ["</svg>"]) + "\n"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("cells", nargs="*")
    parser.add_argument("--readme", type=Path, nargs="?", const=ROOT / "README.md",
                        help="put a table in there, and the plot into harness/prove/bench/")
    args = parser.parse_args(argv)
    try:
        cells = args.cells or sorted(path.stem for path in args.folder.glob("*.size"))
        if not cells:
            raise Missing(f"nothing was measured in {args.folder}: run make bench")
        lines = [line for cell in cells for line in read_cell(args.folder, cell)]
        sizes = {cell: size(args.folder, cell) for cell in cells}
        one_by_one = without_scale(lines)
        costs = retractions(lines)
        pictures = {"bench.svg": plot(one_by_one), "scale.svg": scale_plot(costs)}
        text = "\n".join([table(one_by_one), scale_table(costs),
                          size_table(sizes), count(one_by_one) + "\n"])
        (args.folder / "bench.md").write_text(text)
        for name, picture in pictures.items():
            (args.folder / name).write_text(picture)
        if args.readme:
            replace_between(args.readme, README_BEGIN, README_END,
                            f"{count(one_by_one)}.\n\n"
                            f"{small_table(one_by_one, costs, sizes)}")
            for name, picture in pictures.items():
                (ROOT / "harness/prove/bench" / name).write_text(picture)
    except Missing as missing:
        print(f"error: {missing}", file=sys.stderr)
        return 1
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
