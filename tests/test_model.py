# SPDX-License-Identifier: GPL-2.0
"""model.sh: what it says of wrong names, and that a check which gives anything else
than it must makes it fail. Neither spin nor a compiler runs here, but in the last
test, and there only on the smallest variant."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "harness/judge"))
import records  # noqa: E402

CHECKS = """\
# comment
check	must	macros	shows
sound	holds	A	it holds
broken	deadlock	B C=1	it does not
lost	an entry is lost	B	nor does this
"""

HOLDS = """\
State-vector 92 byte, depth reached 149, errors: 0
     2268 states, stored
     2836 transitions (= stored+matched)
"""
FAILED = HOLDS.replace("errors: 0", "errors: 1") + "Warning: Search not completed\n"
DEADLOCK = "pan:1: invalid end state (at depth 7)\n" + FAILED
ASSERTED = "pan:1: assertion violated 0 (at depth 7)\n" + FAILED

TRAIL = """\
spin_lock(pml)
  5:	proc  2 (zap_pte_range:1) mm.pml:92 (state 153)	[printf('spin_lock(pml)\\\\n')]
"""


class Checks(unittest.TestCase):
    """checks.tsv: what has to be in it, and that nothing in it is misspelt."""

    def setUp(self) -> None:
        lines = (ROOT / "harness/prove/model/checks.tsv").read_text().splitlines()
        rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
        self.assertEqual(rows[0], ["check", "must", "macros", "shows"])
        self.assertEqual({len(row) for row in rows}, {4})
        self.rows = rows[1:]
        self.must = {row[0]: row[1] for row in self.rows}
        self.assertEqual(len(self.must), len(self.rows), "a name is there twice")
        self.model = "".join(path.read_text() for path in (ROOT / "harness/prove/model").glob("*.pml"))

    def test_each_macro_is_asked_for(self) -> None:
        """A misspelt one would change nothing, and what holds would go on to hold."""
        asked = set(re.findall(r"(?:#ifn?def |defined\()(\w+)", self.model))
        for name, _, macros, _ in self.rows:
            self.assertLessEqual({macro.split("=")[0] for macro in macros.split()}, asked, name)

    def test_each_violation_can_be_found(self) -> None:
        found = set(re.findall(r"VIOLATED: ([^\\]*)", self.model))
        self.assertLessEqual(set(self.must.values()), found | {"holds", "deadlock"})

    def test_what_the_code_relies_on(self) -> None:
        for name in ("no-pte-lock", "early-unlock", "no-pmd-same", "no-grace-period"):
            self.assertNotEqual(self.must[name], "holds")

    def test_each_base_fails_where_the_series_holds(self) -> None:
        """Without the macros that take something away, but for retraction of all that
        is empty, nothing fails."""
        for name, must, macros, _ in self.rows:
            changed = "_AS_IN_BASE" in macros
            if name.endswith("-base"):
                self.assertNotEqual(must, "holds", name)
            elif must == "holds" and changed:
                self.assertIn(name, ONE_TAKES_THE_PLACE_OF_THE_OTHER)


# They hold without a fix, as another covers the same.
ONE_TAKES_THE_PLACE_OF_THE_OTHER = (
    "collapse-private", "collapse-write", "mremap-poison", "mfill-eexist", "merge-guard-look",
    "modify-guard-look", "fork-enomem", "vma-lock-fork-enomem", "vma-lock-merge",
    "lock-all-poison", "lock-all-mremap", "lock-all-mremap-fails", "lock-all-mremap-unsplit")


class Model(unittest.TestCase):
    """A scratch copy, with a spin and a checker that say what the test wants."""

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="ptlock-test-")
        self.addCleanup(scratch.cleanup)
        self.root = Path(scratch.name) / "repo"
        self.shims = Path(scratch.name) / "shims"
        self.shims.mkdir()
        for path in ("prove/model.sh", "lib/lib.sh", "lib/git.sh", "judge/record.sh",
                     "judge/records.py"):
            (self.root / "harness" / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / "harness" / path, self.root / "harness" / path)
        shutil.copytree(ROOT / "harness/prove/model", self.root / "harness/prove/model")
        self.checks = self.root / "harness/prove/model/checks.tsv"

    def shim(self, name: str, script: str) -> None:
        (self.shims / name).write_text("#!/bin/sh\n" + script)
        (self.shims / name).chmod(0o755)

    def pan_says(self, text: str, trail: str = "") -> None:
        """The search prints TEXT; with TRAIL, it leaves one that replays as that."""
        self.checks.write_text(CHECKS)
        (self.shims / "pan.text").write_text(text)
        (self.shims / "trail.text").write_text(trail)
        leave = "touch model.pml.trail" if trail else ":"
        self.shim("spin", f'[ "$1" = -a ] || cat {self.shims}/trail.text\n')
        self.shim("gcc", f"printf '#!/bin/sh\\ncat {self.shims}/pan.text\\n{leave}\\n' >pan\n"
                         "chmod +x pan\n")

    def run_model(self, names: str, *args: str, **knobs: str) -> subprocess.CompletedProcess[str]:
        env = {k: v for k, v in os.environ.items() if k != "PTLOCK_START"} | knobs
        return subprocess.run(
            ["bash", str(self.root / "harness/prove/model.sh"), *args],
            env=env | {"MODELS": names, "PATH": f"{self.shims}:{os.environ['PATH']}"},
            capture_output=True, text=True, check=False, timeout=120)

    def result(self, names: str) -> tuple[int, str, str]:
        """Exit code, the line of the (last) check, the last line."""
        run = self.run_model(names)
        lines = run.stdout.splitlines()
        self.assertGreaterEqual(len(lines), 3, run.stdout + run.stderr)
        return run.returncode, lines[-2], lines[-1]

    def record(self, name: str) -> records.Record:
        return records.read(self.root / f"build/records/model/{name}.json")

    def searched(self, names: str, **knobs: str) -> bool:
        """Or was its record enough?"""
        run = self.run_model(names, **knobs)
        return "by its record" not in run.stdout

    def error(self, names: str, *args: str) -> str:
        run = self.run_model(names, *args)
        self.assertEqual(run.returncode, 1, run.stderr)
        errors = [line for line in run.stderr.splitlines() if line]
        self.assertEqual(len(errors), 1, run.stderr)
        self.assertFalse((self.root / "build").exists(), "something was done")
        return errors[0]

    def test_unknown_name_lists_the_known_ones(self) -> None:
        error = self.error("no-pmd-same nope")
        self.assertIn("no check 'nope'", error)
        self.assertIn("no-grace-period", error)

    def test_arguments(self) -> None:
        self.assertIn("no arguments", self.error("", "no-pmd-same"))

    def test_all_as_they_must_be(self) -> None:
        self.pan_says(HOLDS)
        code, line, last = self.result("sound")
        self.assertEqual((code, last), (0, "1 checked, 0 wrong"))
        self.assertEqual(line.split()[:5], ["sound", "holds", "holds", "2268", "2836"])

    def test_records(self) -> None:
        self.pan_says(HOLDS)
        self.result("sound broken")
        record = self.record("sound")
        self.assertEqual((record.result, record.detail), ("pass", "holds"))
        self.assertEqual(record.figures,
                         [{"states": "2268", "transitions": "2836", "steps": ""}])
        record = self.record("broken")
        self.assertEqual((record.result, record.detail),
                         ("fail", "WRONG: holds, must: deadlock"))

    def test_what_is_recorded_is_not_searched_again(self) -> None:
        self.pan_says(HOLDS)
        self.assertTrue(self.searched("sound"))
        self.assertFalse(self.searched("sound"))
        self.assertTrue(self.searched("sound", AGAIN="1"))
        for path in (self.checks, self.root / "harness/prove/model/mm.pml"):
            text = path.read_text()
            path.write_text(text + "\n/* more */\n"
                            if path.suffix == ".pml" else text.replace("\tA\t", "\tA B\t"))
            self.assertTrue(self.searched("sound"), path)
            self.assertFalse(self.searched("sound"), path)
        for _ in range(2):
            self.assertEqual(self.result("broken")[0], 1, "a failure is searched again")

    def test_what_must_fail_but_holds_is_wrong(self) -> None:
        self.pan_says(HOLDS)
        code, line, last = self.result("broken")
        self.assertEqual((code, last), (1, "1 checked, 1 wrong"))
        self.assertIn("WRONG: holds", line)

    def test_what_must_hold_but_fails_is_wrong(self) -> None:
        self.pan_says(DEADLOCK, TRAIL)
        code, line, last = self.result("sound")
        self.assertEqual((code, last), (1, "1 checked, 1 wrong"))
        self.assertIn("WRONG: deadlock (1 steps)", line)

    def test_failing_otherwise_than_it_must_is_wrong(self) -> None:
        self.pan_says(ASSERTED, "VIOLATED: use after free\n")
        code, line, _ = self.result("lost")
        self.assertEqual(code, 1)
        self.assertIn("WRONG: use after free", line)

    def test_one_wrong_does_not_stop_the_others(self) -> None:
        self.pan_says(HOLDS)
        self.assertEqual(self.result("broken sound")[2], "2 checked, 1 wrong")

    def test_truncated_search_is_wrong(self) -> None:
        for said in ("error: max search depth too small\n" + HOLDS,
                     "pan: reached -DMEMLIM bound\n" + HOLDS,
                     "pan: out of memory\n",
                     "Warning: Search not completed\n" + HOLDS,
                     ""):
            with self.subTest(said):
                self.pan_says(said)
                code, line, _ = self.result("sound")
                self.assertEqual(code, 1)
                self.assertIn("WRONG: search", line)

    def test_trace(self) -> None:
        self.pan_says(DEADLOCK, TRAIL)
        self.assertEqual(self.result("broken")[0], 0)
        trace = (self.root / "build/model/broken.trace").read_text()
        self.assertEqual(trace.splitlines()[0].split(), ["1", "zap_pte_range", "spin_lock(pml)"])
        self.assertIn("VIOLATED: deadlock", trace)

    def test_model_that_does_not_compile(self) -> None:
        self.pan_says(HOLDS)
        self.shim("spin", "exit 1\n")
        run = self.run_model("sound")
        self.assertEqual(run.returncode, 1)
        self.assertIn("spin does not take the model", run.stderr)

    @unittest.skipUnless(shutil.which("spin"), "spin is not installed")
    def test_the_real_one_bites(self) -> None:
        text = self.checks.read_text()
        self.assertIn("nested-when-equal\tdeadlock\t", text)
        self.checks.write_text(text.replace("nested-when-equal\tdeadlock\tUNSPLIT NESTED_WHEN_EQUAL ",
                                            "nested-when-equal\tdeadlock\tUNSPLIT "))
        code, line, _ = self.result("nested-when-equal")
        self.assertEqual(code, 1, line)
        self.assertIn("WRONG: holds", line)


if __name__ == "__main__":
    unittest.main()
