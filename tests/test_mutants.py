# SPDX-License-Identifier: GPL-2.0
"""mutants.sh: what it says of wrong names and of mutants that say too little.

That each mutant applies, and names what exists, is a check of lint.sh."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Mistakes(unittest.TestCase):
    """All of them come out before anything is built."""

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = Path(scratch.name)
        shutil.copytree(ROOT / "harness", self.root / "harness")

    def run_mutants(self, names: str, *args: str) -> str:
        run = subprocess.run(
            ["bash", str(self.root / "harness/mutants.sh"), *args],
            env={**os.environ, "MUTANTS": names}, capture_output=True, text=True,
            check=False, timeout=30)
        self.assertEqual(run.returncode, 1, run.stderr)
        errors = [line for line in run.stderr.splitlines() if line]
        self.assertEqual(len(errors), 1, run.stderr)
        self.assertFalse((self.root / "build").exists(), "something was built")
        return errors[0]

    def test_unknown_name_lists_the_known_ones(self) -> None:
        error = self.run_mutants("july-2024 nope")
        self.assertIn("no mutant 'nope'", error)
        self.assertIn("july-2024", error)

    def test_arguments(self) -> None:
        self.assertIn("no arguments", self.run_mutants("", "july-2024"))

    def test_missing_header(self) -> None:
        mutant = self.root / "harness/mutants/july-2024.patch"
        for field in ("Breaks", "Cell", "Killed-by"):
            with self.subTest(field):
                whole = mutant.read_text()
                mutant.write_text(whole.replace(f"\n{field}: ", "\n"))
                error = self.run_mutants("july-2024")
                self.assertIn(f"'{field}: …'", error)
                self.assertIn("july-2024.patch", error)
                mutant.write_text(whole)


if __name__ == "__main__":
    unittest.main()
