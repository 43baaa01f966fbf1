# SPDX-License-Identifier: GPL-2.0
"""verdict.py, fed with the logs of real guests.

tests/data/NAME.{console,port} were written by guests of the x86_64 cell with
one thing wrong in each, as the name says. They expect the suite `example` and
one selftest. The tests below break a good log further, in every place.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

from common import kunit_folder

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
VERDICT = ROOT / "harness/judge/verdict.py"

sys.dont_write_bytecode = True
sys.path.insert(0, str(VERDICT.parent))
import verdict  # noqa: E402


KUNIT = kunit_folder()
PARSER: Any = verdict.load_kunit(KUNIT)

# Log, selftest expected, how the guest ended, the reason to be given.
KILLED = "the guest was killed after 15 s"
BROKEN = [
    ("panic", "panic", "exit", "kernel panic: .*dumptest"),
    ("warn", "warn", "exit", "WARN: .*WARNING: "),
    ("bug", "bug", "exit", "BUG: .*kernel BUG at"),
    ("oops", "oops", "exit", "BUG: .*NULL pointer dereference"),
    ("hang", "hang", KILLED, KILLED),
    ("fail", "fail", "exit", r"selftest fail\.second: .*Expected 1"),
    ("exit", "exit", "exit", "selftest exit: exit status 3"),
    ("crash", "crash", "exit", "selftest crash: killed by signal 11"),
    ("truncated", "truncated", "exit", "broken or truncated KTAP"),
    ("zero", "zero", "exit", "broken or truncated KTAP: .*0 tests run"),
    ("empty", "empty", "exit", "broken or truncated KTAP: .*any KTAP output"),
    ("extra", "extra", "exit", "a 'not ok' outside of the plan"),
    ("skipped", "skipped", "exit", "every test was skipped"),
    ("noinit", "pass", "exit", "kernel panic: .*VFS"),
    ("silent", "pass", "exit", "the kernel printed nothing"),
]

# What nobody wants to provoke for a fixture: the first line of each, as the
# kernel's source prints it.
LINES = [
    ("sanitizer report", "BUG: KASAN: slab-use-after-free in ptlock_free+0x1"),
    ("sanitizer report", "BUG: KCSAN: data-race in foo / bar"),
    ("sanitizer report", "UBSAN: array-index-out-of-bounds in mm/memory.c:1:2"),
    ("lockdep report", "WARNING: possible circular locking dependency detected"),
    ("lockdep report", "WARNING: possible recursive locking detected"),
    ("lockdep report", "WARNING: inconsistent lock state"),
    ("lockdep report", "WARNING: suspicious RCU usage"),
    ("lockdep report", "WARNING: bad unlock balance detected!"),
    ("RCU stall", "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:"),
    ("RCU stall", "rcu: INFO: rcu_preempt self-detected stall on CPU"),
    ("RCU stall", "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: {"),
    ("soft lockup", "watchdog: BUG: soft lockup - CPU#1 stuck for 52s! [x:1]"),
    ("hung task", "INFO: task x:12 blocked for more than 120 seconds."),
    ("hung task", "INFO: task x:12 blocked in I/O wait for more than 120 seconds."),
    ("bad page", "BUG: Bad page state in process x  pfn:12345"),
    ("bad page", "BUG: Bad page map in process x  pte:1 pmd:2"),
    ("bad page", "BUG: Bad rss-counter state mm:00000000 type:MM_ANONPAGES val:1"),
    ("bad page", "BUG: non-zero pgtables_bytes on freeing mm: 4096"),
    ("bad page", "mm/pgtable-generic.c:54: bad pmd 0000000012345678(1234)"),
    ("bad page", "get_swap_device: Bad swap file entry 3c00000000000001"),
    ("bad page", "get_swap_device: Bad swap offset entry 00fffffe"),
    ("oops", "Internal error: Oops: 206 [#1] SMP ARM"),
    ("oops", "8<--- cut here --- Unable to handle kernel paging request at virtual"),
    ("oops", "Oops: Kernel access of bad area, sig: 11 [#1]"),
    ("oops", "Oops: general protection fault, probably for non-canonical"),
    ("BUG", "kernel BUG at mm/khugepaged.c:1234!"),
    ("BUG", "BUG: scheduling while atomic: x/12/0x00000002"),
    ("WARN", "WARNING: CPU: 0 PID: 1 at mm/highmem.c:167 __kmap_to_page+0x1"),
    ("WARN", "WARNING: mm/highmem.c:167 at __kmap_to_page+0x1/0x2, CPU#0: x/1"),
    ("out of memory", "x invoked oom-killer: gfp_mask=0x0(), order=0"),
    ("out of memory", "Huh VM_FAULT_OOM leaked out to the #PF handler. Retrying PF"),
    ("stack trace", "------------[ cut here ]------------"),
]


def log(name: str) -> tuple[str, str]:
    return (verdict.read_log(DATA / f"{name}.console"),
            verdict.read_log(DATA / f"{name}.port"))


def failures(console: str, port: str, selftests: list[str] | None = None,
             suites: list[str] | None = None, ended: str = "exit") -> list[str]:
    """What judge() says is wrong, in its order."""
    expect = verdict.Expect(["example"] if suites is None else suites,
                            ["pass"] if selftests is None else selftests)
    return [verdict.describe(check) for check in
            verdict.judge(PARSER, console, port, expect, ended)
            if check.result == "fail"]


class Guests(unittest.TestCase):
    """The log of each real guest."""

    def test_passing(self) -> None:
        self.assertEqual(failures(*log("pass")), [])

    def test_broken(self) -> None:
        for name, selftest, ended, reason in BROKEN:
            with self.subTest(name):
                got = failures(*log(name), selftests=[selftest], ended=ended)
                self.assertTrue(got, "it passed")
                self.assertRegex(got[0], reason)

    def test_skips_have_reasons(self) -> None:
        expect = verdict.Expect(["example"], ["pass"])
        skips = {c.name: c.detail
                 for c in verdict.judge(PARSER, *log("pass"), expect, "exit")
                 if c.result == "skip"}
        self.assertEqual(skips["example.example_skip_test"],
                         "this test should be skipped")


class Pieces(unittest.TestCase):
    """A good log with a piece missing, or with one too many."""

    def setUp(self) -> None:
        self.console, self.port = log("pass")

    def test_cut_short_anywhere(self) -> None:
        lines = self.port.splitlines(keepends=True)
        for end in range(len(lines)):
            with self.subTest(end=end):
                self.assertTrue(failures(self.console, "".join(lines[:end])))

    def test_cut_within_the_last_word(self) -> None:
        for end in range(1, len("success\n") + 1):
            with self.subTest(end=end):
                self.assertTrue(failures(self.console, self.port[:-end]))

    def test_any_result_missing(self) -> None:
        lines = self.port.splitlines(keepends=True)
        for nr, line in enumerate(lines):
            if re.match(r"\s*ok \d", line):
                with self.subTest(line=line.strip()):
                    port = "".join(lines[:nr] + lines[nr + 1:])
                    self.assertTrue(failures(self.console, port))

    def test_any_result_failed(self) -> None:
        lines = self.port.splitlines(keepends=True)
        for nr, line in enumerate(lines):
            if re.match(r"\s*ok \d(?!.* # SKIP)", line):
                with self.subTest(line=line.strip()):
                    port = "".join(lines[:nr] + [line.replace("ok", "not ok", 1)]
                                   + lines[nr + 1:])
                    self.assertTrue(failures(self.console, port))

    def test_success_is_not_enough(self) -> None:
        got = failures(self.console, "guest: success\n")
        self.assertIn("kunit example: the suite never ran", got)
        self.assertIn("selftest pass: the test never ran", got)

    def test_success_is_the_last_word(self) -> None:
        self.assertTrue(failures(self.console, self.port + "guest: failure\n"))

    def test_success_on_the_console_does_not_count(self) -> None:
        port = self.port.replace("guest: success\n", "")
        self.assertEqual(failures(self.console + "guest: success\n", port),
                         ["the guest did not say success"])

    def test_suite_that_never_ran(self) -> None:
        self.assertEqual(failures(self.console, self.port,
                                  suites=["example", "ptlock"]),
                         ["kunit ptlock: the suite never ran"])

    def test_nothing_expected_is_nothing_proved(self) -> None:
        self.assertEqual(failures(self.console, self.port, [], []),
                         ["zero tests passed"])

    def test_taint(self) -> None:
        port = self.port.replace("tainted 262144", "tainted 262656")
        self.assertEqual(failures(self.console, port),
                         ["the kernel is tainted: 0x200"])

    def test_killed_although_all_passed(self) -> None:
        self.assertEqual(failures(self.console, self.port, ended=KILLED),
                         [KILLED])

    def test_qemu_failed(self) -> None:
        self.assertEqual(failures("", "", ended="QEMU failed (1): no such CPU")[0],
                         "QEMU failed (1): no such CPU")


class Console(unittest.TestCase):
    """What a kernel prints when something is wrong."""

    def test_lines(self) -> None:
        console, port = log("pass")
        for name, line in LINES:
            with self.subTest(line):
                at = console.index("\n", len(console) // 2) + 1
                text = f"{console[:at]}[    1.234567] {line}\n{console[at:]}"
                got = failures(text, port)
                self.assertEqual(len(got), 1, got)
                self.assertTrue(got[0].startswith(f"{name}: "), got)

    def test_announced_lines(self) -> None:
        console, port = log("pass")
        announce = '[ 1.0]     # a_case: 2 lines "bad pmd" are expected\n'
        bad = "[ 1.0] mm/pgtable-generic.c:56: bad pmd 0000000012345678(1)\n"
        good = console + announce + bad + bad
        self.assertEqual(failures(good, port), [])
        folded = bad.replace("bad pmd", "bad pgd")
        self.assertEqual(failures(console + announce + bad + folded, port), [])
        for text in (good + bad, bad + console + announce + bad,
                     good + bad.replace("pmd", "pud"), console + announce + bad,
                     good + bad.replace(": bad pmd", ": BUG: Bad page state")):
            self.assertEqual(len(failures(text, port)) > 0, True, text[-300:])
        # Nothing worse can be announced.
        announce = announce.replace("bad pmd", "WARNING: ")
        got = failures(console + announce + "[ 1.0] WARNING: x\n" * 2, port)
        self.assertTrue(got)

    def test_known_races(self) -> None:
        console, port = log("pass")
        known = "[ 1.0] BUG: KCSAN: data-race in xas_clear_mark / xas_find_marked\n"
        self.assertEqual(failures(console + known + known, port), [])
        for line in (known.replace("xas_find_marked", "pmd_clear"),
                     known.replace("KCSAN", "KASAN")):
            self.assertEqual(len(failures(console + known + line, port)), 1, line)

    def test_first_line_is_the_reason(self) -> None:
        console, port = log("pass")
        console += "[ 1.0] WARNING: first\n[ 2.0] BUG: KASAN: second\n"
        self.assertRegex(failures(console, port)[0], "WARN: .*first")


class Program(unittest.TestCase):
    """verdict.py as boot.sh runs it."""

    def run_it(self, name: str, selftest: str, ended: str = "exit", kunit: Path = KUNIT,
               suites: str = "example") -> subprocess.CompletedProcess[str]:
        self.dir = Path(self.enterContext(tempfile.TemporaryDirectory()))
        return subprocess.run(
            [str(VERDICT), "--cell", "x", "--console", f"{DATA}/{name}.console",
             "--port", f"{DATA}/{name}.port", "--suites", suites,
             "--selftests", selftest, "--ended", ended, "--kunit", str(kunit),
             "--out", str(self.dir / "result.tsv")],
            capture_output=True, text=True, check=False)

    def test_pass(self) -> None:
        got = self.run_it("pass", "pass")
        self.assertEqual(got.returncode, 0, got.stdout)
        self.assertRegex(got.stdout, r"^PASS x: \d+ passed, 0 failed, \d+ skipped\n")
        rows = (self.dir / "result.tsv").read_text().splitlines()
        self.assertEqual(rows[0], "check\tname\tresult\tdetail")
        self.assertIn("selftest\tpass.first\tpass\t", rows)

    def test_lists(self) -> None:
        """Words separated as the caller has them."""
        for suites in ("example,ptlock", "example ptlock", " example  ptlock "):
            got = self.run_it("pass", "pass", suites=suites)
            self.assertIn("FAIL x: kunit ptlock: the suite never ran", got.stdout)
            self.assertNotIn("also: kunit", got.stdout)

    def test_fail(self) -> None:
        got = self.run_it("warn", "warn")
        self.assertEqual(got.returncode, 1)
        self.assertRegex(got.stdout.splitlines()[0],
                         r"^FAIL x: WARN: .* see .*warn\.console$")

    def test_hang_shows_the_end(self) -> None:
        got = self.run_it("hang", "hang", KILLED)
        self.assertEqual(got.returncode, 1)
        self.assertIn("last 30 lines of", got.stdout)
        self.assertIn("guest: selftest hang", got.stdout)

    def test_no_logs(self) -> None:
        self.assertEqual(self.run_it("no-such-guest", "x").returncode, 1)

    def test_no_tree(self) -> None:
        got = self.run_it("pass", "pass", kunit=Path("/nonexistent"))
        self.assertEqual(got.returncode, 2)
        self.assertIn("run make tree", got.stderr)


class Config(unittest.TestCase):
    """What the kernel was built with, and what the guest says of itself, goes into the
    summary, and is what the proof of a cell is about."""

    CONFIG = "CONFIG_PAGE_SHIFT=12\nCONFIG_HIGHPTE=y\n# CONFIG_HIGHMEM is not set\n"

    def judge(self, *items: str) -> list[verdict.Check]:
        console, port = log("pass")
        port = port.replace("guest: kunit", "guest: fact cpus=4\nguest: kunit", 1)
        expect = verdict.Expect(["example"], ["pass"], proof=list(items))
        return verdict.judge(PARSER, console, port, expect, "exit", self.CONFIG)

    def test_said(self) -> None:
        said = [c.detail for c in self.judge() if c.check == "config"]
        self.assertEqual(said, ["PAGE_SHIFT=12 PGTABLE_LEVELS=n SPLIT_PTE_PTLOCKS=n "
                                "SPLIT_PMD_PTLOCKS=n HIGHMEM=n HIGHPTE=y "
                                "TRANSPARENT_HUGEPAGE=n PT_RECLAIM=n cpus=4"])

    def proof(self, *items: str) -> list[str]:
        """What is wrong with a guest that has to show these items."""
        return [verdict.describe(c) for c in self.judge(*items) if c.result == "fail"]

    def test_shown(self) -> None:
        self.assertEqual(self.proof("PAGE_SHIFT=12", "HIGHPTE=y", "HIGHMEM=n", "cpus=4",
                                    "example_simple_test"), [])

    def test_not_shown(self) -> None:
        for item, said in (("PAGE_SHIFT=16", "proof PAGE_SHIFT=16: PAGE_SHIFT=12"),
                           ("HIGHMEM=y", "proof HIGHMEM=y: HIGHMEM=n"),
                           ("mmu=sv39", "proof mmu=sv39: no mmu was said"),
                           ("example_skip_test",
                            "proof example_skip_test: it did not pass"),
                           ("no_such_test", "proof no_such_test: it did not pass")):
            with self.subTest(item):
                self.assertEqual(self.proof(item), [said])



if __name__ == "__main__":
    unittest.main()
