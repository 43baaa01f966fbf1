# SPDX-License-Identifier: GPL-2.0
"""regress.py, fed with the logs of two guests that differ in one thing."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import tempfile
import unittest
from pathlib import Path

from common import kunit_folder

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "harness/prove/regress.tsv"

sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "harness/prove"))
import regress  # noqa: E402

PORT = """\
guest: kunit suite
KTAP version 1
1..1
    KTAP version 1
    # Subtest: suite
    1..2
    ok 1 one
    ok 2 two
ok 1 suite
guest: selftest first
TAP version 13
1..4
ok 1 \x1b[32mpages\x1b[0m
not ok 2 always broken
ok 3 # SKIP not here
ok 4 # XFAIL as expected
guest: seconds first 3
guest: exit first 1
guest: selftest second
no KTAP at all
guest: exit second 0
guest: tainted 0
guest: success
"""
CONSOLE = """\
[    0.1] Linux version 7.3.4
[    0.2] debug_vm_pgtable: [debug_vm_pgtable         ]: Validating
guest: kunit suite
guest: selftest first
[    1.2] in the first
guest: exit first 1
guest: selftest second
[    1.5] in the second
guest: exit second 0
guest: tainted 0
guest: success
"""
WARN = "[    1.3] WARNING: mm/memory.c:%d at do_fault+0x12/0x34, CPU#1: t/%d\n"


KUNIT = kunit_folder()


class Regress(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.out = Path(scratch.name)
        for side in ("base", "patched"):
            self.boot(side, "1-1")

    def boot(self, side: str, name: str, port: str = PORT,
             console: str = CONSOLE) -> None:
        logs = self.out / "cell" / f"{side}.logs"
        logs.mkdir(parents=True, exist_ok=True)
        (logs / f"{name}.port").write_text(port)
        (logs / f"{name}.console").write_text(console)

    def run_it(self, *more: str) -> tuple[int, str]:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            status = regress.main(["--out", str(self.out), "--cells", "cell",
                                   "--kunit", str(KUNIT), *more])
        return status, said.getvalue()

    def worse(self, test: str, line: str) -> None:
        """Exactly this is worse, and the report has it."""
        status, said = self.run_it()
        self.assertEqual(status, 1, said)
        rows = [row.split("\t") for row in
                (self.out / "report.tsv").read_text().splitlines()]
        bad = [(row[1], row[2]) for row in rows if row[5] == "worse"]
        self.assertEqual([t for t, _ in bad], [test] * len(bad), said)
        self.assertTrue(any(re.search(line, l) for _, l in bad), bad)
        self.assertRegex(said, rf"compared, {len(bad)} worse\n$")
        self.assertIn(f"cell {test}", self.run_it("--worse")[1].splitlines())

    def same(self, *wanted: str) -> None:
        status, said = self.run_it()
        self.assertEqual(status, 0, said)
        self.assertRegex(said, r"[1-9]\d* compared, 0 worse\n$")
        for text in wanted:
            self.assertRegex(said, text)

    def test_same(self) -> None:
        self.same(r"first: always broken: fail -> fail",
                  r"cell first: not here, and 1 more",
                  r"cell +first +2/2/2 +2/2/2  3/3\n")
        self.assertEqual(self.run_it("--worse")[1].strip(), "")

    def test_each_change_is_worse(self) -> None:
        for old, new, test, line in (
                ("ok 1 \x1b[32mpages\x1b[0m", "not ok 1 pages", "first", "^pages$"),
                ("ok 1 \x1b[32mpages\x1b[0m", "ok 1 # SKIP pages", "first", "^pages$"),
                ("ok 1 \x1b[32mpages\x1b[0m\n", "", "first", "^pages$"),
                ("ok 4 # XFAIL as expected\n", "", "first", "planned"),
                ("exit second 0", "exit second 1", "second", "ended"),
                ("exit second 0", "exit second 4", "second", "ended"),
                ("exit second 0", "exit second 139", "second", "ended"),
                ("guest: exit second 0\nguest: tainted 0\nguest: success\n", "",
                 "second", "ended"),
                ("guest: exit second 0", "guest: timeout second\nguest: exit second 137",
                 "second", "ended"),
                ("    ok 2 two", "    not ok 2 two", "kunit suite", "suite.two"),
                (PORT[:PORT.index("guest: selftest first")],
                 "guest: missing suite\n", "kunit suite", "suite.one")):
            with self.subTest(new=new):
                self.assertEqual(PORT.count(old), 1)
                self.boot("patched", "1-1", PORT.replace(old, new))
                self.worse(test, line)

    def test_test_that_never_ran(self) -> None:
        head = PORT[:PORT.index("guest: selftest second")]
        self.boot("patched", "1-1", head)
        self.worse("second", "ended")
        # A second boot of the round went on after it.
        self.boot("patched", "1-2", PORT[PORT.index("guest: selftest second"):])
        self.same()

    def test_patched_does_not_boot(self) -> None:
        self.boot("patched", "1-1", "", "Kernel panic - not syncing\n")
        status, said = self.run_it()
        self.assertEqual(status, 1)
        self.assertIn("(boot): init came to the tests: pass -> not there", said)

    def test_base_does_not_boot(self) -> None:
        self.boot("base", "1-1", "", "")
        status, said = self.run_it()
        self.assertEqual(status, 1, said)
        self.assertRegex(said, r"NOTHING RAN: cell, base.*\n0 compared, 0 worse\n$")

    def test_neither_boots(self) -> None:
        for side in ("base", "patched"):
            self.boot(side, "1-1", "", "Kernel panic - not syncing: timer\n")
        status, said = self.run_it()
        self.assertEqual(status, 1, said)
        self.assertEqual(said.count("NOTHING RAN"), 2)

    def test_no_logs(self) -> None:
        for file in self.out.rglob("*.*"):
            if file.is_file():
                file.unlink()
        self.assertEqual(self.run_it()[0], 1)

    def test_better(self) -> None:
        self.boot("patched", "1-1", PORT.replace("not ok 2 always", "ok 2 always"))
        self.same("better", "first: always broken: fail -> pass")

    def test_complaint(self) -> None:
        line = "[    1.5] in the second\n"
        self.boot("patched", "1-1", console=CONSOLE.replace(line, line + WARN % (7, 8)))
        self.worse("second", "^WARN: ")
        # The same one on the base, of another process and at another line.
        self.boot("base", "1-1", console=CONSOLE.replace(line, WARN % (9, 10) + line))
        self.same("second: WARN: .*: fail -> fail")
        # But in another test it is another one.
        line = "[    1.2] in the first\n"
        self.boot("base", "1-1", console=CONSOLE.replace(line, WARN % (9, 10) + line))
        self.worse("second", "^WARN: ")

    def test_complaint_at_boot(self) -> None:
        console = CONSOLE.replace("guest: kunit", WARN % (1, 1) + "guest: kunit")
        self.boot("patched", "1-1", console=console)
        self.worse("(boot)", "^WARN: ")

    def test_page_table_check_gone(self) -> None:
        console = re.sub(".*debug_vm_pgtable.*\n", "", CONSOLE)
        self.boot("patched", "1-1", console=console)
        self.worse("(boot)", "debug_vm_pgtable")

    def test_both_time_out(self) -> None:
        """How far each came does not matter, but what failed before does."""
        end = "guest: timeout first\nguest: exit first 137\n"
        long = re.sub("guest: seconds first 3\nguest: exit first 1\n", end, PORT)
        short = re.sub(r"ok 1 .*pages.*\nnot ok 2.*\nok 3.*\nok 4.*\n",
                       "ok 1 other\n", long)
        self.boot("base", "1-1", long)
        self.boot("patched", "1-1", short)
        self.same("first: how it ended: timeout -> timeout")
        self.boot("patched", "1-1", long.replace("ok 1 \x1b", "not ok 1 \x1b"))
        self.worse("first", "^pages$")

    def test_flaky(self) -> None:
        bad = PORT.replace("exit second 0", "exit second 1")
        self.boot("patched", "1-1", bad)
        self.boot("base", "2-1")
        self.boot("patched", "2-1")
        self.same("flaky:\n.*second: how it ended: pass -> fail, pass")
        self.boot("patched", "2-1", bad)
        self.worse("second", "ended")

    def test_names_with_a_measurement(self) -> None:
        for side, n in (("base", 59), ("patched", 67)):
            name = f"count {n} {n}MB of memory Extra pages {n} (0.{n}%), extra thread faults {n + 1}."
            self.boot(side, "1-1", PORT.replace("\x1b[32mpages", name))
        self.same()

    def test_names_that_come_twice(self) -> None:
        twice = PORT.replace("not ok 2 always broken", "ok 2 pages")
        self.boot("base", "1-1", twice)
        self.boot("patched", "1-1", twice.replace("ok 2 pages", "not ok 2 pages"))
        self.worse("first", "^pages #2$")


class List(unittest.TestCase):
    def test_lines(self) -> None:
        lines = [l for l in LIST.read_text().splitlines()
                 if not l.startswith(("#", "test\t"))]
        names = set()
        for line in lines:
            name, seconds, command = line.split("\t")
            self.assertRegex(name, r"^\S+$")
            self.assertRegex(seconds, r"^[1-9]\d*$")
            program = (name if command == "-" else command).split()[0]
            source = re.sub("_(32|64)$", "", program) + ".c"
            folder = KUNIT.parent / "selftests" / "mm"
            self.assertTrue((folder / source).is_file(), source)
            self.assertNotIn(name, names)
            names.add(name)
        self.assertGreater(len(names), 50)


if __name__ == "__main__":
    unittest.main()
