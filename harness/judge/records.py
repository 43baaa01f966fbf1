#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Records: what was run, of what, and what came out; one kind for every experiment.

A record is the file build/records/EXPERIMENT/NAME[,CELL][,SIDE].json:

    experiment  cell, mutant, window, model, race, regress, bench, bisect, answer, try
    name        which one of these
    cell, side  where it ran; side is base or series, or nothing
    result      pass, fail or skip; a mutant passes when its test failed
    detail      one line that says why
    seconds     how long it took
    date, host  when (UTC) and where
    run         the run of matrix.sh that it is part of
    times       seconds of its parts, by name (build, guest)
    inputs      tree (the content of the stack), tip, base, compiler, qemu, accel, and
                key: one word for all that the result depends on
    checks      lists of check, name, result, detail: what verdict.py found
    figures     objects: what was measured

usage: records.py put FOLDER KEY=VALUE... [--checks TSV] [--figures TSV]
       records.py good FILE KEY=VALUE...   is it a pass, with these inputs?
       records.py table FOLDER RUN[,KEPT...] CELL...   a table of the cells of that run,
                                          and of those kept from others

An input is written in.NAME=VALUE, a time time.NAME=SECONDS. exit: 0; 1 no (good),
or not every cell passed (table); 2 bad arguments.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Iterable

RESULTS = ("pass", "fail", "skip")


@dataclass
class Record:
    experiment: str
    name: str
    cell: str = ""
    side: str = ""
    result: str = "fail"
    detail: str = ""
    seconds: int = 0
    date: str = ""
    host: str = ""
    run: str = ""
    times: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    checks: list[list[str]] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)

    def key(self) -> tuple[str, str, str, str]:
        return self.experiment, self.name, self.cell, self.side

    def path(self) -> Path:
        """Below the folder of all records."""
        words = [self.name] + [word for word in (self.cell, self.side) if word]
        if self.cell == self.name:
            words.remove(self.cell)
        return Path(self.experiment) / (",".join(words).replace("/", "-") + ".json")

    def count(self, result: str) -> int:
        """Of the tests among its checks."""
        return sum(check[0] in ("kunit", "selftest") and check[2] == result
                   for check in self.checks)

    def failures(self) -> list[list[str]]:
        return [check for check in self.checks if check[2] == "fail"]

    def write(self, folder: Path) -> None:
        path = folder / self.path()
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(f".new{os.getpid()}")
        new.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        new.replace(path)


def from_dict(data: dict[str, Any]) -> Record:
    """Raises ValueError for what is no record."""
    try:
        record = Record(**data)
    except TypeError as error:
        raise ValueError(f"not a record: {error}") from error
    if record.result not in RESULTS:
        raise ValueError(f"not a result: {record.result}")
    return record


def read(path: Path) -> Record:
    try:
        return from_dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{path}: {error}: remove it, and run that again") from error


def load(folder: Path) -> list[Record]:
    """All of a folder, in the order of their names."""
    return [read(path) for path in sorted(folder.glob("*/*.json"))]


def rows(path: Path) -> list[dict[str, str]]:
    """A table with a head, tab separated."""
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    return [dict(zip(lines[0], line)) for line in lines[1:]]


def put(folder: Path, args: list[str]) -> int:
    record = Record("", "", date=time.strftime("%F %H:%M", time.gmtime()),
                    host=os.uname().nodename)
    it = iter(args)
    for arg in it:
        if arg == "--checks":
            path = Path(next(it))
            if path.is_file():
                record.checks = [list(row.values()) for row in rows(path)]
            continue
        if arg == "--figures":
            record.figures = list(rows(Path(next(it))))
            continue
        key, _, value = arg.partition("=")
        kind, _, name = key.partition(".")
        if kind == "in" and name:
            record.inputs[name] = value
        elif kind == "time" and name:
            if value.isdigit():
                record.times[name] = int(value)
        elif key in ("experiment", "name", "cell", "side", "result", "detail", "run"):
            setattr(record, key, " ".join(value.split()))
        elif key == "seconds" and value.isdigit():
            record.seconds = int(value)
        else:
            raise ValueError(f"records.py put: {arg}: no such key")
    if not record.experiment or not record.name:
        raise ValueError("records.py put: no experiment, or no name")
    from_dict(asdict(record)).write(folder)
    return 0


def good(path: Path, inputs: dict[str, str]) -> bool:
    """Tools of another machine cannot be asked here; those of this one may be newer."""
    try:
        record = read(path)
    except (OSError, ValueError):
        return False
    if record.host != os.uname().nodename:
        inputs = {"key": inputs.get("key", "")}
    return record.result == "pass" and all(
        record.inputs.get(key, "") == value for key, value in inputs.items())


def cell_row(record: Record | None, cell: str, run: str) -> list[str]:
    if record is None or run not in ("", record.run):
        return [cell, "not run"] + ["-"] * 6
    result = record.result
    if result == "pass" and any(check[0] == "build" for check in record.checks):
        result = "built"
    return [cell, result, *(str(record.count(r)) for r in RESULTS),
            *(str(record.times.get(part, "-")) for part in ("build", "guest")), record.host]


def table(folder: Path, run: str, cells: Iterable[str]) -> int:
    """RUN is the run, and after commas the cells that were kept from others."""
    name, *kept = run.split(",")
    bad = 0
    print("cell\tresult\tpassed\tfailed\tskipped\tbuild s\tguest s\thost")
    for cell in cells:
        path = folder / "cell" / f"{cell}.json"
        row = cell_row(read(path) if path.exists() else None, cell,
                       "" if cell in kept else name)
        bad += row[1] not in ("pass", "built")
        print("\t".join(row))
    return int(bad > 0)


def main(argv: list[str]) -> int:
    try:
        verb, where, *args = argv
        if verb == "put":
            return put(Path(where), args)
        if verb == "good":
            return int(not good(Path(where), dict(a.split("=", 1) for a in args)))
        if verb == "table":
            return table(Path(where), args[0], args[1:])
        raise ValueError(f"no verb {verb}")
    except (ValueError, IndexError, StopIteration, OSError) as error:
        print(f"error: {error or 'records.py put | good | table: see its head'}",
              file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
