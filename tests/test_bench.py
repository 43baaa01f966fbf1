# SPDX-License-Identifier: GPL-2.0
"""bench.py, fed with figures."""

from __future__ import annotations

import subprocess
import tempfile
import unittest
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "harness" / "bench.py"

FIGURES = """\
one\tbase\tanon_fault\tpage\t25\t3132.0\t3132.5\t3200.0
one\tbase\tmunmap\tpage\t25\t200.0\t205.0\t220.0
one\tseries\tanon_fault\tpage\t25\t3103.0\t3103.0\t3300.0
one\tseries\tmunmap\tpage\t25\t202.0\t206.0\t220.0
"""
SIZE = """\
add/remove: 0/0 grow/shrink: 0/1 up/down: 0/-68 (-68)
Function                                     old     new   delta
pte_offset_map_lock                          200     132     -68
Total: Before=1000, After=932, chg -6.80%
"""


class Table(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.folder / "one.tsv").write_text(FIGURES)
        (self.folder / "one.size").write_text(SIZE)

    def run_it(self, *cells: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(BENCH), str(self.folder), *cells],
                              capture_output=True, text=True, check=False)

    def test_differences(self) -> None:
        got = self.run_it("one")
        self.assertEqual(got.stderr, "")
        self.assertIn("| one | anon_fault | page | 3132.5 | 3103.0 | **-29.5** "
                      "| 0.9906 | 0.5 |", got.stdout)
        self.assertIn("| one | 1000 | 932 | -68 |", got.stdout)

    def test_noise_is_no_difference(self) -> None:
        self.assertIn("| +1.0 | 1.0049 | 5.0 |", self.run_it("one").stdout)

    def test_same_answer_twice(self) -> None:
        self.assertEqual(self.run_it("one").stdout, self.run_it("one").stdout)
        self.assertEqual((self.folder / "bench.md").read_text(),
                         self.run_it("one").stdout)

    def test_plot_is_a_picture(self) -> None:
        self.run_it("one")
        root = ElementTree.parse(self.folder / "bench.svg").getroot()
        self.assertTrue(root.tag.endswith("svg"))

    def test_not_measured(self) -> None:
        for name in ("two", "one"):
            (self.folder / "one.size").unlink(missing_ok=True)
            got = self.run_it(name)
            with self.subTest(name):
                self.assertEqual(got.returncode, 1)
                self.assertRegex(got.stderr, f"^error: {name}.*run make bench")

    def test_usage(self) -> None:
        self.assertEqual(self.run_it().returncode, 1)


if __name__ == "__main__":
    unittest.main()
