# SPDX-License-Identifier: GPL-2.0
"""windows.sh: what it says of wrong arguments, and of lines that cannot be run.

And that windows.tsv, the programs and widen.patch speak of the same things."""

from __future__ import annotations

import re
import unittest

from common import ROOT, Harness, patch
from guests import Guests

WINDOWS = ROOT / "harness/prove/windows"


def lines() -> list[list[str]]:
    return [line.split("\t") for line in
            (WINDOWS / "windows.tsv").read_text().splitlines()
            if not line.startswith(("#", "window\t"))]


class Mistakes(Harness):
    """All of them come out before anything is built."""

    def setUp(self) -> None:
        super().setUp()
        self.tsv = self.root / "harness/prove/windows/windows.tsv"

    def run_windows(self, *args: str, **knobs: str) -> str:
        return self.mistake("windows.sh", *args, **{"TESTS": "", "MUTANT": "", **knobs})

    def change(self, old: str, new: str) -> None:
        text = self.tsv.read_text()
        self.assertIn(old, text)
        self.tsv.write_text(text.replace(old, new))

    def test_arguments(self) -> None:
        self.assertIn("no arguments", self.run_windows("uffd_wp"))

    def test_unknown_test(self) -> None:
        self.assertIn("no test 'nope'", self.run_windows(TESTS="uffd_wp nope"))
        # Neither a part of a name, nor a pattern, nor another column.
        for name in ("uffd", "uffd.wp", "change_pmd"):
            self.assertIn(f"no test '{name}'", self.run_windows(TESTS=name))

    def test_duration(self) -> None:
        for seconds in ("0", "21", "x", "1 0", "-1", "1.5"):
            self.assertIn(f"DURATION={seconds}", self.run_windows(DURATION=seconds))

    def test_mutant(self) -> None:
        self.assertIn("MUTANT=nope: no such patch", self.run_windows(MUTANT="nope"))

    def test_line_too_short(self) -> None:
        self.change("-fixes\tonly", "-fixes only")
        self.assertIn("uffd_wp: fewer than 6 columns", self.run_windows())

    def test_unknown_program(self) -> None:
        self.change("repro-uffd-wp", "repro-nope")
        self.assertIn("no harness/prove/windows/repro-nope.c", self.run_windows())

    def test_unknown_cell(self) -> None:
        self.change("uffd_wp\tx86_64", "uffd_wp\tnope")
        self.assertIn("unknown cell 'nope'", self.run_windows())


class List(unittest.TestCase):
    def test_lines(self) -> None:
        tests = set()
        hooks = set(re.findall(r'^\+\t\[PTW_\w+\]\s*= \{ "(\w+)"',
                               (WINDOWS / "widen.patch").read_text(), re.M))
        for line in lines():
            with self.subTest(line):
                window, program, test, _, series, base, *shut = line
                source = (WINDOWS / f"{program}.c").read_text()
                self.assertIn(window, hooks)
                self.assertIn(f'"{window}"', source)
                fixture, _, variant = test.partition(".")
                self.assertIn(f"FIXTURE({fixture})", source)
                self.assertIn(f"({fixture}, {variant})" if variant
                              else f"TEST_F_TIMEOUT({fixture}, race", source)
                self.assertLessEqual(len(shut), 1)
                if shut:
                    self.assertIn(shut[0], ("series", "base,series"))
                    self.assertNotEqual(base, "-", "no mutant can lose")
                # A base that is right says something where no other task gets in: a mutant does.
                self.assertEqual(series == "-", base == "-" or shut == ["base,series"])
                re.compile(base)
                self.assertNotIn(test, tests)
                tests.add(test)
        self.assertEqual({line[0] for line in lines()}, hooks)

    def test_series_exist(self) -> None:
        for line in lines():
            if line[4] != "-":
                self.assertTrue((ROOT / "patches" / line[4] / "series").is_file(), line[4])


PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void)
{
	int held = !!strstr(getenv("KERNEL"), "int first;");

	puts("TAP version 13\n1..1");
	printf("# window hook: %d hits, stretched %d times in 9 rounds\n",
	       strstr(getenv("KERNEL"), "miss") ? 0 : 3,
	       strstr(getenv("KERNEL"), "pass by") ? 0 : 7);
	if (!held)
		puts("# 5 pages are lost");
	printf("%sok 1 race\n", held ? "" : "not ");
	return !held;
}
"""


class Flow(Guests):
    """On toys: the base loses, the series, whose first patch closes it, holds."""

    def setUp(self) -> None:
        super().setUp()
        folder = self.root / "harness/prove/windows"
        self.tsv = folder / "windows.tsv"
        self.tsv.write_text("hook\ttoy\tlose\tx86_64\tfixes\tpages are lost\n")
        (folder / "toy.c").write_text(PROGRAM)
        self.widen = folder / "widen.patch"
        self.widen.write_text(patch("x", "mm/memory.c", "line_20", "widened", 20))

    def test_table_and_records(self) -> None:
        lines = self.ok("windows.sh").splitlines()
        self.assertRegex(lines[0], r"^window +test +cell +closed by +base +series *$")
        self.assertRegex(lines[1], r"^hook +lose +x86_64 +fixes +lost, 3 hits +held, 3 hits *$")
        self.assertEqual(lines[2], "1 windows, 0 not hit, 0 wrong")
        records = self.records("window")
        self.assertEqual({name: (r["name"], r["cell"], r["side"], r["result"], r["detail"])
                          for name, r in records.items()}, {
            "lose,x86_64,base": ("lose", "x86_64", "base", "pass",
                                 "lost, 3 hits: 5 pages are lost"),
            "lose,x86_64,series": ("lose", "x86_64", "series", "pass", "held, 3 hits")})
        self.assertEqual(records["lose,x86_64,base"]["figures"], [{"window": "hook", "hits": "3"}])
        self.assertEqual(len({r["inputs"]["tree"] for r in records.values()}), 1, "the stack")

    def test_what_was_right_is_not_done_again(self) -> None:
        first = self.ok("windows.sh")
        self.kernels()
        self.assertEqual(self.ok("windows.sh"), first)
        self.assertEqual(self.kernels(), [])
        self.ok("windows.sh", AGAIN="1")
        self.assertEqual(len(self.kernels()), 2)

    def test_wrong(self) -> None:
        for old, new, side, last in (
                ("fixes\tpages are lost", "-\t-", "base", "1 windows, 0 not hit, 1 wrong"),
                ("pages are lost", "something else", "base", "1 windows, 0 not hit, 1 wrong")):
            with self.subTest(new):
                text = self.tsv.read_text()
                self.tsv.write_text(text.replace(old, new))
                run = self.run_script("windows.sh")
                self.assertEqual((run.returncode, run.stdout.splitlines()[-1]), (1, last))
                self.assertEqual(self.records("window")[f"lose,x86_64,{side}"]["result"], "fail")
                self.tsv.write_text(text)

    def test_not_hit(self) -> None:
        self.widen.write_text(patch("x", "mm/memory.c", "line_20", "miss", 20))
        run = self.run_script("windows.sh")
        self.assertEqual(run.stdout.splitlines()[-1], "1 windows, 1 not hit, 0 wrong")
        self.assertEqual(run.returncode, 1)
        self.assertEqual({r["result"] for r in self.records("window").values()}, {"fail"})

    def test_shut(self) -> None:
        """Where no other task gets in: the window is stretched, and not hit."""
        text = self.tsv.read_text()
        for shut, kernel, result, last in (
                ("series", "miss", "pass", "1 windows, 1 not hit, 0 wrong"),  # the base is not
                ("series", "widened", "fail", "1 windows, 1 not hit, 0 wrong"),
                ("series", "miss pass by", "fail", "1 windows, 1 not hit, 0 wrong"),
                ("base,series", "miss", "pass", "1 windows, 0 not hit, 1 wrong")):  # base loses
            with self.subTest((shut, kernel)):
                self.tsv.write_text(text.replace("lost\n", f"lost\t{shut}\n"))
                self.widen.write_text(patch("x", "mm/memory.c", "line_20", kernel, 20))
                run = self.run_script("windows.sh")
                self.assertEqual((run.returncode, run.stdout.splitlines()[-1]), (1, last))
                self.assertEqual(self.records("window")["lose,x86_64,series"]["result"], result)

    def test_mutant(self) -> None:
        """It has to lose; mutants.sh takes what it said."""
        mutants = self.root / "harness/prove/mutants"
        for file in mutants.iterdir():
            file.unlink()
        for name, new in (("reopened", "line_1"), ("kept", "first;  int again")):
            (mutants / f"{name}.patch").write_text(
                "Breaks: x\nCell: x86_64\nKilled-by: windows.lose\n---\n"
                "--- a/mm/memory.c\n+++ b/mm/memory.c\n@@ -1,3 +1,3 @@\n"
                f"-int first;\n+int {new};\n int line_2;\n int line_3;\n")
        run = self.run_script("mutants.sh")
        self.assertEqual(run.stdout.splitlines()[-1], "1 killed, 1 survived", run.stderr)
        self.assertIn("lost, 3 hits: 5 pages are lost", run.stdout)
        self.assertEqual(self.records("window"), {})
        self.assertEqual([r["result"] for r in self.records("mutant").values()], ["fail", "pass"])


if __name__ == "__main__":
    unittest.main()
