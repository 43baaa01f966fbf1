#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The figures of bench.sh: of one side, and base beside series.

usage: bench.py figures VMLINUX PORT...  what the guest said in each boot, and the size of
                                         its kernel, as a table for record --figures
       bench.py table RECORDS [NAME...]  base beside series; all without a NAME
       bench.py plot RECORDS FOLDER      bench.svg and scale.svg in FOLDER, by gnuplot
exit: 0; 1 with one line when something that was asked for is not there

A boot gives the median of its repetitions. n, min, median and max are of the boots.
The difference is that of the medians. It is marked when it is more than what the boots
of one kernel differ by, on both sides: another boot may undo the rest. Two records are a
pair if they are of the same inputs.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parents[1] / "judge"))
from blocks import Row, table as as_table  # noqa: E402
from records import Record, call, load  # noqa: E402

COLUMNS = ("operation", "unit", "n", "min", "median", "max")
SAID = re.compile(r"(?m)^(?:ok \d+| *#) (\w+)(?::| #) " +
                  " ".join(rf"{name}=(\S+)" for name in COLUMNS[1:]) + "$")
SCALE = re.compile(r"retract_(\d+)_(\d+)")
SIZE = "size"
HEAD = ["cell", "operation", "per", "base", "series", "difference", "ratio", "spread"]
SAME = ("tree", "key", "compiler", "qemu")  # inputs of a pair
COLOURS = {"fewer": 0x1A7F37, "the same": 0x999999, "more": 0xCF222E}
BENCH = Path(__file__).with_suffix("")


class Line(NamedTuple):
    """Medians of both sides, and what the boots of one kernel differ by, at most."""
    cell: str
    operation: str
    unit: str
    base: float
    series: float
    spread: float

    @property
    def difference(self) -> float:
        return self.series - self.base

    @property
    def ratio(self) -> float:
        return self.series / self.base

    @property
    def verdict(self) -> str:
        if abs(self.difference) <= self.spread:
            return "the same"
        return "fewer" if self.difference < 0 else "more"

    def row(self, mark: str = "") -> Row:
        """Under HEAD; with a mark around a difference that says something."""
        mark *= self.verdict != "the same"
        return [*self[:3], f"{self.base:.1f}", f"{self.series:.1f}",
                f"{mark}{self.difference:+.1f}{mark}", f"{self.ratio:.4f}", f"{self.spread:.1f}"]


class Retraction(NamedTuple):
    """Instructions to retract a table, one of so many, in so many processes."""
    cell: str
    processes: int
    tables: int
    base: float
    series: float

    def row(self) -> Row:
        return [self.cell, str(self.tables), str(self.processes), f"{self.base:.0f}",
                f"{self.series:.0f}"]


def pairs(records: list[Record]) -> list[Line]:
    """Every figure of both sides, where they were measured with the same inputs."""
    base, series = ({r.name: r for r in records if r.experiment == "bench"
                     and r.result == "pass" and r.side == side} for side in ("base", "series"))
    lines = []
    for name in filter(series.get, base):
        if any(base[name].inputs.get(i) != series[name].inputs.get(i) for i in SAME):
            continue
        found = {row["operation"]: row for row in series[name].figures}
        for was in base[name].figures:
            if now := found.get(was["operation"]):
                lines.append(Line(
                    name, was["operation"], was["unit"], float(was["median"]), float(now["median"]),
                    max(float(row["max"]) - float(row["min"]) for row in (was, now))))
    return lines


def retractions(lines: Iterable[Line]) -> list[Retraction]:
    """What a table costs: retract_N_M is a collapse with N of them in M processes, and
    collapse has none."""
    found, none = [], {line.cell: line for line in lines if line.operation == "collapse"}
    for line in lines:
        if line.cell in none and (match := SCALE.fullmatch(line.operation)):
            tables, processes = map(int, match.groups())
            found.append(Retraction(line.cell, processes, tables, *(
                (more - less) / tables for more, less in zip(line[3:5], none[line.cell][3:5]))))
    return sorted(found)


def operations(lines: list[Line]) -> list[Line]:
    """Without the size, and without those that only retractions() makes sense of."""
    return [line for line in lines
            if line.operation != SIZE and not SCALE.fullmatch(line.operation)]


def count(lines: list[Line]) -> str:
    fewer, same, more = ([line.verdict for line in lines].count(word) for word in COLOURS)
    return (f"{len(lines)} figures, a retracted table apart: {fewer} with fewer instructions "
            f"than the base, {same} the same, {more} with more")


def table(folder: Path, *names: str) -> None:
    lines = [line for line in pairs(load(folder)) if not names or line.cell in names]
    for name in names or [""]:
        if not any(name in ("", line.cell) for line in lines):
            raise ValueError(f"{f'{name}: not' if name else 'nothing'} measured on both sides "
                             f"with the same inputs: run make bench{name and f' CELLS={name}'}")
    shown = operations(lines)
    tables: list[tuple[list[str], list[Row]]] = [
        (HEAD, [line.row("**") for line in shown]),
        (["cell", "tables", "processes", "base, per table", "series, per table"],
         [cost.row() for cost in retractions(lines)]),
        (["cell", "base, bytes", "series, bytes", "difference"], [
            [line.cell, f"{line.base:.0f}", f"{line.series:.0f}", f"{line.difference:+.0f}"]
            for line in lines if line.operation == SIZE])]
    for head, rows in tables:
        print(as_table(head, rows)[1] + "\n")
    print(count(shown))


def plot(folder: Path, to: str) -> None:
    """A bar for each operation of userspace, and what a table costs by their number."""
    lines = pairs(load(folder))
    if not lines or not shutil.which("gnuplot"):
        print("note: no plots: no figures, or gnuplot is missing", file=sys.stderr)
        return
    tables: dict[str, Iterable[Iterable[object]]] = {"scale": retractions(lines), "bench": [
        (f"{line.cell} {line.operation}", 100 * (line.ratio - 1), COLOURS[line.verdict])
        for line in reversed(operations(lines)) if line.unit != "call"]}
    with tempfile.TemporaryDirectory() as scratch:
        for name, rows in tables.items():
            (Path(scratch) / f"{name}.tsv").write_text(
                "".join("\t".join(map(str, row)) + "\n" for row in rows))
        done = subprocess.run(["gnuplot", str(BENCH / "plot.gp")], cwd=scratch, text=True,
                              capture_output=True, check=False)
        if done.returncode:
            raise ValueError(f"gnuplot: {' '.join(done.stderr.split())}")
        for path in Path(scratch).glob("*.svg"):
            shutil.copy(path, to)


def figures(vmlinux: str, *ports: str) -> None:
    medians: dict[tuple[str, str], list[float]] = {}
    for port in ports:
        text = Path(port).read_text(encoding="utf-8", errors="replace")
        said = SAID.findall(text)
        if not said:
            raise ValueError(f"no figures in {port}")
        for operation, unit, _, _, median, _ in said:
            medians.setdefault((operation, unit), []).append(float(median))
    rows = [(*what, len(of), min(of), statistics.median(of), max(of))
            for what, of in medians.items()]
    symbols = subprocess.run([BENCH / "nm", "--size-sort", vmlinux], text=True,
                             stdout=subprocess.PIPE, check=False).stdout
    size = str(sum(int(words[0], 16) for words in map(str.split, symbols.splitlines())
                   if words[1] in "tTdDbBrRvVwW"))  # as bloat-o-meter counts
    for row in (COLUMNS, *rows, (SIZE, "bytes", "1", size, size, size)):
        print(*row, sep="\t")


if __name__ == "__main__":
    sys.exit(call({"figures": figures, "table": table, "plot": plot}, sys.argv[1:]))
