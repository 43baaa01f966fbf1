#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Did everything that should have run in the guest run, and pass?

in:   the console's log, the result port's log (its lines are described in
      init.c), the kernel's .config, and what the cell expects; nothing else
out:  on stdout the verdict, reason first; with --out a table with one line for
      each thing checked: check, name, result (pass, fail, skip, info), detail
exit: 0 all of it ran and passed; 1 it did not; 2 bad arguments

KTAP is read by the kernel's own parser, tools/testing/kunit of the tree. Data races
of other code that are in known-races.tsv are named, and do not fail.
"""

from __future__ import annotations

import argparse
import fnmatch
import io
import re
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator

# What a kernel prints when something is wrong, the most telling name first: a
# line gets the first that fits, the log the one of its earliest such line.
BAD_LINES = [(name, re.compile(pattern)) for name, pattern in (
    ("kernel panic", r"Kernel panic - not syncing"),
    ("sanitizer report", r"\b(KASAN|KCSAN|KFENCE|KMSAN|UBSAN): "),
    ("soft lockup", r"BUG: soft lockup|hard LOCKUP"),
    ("hung task", r"blocked (in .* )?for more than \d+ seconds"),
    ("RCU stall", r"rcu.*(detected (expedited )?stalls?|kthread starved)"),
    ("bad page", r"Bad page (state|map)|non-zero pgtables_bytes"
                 r"|Bad rss-counter|: bad p[gum4]d |Bad swap (file|offset) entry"),
    ("lockdep report", r"WARNING: .*(lock|RCU usage|wait context)"
                       r"|inconsistent lock state|suspicious RCU usage"
                       r"|possible (circular|recursive) locking"
                       r"|turning off the locking correctness validator"),
    ("oops", r"\bOops\b|Internal error: |[Uu]nable to handle kernel"
             r"|general protection fault|Unhandled fault"),
    ("BUG", r"\bBUG: |kernel BUG at |scheduling while atomic"),
    ("WARN", r"\bWARNING: "),
    ("out of memory", r"Out of memory|invoked oom-killer|VM_FAULT_OOM leaked"),
    ("stack trace", r"Call [Tt]race:|cut here \]"),
)]

# KUnit taints the kernel that it runs in (TAINT_TEST); nothing else may.
TAINT_ALLOWED = 1 << 18

# A test that makes the kernel complain about a page table says so before it
# does; no other complaint can be announced. Where the PMD is folded, the complaint
# may be about the level that it is folded into.
ANNOUNCED = re.compile(r'# \S+: (\d+) lines? "(bad p[gum4]d)" (?:is|are) expected$')
BAD_TABLE = re.compile(r": bad p[gum4]d ")

DATA_RACE = re.compile(r"BUG: KCSAN: data-race in (.+)$")
KNOWN_RACES = Path(__file__).with_name("known-races.tsv")

# What decides which lock a page table has, and what can become of it.
OPTIONS = ("PAGE_SHIFT", "PGTABLE_LEVELS", "SPLIT_PTE_PTLOCKS", "SPLIT_PMD_PTLOCKS",
           "HIGHMEM", "HIGHPTE", "TRANSPARENT_HUGEPAGE", "PT_RECLAIM")

TESTS = ("kunit", "selftest")
TAIL = 30


@dataclass
class Check:
    check: str
    name: str
    result: str
    detail: str = ""


@dataclass
class Section:
    """What the guest said about one suite or one selftest."""
    lines: list[str] = field(default_factory=list)
    status: int | None = None
    timeout: bool = False
    seconds: str = ""


@dataclass
class Port:
    """The result port's log, taken apart."""
    suites: dict[str, Section] = field(default_factory=dict)
    selftests: dict[str, Section] = field(default_factory=dict)
    facts: list[str] = field(default_factory=list)
    tainted: str = ""
    success: bool = False
    complaints: list[str] = field(default_factory=list)


@dataclass
class Expect:
    suites: list[str]
    selftests: list[str]
    nothing: bool = False  # a guest without tests is in order
    proof: list[str] = field(default_factory=list)  # see check_proof()
    by_exit: bool = False  # the selftests are programs that need not speak KTAP


def read_port(text: str) -> Port:
    port, section = Port(), Section()
    for line in text.splitlines():
        if not line.startswith("guest: "):
            section.lines.append(line)
            continue
        verb, _, rest = line[len("guest: "):].partition(" ")
        name, _, number = rest.rpartition(" ")
        port.success = False  # said last, or not said
        if verb == "kunit":
            section = port.suites[rest] = Section()
        elif verb == "selftest":
            section = port.selftests[rest] = Section()
        elif verb == "exit" and name in port.selftests and number.isdigit():
            port.selftests[name].status = int(number)
        elif verb == "seconds" and name in port.selftests:
            port.selftests[name].seconds = number
        elif verb == "timeout" and rest in port.selftests:
            port.selftests[rest].timeout = True
        elif verb == "fact":
            port.facts.append(rest)
        elif verb == "tainted":
            port.tainted = rest
        elif verb == "success":
            port.success = text.endswith("\n")
        elif verb == "cannot":
            port.complaints.append(f"{verb} {rest}")
    return port


def known_race(line: str) -> str | None:
    """What it is, by the first line of known-races.tsv that has its functions."""
    if not (race := DATA_RACE.search(line)):
        return None
    rows = (row.split("\t") for row in KNOWN_RACES.read_text().splitlines()
            if "\t" in row and not row.startswith("#"))
    return next((f"{race[1]}: {what}" for functions, what, *_ in rows
                 if fnmatch.fnmatchcase(race[1], functions)), None)


def check_console(text: str) -> Iterator[Check]:
    due: Counter[str] = Counter()
    races: Counter[str] = Counter()
    if not text.strip():
        yield Check("console", "empty", "fail", "the kernel printed nothing")
    for line in text.splitlines():
        if announced := ANNOUNCED.search(line):
            due[announced[2]] += int(announced[1])
            continue
        name = complaint(line)
        table = name == "bad page" and BAD_TABLE.search(line)
        if table and (excuse := next(iter(+due), None)):
            due[excuse] -= 1
        elif race := known_race(line):
            races[race] += 1
        elif name:
            yield Check("console", name, "fail", line.strip())
    for race, count in races.items():
        yield Check("console", "known race", "info", f"{count}x {race}")
    for word, left in (+due).items():
        yield Check("console", "announced", "fail",
                    f"{left} lines '{word}' were announced and never came")


def complaint(line: str) -> str | None:
    return next((name for name, bad in BAD_LINES if bad.search(line)), None)


def leaves(test: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not test.subtests:
        yield path, test
    for sub in test.subtests:
        yield from leaves(sub, f"{path}.{sub.name}" if path else sub.name)


def check_ktap(kunit: Any, kind: str, name: str, lines: list[str]) -> Iterator[Check]:
    """Every test case, then whatever is wrong with the KTAP itself."""
    said = io.StringIO()
    root = kunit.parse_run_tests(lines, kunit.Printer(output=said))
    passed = failed = count = 0
    # A result of KUnit's debugfs is a suite within the root.
    top = root.subtests[0] if kind == "kunit" and root.subtests else root
    for path, test in leaves(top, name):
        status = test.status
        count += 1
        if test is root or not test.name or path == name:
            continue
        if status == kunit.TestStatus.SUCCESS:
            passed += 1
            yield Check(kind, path, "pass")
        elif status == kunit.TestStatus.SKIPPED:
            yield Check(kind, path, "skip", test.skip_reason or "no reason given")
        else:
            failed += 1
            yield Check(kind, path, "fail", why_failed(test))
    errors = re.findall(r"\[ERROR\][^:]*Test: (.*)", said.getvalue())
    if root.counts.errors or not root.subtests:
        yield Check(kind, name, "fail", "broken or truncated KTAP: "
                    + (errors[0] if errors else "no KTAP at all"))
    elif (said_total := total(lines)) not in (None, count):
        yield Check(kind, name, "fail",
                    f"{said_total} results by its own count, {count} found")
    elif not failed and any(re.match(r"\s*not ok\b", line) for line in lines):
        yield Check(kind, name, "fail", "a 'not ok' outside of the plan")
    elif not failed and not passed:
        yield Check(kind, name, "fail", "every test was skipped")


def check_config(config: str, facts: list[str]) -> Check:
    """What the kernel was built with, OPTION=VALUE without CONFIG_, n if it is not set,
    and what the guest says of itself."""
    built = dict(re.findall(r"^CONFIG_(\w+)=(.*)$", config, re.M))
    return Check("config", "kernel", "info", " ".join(
        [f"{name}={built.get(name, 'n')}" for name in OPTIONS if config] + facts))


def check_proof(proof: list[str], checks: list[Check]) -> Iterator[Check]:
    """Is the guest what its name says? Each item is KEY=VALUE, as check_config() found
    it, or a test that passed; a skipped one has shown nothing."""
    facts = dict(fact for c in checks if c.check == "config"
                 for fact in re.findall(r"(\w+)=(\S+)", c.detail))
    passed = {part for c in checks if c.check in TESTS and c.result == "pass"
              for part in c.name.split(".")}
    for item in proof:
        key, fact, value = item.partition("=")
        if not fact:
            shown = item in passed
            found = "it did not pass"
        else:
            shown = facts.get(key) == value
            found = f"{key}={facts[key]}" if key in facts else f"no {key} was said"
        yield Check("proof", item, "pass" if shown else "fail", "" if shown else found)


def total(lines: list[str]) -> int | None:
    """The last count of its results that a suite or a selftest gives."""
    said = [line for line in lines if re.match(r"\s*# Totals: ", line)]
    return sum(map(int, re.findall(r"\b(?!total)\w+:(\d+)", said[-1]))) if said else None


def why_failed(test: Any) -> str:
    """The first lines of a failed test that say what was wrong with it."""
    log = [line.strip(" #\t") for line in test.log if line.strip(" #\t")]
    wanted = [i for i, line in enumerate(log)
              if re.search(r"EXPECTATION|ASSERTION|Expected|[Ff]ail|timed? ?out", line)]
    first = wanted[0] if wanted else max(len(log) - 3, 0)
    return " | ".join(log[first:first + 4]) or "no reason given"


def check_port(kunit: Any, port: Port, expect: Expect) -> Iterator[Check]:
    for text in port.complaints:
        yield Check("guest", "init", "fail", text)
    for name in expect.suites:
        if name in port.suites:
            yield from check_ktap(kunit, "kunit", name, port.suites[name].lines)
        else:
            yield Check("kunit", name, "fail", "the suite never ran")
    for name in expect.selftests:
        if name not in port.selftests:
            yield Check("selftest", name, "fail", "the test never ran")
            continue
        section = port.selftests[name]
        if expect.by_exit:
            yield check_program(kunit, name, section)
            continue
        status = section.status
        if status is not None and status > 128:
            yield Check("selftest", name, "fail", f"killed by signal {status - 128}")
        yield from check_ktap(kunit, "selftest", name, section.lines)
        if status is None:
            yield Check("selftest", name, "fail", "it did not end")
        elif 0 < status <= 128:
            yield Check("selftest", name, "fail", f"exit status {status}")
    bits = int(port.tainted) & ~TAINT_ALLOWED if port.tainted.isdigit() else None
    said = "the guest did not say it" if bits is None else f"the kernel is tainted: {bits:#x}"
    yield Check("guest", "taint", "fail" if bits != 0 else "pass", said if bits != 0 else "")
    if not port.success:
        yield Check("guest", "success", "fail", "the guest did not say success")


def check_program(kunit: Any, name: str, section: Section) -> Check:
    """Its exit status says how it went, 4 that it could not; KTAP may add a failure."""
    status, ktap, bad = section.status, re.compile(r"\s*(not )?ok \d"), ""
    said = next((line.strip(" #\t") for line in reversed(section.lines)
                 if line.strip() and not ktap.match(line)), "")
    if section.timeout:
        bad = "timed out"
    elif status is None:
        bad = "it did not end"
    elif 128 < status < 128 + signal.NSIG:
        bad = f"killed by signal {status - 128}: {signal.strsignal(status - 128)}"
    elif status not in (0, 4):
        bad = f"exit {status}: {said}"
    elif status == 0 and any(map(ktap.match, section.lines)):
        bad = next((f"{c.name}: {c.detail}" for c in check_ktap(
            kunit, "selftest", name, section.lines) if c.result == "fail"), "")
    result = "fail" if bad else "skip" if status else "pass"
    return Check("selftest", name, result, bad or said)


def judge(kunit: Any, console: str, port: str, expect: Expect, ended: str,
          config: str = "") -> list[Check]:
    """All checks; the first that failed is the reason."""
    # A stack trace belongs to something, and what that is says more.
    checks = sorted(check_console(console), key=lambda c: c.name == "stack trace")
    if ended != "exit":
        # What the kernel said tells more; that it said nothing does not.
        checks.insert(len(checks) if console.strip() else 0,
                      Check("guest", "end", "fail", ended))
    said = read_port(port)
    results = [check_config(config, said.facts), *check_port(kunit, said, expect)]
    if not expect.nothing and not expect.by_exit and not any(
            c.check in TESTS and c.result == "pass" for c in results):
        results.append(Check("guest", "tests", "fail", "zero tests passed"))
    results += check_proof(expect.proof, results)
    # Of tests and what follows from them, the tests are what to look at.
    results.sort(key=lambda c: c.check in ("proof", "guest"))
    return checks + results


def summary(cell: str, checks: list[Check], logs: dict[str, Path],
            texts: dict[str, str]) -> str:
    tests = [c.result for c in checks if c.check in TESTS]
    counts = ", ".join(f"{tests.count(result)} {word}" for result, word in (
        ("pass", "passed"), ("fail", "failed"), ("skip", "skipped")))
    bad = [c for c in checks if c.result == "fail"]
    out = [f"PASS {cell}: {counts}"]
    if bad:
        log = "console" if bad[0].check == "console" else "port"
        out = [f"FAIL {cell}: {describe(bad[0])}: see {logs[log]}",
               *(f"  also: {describe(c)}" for c in bad[1:10]),
               *[f"  and {len(bad) - 10} more"] * (len(bad) > 10), f"  {counts}"]
    out += [f"  skipped: {c.name}: {c.detail}" for c in checks if c.result == "skip"]
    out += [f"  config: {c.detail}" for c in checks if c.check == "config"]
    out += [f"  known race: {c.detail}" for c in checks if c.name == "known race"]
    for name, text in texts.items() if any(c.name == "end" for c in bad) else ():
        lines = text.splitlines()[-TAIL:]
        out.append(f"  last {len(lines)} lines of {logs[name]}:")
        out += [f"    {line}" for line in lines]
    return "\n".join(out)


def describe(check: Check) -> str:
    if check.check == "guest":
        return check.detail
    if check.check == "console":
        return f"{check.name}: {check.detail}"
    return f"{check.check} {check.name}: {check.detail}"


def load_kunit(folder: Path) -> Any:
    """The parser of the tree; ValueError if there is none."""
    if not (folder / "kunit_parser.py").is_file():
        raise ValueError(f"no kunit_parser.py in {folder}: run make tree")
    sys.dont_write_bytecode = True  # the tree is not ours to write to
    sys.path.insert(0, str(folder))
    import kunit_parser  # type: ignore[import-not-found]
    return kunit_parser


def read_log(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return text.replace("\r", "").replace("\0", "")


def names(arg: str) -> list[str]:
    return arg.replace(",", " ").split()


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", required=True)
    parser.add_argument("--console", type=Path, required=True)
    parser.add_argument("--port", type=Path, required=True)
    parser.add_argument("--suites", type=names, default=[])
    parser.add_argument("--selftests", type=names, default=[])
    parser.add_argument("--proof", type=names, default=[],
                        help="what the cell must show: KEY=VALUE, or a test")
    parser.add_argument("--config", type=Path, default=Path("/dev/null"),
                        help="the .config of the kernel")
    parser.add_argument("--no-tests", action="store_true",
                        help="there are none to run: booting is all")
    parser.add_argument("--by-exit", action="store_true",
                        help="the selftests are programs, judged by their exit status")
    parser.add_argument("--ended", default="exit",
                        help="'exit', or how else the guest came to its end")
    parser.add_argument("--kunit", type=Path, required=True,
                        help="tools/testing/kunit of a kernel tree")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    try:
        kunit = load_kunit(args.kunit)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    logs = {"console": args.console, "port": args.port}
    texts = {name: read_log(path) for name, path in logs.items()}
    expect = Expect(args.suites, args.selftests, args.no_tests, args.proof, args.by_exit)
    checks = judge(kunit, texts["console"], texts["port"], expect, args.ended,
                   read_log(args.config))
    if args.out:
        rows = ["\t".join((c.check, c.name, c.result, c.detail.replace("\t", " ")))
                for c in checks]
        args.out.write_text("check\tname\tresult\tdetail\n" + "\n".join(rows) + "\n")
    print(summary(args.cell, checks, logs, texts))
    return int(any(c.result == "fail" for c in checks))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
