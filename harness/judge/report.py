#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""One page about all results on disk: cells by checks.

in:   harness/guest/cells.ini (CELLS_INI=FILE for another), build/cells/CELL/{result.tsv,
      run.tsv,seconds,job.log}, the composed tip; BASE and LINUX as everywhere; what
      others have left there: build/{mutants/*/outcome.tsv,model/*.tsv,
      regress/report.tsv,bench/CELL.{tsv,size}}
out:  build/report.md, build/report.html (one file, no scripts, nothing from outside);
      --readme: the table of the cells in README.md as well, between its two comments
exit: 0 written, whatever the results are; 1 with one line that says why not: for
      README.md, every cell must have a result of the series as it is

A cell without a result is shown as not run, and one whose result is of another tree
than the series now gives is marked stale. What is in a section is in the function of
its name; each gives its HTML and its markdown.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / room) for room in ("prove", "guest")]
import bench  # noqa: E402
import cells as cells_ini  # noqa: E402
import regress  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
README_BEGIN = "<!-- the last full run, as harness/judge/report.py --readme wrote it -->"
README_END = "<!-- end of the last full run -->"

# The groups of checks: kind of check, what its name looks like, heading. The first
# that fits counts; userspace tests come by what they map, see group_of().
GROUPS = [(kind, re.compile(pattern), title) for kind, pattern, title in (
    ("kunit", r"\.ptlock_", "lock lookup"),
    ("kunit", r"\.(kmap|highpte)_", "HIGHPTE"),
    ("kunit", r"\.retract_", "retraction"),
    ("kunit", r"", "other suites"),
    ("proof", r"", "proof"),
    ("console|guest", r"", "console, taint"),
)]
SPANS = {"kunit": "KUnit", "selftest": "userspace", "proof": "guest",
         "console|guest": "guest"}

SIGN = {"pass": "✓", "fail": "✗", "skip": "○", "built": "✓", "not run": "–", "none": "–"}
WORD = {"pass": "passed", "fail": "failed", "built": "built", "not run": "not run"}


@dataclass
class Check:
    check: str
    name: str
    result: str
    detail: str


@dataclass
class Tally:
    """What came out of one group of checks in one cell."""
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def state(self) -> str:
        if self.failed:
            return "fail"
        return "pass" if self.passed else "skip" if self.skipped else "none"

    def words(self) -> str:
        said = [f"{n} {word}" for n, word in ((self.failed, "failed"),
                (self.passed, "passed"), (self.skipped, "skipped")) if n]
        return ", ".join(said) or "not part of it"


@dataclass
class Cell:
    name: str
    columns: dict[str, str]
    state: str = "not run"
    stale: bool = False
    checks: list[Check] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    when: str = ""
    reason: str = ""  # why there is no result, although it ran

    def tally(self, group: tuple[str, str]) -> Tally:
        found = [c.result for c in self.checks if group_of(c) == group]
        return Tally(found.count("pass"), found.count("fail"), found.count("skip"))

    def total(self, kind: str) -> Tally:
        found = [c.result for c in self.checks if c.check == kind]
        return Tally(found.count("pass"), found.count("fail"), found.count("skip"))

    def status(self) -> str:
        return WORD[self.state] + (", stale" if self.stale else "")


@dataclass
class Page:
    cells: list[Cell]
    groups: list[tuple[str, str]]
    now: dict[str, str]  # base, tip, tree as they are now
    build: Path
    end: str = ""  # of folders that are of another base


def group_of(check: Check) -> tuple[str, str] | None:
    """The span and the heading that a check belongs under. Facts have none, nor does
    the build of a cell that is not booted: that is its whole result."""
    if check.check == "build" or check.result not in ("pass", "fail", "skip"):
        return None
    if check.check == "selftest":
        # PROGRAM.FIXTURE.VARIANT.TEST
        path = check.name.split(".")
        return "userspace", path[2].replace("_", " ") if len(path) > 3 else "as a whole"
    for kind, pattern, title in GROUPS:
        if re.fullmatch(kind, check.check) and pattern.search(check.name):
            return SPANS[kind], title
    return "guest", check.check


def all_groups(cells: list[Cell]) -> list[tuple[str, str]]:
    """Those that some cell has, KUnit first, as they are met within a span."""
    found = {group: None for cell in cells for check in cell.checks
             if (group := group_of(check))}
    titles = [title for _, _, title in GROUPS]

    def order(group: tuple[str, str]) -> tuple[int, int]:
        span, title = group
        return (list(dict.fromkeys(SPANS.values())).index(span),
                titles.index(title) if title in titles else 0)
    return sorted(found, key=order)


# --- what is on disk

def read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def read_checks(text: str) -> list[Check]:
    checks = []
    for line in text.splitlines()[1:]:
        part = line.split("\t")
        if len(part) < 3:
            checks.append(Check("guest", "result", "fail", f"unreadable line: {line}"))
        else:
            checks.append(Check(*part[:3], " ".join(part[3:])))
    if not checks:
        checks = [Check("guest", "result", "fail", "result.tsv has no results")]
    return checks


def read_facts(path: Path, result: Path) -> dict[str, str]:
    """run.tsv, if it is of this very result.tsv and not of an earlier one."""
    facts = dict(line.split("\t", 1) for line in read(path).splitlines() if "\t" in line)
    have = ""
    if result.exists():
        have = hashlib.sha256(result.read_bytes()).hexdigest()[:16]
    return facts if facts.get("result") == have else {}


def why_no_result(log: str) -> str:
    """The errors that ended the run before there was a guest."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\berror:|\*\*\*|No space", line)]
    return "\n".join((errors or lines[-3:])[-6:]) or "it left no log"


def load_cell(columns: dict[str, str], folder: Path, now: dict[str, str]) -> Cell:
    cell = Cell(columns["cell"], columns)
    result = folder / "result.tsv"
    cell.facts = read_facts(folder / "run.tsv", result)
    if result.exists():
        cell.checks = read_checks(read(result))
        cell.state = "pass"
        if any(c.check == "build" for c in cell.checks):
            cell.state = "built"
        written = result.stat().st_mtime
        cell.when = cell.facts.get("date") or time.strftime("%F %H:%M", time.gmtime(written))
        if any(c.result == "fail" for c in cell.checks) or \
           cell.facts.get("outcome") == "FAIL":
            cell.state = "fail"
        cell.stale = is_stale(cell.facts, written, now)
    elif cell.facts:
        cell.state = "fail" if cell.facts.get("outcome") == "FAIL" else "built"
        cell.when = cell.facts.get("date", "")
        cell.stale = is_stale(cell.facts, 0, now)
        if cell.state == "fail":
            # Only job.sh leaves a log, and this may not have been its run.
            alone = cell.facts.get("run") == "-"
            cell.reason = f"run alone: make cell CELL={cell.name} says why" if alone \
                else why_no_result(read(folder / "job.log"))
    if cell.state != "not run":
        cell.facts.setdefault("guest", read(folder / "seconds").strip() or "-")
    return cell


def is_stale(facts: dict[str, str], written: float, now: dict[str, str]) -> bool:
    if "tree" in facts:
        return bool(now.get("tree")) and facts["tree"] != now["tree"]
    return written < float(now.get("since", 0))


def suffix() -> str:
    """As git.sh's tree_dir() has it: what is not on the default base is apart."""
    default = re.search(r"^DEFAULT_BASE=(\S+)", read(ROOT / "harness/lib/git.sh"), re.M)
    base = "linux" if os.environ.get("LINUX") else os.environ.get("BASE")
    return f"-{base}" if base and default and base != default[1] else ""


def current(build: Path, base: str) -> dict[str, str]:
    """What the series gives now: the tip that was composed last."""
    def git(*args: str) -> str:
        done = subprocess.run(["git", f"--git-dir={build}/base.git", *args], text=True,
                              capture_output=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    stamp = build / f"compose-{base}.stamp"
    tip = read(stamp).split()[-1:]
    if not tip:
        return {}
    return {"tip": git("log", "-1", "--format=%h (%s)", tip[0]),
            "tree": git("rev-parse", f"{tip[0]}^{{tree}}"),
            "base": git("log", "-1", "--format=%s", f"refs/tags/base/{base}"),
            "since": str(stamp.stat().st_mtime)}


def load(build: Path, file: Path) -> Page:
    end = suffix()
    base = end[1:] or re.findall(r"^DEFAULT_BASE=(\S+)",
                                 read(ROOT / "harness/lib/git.sh"), re.M)[0]
    now = current(build, base)
    cells = [load_cell(columns, build / "cells" / (columns["cell"] + end), now)
             for columns in cells_ini.load(file).values()]
    return Page(cells, all_groups(cells), now, build, end)


# --- the sections

Section = tuple[str, str]  # HTML, markdown


def tag(name: str, text: str, **attributes: str) -> str:
    """text is HTML already; class_ is class, and col_span is colspan."""
    said = "".join(f' {key.rstrip("_").replace("col_", "col").replace("row_", "row")}'
                   f'="{escape(value)}"' for key, value in attributes.items() if value)
    return f"<{name}{said}>{text}</{name}>"


def table(head: list[str], rows: list[list[str]], kind: str = "",
          mark: Callable[[list[str]], str] = lambda row: "") -> Section:
    """A plain table of texts; the first column is what a row is about. mark: the
    class of a row."""
    html = tag("tr", "".join(tag("th", escape(t), scope="col") for t in head))
    body = "".join(tag("tr", tag("th", escape(row[0]), scope="row")
                       + "".join(tag("td", escape(t), class_="long" * (len(t) > 40))
                                 for t in row[1:]), class_=mark(row))
                   for row in rows)
    html = tag("div", tag("table", tag("thead", html) + tag("tbody", body)),
               class_=f"scroll {kind}".strip(), tabindex="0")
    markdown = "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
                         + ["| " + " | ".join(t.replace("|", "\\|") for t in row) + " |"
                            for row in rows])
    return html, markdown


def summary(page: Page) -> Section:
    count = {word: sum(c.state == state for c in page.cells)
             for state, word in WORD.items()}
    stale = sum(c.stale for c in page.cells)
    said = [(f"{n} {word}", word) for word, n in count.items() if n]
    states = {word: state for state, word in WORD.items()}
    html = tag("p", tag("strong", f"{len(page.cells)} cells:") + " " + " ".join(
        tag("span", f"{SIGN[states[word]]} {text}", class_=f"chip {css(states[word])}")
        for text, word in said)
        + (" " + tag("span", f"↻ {stale} stale", class_="chip stale") if stale else ""))
    failed = [cell.name for cell in page.cells if cell.state == "fail"]
    if failed:
        html += tag("p", "failed: " + ", ".join(
            tag("a", escape(name), href=f"#{name}") for name in failed))
    markdown = f"{len(page.cells)} cells: " + ", ".join(text for text, _ in said) + "."
    if stale:
        note = f"{stale} stale: the result is not of the tree that the series gives now."
        html += tag("p", note, class_="note")
        markdown += f" {note}"
    return html, markdown


def css(state: str) -> str:
    return state.replace(" ", "-")


def main_table(page: Page) -> Section:
    """Cells by groups of checks."""
    return main_html(page), main_markdown(page)


def main_html(page: Page) -> str:
    spans: dict[str, int] = {}
    for span, _ in page.groups:
        spans[span] = spans.get(span, 0) + 1
    head = tag("th", "cell", scope="col", row_span="2", class_="cell")
    head += tag("th", "result", scope="col", row_span="2")
    head += "".join(tag("th", escape(span), scope="colgroup", col_span=str(n), class_="span")
                    for span, n in spans.items())
    head += tag("th", "seconds", scope="colgroup", col_span="2", class_="span")
    head += tag("th", "what it shows", scope="col", row_span="2", class_="shows")
    titles = [title for _, title in page.groups] + ["build", "guest"]
    second = "".join(tag("th", escape(title), scope="col") for title in titles)
    rows = "".join(main_row(page, cell) for cell in page.cells)
    return tag("div", tag("table", tag("thead", tag("tr", head) + tag("tr", second))
                          + tag("tbody", rows)), class_="scroll main", tabindex="0") + tag(
        "p", "✓ passed, ✗ failed, ○ all skipped, – not part of this cell; below it, what "
        "else there was. ↻ stale: the result is of another tree. Seconds of the build: "
        "of the last one that began with nothing (ccache may have had some of it).",
        class_="note")


def main_row(page: Page, cell: Cell) -> str:
    name = tag("a", escape(cell.name), href=f"#{cell.name}")
    row = tag("th", name, scope="row", class_="cell")
    state = f"<b>{SIGN[cell.state]} {WORD[cell.state]}</b>"
    if cell.reason:
        state += tag("small", escape(failed_in(cell)))
    if cell.stale:
        state += tag("small", "↻ stale", class_="stale")
    row += tag("td", state, class_=css(cell.state))
    row += "".join(tally_html(cell.tally(group)) for group in page.groups)
    row += "".join(tag("td", escape(cell.facts.get(key, "-")), class_="number")
                   for key in ("build", "guest"))
    row += tag("td", escape(cell.columns.get("shows", "")), class_="shows")
    return tag("tr", row, class_="stale" if cell.stale else "")


def failed_in(cell: Cell) -> str:
    """The step that it did not get beyond."""
    failed = cell.facts.get("failed", "-")
    return failed if failed != "-" else "before the guest"


def tally_html(tally: Tally) -> str:
    state = tally.state()
    main = {"fail": tally.failed, "pass": tally.passed, "skip": tally.skipped}.get(state)
    text = f"<b>{SIGN[state]}{'' if main is None else f' {main}'}</b>"
    if state == "fail" and tally.passed:
        text += tag("small", f"{tally.passed} passed")
    if state != "skip" and tally.skipped:
        text += tag("small", f"{tally.skipped} skipped")
    return tag("td", text, class_=state, title=tally.words())


def main_markdown(page: Page) -> str:
    """All userspace tests in one column: this goes into the README."""
    kunit = [group for group in page.groups if group[0] == "KUnit"]
    head = ["cell", "result", *(title for _, title in kunit), "userspace", "proof",
            "console", "build, s", "guest, s", "what it shows"]
    rows = []
    for cell in page.cells:
        guest = [c.result for c in cell.checks if c.check in ("console", "guest")]
        console = "-" if not guest else f"{guest.count('fail')} bad" \
            if "fail" in guest else "clean"
        tallies = [cell.tally(group) for group in kunit]
        tallies += [cell.total("selftest"), cell.total("proof")]
        rows.append([cell.name, cell.status(), *(tally_text(t) for t in tallies),
                     console, cell.facts.get("build", "-"),
                     cell.facts.get("guest", "-"), cell.columns.get("shows", "")])
    return ("Passed / failed / skipped.\n\n" + table(head, rows)[1])


def tally_text(tally: Tally) -> str:
    if tally.state() == "none":
        return "-"
    return f"{tally.passed}/{tally.failed}/{tally.skipped}"


def details(page: Page) -> Section:
    """Cell by cell: what failed, what was skipped and why, and the facts."""
    html, markdown = "", ""
    for cell in page.cells:
        text, lines = detail(cell)
        sign = tag("b", f"{SIGN[cell.state]} {escape(cell.status())}",
                   class_=f"chip {css(cell.state)}")
        # A link to what is within opens it; one to the element itself does not.
        html += ("<details" + " open" * (cell.state == "fail") + ">"
                 + tag("summary", f"{escape(cell.name)} {sign}")
                 + tag("div", text, id=cell.name) + "</details>")
        markdown += f"### {cell.name}: {cell.status()}\n\n{lines}\n\n"
    return html, markdown.strip()


def detail(cell: Cell) -> Section:
    if cell.state == "not run":
        text = f"{cell.columns.get('shows', '')}. No result: make cell CELL={cell.name}"
        return tag("p", escape(text)), text
    parts = [
        ("shows", [cell.columns.get("shows", "").strip("-")]),
        ("failed", [describe(c) for c in cell.checks if c.result == "fail"]
         or ([f"in {failed_in(cell)}: {cell.reason}"] if cell.reason else [])),
        ("it said", [c.detail for c in cell.checks if c.check == "config"]),
        ("proof", [" ".join(c.name for c in cell.checks
                            if c.check == "proof" and c.result == "pass")]),
        ("skipped", skip_reasons(cell.checks)),
        ("run", [run_line(cell)]),
        ("machine", [cell.columns.get("qemu", "")]),
    ]
    html, markdown = "", []
    for title, lines in parts:
        lines = [line for line in lines if line]
        if lines:
            html += tag("dt", title) + "".join(
                tag("dd", escape(line), class_="fail" if title == "failed" else "")
                for line in lines)
            markdown += [f"- {title}: " + line.replace("\n", "; ") for line in lines]
    return tag("dl", html), "\n".join(markdown)


def describe(check: Check) -> str:
    return f"{check.check} {check.name}: {check.detail}"


def skip_reasons(checks: list[Check]) -> list[str]:
    """Each reason once, with the tests that it holds for."""
    found: dict[str, list[str]] = {}
    for check in checks:
        if check.result == "skip":
            # The program's name says nothing to who looks at its tests.
            name = check.name.partition(".")[2] or check.name
            found.setdefault(check.detail, []).append(name)
    return [f"{reason}: {', '.join(names)}" for reason, names in found.items()]


def run_line(cell: Cell) -> str:
    facts = cell.facts
    said = [cell.when + " UTC"]
    said += [f"{title} {facts[key]}" for key, title in (
        ("host", "on"), ("accel", "under"), ("tip", "tip"), ("compiler", ""), ("qemu", ""),
        ("build", "built in"), ("guest", "guest"))
        if facts.get(key, "-") not in ("-", "")]
    return ", ".join(s.strip() + (" s" if s.startswith(("built", "guest")) else "")
                     for s in said)


def versions(page: Page) -> Section:
    """What it was run with; what was not recorded says so."""
    ran = [cell for cell in page.cells if cell.state != "not run"]
    rows = [["series now", page.now.get("tip") or "nothing is composed", ""],
            ["base now", page.now.get("base") or "-", ""]]
    for key, title in (("base", "base"), ("tip", "tip"), ("compiler", "compiler"),
                       ("qemu", "QEMU"), ("accel", "accelerator"), ("host", "host")):
        found: dict[str, list[str]] = {}
        for cell in ran:
            if key in ("qemu", "accel") and cell.state == "built":
                continue
            found.setdefault(cell.facts.get(key) or "not recorded", []).append(cell.name)
        rows += [[title, value, "all" if len(names) == len(ran) else ", ".join(names)]
                 for value, names in found.items()]
    days = sorted(cell.when for cell in ran if cell.when)
    if days:
        rows.append(["date", f"{days[0]} to {days[-1]} UTC", ""])
    return table(["what", "version", "cells"], rows)


def times(page: Page) -> Section:
    """The longest first, and their sum."""
    def seconds(cell: Cell, key: str) -> int:
        text = cell.facts.get(key, "-")
        return int(text) if text.isdigit() else 0

    ran = sorted((cell for cell in page.cells if cell.state != "not run"),
                 key=lambda c: -seconds(c, "build") - seconds(c, "guest"))
    rows = [[cell.name, cell.facts.get("build", "-"), cell.facts.get("guest", "-"),
             cell.when] for cell in ran]
    kernels = {cell.columns.get("build", cell.name): seconds(cell, "build")
               for cell in ran}
    rows.append(["all, each kernel once", str(sum(kernels.values())),
                 str(sum(seconds(cell, "guest") for cell in ran)), ""])
    return table(["cell", "build, s", "guest, s", "when (UTC)"], rows, "narrow")


def one_liners(page: Page, pattern: str, columns: int) -> list[list[str]]:
    """The rows of files with one line each: of several runs, if some ran again."""
    rows = []
    for path in sorted(page.build.glob(pattern)):
        row = read(path).rstrip("\n").split("\t")
        rows.append((row + [""] * columns)[:columns]
                    + [time.strftime("%F %H:%M", time.gmtime(path.stat().st_mtime))])
    return rows


def count(rows: list[list[str]], good: Callable[[list[str]], bool], words: str) -> Section:
    """How many are good and how many are not: words has a word for each."""
    ok = sum(good(row) for row in rows)
    said = [(n, word) for n, word in zip((ok, len(rows) - ok), words.split(","))]
    text = ", ".join(f"{n} {word}" for n, word in said)
    state = "pass" if ok == len(rows) else "fail"
    return tag("p", tag("span", f"{SIGN[state]} {escape(text)}", class_=f"chip {state}")), text


def mutants(page: Page) -> Section:
    """Each broken variant, and what the test that must notice it said."""
    rows = one_liners(page, "mutants/*/outcome.tsv", 5)
    return judged(rows, ["mutant", "cell", "killed by", "result", "it said", "when (UTC)"],
                  lambda row: row[3] == "killed", "killed,survived")


def model(page: Page) -> Section:
    """Each check of the model: what it must give, and gave."""
    rows = one_liners(page, "model/*.tsv", 6)
    return judged(rows, ["check", "must", "found", "states", "transitions", "s", "when (UTC)"],
                  lambda row: row[1] == row[2], "as it must be,wrong")


def judged(rows: list[list[str]], head: list[str], good: Callable[[list[str]], bool],
           words: str) -> Section:
    """A table with its count above; what is not good comes first."""
    if not rows:
        return "", ""
    rows = sorted(rows, key=good)
    html, markdown = table(head, rows, mark=lambda row: "" if good(row) else "fail")
    said, text = count(rows, good, words)
    return said + fold(f"all {len(rows)}", html, not all(map(good, rows))), \
        f"{text}.\n\n{markdown}"


def fold(title: str, html: str, is_open: bool = False) -> str:
    return ("<details" + " open" * is_open + ">"
            + tag("summary", escape(title)) + html + "</details>")


def own_tests(page: Page) -> Section:
    """The kernel's own tests: what regress.py wrote, the two sides beside each other."""
    lines = [line.split("\t") for line in
             read(page.build / f"regress{page.end}/report.tsv").splitlines()[1:]]
    # Newlines within a detail are spaces there: seven columns, or cut short.
    rows = [regress.Row(*(line + [""] * 7)[:3], line[3].split(", "), line[4].split(", "),
                        *(line + [""] * 7)[5:7], "")
            for line in lines if len(line) > 5]
    if not rows:
        return "", ""
    compared = [row for row in rows
                if regress.ABSENT not in row.base[:1] and row.verdict != "new"]
    worse = sum(row.verdict == "worse" for row in rows)
    text = f"{len(compared)} compared, {worse} worse"
    state = "fail" if worse else "pass"
    html = tag("p", tag("span", f"{SIGN[state]} {text}", class_=f"chip {state}"))
    markdown = f"{text}. Passed / skipped / neither.\n\n"
    sides, lines_md = side_by_side(rows)
    html += fold("side by side: passed / skipped / neither", sides)
    markdown += lines_md + "\n"
    for said, title in OWN_TESTS.items():
        mine = [[row.cell, row.test, row.line, regress.tell(row.base),
                 regress.tell(row.patched), row.detail] for row in rows
                if row.verdict == said and set(row.base + row.patched)
                not in ({"pass"}, {"skip"})]
        if mine:
            some, md = table(["cell", "test", "line", "base", "series", "detail"], mine,
                             mark=lambda row, said=said: "fail" * (said == "worse"))
            html += fold(f"{title}: {len(mine)}", some, said == "worse")
            if said != "same":
                markdown += f"\n{title}:\n\n{md}\n"
    return html, markdown.strip()


OWN_TESTS = {"worse": "Worse", "flaky": "Not the same every time",
             "better": "Better", "new": "Not on the base", "same": "Not passed on either"}


def side_by_side(rows: list[regress.Row]) -> Section:
    """A row a test, and for each cell both sides and what to say of them."""
    cells = list(dict.fromkeys(row.cell for row in rows))
    found: dict[tuple[str, str], list[regress.Row]] = {}
    for row in rows:
        found.setdefault((row.test, row.cell), []).append(row)
    said = []
    for test in dict.fromkeys(row.test for row in rows):
        line = [test]
        for cell in cells:
            mine = found.get((test, cell))
            line += ["-", "-", ""] if not mine else [
                regress.counts(mine, "base"), regress.counts(mine, "patched"),
                " ".join(word for word in ("worse", "flaky", "better")
                         if any(row.verdict == word for row in mine))]
        said.append(line)
    head = ["test"] + [text for cell in cells for text in (f"{cell}: base", "series", "")]
    return table(head, said, mark=lambda row: "fail" * ("worse" in " ".join(row[3::3])))


def costs(page: Page) -> Section:
    """What bench.sh measured, of the cells that were measured to the end."""
    lines, sizes = [], {}
    for path in sorted(page.build.glob("bench/*.size")):
        try:
            lines += bench.read_cell(path.parent, path.stem)
            sizes[path.stem] = bench.size(path.parent, path.stem)
        except (bench.Missing, ValueError, IndexError) as error:
            print(f"note: left out: {path}: {error}", file=sys.stderr)
    if not lines:
        return "", ""
    retracted = bench.retractions(lines)
    scale = bench.scale_table(retracted)
    lines = bench.without_scale(lines)
    # What is bold there is what is more than noise.
    rows = markdown_rows(bench.table(lines))
    shown, _ = table([text.replace("difference", "difference, bold: more than noise")
                      for text in rows[0]], rows[2:])
    shown = re.sub(r"\*\*(.*?)\*\*", r"<b>\1</b>", shown)
    size_rows = [[cell, str(old), str(new), f"{by:+d}"]
                 for cell, (old, new, by) in sizes.items()]
    sized, _ = table(["cell", "base, bytes", "series, bytes", "difference"], size_rows)
    plot = tag("p", escape(bench.count(lines))) + tag("figure", bench.plot(lines))
    scale_rows = markdown_rows(scale)
    scaled = ""
    if retracted:
        scaled = (tag("figure", bench.scale_plot(retracted)) +
                  fold("instructions a retracted table",
                       table(scale_rows[0], scale_rows[2:])[0]))
    return (sized + plot + fold(f"all {len(lines)} figures, instructions", shown) + scaled,
            "\n".join([bench.size_table(sizes), bench.count(lines) + "\n",
                       bench.table(lines), scale]).strip())


def markdown_rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in row.strip("| ").split("|")]
            for row in text.splitlines()]


# An empty section is left out.
SECTIONS: list[tuple[str, Callable[[Page], Section]]] = [
    ("", summary),
    ("Cells by checks", main_table),
    ("The kernel's own tests, base and series", own_tests),
    ("Mutants", mutants),
    ("The model", model),
    ("What it costs", costs),
    ("Cell by cell", details),
    ("Versions", versions),
    ("Times", times),
]

STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1b1f24; --dim: #57606a;
	--line: #d0d7de; --head: #f3f5f7; --link: #0550ae;
	--pass: #dcf3e1; --pass-text: #0b4a20; --fail: #ffd8d3; --fail-text: #8c0f0a;
	--skip: #eef0f2; --skip-text: #4b545d; --stale: #fff0c2; --stale-text: #684700 }
@media (prefers-color-scheme: dark) { :root { --back: #0f1318; --text: #dfe5ec;
	--dim: #98a3ae; --line: #333c46; --head: #1a2027; --link: #79b8ff;
	--pass: #12351f; --pass-text: #9fe3b2; --fail: #581915; --fail-text: #ffc4bd;
	--skip: #1f262d; --skip-text: #a9b4bf; --stale: #463500; --stale-text: #ffdf8c } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem clamp(.5rem, 2vw, 2rem) 4rem; max-width: 110rem;
	background: var(--back); color: var(--text); line-height: 1.45;
	font: 15px/1.45 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; margin: 0 0 .3rem } h2 { font-size: 1.15rem; margin: 2rem 0 .6rem }
h3 { font-size: 1rem; margin: 1rem 0 .4rem }
a { color: var(--link) }
.note { color: var(--dim); font-size: .9em; max-width: 75ch }
.scroll { overflow: auto; max-height: 92vh; border: 1px solid var(--line);
	border-radius: 6px; width: fit-content; max-width: 100% }
table { border-collapse: separate; border-spacing: 0; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .5rem; text-align: left; vertical-align: top; font-weight: 400;
	border-bottom: 1px solid var(--line); border-right: 1px solid var(--line);
	overflow-wrap: break-word; max-width: 36rem }
td.long { min-width: 15rem; overflow-wrap: anywhere }
.scroll:not(.main) td:not(.long) { white-space: nowrap }
tr > :last-child { border-right: 0 } tbody tr:last-child > * { border-bottom: 0 }
thead { position: sticky; top: 0; z-index: 2 }
thead th { background: var(--head); font-weight: 600; font-size: .87em;
	vertical-align: bottom }
tbody th { font-weight: 600; white-space: nowrap; overflow-wrap: normal }
.main td b { display: block; font-weight: 600; white-space: nowrap }
.main td small { display: block; white-space: nowrap; font-size: .78em }
.main .span { text-align: center }
.main .cell { position: sticky; left: 0; z-index: 1; background: var(--head);
	white-space: nowrap }
.main .shows { min-width: 12rem; font-size: .87em }
.number { text-align: right }
.pass, .built { background: var(--pass); color: var(--pass-text) }
.fail { background: var(--fail); color: var(--fail-text) }
.skip, .none, .not-run { background: var(--skip); color: var(--skip-text) }
small.stale, .chip.stale { background: var(--stale); color: var(--stale-text);
	border-radius: 3px; padding: 0 .3em; width: fit-content }
tr.stale td.pass, tr.stale td.fail, tr.stale td.built { background-image:
	repeating-linear-gradient(135deg, transparent 0 6px, var(--back) 6px 7px) }
.chip { display: inline-block; border-radius: 4px; padding: 0 .45em; font-weight: 600;
	white-space: nowrap }
details { border-top: 1px solid var(--line) } details div { scroll-margin-top: 4rem }
details:has(:target) > summary { background: var(--stale); color: var(--stale-text) }
summary { cursor: pointer; padding: .35rem 0; font-weight: 600 }
figure { margin: 1rem 0; max-width: 60rem; background: #fff; border-radius: 6px;
	overflow: auto }
figure svg { display: block; width: 100%; min-width: 40rem; height: auto }
dl { margin: 0 0 .8rem; display: grid; grid-template-columns: 5.5rem minmax(0, 1fr);
	gap: .15rem .8rem; font-size: .9em }
dt { color: var(--dim); grid-column: 1 }
dd { margin: 0; grid-column: 2; white-space: pre-wrap } dd.fail { padding: .1rem .4rem }
dd + dt { border: 0 }
@media (max-width: 60rem) { body { font-size: 14px } .main .shows { display: none }
	dl { grid-template-columns: minmax(0, 1fr) } dd { grid-column: 1; margin-left: 1rem } }
@media print { .scroll { max-height: none; overflow: visible } }
"""


def write(page: Page, out: Path) -> None:
    title = "pte_lockptr() by pte: results"
    date = time.strftime("%F %H:%M", time.gmtime()) + " UTC"
    about = f"Made {date} from what is in build/; " \
            f"base {page.now.get('base') or 'unknown'}, " \
            f"tip {page.now.get('tip') or 'unknown'}."
    html = tag("h1", escape(title)) + tag("p", escape(about), class_="note")
    markdown = f"# {title}\n\n{about}\n"
    for heading, section in SECTIONS:
        text, lines = section(page)
        if not text:
            continue
        html += tag("section", (tag("h2", escape(heading)) if heading else "") + text)
        markdown += "\n" + (f"## {heading}\n\n" if heading else "") + lines + "\n"
    document = ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
                '<meta name="viewport" content="width=device-width, initial-scale=1">'
                f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
                f"<body>{html}</body></html>\n")
    for name, whole in (("report.md", markdown), ("report.html", document)):
        new = out / f"{name}.new"
        new.write_text(whole, encoding="utf-8")
        new.replace(out / name)


def write_readme(page: Page, path: Path) -> None:
    """The table of the cells, dated, in the place of the one before."""
    bad = [cell.name for cell in page.cells if cell.stale or cell.state == "not run"]
    if bad:
        raise ValueError(f"{path.name} is left as it is: no result of the series as it is "
                         f"of {', '.join(bad)}: run make matrix")
    days = sorted(cell.when.split(" ")[0] for cell in page.cells)
    dates = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    bench.replace_between(
        path, README_BEGIN, README_END,
        f"{summary(page)[1]} {dates}, {page.now.get('base', 'base unknown')}.\n"
        f"{main_markdown(page)}\n")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build",
                        help="where the results are, and where the report goes")
    parser.add_argument("--readme", type=Path, nargs="?", const=ROOT / "README.md",
                        help="put the table of the cells in there, too")
    args = parser.parse_args(argv)
    file = Path(os.environ.get("CELLS_INI") or ROOT / "harness/guest/cells.ini")
    try:
        args.build.mkdir(exist_ok=True)
        page = load(args.build, file)
        write(page, args.build)
        if args.readme:
            write_readme(page, args.readme)
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{args.build}/report.md\n{args.build}/report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
