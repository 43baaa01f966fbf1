#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Shows the records: a page, JUnit XML, and docs/RESULTS.md.

in:   build/records/ (BASE and LINUX as everywhere), docs/records.jsonl, guest/cells.ini
      (CELLS_INI=FILE for another); build/base.git: what patches/ give, as composed last
out:  build/report.{html,md,xml}; docs/records.jsonl with what is new in build/records*/,
      and docs/RESULTS.md, made of that alone
exit: 0 written, whatever the results are; 1 with one line that says why not;
      --check: 1 if docs/RESULTS.md is not what docs/records.jsonl give; writes nothing

A cell without a record is not run; a record of another tree than patches/ give is stale.
docs/ take a record that is not older than theirs, of a stack that was composed here: not
of uncommitted edits, nor of a tree or a program of the user's. RESULTS.md cannot ask git:
there, stale is what is of another tree than the cell that was run last on that base.
"""

from __future__ import annotations

import argparse
import calendar
import itertools
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

sys.dont_write_bytecode = True
HARNESS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HARNESS / room) for room in ("judge", "prove", "guest")]
import bench  # noqa: E402
import cells as cells_ini  # noqa: E402
from blocks import (SIGN, WORD, Block, Field, Row, chips, document, facts, fold,  # noqa: E402
                    heading, image, join, plain, table, words)
from records import (RESULTS, Record, as_lines, load, load_lines, put_file,  # noqa: E402
                     rows as rows_of, text_of)

ROOT = HARNESS.parent
# As git.sh has it.
DEFAULT_BASE = re.findall(r"(?m)^DEFAULT_BASE=(\S+)", (HARNESS / "lib/git.sh").read_text())[0]
# The groups of checks: a check and its name, span, heading. The first that fits counts;
# a userspace test, PROGRAM.FIXTURE.VARIANT.TEST, comes by what it maps.
GROUPS = (
    (r"kunit .*\.ptlock_", "KUnit", "lock lookup"),
    (r"kunit .*\.(kmap|highpte)_", "KUnit", "HIGHPTE"),
    (r"kunit .*\.retract_", "KUnit", "retraction"),
    (r"kunit ", "KUnit", "other suites"),
    (r"selftest [^.]*\.[^.]*\.([^.]*)\.", "userspace", r"\1"),
    (r"selftest ", "userspace", "as a whole"),
    (r"proof ", "guest", "proof"),
    (r"(console|guest) ", "guest", "console, taint"),
    (r"(\w*)", "guest", r"\1"))
SPANS, TITLES = (list(dict.fromkeys(group[i] for group in GROUPS)) for i in (1, 2))

Cell = dict[str, str]


# --- what there is

@dataclass
class Page:
    records: list[Record]
    cells: dict[str, Cell]
    docs: Path
    trees: dict[str, str]  # what patches/ give, by version of the base, if that is known
    patches: set[str] = field(default_factory=set)  # what each patch gives
    build: Path | None = None  # none for RESULTS.md, which is brief
    suffix: str = ""  # of what build/ has of this base

    def of(self, experiment: str) -> list[Record]:
        return [record for record in self.records if record.experiment == experiment]

    def ran(self, version: str | None = None) -> list[tuple[Cell, Record]]:
        """The cells, in their order, each with its record, or one that says `not run`."""
        found = {r.name: r for r in self.of("cell") if version in (None, r.version())}
        return [(cell, found.get(name) or Record("cell", name, result="not run"))
                for name, cell in self.cells.items()]

    def is_stale(self, record: Record) -> bool:
        tree, now = record.inputs.get("tree", "none"), self.trees.get(record.version())
        if record.experiment == "bisect":
            return bool(self.patches) and tree not in self.patches
        return bool(now) and tree not in (now, "none")

    def stack(self, record: Record) -> str:
        tree = record.inputs.get("tree", "")
        return "↻ " * self.is_stale(record) + tree[:7].replace("none", "") + "+" * ("+" in tree)

    def runs(self, records: list[Record]) -> str:
        stacks = Counter(map(self.stack, records))
        return ", ".join([f"Run {span(records)}", *(
            f"stack {tree}" + f" ({n})" * (n < len(records))
            for tree, n in stacks.items() if tree)]) + "."


def git(build: Path, *args: str) -> list[str]:
    """Its lines; none if it has no answer."""
    done = subprocess.run(["git", f"--git-dir={build}/base.git", *args], text=True,
                          capture_output=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def suffix_of(base: str) -> str:
    """What the names of what is made from it end with."""
    return "" if base == DEFAULT_BASE else f"-{base}"


def span(records: Iterable[Record]) -> str:
    days = sorted(record.date.split(" ")[0] for record in records)
    return " to ".join(dict.fromkeys(days[:1] + days[-1:]))


# --- the sections; RESULTS.md has some of them, in brief

def group_of(check: list[str]) -> tuple[str, str] | None:
    """The span and the heading that a check belongs under. Facts have none, nor does
    the build of a cell that is not booted: that is its whole result."""
    if check[0] == "build" or check[2] not in RESULTS:
        return None
    return next((span, match.expand(title).replace("_", " ")) for pattern, span, title in GROUPS
                if (match := re.match(pattern, f"{check[0]} {check[1]}")))


def tally(record: Record, group: tuple[str, str]) -> Field:
    found = Counter(check[2] for check in record.checks if group_of(check) == group)
    state = next((r for r in ("fail", "pass", "skip") if found[r]), "none")
    return Field("/".join(str(found[r]) for r in RESULTS) if found else "-", state,
                 f"{SIGN[state]} {found[state] or ''}".strip(),
                 tuple(f"{found[r]} {WORD[r]}" for r in ("pass", "skip")
                       if found[r] and r != state))


def result(page: Page, record: Record, more: str = "") -> Field:
    state, stale = record.state(), page.is_stale(record)
    return Field(WORD[state] + ", stale" * stale + f": {more}" * bool(more), state,
                 f"{SIGN[state]} {WORD[state]}", (more,) * bool(more) + ("↻ stale",) * stale)


def is_expected(record: Record) -> bool:
    """A reproducer fails on the base, that is what it is for."""
    return (record.experiment, record.side, record.result) == ("try", "base", "fail")


def states(ran: list[tuple[Cell, Record]]) -> Block:
    found = Counter(record.state() for _, record in ran)
    return chips(f"{len(ran)} cells: ", ((found[s], word, s) for s, word in WORD.items()))


def summary(page: Page) -> list[Block]:
    stale = sum(map(page.is_stale, page.records))
    failed = ", ".join(f"{r.experiment} {r.path().stem}" for r in page.records
                       if r.result == "fail" and not is_expected(r))
    return [states(page.ran()),
            *[chips("", [(stale, "stale: of another tree than patches/ give", "stale")])] *
            bool(stale), *[words(f"Failed: {failed}.")] * bool(failed)]


def main_table(page: Page) -> list[Block]:
    """Cells by groups of checks: those that some cell has, KUnit first. RESULTS.md has
    no room for them."""
    if not page.build:
        return results_cells(page)
    ran = page.ran()
    groups = sorted({group: 0 for _, record in ran for check in record.checks
                     if (group := group_of(check))}, key=lambda group: (
        SPANS.index(group[0]), TITLES.index(group[1]) if group[1] in TITLES else 0))
    return [("", "Passed / failed / skipped."), table(
        ["cell", "result", *(title for _, title in groups), "build", "guest", "what it shows"],
        [[r.name, result(page, r, r.detail if r.result == "fail" and not r.checks else ""),
          *(tally(r, group) for group in groups), *r.took(), cell["shows"]] for cell, r in ran],
        ["", "", *(span for span, _ in groups), "seconds", "seconds", ""])]


def details(page: Page) -> list[Block]:
    """Cell by cell: what failed, what was skipped and why, and the facts."""
    blocks = []
    for cell, r in page.ran():
        text = words(f"{cell['shows']}. No record: make cell CELL={r.name}")
        if r.result != "not run":
            text = facts([(title, lines) for title, lines in (
                ("shows", [cell["shows"]]), ("failed", failures(page, r)),
                ("it said", [c[3] for c in r.checks if c[0] == "config"]),
                ("proof", [c[1] for c in r.checks if c[0] == "proof" and c[2] == "pass"]),
                ("skipped", [f"{why}: {', '.join(names)}" for why, names in skips(r).items()]),
                ("machine", [cell["qemu"]])) if any(lines)])
        blocks.append(fold(r.name, text, r.result == "fail", r.name, r.state()))
    return blocks


def failures(page: Page, record: Record) -> list[str]:
    """Each check that failed, else what there is to say of the whole. The errors before
    there was a guest are in the log of the run of matrix.sh, if it was one."""
    said = [f"{c[0]} {c[1]}: {c[3]}" for c in record.checks if c[2] == "fail"]
    if said or record.result != "fail":
        return said
    log = page.build and page.build / "cells" / (record.name + page.suffix) / "job.log"
    if not record.run or not log or not log.exists():
        return [record.detail]
    errors = re.findall(r"(?m)^.*(?:\berror:|\*\*\*|No space).*$", log.read_text(errors="replace"))
    return [record.detail, *map(str.strip, errors[-6:])]


def skips(record: Record) -> dict[str, list[str]]:
    """Each reason once, with the tests that it holds for, less the program's name."""
    found: dict[str, list[str]] = {}
    for check in record.checks:
        if check[2] == "skip":
            found.setdefault(check[3], []).append(check[1].partition(".")[2] or check[1])
    return found


def listed(experiment: str, good: str, bad: str) -> Callable[[Page], list[Block]]:
    """A row a record, what failed first; in brief only that, if they are many."""
    def section(page: Page) -> list[Block]:
        records = sorted(page.of(experiment), key=lambda r: r.result != "fail")
        failed = sum(r.result == "fail" for r in records)
        shown = records[:failed] if not page.build and len(records) > 15 else records
        keys = sorted({key for r in shown for row in r.figures for key in row})
        rows: list[Row] = [[
            r.name, r.version(), "" if r.cell == r.name else r.cell, r.side, result(page, r),
            r.detail, "/".join(r.counts()) if r.checks or r.passed else "",
            *(str(figures.get(key, "")) for key in keys), str(r.seconds), r.date, page.stack(r)]
            for r in shown for figures in r.figures or [{}]]
        head = ["name", "Linux", "cell", "side", "result", "detail", "tests", *keys, "s",
                "when (UTC)", "stack"]
        used = [i for i in range(len(head)) if any(row[i] for row in rows)]
        whole = table([head[i] for i in used], [[row[i] for i in used] for row in rows])
        return [chips("", [(len(records) - failed, good, "pass"), (failed, bad, "fail")]),
                words(page.runs(records)),
                *[fold(f"all {len(rows)}", whole, failed > 0)] * bool(rows)] if records else []
    return section


SIDES = ["base", "series", "when (UTC)", "stack"]


def sides(page: Page, experiment: str) -> dict[tuple[str, str, str], Row]:
    """Base beside series, by name, version and cell."""
    found: dict[tuple[str, str, str], dict[str, Record]] = {}
    for r in page.of(experiment):
        found.setdefault((r.name, r.version(), r.cell), {})[r.side or "series"] = r
    return {key: [*(result(page, of[side], re.sub("^exit [0-9]+: ", "", of[side].detail))
                    if side in of else "-" for side in SIDES[:2]), span(of.values()),
                  ", ".join(dict.fromkeys(map(page.stack, of.values())))]
            for key, of in found.items()}


def windows(page: Page) -> list[Block]:
    rows: list[Row] = [[name, cell, version, *row] for (name, version, cell), row in
                       sides(page, "window").items()]
    return [table(["name", "cell", "Linux", *SIDES], rows)] * bool(rows)


def reproducers(page: Page) -> list[Block]:
    """Each bug of the base with the programs that show it, and the tests of windows; then
    the programs that are of none of these bugs."""
    bugs = [list(row.values()) for row in rows_of(HARNESS / "prove/repro/bugs.tsv")]
    known = " ".join(bug[2] for bug in bugs).split()
    found = {"no": sides(page, "try"), "yes": sides(page, "window")}  # by `widened`
    others = dict.fromkeys(name for name, *_ in found["no"] if name not in known)
    rows: list[Row] = []
    for bug, series, *names in [*bugs, *(["-", "-", name, "-"] for name in others)]:
        shows = [(widened, name) for widened, of in zip(found, names) for name in of.split()
                 if name != "-"]
        for widened, name in shows or [("no", "none")]:
            mine = [[*key[1:], *row] for key, row in found[widened].items() if key[0] == name]
            rows += [[bug, series, name, widened, *row]
                     for row in mine or [["-", "-", "-", "-", "", ""]]]
    return [words("Widened: the race is stretched, and the base passes by losing what it "
                  "should. A bug that no series fixes yet is on both sides."), table([
        "bug of the base", "fixed by", "reproducer", "widened", "Linux", "cell", *SIDES],
        rows)] * any(found.values())


def own_tests(page: Page) -> list[Block]:
    """What regress.py found: the first figures of a record are of the whole test, as
    passed/skipped/neither, the others of lines that did not pass on both sides."""
    records = [r for r in page.of("regress") if r.figures]
    cells = list(dict.fromkeys(r.cell for r in records))
    whole = {(r.name, r.cell): r.figures[0] for r in records}
    lines = [(r, line) for r in records for line in r.figures[1:]]
    verdicts = Counter(line["verdict"] for _, line in lines)
    shown = ["worse", "flaky", "better"]
    compared = sum(int(r.figures[0]["compared"]) for r in records)
    blocks = [chips("", [(compared, "compared", "pass"), (verdicts["worse"], "worse", "fail")]),
              words(f"{page.runs(records)} Passed / skipped / neither.")]
    if page.build:
        none = {"base": "-", "series": "-", "verdict": ""}
        shown += ["new", "same", "skipped"]
        blocks.append(fold("side by side", table(
            ["test", *(text for cell in cells for text in (f"{cell}: base", "series", ""))],
            [[test, *(str((none | whole.get((test, cell), {}))[key])
                      for cell in cells for key in none)]
             for test in dict.fromkeys(r.name for r in records)])))
    for verdict in filter(verdicts.get, shown):
        blocks.append(fold(f"{verdict}: {verdicts[verdict]}", join([("", f"{verdict}:"), table(
            ["cell", "test", "line", "base", "series", "detail"], [
                [r.cell, r.name, *(line[k] for k in ("line", "base", "series", "detail"))]
                for r, line in lines if line["verdict"] == verdict])]), verdict == "worse"))
    return blocks * bool(records)


def bisect(page: Page) -> list[Block]:
    """Patches by cells, a series after the other; in brief, series by cells."""
    order = re.findall(r"(?m)^[^#\s]+", text_of(ROOT / "patches/stack"))
    records = sorted(page.of("bisect"), key=lambda r: (
        r.version(), [r.name.split("/")[0] != name for name in order], r.name))
    cells = list(dict.fromkeys(r.cell for r in records))
    rows: list[Row] = []
    for key, group in itertools.groupby(records, lambda r: (
            r.name if page.build else r.name.split("/")[0], r.version())):
        of = list(group)
        row: Row = [*key]
        for mine in ([r for r in of if r.cell == cell] for cell in cells):
            bad = next((r for r in mine if r.result == "fail"), None)
            row.append("-" if not mine else result(page, bad, f"{bad.name}: {bad.detail}") if bad
                       else result(page, mine[0]) if page.build else f"{len(mine)} passed")
        rows.append([*row, span(of)])
    return [table(["patch", "Linux", *cells, "when (UTC)"], rows)] * bool(rows)


def costs(page: Page) -> list[Block]:
    """What bench.sh measured: operations by cells, in instructions of a call, else in per
    cent of the base; then all of it."""
    lines = bench.pairs(page.records)
    cells = list(dict.fromkeys(line.cell for line in lines))
    single, retracted = bench.operations(lines), bench.retractions(lines)
    found = {(line.operation, line.cell): "same" if line.verdict == "the same" else
             f"{line.difference:+.0f}" if line.unit in ("call", "bytes") else
             f"{100 * (line.ratio - 1):+.2f} %" for line in lines}

    def row(name: str, operation: str) -> Row:
        return [name, *(found.get((operation, cell), "-") for cell in cells)]

    rows = [row(name, name) for name in dict.fromkeys(line.operation for line in single)]
    # Of the most tables, of which each has the smallest share of all the rest.
    last = {c.cell: f"{100 * (c.series / c.base - 1):+.1f} %"
            for c in sorted(retracted, key=lambda c: (c.tables, -c.processes))}
    rows += [["a retracted table", *(last.get(cell, "-") for cell in cells)]] * bool(last)
    rows.append(row("size, bytes", bench.SIZE))
    blocks = [words(f"{bench.count(single)}. {page.runs(page.of('bench'))}"),
              table(["series against base", *cells], rows),
              *(image(file, "../docs/" if page.build else "")
                for file in sorted(page.docs.glob("*.svg")))]
    if page.build:
        blocks += [fold(f"all {len(single)} figures, instructions",
                        table(bench.HEAD, [line.row() for line in single])),
                   *[fold("instructions a retracted table", table(
                       ["cell", "tables", "processes", "base", "series"],
                       [cost.row() for cost in retracted]))] * bool(retracted)]
    return blocks * bool(lines)


def times(page: Page) -> list[Block]:
    """How long each cell took, the longest first, and with what; and their sum."""
    ran = sorted(((cell, r) for cell, r in page.ran() if r.result != "not run"),
                 key=lambda pair: -sum(pair[1].times.values()))
    rows: list[Row] = [[
        r.name, *r.took(), r.date, *(r.inputs.get(key) or "not recorded"
                                     for key in ("accel", "qemu", "compiler", "tip")), r.host]
        for _, r in ran]
    kernels = {cell["build"]: r.times.get("build", 0) for cell, r in ran}
    rows.append(["all, each kernel once", str(sum(kernels.values())),
                 str(sum(r.times.get("guest", 0) for _, r in ran)), *[""] * 6])
    return [table(["cell", "build, s", "guest, s", "when (UTC)", "under", "QEMU", "compiler",
                   "tip", "host"], rows)]


def results_cells(page: Page) -> list[Block]:
    """The cells, on each base; then why tests failed or were skipped, each reason once."""
    rows: list[Row] = []
    reasons: dict[str, list[str]] = {}
    bad: list[str] = []
    for version in dict.fromkeys([DEFAULT_BASE, *sorted(r.version() for r in page.of("cell"))]):
        for cell, r in page.ran(version):
            if r.result == "not run" and version != DEFAULT_BASE:
                continue
            state = r.state()
            rows.append([r.name, version, WORD[state],
                         "/".join(r.counts()) if state in RESULTS else "-", *r.took(),
                         r.date or "-", page.stack(r) if r.date else "-", cell["shows"]])
            bad += [f"- {r.name}: {plain(line)}" for line in failures(page, r)[:5]]
            for reason, names in skips(r).items():
                reasons.setdefault(plain(reason), []).append(f"{r.name} ({len(names)})")
    why = [f"- {reason}: {', '.join(dict.fromkeys(names))}" for reason, names in
           sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))]
    return [table(["cell", "Linux", "result", "tests", "build, s", "guest, s", "when (UTC)",
                   "stack", "what it shows"], rows),
            *(("", f"{title}:\n\n" + "\n".join(lines)) for title, lines in (
                ("Failed", bad), ("Skipped, in how many tests of which cells", why)) if lines)]


def one_run(records: list[Record]) -> str:
    """How long the run of matrix.sh took that had the most of these cells."""
    runs = Counter(r.run for r in records if r.run)
    if not runs:
        return ""
    mine = [r for r in records if r.run == max(runs, key=lambda run: (runs[run], run))]
    ends = [calendar.timegm(time.strptime(r.date, "%Y-%m-%d %H:%M")) for r in mine]
    minutes = (max(ends) - min(end - r.seconds for end, r in zip(ends, mine))) // 60
    return (f" `make matrix` ran {len(mine)} of them in one go, in {minutes // 60}:"
            f"{minutes % 60:02} hours.")


# Title, section, and what runs it; RESULTS.md has those that something runs.
SECTIONS: list[tuple[str, Callable[[Page], list[Block]], str]] = [
    ("", summary, ""),
    ("Cells", main_table, "make matrix, make cell CELL=NAME"),
    ("Reproducers, base beside series", reproducers, "make repro, make windows"),
    ("Windows", windows, "make windows"),
    ("Mutants", listed("mutant", "killed", "survived"), "make mutants"),
    ("Generated mutants", listed("mutation", "without a survivor", "with survivors"),
     "make mutants"),
    ("Mutants that pgtable_fuzz was given", listed("fuzzed", "found", "not found"),
     'make mutants CELLS="x86_64+fuzz x86_64-nosplit+fuzz"'),
    ("The model", listed("model", "as it must be", "wrong"), "make model"),
    ("The kernel's own tests, base and series", own_tests, "make regress"),
    ("Races", listed("race", "passed", "failed"), "make race"),
    ("Soak", listed("soak", "passed", "failed"), "make soak"),
    ("run_kselftest.sh", listed("kselftest", "passed", "failed"), "make kselftest"),
    ("What it costs", costs, "make bench"),
    ("Each patch alone", bisect, "make bisect"),
    ("Time until an answer", listed("answer", "measured", "failed"), "make answer"),
    ("Cell by cell", details, ""),
    ("Times and versions", times, ""),
]


def results(records: list[Record], cells: dict[str, Cell], docs: Path) -> str:
    """RESULTS.md, of nothing but these."""
    records = sorted(records, key=lambda r: (r.key(), r.version()))
    in_order = sorted(records, key=lambda r: r.date)
    trees = {r.version(): r.inputs.get("tree", "") for r in in_order if r.experiment == "cell"}
    page = Page(records, cells, docs, trees)
    ran = page.ran(DEFAULT_BASE)
    text = ["# Results", "Written by `make report` from the records in "
            "[records.jsonl](records.jsonl); [DESIGN.md](DESIGN.md) has the words. "
            "Tests are passed / failed / skipped. A stack is the git tree that base and patches "
            "give; ↻: of another one than the cell that was run last.",
            states(ran)[1] + one_run([record for _, record in ran])]
    bases = {r.version(): r.inputs.get("base", "unknown base") for r in in_order}
    text.append("\n".join(
        f"- {base}, stack {trees.get(version) or 'unknown'}, "
        + span(r for r in records if r.version() == version) for version, base in bases.items()))
    run = [section for section in SECTIONS if section[2]]
    for title, section, _ in run:
        text += [f"## {title}", join(section(page) or [words("Not run yet.")])[1]]
    text += ["## Reproduce", table(["what", "command"], [
        [title, f"`{target.replace(', ', '`, `')}`"] for title, _, target in run])[1]]
    return "\n\n".join(filter(None, text)) + "\n"


def page_of(build: Path, docs: Path, cells: dict[str, Cell], patches: set[str]) -> dict[Path, str]:
    """The page as HTML and as markdown, and JUnit XML, of what is in build/."""
    base_name = "linux" if os.environ.get("LINUX") else os.environ.get("BASE") or DEFAULT_BASE
    suffix = suffix_of(base_name)
    base = " ".join(git(build, "log", "-1", "--format=%s", f"refs/tags/base/{base_name}"))
    tip = git(build, "log", "-1", "--format=%T %h (%s)", f"refs/composed/stack/series{suffix}")
    tree, _, title = " ".join(tip).partition(" ")
    page = Page(load(build / f"records{suffix}"), cells, docs,
                {Record("", "", inputs={"base": base}).version(): tree}, patches,
                build, suffix)
    blocks = [words(f"Made {time.strftime('%F %H:%M', time.gmtime())} UTC from build/records"
                    f"{suffix}; base {base or 'unknown'}, tip {title or 'unknown'}.")]
    for title, section, _ in SECTIONS:
        if some := section(page):
            blocks += [*[heading(title)] * bool(title), *some]
    html, markdown = document("Results", text_of(Path(__file__).with_suffix(".css")), blocks)
    return {build / "report.md": markdown, build / "report.html": html,
            build / "report.xml": junit(page.records)}


def junit(records: Iterable[Record]) -> str:
    """JUnit XML: a suite a record, a case a check. The kernel's kunit_junit.py takes what
    its parser read, and does not say why a test failed."""
    def clean(text: str) -> str:
        return re.sub(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)

    root = ET.Element("testsuites")
    for r in itertools.filterfalse(is_expected, records):
        suite = ET.SubElement(root, "testsuite", name=f"{r.experiment}/{r.path().stem}",
                              time=str(r.seconds), hostname=r.host,
                              timestamp=r.date.replace(" ", "T"))
        cases = [c for c in r.checks if c[2] in RESULTS]
        if r.result not in [c[2] for c in cases]:
            cases.append([r.experiment, r.name, r.result, r.detail])
        for kind, name, said, detail in cases:
            case = ET.SubElement(suite, "testcase", name=clean(name), classname=kind)
            if said != "pass":
                ET.SubElement(case, {"fail": "failure", "skip": "skipped"}[said],
                              message=clean(detail))
        for key, which in (("tests", RESULTS), ("failures", ["fail"]), ("skipped", ["skip"])):
            suite.set(key, str(sum(case[2] in which for case in cases)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def merge(build: Path, kept: list[Record], patches: set[str]) -> list[Record]:
    """What docs/ keep, with what is in build/. Commits of a stack say `Series:`; with
    --no-walk they are what some ref is at, or was."""
    found = {(r.version(), *r.key()): r for r in kept}
    known = set(git(build, "log", "--no-walk", "--all", "--reflog", "--grep=^Series: ",
                    "--format=%T"))
    left = 0
    for folder in sorted(build.glob("records*")):
        for r in load(folder) if folder.name != "records-linux" else []:
            tree, key = r.inputs.get("tree"), (r.version(), *r.key())
            if tree not in {"bisect": patches, "model": {"none"}}.get(r.experiment, known) \
                    or r.experiment == "try" and not [*HARNESS.rglob(f"{r.name}.c")]:
                left += 1
            elif key not in found or r.date >= found[key].date:
                found[key] = r.compact(str(ROOT))
    if left:
        print(f"note: not in docs/: {left} records of uncommitted work, of a stack that was not "
              "composed here, or of a program that harness/ does not have", file=sys.stderr)
    # Patches that are gone, of series that were composed here.
    refs = git(build, "for-each-ref", "--format=%(refname)", "refs/composed")
    return [r for r in found.values() if r.experiment != "bisect" or r.inputs["tree"] in patches
            or f"refs/composed/{r.name.split('/')[0]}/series{suffix_of(r.version())}" not in refs]


def write(files: dict[Path, str]) -> None:
    for path, text in files.items():
        put_file(path, text)
        print(path)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(argv)
    build, docs = args.build, args.docs
    lines, whole = docs / "records.jsonl", docs / "RESULTS.md"
    try:
        cells = cells_ini.load(Path(os.environ.get("CELLS_INI") or HARNESS / "guest/cells.ini"))
        kept = load_lines(lines)
        if args.check:
            if (kept or whole.exists()) and text_of(whole) != results(kept, cells, docs):
                raise ValueError(f"{whole}: is not what {lines} gives: run make report")
            return 0
        patches = set(git(build, "log", "--glob=refs/composed", "--format=%T"))
        write(page_of(build, docs, cells, patches))
        if kept := merge(build, kept, patches):
            write({lines: as_lines(kept), whole: results(kept, cells, docs)})
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
