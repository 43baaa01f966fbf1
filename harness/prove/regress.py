#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Are the kernel's own tests worse off with the series than on the base?

usage: regress.py judge CELL KUNIT   a line a test: its name, result, seconds, detail; and
                                     CELL/figures/TEST.tsv, for record --figures
       regress.py table RECORDS TREE CELL...   what was recorded of that tree
in:   CELL/{base,series}.logs/ROUND-BOOT.{console,port}, as regress.sh leaves them: a
      round is a run of the tests, more than one boot where a guest died in it; rounds
      after the first are of what seemed worse. KUNIT is tools/testing/kunit of a tree
exit: 0; 1 (table) something is worse, or nothing could be compared; 2 bad arguments

Compared are each result line of the KTAP, the end of each test, and what the kernel had to
complain about meanwhile. Worse is what passed on the base and did not with the series, in
each round. The first of a test's figures is about all of it, the others about what did not
pass on both sides.
"""

from __future__ import annotations

import io
import itertools
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parents[1] / "judge"))
import records  # noqa: E402
import verdict  # noqa: E402

COLUMNS = ("line", "compared", "base", "series", "verdict", "seconds", "detail")
HEADS = {"skipped": "skipped on both:", "same": "not passed on the base either:",
         "better": "better:", "new": "not on the base:", "flaky": "flaky:", "worse": "WORSE:"}
ABSENT = "not there"
BOOT = "(boot)"

# What a test puts into the name of a result that is not the same every time.
VARIES = re.compile(r"\bcount \d+|0x[0-9a-f]{6,}|\b\d+MB of memory|"
                    r"\bExtra pages \d+ \([\d.]+%\), extra thread faults \d+")
# What differs from one complaint of the kernel to the same one next time.
PASSING = re.compile(r"^\[[^]]*\]\s*|0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# The parser knows no expected failures, and no directive before the name.
XFAIL = re.compile(r"^(\s*(?:not )?ok \d+) # XFAIL (.*)$")


@dataclass
class Run:
    """What one test did in one round on one kernel: state and detail of each line."""
    lines: dict[str, tuple[str, str]] = field(default_factory=dict)
    timed_out: bool = False
    seconds: str = ""

    def put(self, name: str, state: str, detail: str = "") -> None:
        """Names that come more than once are numbered."""
        numbered = (f"{name} #{n}" for n in itertools.count(2))
        key = next(k for k in itertools.chain([name], numbered) if k not in self.lines)
        self.lines[key] = state, detail


Round = dict[str, Run]  # by the name of the test


class Row(NamedTuple):
    line: str
    base: list[str]  # its state in each round
    series: list[str]
    verdict: str
    detail: str


def ktap(kunit: Any, run: Run, text: list[str]) -> None:
    """Every result line; those that were planned and never came are one line of ours."""
    lines = [XFAIL.sub(r"\1 \2 # SKIP expected to fail", COLOUR.sub("", line))
             for line in text]
    if not any(re.match(r"\s*(not )?ok \d+", line) for line in lines):
        return
    if not any(re.match(r"K?TAP version", line) for line in lines):
        lines.insert(0, "TAP version 13")
    root = kunit.parse_run_tests(lines, kunit.Printer(output=io.StringIO()))
    states = {kunit.TestStatus.SUCCESS: "pass", kunit.TestStatus.SKIPPED: "skip"}
    missing = 0
    for path, test in verdict.leaves(root, ""):
        state, name = states.get(test.status, "fail"), path or test.skip_reason
        if test is not root and name:
            detail = {"skip": test.skip_reason, "fail": verdict.why_failed(test)}
            run.put(VARIES.sub("…", re.sub(r"^#\s*", "", name)), state, detail.get(state, ""))
        elif test is not root:
            missing += 1
    if not run.timed_out:
        run.put("all that was planned", "fail" if missing else "pass",
                f"{missing} that were planned are missing" if missing else "")


def ending(section: verdict.Section) -> tuple[str, str]:
    """The state, and the line that is most likely to say why."""
    status = section.status
    said = [line for line in section.lines
            if line.strip() and not line.startswith(("# Totals", "# Planned"))]
    last = f"the last line: {said[-1] if said else 'none'}"
    if section.timeout:
        return "timeout", f"killed after its time, {last}"
    if status is None:
        return "died", f"the guest ended in it, {last}"
    if status == 4:
        return "skip", next((line for line in said if "SKIP" in line), last)
    how = f"signal {status - 128}" if status > 128 else f"exit status {status}"
    return ("fail", f"{how}, {last}") if status else ("pass", "")


def read_boot(kunit: Any, log: Path) -> Round:
    """The tests of one boot, from what init said, and the complaints of the kernel: what
    makes each one that one, and a line."""
    text, console = verdict.read_log(log), verdict.read_log(log.with_suffix(".console"))
    port = verdict.read_port(text)
    tests = {f"kunit {name}": Run({"the suite": (ABSENT, "not in this kernel")})
             for name in re.findall(r"^guest: missing (\S+)$", text, re.M)}
    suites = {f"kunit {name}": section for name, section in port.suites.items()}
    for name, section in (suites | port.selftests).items():
        run = tests[name] = Run({}, section.timeout, section.seconds)
        ktap(kunit, run, section.lines)
        if name in port.selftests:
            run.put("how it ended", *ending(section))
    test = BOOT
    for line in console.splitlines():
        if begun := re.search(r"guest: (?:selftest (\S+)$|tainted )", line):
            test = begun[1] or BOOT
        elif (name := verdict.complaint(line) or "stack trace") != "stack trace":
            key = f"{name}: {' '.join(PASSING.sub('…', line).split())}"
            tests.setdefault(test, Run()).lines.setdefault(key, ("fail", line.strip()))
    boot = tests.setdefault(BOOT, Run())
    if "debug_vm_pgtable" in console:
        boot.put("debug_vm_pgtable: it ran", "pass")
    if tests.keys() > {BOOT}:
        boot.put("init came to the tests", "pass")
    return tests


def read_side(kunit: Any, logs: Path) -> list[Round]:
    """Every round; a test that two boots of one have is that of the first."""
    rounds: dict[str, Round] = {}
    for port in sorted(logs.glob("*-*.port"), key=lambda p: [*map(int, p.stem.split("-"))]):
        number = port.stem.partition("-")[0]
        first = rounds.get(number, {})
        rounds[number] = first | read_boot(kunit, port) | first
    return list(rounds.values())


def states(runs: list[Run], line: str) -> list[str]:
    """Of a line, in each round that has the test. A complaint that was not made passes."""
    complaint = line.startswith(tuple(f"{name}: " for name, _ in verdict.BAD_LINES))
    return [run.lines[line][0] if line in run.lines else "pass" if complaint
            else "cut off" if run.timed_out else ABSENT for run in runs] or [ABSENT]


def judge(base: list[str], series: list[str]) -> str:
    """One line's verdict, given its state in each round of both sides."""
    if base[0] in ("cut off", ABSENT):
        return "new" if series[0] == "pass" else "same"
    if "pass" not in base:
        return "better" if set(series) == {"pass"} else "same"
    if set(series) == {"pass"}:
        return "same" if set(base) == {"pass"} else "flaky"
    return "flaky" if "pass" in series else "worse"


def compare(base: list[Round], series: list[Round], test: str) -> list[Row]:
    rows = []
    sides = [[tests[test] for tests in side if test in tests] for side in (base, series)]
    runs = sides[0] + sides[1]
    cut = all(any(run.timed_out for run in side) for side in sides)
    for line in dict.fromkeys(line for run in runs for line in run.lines):
        was, now = (states(side, line) for side in sides)
        # Where neither came to its end, how far each came says nothing.
        said = "same" if cut and {*now} == {"cut off"} else judge(was, now)
        details = [run.lines[line][1] for run in runs if line in run.lines]
        rows.append(Row(line, was, now, said, next(filter(None, reversed(details)), "")))
    for name, rounds in (("base", base), ("series", series)):
        # A kernel that did not come to the tests: that is no result.
        if test == BOOT and not any(tests.keys() - {BOOT} for tests in rounds[:1]):
            rows.append(Row(f"NOTHING RAN: {name}", [ABSENT], [ABSENT], "worse",
                            f"see {name}.logs"))
    return rows


def tell(states: list[str]) -> str:
    return ", ".join(states if len(set(states)) > 1 else states[:1])


def counts(states: list[str]) -> str:
    passed, skipped = states.count("pass"), states.count("skip")
    return f"{passed}/{skipped}/{len(states) - passed - skipped}"


def figures(rows: list[Row], seconds: str) -> list[tuple[str, ...]]:
    compared = sum(ABSENT not in r.base[:1] and r.verdict != "new" for r in rows)
    said = [v for v in ("worse", "flaky", "better") if any(r.verdict == v for r in rows)]
    skipped = [r for r in rows if set(r.base + r.series) == {"skip"}]
    reasons = list(dict.fromkeys(r.detail[:120] for r in skipped))
    if len(reasons) > 1:
        reasons = [f"{reasons[0]}, and {len(reasons) - 1} more like it"]
    return [("", str(compared), counts([r.base[-1] for r in rows]),
             counts([r.series[-1] for r in rows]), " ".join(said), seconds, ""),
            *(("", "", "skip", "skip", "skipped", "", reason) for reason in reasons),
            *((r.line, "", tell(r.base), tell(r.series), r.verdict, "", r.detail[:160])
              for r in rows if r not in skipped and set(r.base + r.series) != {"pass"})]


def judge_cell(cell: Path, folder: str) -> None:
    kunit = verdict.load_kunit(Path(folder))
    base, series = (read_side(kunit, cell / f"{side}.logs") for side in ("base", "series"))
    (cell / "figures").mkdir(exist_ok=True)
    for test in dict.fromkeys([BOOT, *(test for tests in base + series for test in tests)]):
        seconds = [next((tests[test].seconds for tests in side if test in tests), "")
                   for side in (base, series)]
        lines = figures(compare(base, series, test), "/".join(seconds).strip("/"))
        (cell / f"figures/{test}.tsv").write_text("".join(
            "\t".join(" ".join(word.split()) for word in line) + "\n"
            for line in (COLUMNS, *lines)))
        result, detail = "pass", f"{lines[0][2]} on the base, {lines[0][3]} with the series"
        if worse := [line for line in lines[1:] if line[4] == "worse"]:
            result, detail = "fail", "{0}: {2} -> {3}: {6}".format(*worse[0])
        print(test, result, sum(int(s or 0) for s in seconds), detail, sep="\t")


def table(folder: Path, tree: str, *cells: str) -> int:
    """All tests, then whatever did not pass on both sides, the worst last."""
    of = [r for r in records.load(folder, "regress")
          if r.cell in cells and r.inputs.get("tree") == tree and r.figures]
    rows: dict[str, list[str]] = {said: [] for said in HEADS}
    print(f"{'cell':14} {'test':28} {'base':>12} {'series':>12}  "
          "(passed/skipped/neither)  seconds")
    for r in of:
        whole, *lines = r.figures
        print(f"{r.cell:14} {r.name:28} {whole['base']:>12} {whole['series']:>12}  "
              f"{whole['seconds']:8} {whole['verdict']}".rstrip())
        for line in lines:
            states = f": {line['line']}: {line['base']} -> {line['series']}"
            rows[line["verdict"]].append(
                f"  {r.cell} {r.name}" + states * (line["verdict"] != "skipped")
                + f": {line['detail']}" * bool(line["detail"]))
    for said, head in HEADS.items():
        if rows[said]:
            print(head, *rows[said], sep="\n")
    compared = sum(int(r.figures[0]["compared"]) for r in of)
    print(f"{compared} compared, {len(rows['worse'])} worse")
    return int(not of or any(r.result == "fail" for r in of))


def main(args: list[str]) -> int:
    return records.call({"judge": judge_cell, "table": table}, args, 2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
