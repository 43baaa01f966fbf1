# SPDX-License-Identifier: GPL-2.0
"""pair.sh: which tree, which folder, and which part of a cell a side has."""

from __future__ import annotations

import subprocess
import unittest

from common import ROOT, Harness


class Side(Harness):
    def side(self, name: str, cell: str, also: str = "", fragments: str = "") -> list[str]:
        """TREE, KOUT below build/, PARTIAL, and the cell's name and suites."""
        ini = self.root / "harness/guest/cells.ini"
        ini.write_text((ROOT / "harness/guest/cells.ini").read_text() + f"\n[as other]\nfragments += {fragments}\n")
        script = ('. "$1/lib/lib.sh"; . "$1/prove/pair.sh"; side "$2" "$3"; printf "%s\\n" '
                  '"${TREE#"$BUILD/"}" "${KOUT#"$BUILD/"}" "${PARTIAL:-}" "$CELL_cell" "$CELL_suites"')
        run = subprocess.run(["bash", "-c", script, "x", str(self.root / "harness"), name, cell],
                             env={"PATH": "/usr/bin:/bin", "AS": also}, text=True, check=True,
                             capture_output=True, timeout=30)
        return run.stdout.splitlines()

    def test_sides(self) -> None:
        self.assertEqual(self.side("series", "x86_64"), [
            "sides/series/tree", "sides/series/kernel/x86_64", "", "x86_64", "ptlock retract"])
        # There is no such suite in the base.
        self.assertEqual(self.side("base", "x86_64"), [
            "sides/base/tree", "sides/base/kernel/x86_64", "1", "x86_64", ""])

    def test_cells_that_share_a_kernel(self) -> None:
        self.assertEqual(self.side("series", "riscv64-sv57")[1], "sides/series/kernel/riscv64")

    def test_sections(self) -> None:
        """One that changes the kernel has one of its own, and knows what the base has not."""
        self.assertEqual(self.side("base", "x86_64", "other", "pci"), [
            "sides/base/tree", "sides/base/kernel/x86_64-other", "", "x86_64", "ptlock retract"])
        self.assertEqual(self.side("base", "x86_64", "other")[1:3],
                         ["sides/base/kernel/x86_64", "1"])


if __name__ == "__main__":
    unittest.main()
