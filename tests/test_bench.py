# SPDX-License-Identifier: GPL-2.0
"""bench.py, fed with figures."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "harness/prove/bench.py"
sys.path.insert(0, str(BENCH.parent))
import bench  # noqa: E402

FIGURES = """\
one\tbase\tanon_fault\tpage\t25\t3132.0\t3132.5\t3200.0
one\tbase\tmunmap\tpage\t25\t200.0\t205.0\t220.0
one\tseries\tanon_fault\tpage\t25\t3103.0\t3103.0\t3300.0
one\tseries\tmunmap\tpage\t25\t202.0\t206.0\t220.0
"""
SCALE = """\
one\tbase\tcollapse\tcollapse\t25\t5000.0\t5000.0\t5000.0
one\tbase\tretract_8_4\tcollapse\t25\t5800.0\t5800.0\t5800.0
one\tseries\tcollapse\tcollapse\t25\t4000.0\t4000.0\t4000.0
one\tseries\tretract_8_4\tcollapse\t25\t4400.0\t4400.0\t4400.0
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

    def test_scale(self) -> None:
        (self.folder / "one.tsv").write_text(FIGURES + SCALE)
        got = self.run_it("one").stdout
        self.assertIn("| one | 8 | 4 | 100 | 50 |\n", got)
        self.assertNotIn("retract_8_4", got)

    def test_count(self) -> None:
        self.assertIn("2 figures: 1 with fewer instructions than the base, 1 the same, "
                      "0 with more\n", self.run_it("one").stdout)

    def test_same_answer_twice(self) -> None:
        self.assertEqual(self.run_it("one").stdout, self.run_it("one").stdout)
        self.assertEqual((self.folder / "bench.md").read_text(),
                         self.run_it("one").stdout)

    def test_plot_is_a_picture(self) -> None:
        self.run_it("one")
        root = ElementTree.parse(self.folder / "bench.svg").getroot()
        self.assertTrue(root.tag.endswith("svg"))

    def test_scale_plot(self) -> None:
        (self.folder / "one.tsv").write_text(FIGURES + SCALE)
        self.run_it("one")
        root = ElementTree.parse(self.folder / "scale.svg").getroot()
        lines = [line.get("points", "") for line in root.iter() if line.tag.endswith("line")]
        # Of the base, which is the most, and of the series, half of it.
        self.assertEqual(len(lines), 2)
        base, series = (float(points.split(",")[1]) for points in lines)
        self.assertAlmostEqual(series - base, (bench.PANEL - 80) / 2, places=1)

    def test_not_measured(self) -> None:
        for name in ("two", "one"):
            (self.folder / "one.size").unlink(missing_ok=True)
            got = self.run_it(name)
            with self.subTest(name):
                self.assertEqual(got.returncode, 1)
                self.assertRegex(got.stderr, f"^error: {name}.*run make bench")

    def test_all_that_was_measured(self) -> None:
        self.assertEqual(self.run_it().stdout, self.run_it("one").stdout)
        (self.folder / "one.size").unlink()
        got = self.run_it()
        self.assertEqual(got.returncode, 1)
        self.assertRegex(got.stderr, "^error: nothing was measured.*run make bench")

    def test_readme(self) -> None:
        readme = self.folder / "README.md"
        readme.write_text("nothing\n")
        got = self.run_it("--readme", str(readme))
        self.assertEqual((got.returncode, readme.read_text()), (1, "nothing\n"))
        readme.write_text(f"above\n{bench.README_BEGIN}\nold\n{bench.README_END}\nbelow\n")
        with mock.patch.object(bench, "ROOT", self.folder):
            (self.folder / "harness/prove/bench").mkdir(parents=True)
            with contextlib.redirect_stdout(io.StringIO()):
                bench.main([str(self.folder), "--readme", str(readme)])
        text = readme.read_text()
        self.assertIn("| anon_fault | -0.94 % |\n| munmap | same |\n"
                      "| size, bytes | -68 |\n", text)
        self.assertTrue(text.startswith("above\n") and text.endswith("below\n"))
        self.assertNotIn("old", text)
        self.assertTrue((self.folder / "harness/prove/bench/bench.svg").is_file())


if __name__ == "__main__":
    unittest.main()
