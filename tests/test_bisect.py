# SPDX-License-Identifier: GPL-2.0
"""bisect.sh: each patch of each series, alone; what was good is not done again."""

from __future__ import annotations

import unittest

from common import Harness, patch
from guests import Guests


class Mistakes(Harness):
    def test_all(self) -> None:
        for knobs, words in (({"CELLS": "nope"}, "unknown cell 'nope'"),
                             ({"BOOT": "nope"}, "unknown cell 'nope'"),
                             ({"AGAIN": "maybe"}, "AGAIN=maybe"),
                             ({"ALL": "maybe"}, "ALL=maybe")):
            with self.subTest(knobs):
                self.assertIn(words, self.mistake("bisect.sh", **knobs))
        self.assertIn("no arguments", self.mistake("bisect.sh", "x86_64"))


class Bisect(Guests):
    def setUp(self) -> None:
        super().setUp()
        self.env.update(CELLS="x86_64", BOOT="x86_64")

    def bisect(self, **knobs: str) -> list[str]:
        return self.ok("bisect.sh", **knobs).splitlines()

    def test_each_is_built_booted_and_recorded(self) -> None:
        lines = self.bisect()
        self.assertEqual(lines[-1], "3 commits, 0 failed")
        self.assertEqual(len(lines), 5)
        self.assertTrue(all(line.startswith("ok ") for line in lines[1:4]), lines)
        self.assertEqual(self.kernels(), [
            f"x86_64 mm: {what}" for what in ("first line", "add a test", "last line")])
        records = self.records("bisect")
        self.assertEqual(len(records), 3)
        for name, record in records.items():
            self.assertEqual((record["cell"], record["result"], record["detail"]),
                             ("x86_64", "pass", "booted"))
            self.assertEqual(record["name"].replace("/", "-") + ",x86_64", name)
        self.assertEqual(next(iter(records.values()))["name"], "last/0001-mm-last-line")

    def test_a_series_is_alone_with_what_it_needs(self) -> None:
        self.assertEqual(self.bisect(SERIES="last")[-1], "1 commits, 0 failed")
        self.assertEqual(self.kernels(), ["x86_64 mm: last line"])
        kernel = next((self.root / "build/bisect/kernel").rglob("bzImage")).read_text()
        self.assertIn("int last;", kernel)
        self.assertIn("int line_1;", kernel)  # what the series before it changes
        self.assertIn("SERIES=nope", self.run_script("bisect.sh", SERIES="nope").stderr)

    def test_what_was_good_is_not_done_again(self) -> None:
        self.bisect()
        self.kernels()
        self.assertEqual(self.bisect()[-1], "3 commits, 0 failed")
        self.assertEqual(self.kernels(), [])
        self.bisect(AGAIN="1")
        self.assertEqual(len(self.kernels()), 3)

    def test_what_was_built_is_not_taken_for_booted(self) -> None:
        self.bisect(BOOT="none")
        self.assertEqual({r["detail"] for r in self.records("bisect").values()}, {"built"})
        self.kernels()
        self.bisect()
        self.assertEqual(len(self.kernels()), 3)

    def test_one_that_fails_does_not_stop_the_rest(self) -> None:
        for word, result in (("break", "BUILD"), ("panic", "BOOT")):
            with self.subTest(word):
                self.store("last/0001-mm-last-line.patch",
                           patch("mm: last line", "mm/memory.c", "line_40", word, 40))
                run = self.run_script("bisect.sh")
                self.assertEqual(run.returncode, 1)
                lines = run.stdout.splitlines()
                self.assertEqual(lines[-1], "3 commits, 1 failed")
                self.assertEqual([line.split()[0] for line in lines[1:4]],
                                 ["ok", "ok", result])
                self.assertEqual({name: r["result"] for name, r in self.records("bisect").items()},
                                 {"last-0001-mm-last-line,x86_64": "fail",
                                  "lines-0001-mm-first-line,x86_64": "pass",
                                  "lines-0002-mm-add-a-test,x86_64": "pass"})
                self.kernels()
                # Only that one is tried again.
                self.run_script("bisect.sh")
                self.assertEqual(self.kernels(), ["x86_64 mm: last line"])


if __name__ == "__main__":
    unittest.main()
