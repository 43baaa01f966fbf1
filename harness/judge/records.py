#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Records: what was run, of what, and what came out; one kind for every experiment.

A record is the file build/records/EXPERIMENT/NAME[,CELL][,SIDE].json, and class Record below
says what is in it; in docs/records.jsonl it is a line.

usage: records.py put FOLDER KEY=VALUE... [--side SIDE] [--checks TSV] [--figures TSV]
       records.py good FILE KEY=VALUE...   is it a pass, with these inputs?
       records.py get FILE KEY             what a record says of it
       records.py table FOLDER RUN[,KEPT...] CELL...   a table of the cells of that run,
                                          and of those kept from others
exit:  0; 1 no (good), or not every cell passed (table); 2 bad arguments

An input is written in.NAME=VALUE, a time time.NAME=SECONDS.
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
from typing import Any, Callable, Iterable

RESULTS = ("pass", "fail", "skip")
TESTS = ("kunit", "selftest")
KEPT = ("tree", "key", "base", "compiler", "qemu", "accel")


@dataclass
class Record:
    # cell, mutant, fuzzed (a mutant, by pgtable_fuzz), mutation (a function's generated ones),
    # window, model, race, soak, kselftest, regress, bench, bisect, answer, kunit, try
    experiment: str
    name: str  # which one of these
    cell: str = ""  # where it ran
    side: str = ""  # base or series, or nothing
    result: str = "fail"  # or pass, skip; a mutant passes when its test failed
    detail: str = ""  # one line that says why
    seconds: int = 0
    date: str = ""  # UTC
    host: str = ""
    run: str = ""  # that of matrix.sh that it is part of
    times: dict[str, int] = field(default_factory=dict)  # seconds of its parts: build, guest
    # tree (the content of the stack), tip, base, compiler, qemu, accel, and key: one word
    # for all that the result depends on
    inputs: dict[str, str] = field(default_factory=dict)
    # check, name, result, detail of what verdict.py found
    checks: list[list[str]] = field(default_factory=list)
    passed: dict[str, int] = field(default_factory=dict)  # in docs/, how many of each check
    figures: list[dict[str, Any]] = field(default_factory=list)  # what was measured

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

    def counts(self) -> list[str]:
        return [str(self.count(result)) for result in RESULTS]

    def took(self) -> list[str]:
        """Seconds of build and guest."""
        return [str(self.times.get(part, "-")) for part in ("build", "guest")]

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
        put_file(folder / self.path(), json.dumps(vars(self), indent=1) + "\n")


def text_of(path: Path) -> str:
    """Nothing if it is not there."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


def put_file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".new{os.getpid()}")
    new.write_text(text, encoding="utf-8")
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
    """All, or those of one experiment, in the order of their names."""
    return [read(path) for path in sorted(folder.glob(f"{which}/*.json"))]


def load_lines(path: Path) -> list[Record]:
    return [parse(line, f"{path}:{n}") for n, line in enumerate(text_of(path).splitlines(), 1)]


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


def put(folder: Path, *args: str) -> None:
    record = Record("", "", date=time.strftime("%F %H:%M", time.gmtime()), host=os.uname().nodename)
    words = iter(args)
    for word in words:
        key, _, value = word.partition("=")
        kind, _, name = key.partition(".")
        if word == "--checks":
            path = Path(next(words))
            record.checks = [list(row.values()) for row in rows(path)] if path.is_file() else []
        elif word == "--figures":
            record.figures = rows(Path(next(words)))
        elif word == "--side":
            record.side = next(words)
        elif kind == "in" and name:
            record.inputs[name] = value
        elif kind == "time" and name:
            record.times.update({name: int(value)} if value.isdigit() else {})
        elif key in ("experiment", "name", "cell", "side", "result", "detail", "run"):
            setattr(record, key, " ".join(value.split()))
        elif key == "seconds" and value.isdigit():
            record.seconds = int(value)
        else:
            raise ValueError(f"records.py put: {word}: no such key")
    if not record.experiment or not record.name or record.result not in RESULTS:
        raise ValueError(f"records.py put: no experiment, no name, or result={record.result}")
    record.write(folder)


def good(path: Path, *args: str) -> int:
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


def get(path: Path, key: str) -> None:
    print(getattr(read(path), key))


def table(folder: Path, runs: str, *cells: str) -> int:
    """runs: the run, and after commas the cells that were kept from others."""
    run, *kept = runs.split(",")
    found = {record.name: record for record in load(folder, "cell")}
    states = []
    print("cell\tresult\tpassed\tfailed\tskipped\tbuild s\tguest s\thost")
    for cell in cells:
        record, rest = found.get(cell), ["not run", *"------"]
        if record and (cell in kept or record.run == run):
            rest = [record.state(), *record.counts(), *record.took(), record.host]
        states.append(rest[0])
        print(cell, *rest, sep="\t")
    return int(not {*states} <= {"pass", "built"})


def call(verbs: dict[str, Callable[..., int | None]], args: list[str], bad: int = 1) -> int:
    """A program that takes a verb, a path, and what is the verb's; its exit status."""
    try:
        verb, path, *more = args
        return verbs[verb](Path(path), *more) or 0
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration,
            OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return bad


if __name__ == "__main__":
    sys.exit(call({"put": put, "good": good, "get": get, "table": table}, sys.argv[1:], 2))
