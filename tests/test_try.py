# SPDX-License-Identifier: GPL-2.0
"""try.sh: a program of somebody's, compiled, run on both sides, and judged."""

from __future__ import annotations

import unittest
from pathlib import Path

from common import Harness
from guests import Guests


class Mistakes(Harness):
    """All of them come out before anything is built."""

    def setUp(self) -> None:
        super().setUp()
        self.prog = self.root / "a.c"
        self.prog.write_text("int main(void) { return 0; }\n")

    def try_(self, *args: str, **knobs: str) -> str:
        return self.mistake("try.sh", *args, **{
            "PROG": str(self.prog), "CELLS": "", "SIDE": "", "TIMEOUT": "", **knobs})

    def test_programs(self) -> None:
        self.assertIn("give PROG=FILE.c", self.try_(PROG=""))
        self.assertIn("there is no nope.c", self.try_(PROG="nope.c"))
        self.assertIn("cells.ini is no .c file",
                      self.try_(PROG=str(self.root / "harness/guest/cells.ini")))
        other = self.root / "b"
        other.mkdir()
        (other / "a.c").write_text("")
        self.assertIn("two are called a", self.try_(PROG=f"{self.prog} {other}/a.c"))

    def test_knobs(self) -> None:
        self.assertIn("SIDE=left: it is base, series or both", self.try_(SIDE="left"))
        self.assertIn("TIMEOUT=soon", self.try_(TIMEOUT="soon"))
        self.assertIn("unknown cell 'nope'", self.try_(CELLS="x86_64 nope"))
        self.assertIn("hppa is only built", self.try_(CELLS="hppa"))
        self.assertIn("no arguments", self.try_("a.c"))


class Try(Guests):
    def prog(self, name: str, body: str) -> Path:
        file = self.tmp / "some where" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("#include <signal.h>\n#include <stdio.h>\n#include <unistd.h>\n"
                        f"int main(void) {{ {body} }}\n")
        return file

    def table(self, *files: Path, **knobs: str) -> list[list[str]]:
        """Its lines, as columns; the exit status to self.status."""
        run = self.run_script("try.sh", PROG=" ".join(map(str, files)), **knobs)
        self.status, self.out = run.returncode, run.stdout
        self.assertNotIn("error: ", run.stderr)
        lines = run.stdout.split("\n\n")[0].splitlines()
        return [[line[:20].strip(), line[20:37].strip(), line[38:78].strip(), line[79:].strip()]
                for line in lines]

    def test_exit_status(self) -> None:
        files = [self.prog("good.c", 'puts("fine"); return 0;'),
                 self.prog("not here.c", 'puts("no THP"); return 4;'),
                 self.prog("bad.c", 'puts("first"); puts("lost it"); return 1;'),
                 self.prog("crash.c", "fflush(stdout); raise(SIGSEGV); return 0;")]
        rows = self.table(*files)
        self.assertEqual(rows[0], ["program", "cell", "base", "series"])
        for row, name, said in zip(rows[1:], ("good", "not-here", "bad", "crash"), (
                "pass: fine", "skip: no THP", "fail: exit 1: lost it",
                "fail: killed by signal 11: Segmentation"), strict=True):
            self.assertEqual(row[:2], [name, "x86_64"])
            self.assertTrue(row[2].startswith(said), row)
            self.assertTrue(row[3].startswith(said), row)
        self.assertEqual(self.status, 1)
        self.assertIn("bad, x86_64, series: exit 1: lost it: see build/try/bad/", self.out)
        self.assertIn("    first\n    lost it\n", self.out)
        records = self.records("try")
        self.assertEqual(len(records), 8)
        record = records["bad,x86_64,base"]
        self.assertEqual((record["result"], record["detail"]),
                         ("fail", "exit 1: lost it"))
        self.assertEqual(records["not-here,x86_64,series"]["result"], "skip")
        self.assertEqual(record["inputs"]["tree"], records["bad,x86_64,series"]["inputs"]["tree"],
                         "that of the stack which the base is compared with")

    def test_ktap_counts_as_well(self) -> None:
        ktap = r'puts("TAP version 13\n1..2\nok 1 a\n%s 2 b"); return 0;'
        rows = self.table(self.prog("a.c", ktap % "ok"), self.prog("b.c", ktap % "not ok"),
                          SIDE="series")
        self.assertTrue(rows[1][2].startswith("pass"), rows)
        self.assertTrue(rows[2][2].startswith("fail: b.b: "), rows)

    def test_key(self) -> None:
        """What the program is made of: the headers beside it as well."""
        file, keys = self.prog("a.c", "return 0;"), set()
        for text in ("", "/* */"):
            (file.parent / "a.h").write_text(text)
            self.table(file, SIDE="series")
            keys.add(self.records("try")["a,x86_64,series"]["inputs"]["key"])
        self.assertEqual(len(keys), 2)

    def test_time_limit(self) -> None:
        rows = self.table(self.prog("hang.c", "pause(); return 0;"), SIDE="series", TIMEOUT="1")
        self.assertEqual(rows[1][2], "fail: timed out")

    def test_only_the_base_fails(self) -> None:
        """The side that is to hold decides; on the base, the kernel says what is wrong."""
        file = self.prog("a.c", "return 0;")
        self.git("commit", "-qm", "x", "--allow-empty", cwd=self.make_tree())
        rows = self.table(file)
        self.assertTrue(rows[1][2].startswith("pass"), rows)
        self.assertEqual(self.status, 0)
        # The work tree is taken as it is.
        with open(self.tree / "mm/memory.c", "a", encoding="utf-8") as source:
            source.write("int panic;\n")
        rows = self.table(file)
        self.assertTrue(rows[1][2].startswith("pass"), rows)
        self.assertEqual(rows[1][3], "fail: kernel panic: Kernel panic - not s")
        self.assertEqual(self.status, 1)
        self.table(file, SIDE="base")
        self.assertEqual(self.status, 0)

    def make_tree(self) -> Path:
        self.ok("tree.sh")
        return self.tree

    def test_does_not_compile(self) -> None:
        good, bad = self.prog("a.c", "return 0;"), self.prog("b.c", "return nothing;")
        run = self.run_script("try.sh", PROG=f"{good} {bad}")
        errors = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
        self.assertEqual((run.returncode, len(errors)), (1, 1), run.stderr)
        self.assertRegex(errors[0], "b.c does not compile for x86_64: .*nothing.* undeclared")
        self.assertEqual(self.kernels(), [])


if __name__ == "__main__":
    unittest.main()
