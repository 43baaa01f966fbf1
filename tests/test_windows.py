# SPDX-License-Identifier: GPL-2.0
"""windows.sh: what it says of wrong arguments, and of lines that cannot be run.

And that windows.tsv, the programs and widen.patch speak of the same things."""

from __future__ import annotations

import re
import unittest

from common import ROOT, Harness

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
        self.change("\t2\tonly", "\t2 only")
        self.assertIn("uffd_wp: not 6 columns", self.run_windows())

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
                window, program, test, _, patch, base = line
                source = (WINDOWS / f"{program}.c").read_text()
                self.assertIn(window, hooks)
                self.assertIn(f'"{window}"', source)
                fixture, _, variant = test.partition(".")
                self.assertIn(f"FIXTURE({fixture})", source)
                self.assertIn(f"({fixture}, {variant})" if variant
                              else f"TEST_F_TIMEOUT({fixture}, race", source)
                self.assertEqual(patch == "-", base == "-")
                re.compile(base)
                self.assertNotIn(test, tests)
                tests.add(test)
        self.assertEqual({line[0] for line in lines()}, hooks)

    def test_patches_exist(self) -> None:
        for line in lines():
            if line[4] != "-":
                self.assertEqual(
                    len(list((ROOT / "patches").glob(f"*/{int(line[4]):04}-*"))), 1)


if __name__ == "__main__":
    unittest.main()
