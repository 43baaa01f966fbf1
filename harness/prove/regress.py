#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Are the kernel's own tests worse off with the series than on the base?

in:   OUT/CELL/{base,patched}.logs/ROUND-BOOT.{console,port}, as regress.sh
      leaves them: a round is a run of the tests, more than one boot where a
      guest died in it; rounds after the first are of what seemed worse
out:  OUT/report.tsv with a line for everything compared, a table on stdout;
      with --worse only the names of the tests that have something worse
exit: 0 nothing is worse; 1 something is, or nothing could be compared; 2 bad
      arguments

Compared are each result line of the KTAP, the end of each test, and what the
kernel had to complain about meanwhile. Worse is what passed on the base and
did not with the series, in each round.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parents[1] / "judge"))
import verdict  # noqa: E402

SIDES = ("base", "patched")
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


@dataclass
class Row:
    cell: str
    test: str
    line: str
    base: list[str]
    patched: list[str]
    verdict: str
    detail: str
    seconds: str  # of the test, on both sides


def ktap(kunit: Any, run: Run, text: list[str]) -> None:
    """Every result line; those that the plan promised and that never came are
    one line of ours."""
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
        run.put(VARIES.sub("…", re.sub(r"^#\s*", "", name)), state,
                detail.get(state, ""))
    if not run.timed_out:
        run.put(PLAN, "fail" if missing else "pass",
                f"{missing} that were planned are missing" if missing else "")


def read_tests(kunit: Any, text: str) -> Round:
    """The tests of one boot, from what init said."""
    tests: Round = {}
    port = verdict.read_port(text)
    timed_out = set(re.findall(r"^guest: timeout (\S+)$", text, re.M))
    seconds = dict(re.findall(r"^guest: seconds (\S+) (\d+)$", text, re.M))
    for name in re.findall(r"^guest: missing (\S+)$", text, re.M):
        tests[f"kunit {name}"] = Run()
        tests[f"kunit {name}"].put("the suite", ABSENT, "not in this kernel")
    for name, suite in port.suites.items():
        run = tests[f"kunit {name}"] = Run()
        ktap(kunit, run, suite.lines)
    for name, section in port.selftests.items():
        run = tests[name] = Run(timed_out=name in timed_out,
                                seconds=seconds.get(name, ""))
        ktap(kunit, run, section.lines)
        run.put(END, *ending(section.status, run.timed_out, section.lines))
    return tests


def ending(status: int | None, timed_out: bool,
           lines: list[str]) -> tuple[str, str]:
    """The state, and the line that is most likely to say why."""
    said = [l for l in lines if l.strip() and not l.startswith(("# Totals", "# Planned"))]
    last = f"the last line: {said[-1] if said else 'none'}"
    if timed_out:
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
    ports = sorted(logs.glob("*-*.port"),
                   key=lambda p: [int(n) for n in p.stem.split("-")])
    for port in ports:
        tests = rounds.setdefault(int(port.stem.split("-")[0]), {})
        for name, run in read_boot(kunit, port.with_suffix(".console"), port).items():
            tests.setdefault(name, run)
    return list(rounds.values())


def is_complaint(line: str) -> bool:
    return any(line.startswith(f"{name}: ") for name, _ in verdict.BAD_LINES)


def state(rounds: list[Round], test: str, line: str) -> list[str]:
    """Of a line, in each round that has the test."""
    out = []
    for tests in rounds:
        if not (run := tests.get(test)):
            continue
        if line in run.lines:
            out.append(run.lines[line])
        elif is_complaint(line):
            out.append("pass")  # not made
        else:
            out.append("cut off" if run.timed_out else ABSENT)
    return out or [ABSENT]


def judge(base: list[str], patched: list[str]) -> str:
    """One line's verdict, given its state in each round of both sides."""
    good = ("pass",)
    if "cut off" in base[:1] or base[:1] == [ABSENT]:
        return "new" if patched[0] in good else "same"
    if "pass" not in base:
        return "better" if set(patched) == {"pass"} else "same"
    if set(patched) == {"pass"}:
        return "same" if set(base) == {"pass"} else "flaky"
    if "pass" in patched:
        return "flaky"
    return "worse"


def compare(cell: str, base: list[Round], patched: list[Round]) -> list[Row]:
    rows = []
    tests = list(dict.fromkeys(t for r in base + patched for t in r))
    for test in tests:
        runs = [r[test] for r in base + patched if test in r]
        seconds = "/".join(next((r[test].seconds for r in side if test in r), "")
                           for side in (base, patched)).strip("/")
        both_cut = all(any(r[test].timed_out for r in side if test in r)
                       for side in (base, patched))
        for line in dict.fromkeys(l for run in runs for l in run.lines):
            was, now = state(base, test, line), state(patched, test, line)
            said = judge(was, now)
            # Neither came to its end: how far each came says nothing.
            if said == "worse" and both_cut and set(now) <= {"cut off"}:
                said = "same"
            detail = next((r.details[line] for r in reversed(runs)
                           if r.details.get(line)), "")
            rows.append(Row(cell, test, line, was, now, said, detail,
                            seconds))
    return rows


def idle(cell: str, rows: list[Row]) -> Iterable[str]:
    """A kernel that did not come to the tests: that is no result."""
    for side in SIDES:
        if not any(r.cell == cell and r.test != BOOT
                   and getattr(r, side)[0] not in (ABSENT, "cut off")
                   for r in rows):
            yield f"NOTHING RAN: {cell}, {side}: see the logs in {cell}/{side}.logs"


def tell(states: list[str]) -> str:
    return ", ".join(states if len(set(states)) > 1 else states[:1])


def counts(rows: Iterable[Row], side: str) -> str:
    states = [getattr(row, side)[-1] for row in rows]
    other = len(states) - states.count("pass") - states.count("skip")
    return f"{states.count('pass')}/{states.count('skip')}/{other}"


def table(rows: list[Row]) -> list[str]:
    out = [f"{'cell':14} {'test':28} {'base':>12} {'patched':>12}  "
           "(passed/skipped/neither)  seconds"]
    for cell, test in dict.fromkeys((r.cell, r.test) for r in rows):
        mine = [r for r in rows if (r.cell, r.test) == (cell, test)]
        said = [v for v in ("worse", "flaky", "better")
                if any(r.verdict == v for r in mine)]
        out.append(f"{cell:14} {test:28} {counts(mine, 'base'):>12} "
                   f"{counts(mine, 'patched'):>12}  {mine[0].seconds:8} "
                   f"{' '.join(said)}".rstrip())
    return out


def skips(rows: list[Row]) -> list[str]:
    """What neither side could run: one line a test."""
    out = []
    for cell, test in dict.fromkeys((r.cell, r.test) for r in rows):
        reasons = list(dict.fromkeys(
            r.detail for r in rows if (r.cell, r.test) == (cell, test)))
        more = f", and {len(reasons) - 1} more like it" if len(reasons) > 1 else ""
        out.append(f"  {cell} {test}: {reasons[0][:120]}{more}")
    return out


def listing(rows: list[Row]) -> list[str]:
    """Whatever did not pass on both sides, the worst last."""
    out = []
    skipped = [r for r in rows if set(r.base + r.patched) == {"skip"}]
    if skipped:
        out += ["skipped on both:", *skips(skipped)]
    heads = {"same": "not passed on the base either:", "better": "better:",
             "new": "not on the base:", "flaky": "flaky:", "worse": "WORSE:"}
    for said, head in heads.items():
        mine = [r for r in rows if r.verdict == said
                and set(r.base + r.patched) not in ({"pass"}, {"skip"})]
        out += [head] if mine else []
        out += [f"  {r.cell} {r.test}: {r.line}: {tell(r.base)} -> "
                f"{tell(r.patched)}" + (f": {r.detail[:160]}" if r.detail else "")
                for r in mine]
    return out


def write_report(path: Path, rows: list[Row]) -> None:
    lines = ["\t".join((r.cell, r.test, r.line, tell(r.base), tell(r.patched),
                        r.verdict, r.detail)).replace("\n", " ") for r in rows]
    path.write_text("cell\ttest\tline\tbase\tpatched\tverdict\tdetail\n"
                    + "".join(f"{line}\n" for line in lines))


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cells", type=str.split, required=True)
    parser.add_argument("--kunit", type=Path, required=True,
                        help="tools/testing/kunit of a kernel tree")
    parser.add_argument("--worse", action="store_true",
                        help="print only the tests that seem worse")
    args = parser.parse_args(argv)
    if not (args.kunit / "kunit_parser.py").is_file():
        print(f"error: no kunit_parser.py in {args.kunit}: run make tree",
              file=sys.stderr)
        return 2
    kunit = verdict.load_kunit(args.kunit)
    rows = []
    for cell in args.cells:
        rows += compare(cell, *(read_side(kunit, args.out / cell / f"{side}.logs")
                                for side in SIDES))
    worse = [row for row in rows if row.verdict == "worse"]
    if args.worse:
        print("\n".join(dict.fromkeys(f"{r.cell} {r.test}" for r in worse)))
        return 0
    write_report(args.out / "report.tsv", rows)
    compared = [r for r in rows if ABSENT not in r.base[:1] and r.verdict != "new"]
    dead = [line for cell in args.cells for line in idle(cell, rows)]
    print("\n".join([*table(rows), *listing(rows), *dead,
                     f"{len(compared)} compared, {len(worse)} worse"]))
    return int(bool(worse or dead))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
