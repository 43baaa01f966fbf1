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

Compared are each result line of the KTAP, the end of each test, and what the
kernel had to complain about meanwhile. Worse is what passed on the base and
did not with the series, in each round. The first of a test's figures is about all of
it, the others about what did not pass on both sides.
"""

from __future__ import annotations

import io
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
END = "how it ended"
PLAN = "all that was planned"

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
    """What one test did in one round on one kernel."""
    lines: dict[str, str] = field(default_factory=dict)  # name: state
    details: dict[str, str] = field(default_factory=dict)
    timed_out: bool = False
    seconds: str = ""

    def put(self, name: str, state: str, detail: str = "") -> None:
        """Names that come more than once are numbered."""
        count, key = 1, name
        while key in self.lines:
            count += 1
            key = f"{name} #{count}"
        self.lines[key], self.details[key] = state, detail


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
        if test is root:
            continue
        state = states.get(test.status, "fail")
        name = path or test.skip_reason
        if not name:
            missing += 1
            continue
        detail = {"skip": test.skip_reason, "fail": verdict.why_failed(test)}
        run.put(VARIES.sub("…", re.sub(r"^#\s*", "", name)), state, detail.get(state, ""))
    if not run.timed_out:
        run.put(PLAN, "fail" if missing else "pass",
                f"{missing} that were planned are missing" if missing else "")


def read_tests(kunit: Any, text: str) -> Round:
    """The tests of one boot, from what init said."""
    tests: Round = {}
    port = verdict.read_port(text)
    for name in re.findall(r"^guest: missing (\S+)$", text, re.M):
        tests[f"kunit {name}"] = Run()
        tests[f"kunit {name}"].put("the suite", ABSENT, "not in this kernel")
    for name, suite in port.suites.items():
        run = tests[f"kunit {name}"] = Run()
        ktap(kunit, run, suite.lines)
    for name, section in port.selftests.items():
        run = tests[name] = Run(timed_out=section.timeout, seconds=section.seconds)
        ktap(kunit, run, section.lines)
        run.put(END, *ending(section))
    return tests


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
    if status == 0:
        return "pass", ""
    if status == 4:
        return "skip", next((l for l in said if "SKIP" in l), last)
    if status > 128:
        return "fail", f"signal {status - 128}, {last}"
    return "fail", f"exit status {status}, {last}"


def read_console(text: str) -> dict[str, dict[str, str]]:
    """The kernel's complaints by test: what makes each one that one, and a line."""
    found: dict[str, dict[str, str]] = {}
    test = BOOT
    for line in text.splitlines():
        if begun := re.search(r"guest: selftest (\S+)$", line):
            test = begun[1]
        elif re.search(r"guest: tainted ", line):
            test = BOOT
        elif (name := verdict.complaint(line)) and name != "stack trace":
            key = f"{name}: {' '.join(PASSING.sub('…', line).split())}"
            found.setdefault(test, {}).setdefault(key, line.strip())
    return found


def read_boot(kunit: Any, console: Path, port: Path) -> Round:
    tests = read_tests(kunit, verdict.read_log(port))
    text = verdict.read_log(console)
    for test, complaints in read_console(text).items():
        run = tests.setdefault(test, Run())
        for key, line in complaints.items():
            run.put(key, "fail", line)
    pgtable = tests.setdefault(BOOT, Run())
    if "debug_vm_pgtable" in text:
        pgtable.put("debug_vm_pgtable: it ran", "pass")
    if tests.keys() > {BOOT}:
        pgtable.put("init came to the tests", "pass")
    return tests


def read_side(kunit: Any, logs: Path) -> list[Round]:
    """Every round; a test that two boots of one have is that of the first."""
    rounds: dict[int, Round] = {}
    for port in sorted(logs.glob("*-*.port"), key=lambda p: [*map(int, p.stem.split("-"))]):
        tests = rounds.setdefault(int(port.stem.split("-")[0]), {})
        for name, run in read_boot(kunit, port.with_suffix(".console"), port).items():
            tests.setdefault(name, run)
    return list(rounds.values())


def state(rounds: list[Round], test: str, line: str) -> list[str]:
    """Of a line, in each round that has the test."""
    runs = [tests[test] for tests in rounds if test in tests]
    if line.startswith(tuple(f"{name}: " for name, _ in verdict.BAD_LINES)):
        return [run.lines.get(line, "pass") for run in runs] or [ABSENT]  # not made
    return [run.lines.get(line, "cut off" if run.timed_out else ABSENT)
            for run in runs] or [ABSENT]


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
    runs = [r[test] for r in base + series if test in r]
    both_cut = all(any(r[test].timed_out for r in side if test in r)
                   for side in (base, series))
    for line in dict.fromkeys(l for run in runs for l in run.lines):
        was, now = state(base, test, line), state(series, test, line)
        said = judge(was, now)
        # Neither came to its end: how far each came says nothing.
        if said == "worse" and both_cut and set(now) <= {"cut off"}:
            said = "same"
        detail = next((r.details[line] for r in reversed(runs) if r.details.get(line)), "")
        rows.append(Row(line, was, now, said, detail))
    return rows


def idle(side: str, rounds: list[Round]) -> list[Row]:
    """A kernel that did not come to the tests: that is no result."""
    return [] if any(tests.keys() - {BOOT} for tests in rounds[:1]) else [
        Row(f"NOTHING RAN: {side}", [ABSENT], [ABSENT], "worse", f"see {side}.logs")]


def tell(states: list[str]) -> str:
    return ", ".join(states if len(set(states)) > 1 else states[:1])


def counts(states: list[str]) -> str:
    other = len(states) - states.count("pass") - states.count("skip")
    return f"{states.count('pass')}/{states.count('skip')}/{other}"


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


def judge_cell(cell: Path, base: list[Round], series: list[Round]) -> None:
    (cell / "figures").mkdir(exist_ok=True)
    for test in dict.fromkeys([BOOT, *(t for r in base + series for t in r)]):
        rows = compare(base, series, test)
        if test == BOOT:
            rows += idle("base", base) + idle("series", series)
        seconds = [next((r[test].seconds for r in side if test in r), "")
                   for side in (base, series)]
        lines = figures(rows, "/".join(seconds).strip("/"))
        (cell / f"figures/{test}.tsv").write_text("".join(
            "\t".join(" ".join(word.split()) for word in line) + "\n"
            for line in (COLUMNS, *lines)))
        detail = f"{lines[0][2]} on the base, {lines[0][3]} with the series"
        worse = [line for line in lines[1:] if line[4] == "worse"]
        if worse:
            detail = "{0}: {2} -> {3}: {6}".format(*worse[0])
        print(test, "fail" if worse else "pass", sum(int(s or 0) for s in seconds), detail,
              sep="\t")


def table(of: list[records.Record]) -> str:
    """All tests, then whatever did not pass on both sides, the worst last."""
    out = [f"{'cell':14} {'test':28} {'base':>12} {'series':>12}  "
           "(passed/skipped/neither)  seconds"]
    rows: dict[str, list[str]] = {said: [] for said in HEADS}
    for record in of:
        whole, *lines = record.figures
        out.append(f"{record.cell:14} {record.name:28} {whole['base']:>12} "
                   f"{whole['series']:>12}  {whole['seconds']:8} {whole['verdict']}".rstrip())
        for line in lines:
            states = f": {line['line']}: {line['base']} -> {line['series']}"
            rows[line["verdict"]].append(f"  {record.cell} {record.name}" + states *
                                         (line["verdict"] != "skipped") +
                                         f": {line['detail']}" * bool(line["detail"]))
    for said, head in HEADS.items():
        out += [head, *rows[said]] if rows[said] else []
    compared = sum(int(record.figures[0]["compared"]) for record in of)
    return "\n".join([*out, f"{compared} compared, {len(rows['worse'])} worse\n"])


def main(argv: list[str]) -> int:
    try:
        verb, where, what, *cells = argv
        if verb == "table":
            of = [r for r in records.load(Path(where)) if r.experiment == "regress"
                  and r.cell in cells and r.inputs.get("tree") == what and r.figures]
            print(table(of), end="")
            return int(not of or any(r.result == "fail" for r in of))
        kunit = verdict.load_kunit(Path(what))
        judge_cell(Path(where), *(read_side(kunit, Path(where) / f"{side}.logs")
                                  for side in ("base", "series")))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
