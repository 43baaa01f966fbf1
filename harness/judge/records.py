#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Records: what was run, of what, and what came out; one kind for every experiment.

A record is the file build/records/EXPERIMENT/NAME[,CELL][,SIDE].json:

    experiment  cell, mutant, mutation (a function's generated ones), window, model, race,
                regress, bench, bisect, answer, try
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
    passed      in docs/records.jsonl, a record a line: how many checks of each kind
                passed, in place of those
    figures     objects: what was measured

usage: records.py put FOLDER KEY=VALUE... [--side SIDE] [--checks TSV] [--figures TSV]
       records.py good FILE KEY=VALUE...   is it a pass, with these inputs?
       records.py get FILE KEY             what a record says of it
       records.py table FOLDER RUN[,KEPT...] CELL...   a table of the cells of that run,
                                          and of those kept from others

An input is written in.NAME=VALUE, a time time.NAME=SECONDS. exit: 0; 1 no (good), or not
every cell passed (table); 2 bad arguments.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Iterable

RESULTS = ("pass", "fail", "skip")
TESTS = ("kunit", "selftest")
KEPT = ("tree", "key", "base", "compiler", "qemu", "accel")


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
    passed: dict[str, int] = field(default_factory=dict)
    figures: list[dict[str, Any]] = field(default_factory=list)

    def key(self) -> tuple[str, str, str, str]:
        return self.experiment, self.name, self.cell, self.side

    def path(self) -> Path:
        """Below the folder of all records."""
        words = [self.name, *(w for w in (self.cell, self.side) if w not in ("", self.name))]
        return Path(self.experiment) / (",".join(words).replace("/", "-") + ".json")

    def count(self, result: str) -> int:
        """Of the tests among its checks."""
        more = self.passed if result == "pass" else {}
        return sum(check[0] in TESTS and check[2] == result for check in self.checks) \
            + sum(more.get(kind, 0) for kind in TESTS)

    def state(self) -> str:
        """The result, or that of a cell that is only built."""
        built = "build" in self.passed or any(check[0] == "build" for check in self.checks)
        return "built" if built and self.result == "pass" else self.result

    def version(self) -> str:
        """Of the base: 7.3, or nothing if it does not say."""
        said = re.match(r"Linux (\d+\.\d+)", self.inputs.get("base", ""))
        return said[1] if said else ""

    def compact(self, folder: str) -> Record:
        """As docs/ keep it: no path in FOLDER, no host, and not the checks that passed."""
        def here(text: str) -> str:
            return text.replace(f"{folder}/", "")
        return replace(
            self, host="", detail=here(self.detail),
            inputs={key: text for key, text in self.inputs.items() if key in KEPT and text},
            checks=[list(map(here, c)) for c in self.checks if c[2] in ("fail", "skip")],
            passed=self.passed or Counter(c[0] for c in self.checks if c[2] == "pass"))

    def write(self, folder: Path) -> None:
        path = folder / self.path()
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(f".new{os.getpid()}")
        new.write_text(json.dumps(vars(self), indent=1) + "\n", encoding="utf-8")
        new.replace(path)


def parse(text: str, where: object) -> Record:
    """Raises ValueError for what is no record."""
    try:
        record = Record(**json.loads(text))
        if record.result not in RESULTS:
            raise ValueError(f"not a result: {record.result}")
        return record
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}: remove it, and run that again") from error


def read(path: Path) -> Record:
    return parse(path.read_text(encoding="utf-8"), path)


def load(folder: Path, which: str = "*") -> list[Record]:
    """All of a folder, or those of one experiment, in the order of their names."""
    return [read(path) for path in sorted(folder.glob(f"{which}/*.json"))]


def load_lines(path: Path) -> list[Record]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [parse(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]


def as_lines(found: Iterable[Record]) -> str:
    """Sorted, without what is empty: the same records give the same text."""
    return "".join(
        json.dumps({key: value for key, value in vars(record).items() if value},
                   sort_keys=True, ensure_ascii=False) + "\n"
        for record in sorted(found, key=lambda r: (r.key(), r.version())))


def rows(path: Path) -> list[dict[str, str]]:
    """A table with a head, tab separated, after what is said of it."""
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()
             if line[:1] != "#"]
    return [dict(zip(lines[0], line)) for line in lines[1:]]


def put(folder: Path, args: list[str]) -> int:
    record = Record("", "", date=time.strftime("%F %H:%M", time.gmtime()),
                    host=os.uname().nodename)
    it = iter(args)
    for arg in it:
        key, _, value = arg.partition("=")
        kind, _, name = key.partition(".")
        if arg == "--checks":
            path = Path(next(it))
            record.checks = [list(row.values()) for row in rows(path)] if path.is_file() else []
        elif arg == "--figures":
            record.figures = list(rows(Path(next(it))))
        elif arg == "--side":
            record.side = next(it)
        elif kind == "in" and name:
            record.inputs[name] = value
        elif kind == "time" and name:
            record.times.update({name: int(value)} if value.isdigit() else {})
        elif key in ("experiment", "name", "cell", "side", "result", "detail", "run"):
            setattr(record, key, " ".join(value.split()))
        elif key == "seconds" and value.isdigit():
            record.seconds = int(value)
        else:
            raise ValueError(f"records.py put: {arg}: no such key")
    if not record.experiment or not record.name or record.result not in RESULTS:
        raise ValueError(f"records.py put: no experiment, no name, or result={record.result}")
    record.write(folder)
    return 0


def good(path: Path, args: list[str]) -> int:
    """Tools of another machine cannot be asked here; those of this one may be newer."""
    inputs = dict(arg.split("=", 1) for arg in args)
    try:
        record = read(path)
    except (OSError, ValueError):
        return 1
    if record.host != os.uname().nodename:
        inputs = {"key": inputs.get("key", "")}
    same = all(record.inputs.get(key, "") == value for key, value in inputs.items())
    return int(record.result != "pass" or not same)


def get(path: Path, args: list[str]) -> int:
    print(getattr(read(path), args[0]))
    return 0


def table(folder: Path, args: list[str]) -> int:
    """RUN is the run, and after commas the cells that were kept from others."""
    name, *kept = args[0].split(",")
    found = {record.name: record for record in load(folder, "cell")}
    bad = 0
    print("cell\tresult\tpassed\tfailed\tskipped\tbuild s\tguest s\thost")
    for cell in args[1:]:
        record, row = found.get(cell), [cell, "not run"] + ["-"] * 6
        if record and (cell in kept or record.run == name):
            row = [cell, record.state(), *(str(record.count(r)) for r in RESULTS),
                   *(str(record.times.get(part, "-")) for part in ("build", "guest")),
                   record.host]
        bad += row[1] not in ("pass", "built")
        print("\t".join(row))
    return int(bad > 0)


def main(argv: list[str]) -> int:
    try:
        verb, where, *args = argv
        return {"put": put, "good": good, "get": get, "table": table}[verb](Path(where), args)
    except (ValueError, LookupError, AttributeError, StopIteration, OSError) as error:
        print(f"error: {error or 'records.py put | good | get | table: see its head'}",
              file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
