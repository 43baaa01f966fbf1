# SPDX-License-Identifier: GPL-2.0
"""bench.py, fed with what guests say and with records."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from xml.etree import ElementTree

from common import Harness, Repo, script

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "harness/prove/bench.py"
sys.dont_write_bytecode = True
sys.path.insert(0, str(BENCH.parent))
import bench  # noqa: E402
from bench import Record  # noqa: E402

PORT = """\
guest: kunit pgtable_bench
KTAP version 1
    # pte_map_lock: unit=call n=25 min=31.0 median=31.5 max=33.0
    ok 1 pte_map_lock
    ok 4 pte_lookup_linear # SKIP requires CONFIG_HIGHPTE
guest: selftest bench
ok 1 anon_fault # unit=page n=25 min=3132.0 median=3132.5 max=3200.0
ok 2 uffd_move # SKIP not in this kernel
"""

# operation, unit, least and median of base, of series; their greatest is the median
FIGURES = (("anon_fault", "page", 3132.0, 3132.5, 3103.0, 3103.0),
           ("munmap", "page", 200.0, 205.0, 202.0, 206.0),
           ("pte_map", "call", 20, 20, 21, 21),
           ("size", "bytes", 1000, 1000, 932, 932))
SCALE = (("collapse", "collapse", 5000.0, 5000.0, 4000.0, 4000.0),
         ("retract_8_4", "collapse", 5800.0, 5800.0, 4400.0, 4400.0))


class Records(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        self.measured("base")
        self.measured("series")

    def measured(self, side: str, figures: tuple = FIGURES + SCALE, name: str = "one",
                 result: str = "pass", **inputs: str) -> None:
        """A record as bench.sh leaves it."""
        at = 2 if side == "base" else 4
        rows = [{"operation": row[0], "unit": row[1], "n": "25", "min": str(row[at]),
                 "median": str(row[at + 1]), "max": str(row[at + 1])} for row in figures]
        Record("bench", name, name, side, result, figures=rows,
               inputs={"tree": "t", "key": "k", "tip": side} | inputs).write(self.folder)

    def run_it(self, verb: str, *args: object, expect: int = 0, **env: str) -> str:
        done = subprocess.run([str(BENCH), verb, *map(str, args)], text=True, check=False,
                              capture_output=True, env=os.environ | env)
        self.assertEqual(done.returncode, expect, done.stderr)
        return done.stdout + done.stderr

    def table(self, *names: str, expect: int = 0) -> str:
        return self.run_it("table", self.folder, *names, expect=expect)

    def test_differences(self) -> None:
        got = self.table("one")
        self.assertIn("| one | anon_fault | page | 3132.5 | 3103.0 | **-29.5** "
                      "| 0.9906 | 0.5 |", got)
        self.assertIn("| one | 1000 | 932 | -68 |", got)

    def test_noise_is_no_difference(self) -> None:
        self.assertIn("| +1.0 | 1.0049 | 5.0 |", self.table("one"))

    def test_scale(self) -> None:
        got = self.table()
        self.assertIn("| one | 8 | 4 | 100 | 50 |\n", got)
        self.assertNotIn("retract_8_4", got)

    def test_count(self) -> None:
        self.measured("base", FIGURES)
        self.assertIn("3 figures, a retracted table apart: 1 with fewer instructions "
                      "than the base, 1 the same, 1 with more\n", self.table())

    def test_same_answer_twice(self) -> None:
        self.assertEqual(self.table(), self.table("one"))

    def test_what_is_no_pair_is_not_shown(self) -> None:
        """One side may be of another tree, or measured otherwise, or have failed."""
        self.measured("base", name="two")
        self.measured("series", name="two")
        for what in ({"tree": "other"}, {"key": "other"}, {"compiler": "GCC 99"},
                     {"result": "fail"}):
            with self.subTest(what):
                self.measured("series", **what)
                self.assertNotIn("| one |", self.table())
                self.assertRegex(self.table("two", "one", expect=1),
                                 "^error: one: not measured on both sides .*run make bench "
                                 "CELLS=one\n$")
        self.measured("base", tree="other")
        self.measured("series", tree="other")
        self.assertIn("| one |", self.table())
        (self.folder / "bench/one,base.json").unlink()
        self.assertNotIn("| one |", self.table())

    def test_not_measured(self) -> None:
        self.assertRegex(self.table("two", expect=1), "^error: two.*run make bench CELLS=two\n$")
        shutil.rmtree(self.folder / "bench")
        self.assertRegex(self.table(expect=1), "^error: nothing measured.*run make bench\n$")

    def test_what_the_guest_said(self) -> None:
        port = self.folder / "port.log"
        port.write_text(PORT)
        symbols = "00000010 T one\n0000000f\tT \n00000008 b two\n00000100 T loop_map\n" \
                  "00000004 U three\n"
        (self.folder / "nm").write_text(f"#!/bin/sh\nprintf '{symbols}'\n")
        (self.folder / "nm").chmod(0o755)
        path = f"{self.folder}:{os.environ['PATH']}"
        again = self.folder / "port2.log"
        again.write_text(PORT.replace("31.5", "31.0"))
        self.assertEqual(self.run_it("figures", "vmlinux", port, again, PATH=path).splitlines(), [
            "operation\tunit\tn\tmin\tmedian\tmax",
            "pte_map_lock\tcall\t2\t31.0\t31.25\t31.5",
            "anon_fault\tpage\t2\t3132.5\t3132.5\t3132.5",
            "size\tbytes\t1\t24\t24\t24"])
        again.write_text("guest: panic\n")
        self.assertRegex(self.run_it("figures", "vmlinux", port, again, expect=1),
                         "^error: no figures")

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
    def test_plots_are_pictures(self) -> None:
        out = self.folder / "docs"
        out.mkdir()
        self.run_it("plot", self.folder, out)
        said = {name: "".join(ElementTree.parse(out / name).getroot().itertext())
                for name in ("bench.svg", "scale.svg")}
        self.assertIn("one anon_fault", said["bench.svg"])
        self.assertIn("-0.94", said["bench.svg"])
        self.assertNotIn("pte_map", said["bench.svg"], "of a call, per cent say little")
        self.assertIn("processes: 4", said["scale.svg"])
        for side in ("base", "series"):
            self.measured(side, FIGURES)
        (out / "bench.svg").unlink()
        self.run_it("plot", self.folder, out)
        self.assertTrue((out / "bench.svg").is_file(), "no scale is no reason")

    def test_no_plots_without_gnuplot(self) -> None:
        (self.folder / "python3").symlink_to(sys.executable)
        got = self.run_it("plot", self.folder, self.folder, PATH=f"{self.folder}")
        self.assertIn("gnuplot is missing", got)
        self.assertEqual(list(self.folder.glob("*.svg")), [])

    def test_retractions(self) -> None:
        lines = bench.pairs(bench.load(self.folder))
        self.assertEqual(bench.retractions(lines), [("one", 4, 8, 100.0, 50.0)])


# In place of building and booting: the guest says what the Makefile has, which tells
# the sides apart, and fails where the test wants it to.
STUB = """#!/bin/bash
. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"
load_cell "$1"
mkdir -p "$CELL_OUT" "$CELL_KOUT"
"""
KERNEL = STUB + 'cp "$CELL_SRC/mm/Makefile" "$CELL_KOUT/vmlinux"\n'
BOOT = STUB + """
[[ $CELL_KOUT/ != */$FAIL/* ]] || { echo "FAIL the guest: of all things"; exit 1; }
echo "${CELL_KOUT#"$BUILD/"} $CELL_qemu" >>"$BUILD/boots"
n=100
! grep -q ARG=pmd "$CELL_KOUT/vmlinux" || n=200
echo "    # pte_map: unit=call n=25 min=$n.0 median=$n.0 max=$n.0" >"$CELL_OUT/port.log"
"""


class Bench(Repo):
    """bench.sh on the toy kernel, with guests that are made up."""
    begins = ("tree.sh",)

    def setUp(self) -> None:
        super().setUp()
        for name, text in (("gate/deps.sh", "#!/bin/sh\n"), ("guest/user.sh", "#!/bin/sh\n"),
                           ("guest/kernel.sh", KERNEL), ("guest/boot.sh", BOOT),
                           ("prove/bench/nm", "#!/bin/sh\necho 10 T one\n")):
            self.write(f"harness/{name}", text).chmod(0o755)
        # The real bloat-o-meter is the kernel's.
        script(self.root, "bench.sh").write_text(script(self.root, "bench.sh").read_text().replace(
            '"$TREE/scripts/bloat-o-meter"', "echo"))
        self.env.pop("TREE", None)
        self.env.update(CELLS="x86_64", FAIL="none")

    def boots(self) -> list[str]:
        """The kernels that were booted since this was asked last, three times each."""
        path = self.root / "build/boots"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        kernels = [(kernel, len([*of]))
                   for kernel, of in itertools.groupby(line.split("/")[1] for line in lines)]
        self.assertEqual({n for _, n in kernels} - {3}, set())
        return [kernel for kernel, _ in kernels]

    def test_a_side_is_measured_once(self) -> None:
        row = "| x86_64 | pte_map | call | 200.0 | 100.0 | **-100.0** |"
        self.assertIn(row, self.ok("bench.sh"))
        self.assertEqual(self.boots(), ["base", "series"])
        self.assertIn(row, self.ok("bench.sh"))
        self.assertEqual(self.boots(), [])
        self.ok("bench.sh", AGAIN="1")
        self.assertEqual(self.boots(), ["base", "series"])
        self.write("harness/prove/bench/pgtable_bench_kunit.c", "/* another */\n")
        self.ok("bench.sh")
        self.assertEqual(self.boots(), ["base", "series"], "another benchmark")

    def test_a_side_that_fails_does_not_pass_for_one_of_before(self) -> None:
        self.ok("bench.sh")
        with open(self.tree / "mm/memory.c", "a", encoding="utf-8") as file:
            file.write("int more;\n")
        self.git("commit", "-qam", "mm: more")
        error = self.run_script("bench.sh", FAIL="series").stderr.splitlines()[-1]
        self.assertEqual(error, "error: x86_64, series: FAIL the guest: of all things")
        self.assertEqual(self.boots(), ["base", "series", "base"])
        records = bench.load(self.root / "build/records")
        self.assertEqual({r.side: r.result for r in records}, {"base": "pass", "series": "fail"})
        self.assertEqual(len({r.inputs["tree"] for r in records}), 1)
        self.assertEqual(bench.pairs(records), [])
        self.ok("bench.sh")
        self.assertEqual(self.boots(), ["series"], "base is good")

    def test_debug_vm(self) -> None:
        self.assertIn("| x86_64-debug-vm | pte_map |", self.ok("bench.sh", CELLS="x86_64+debug-vm"))
        self.assertIn("icount", (self.root / "build/boots").read_text())
        self.assertTrue((self.root / "build/records/bench/x86_64-debug-vm,x86_64,base.json").is_file())


class Mistakes(Harness):
    def test_said_before_anything_is_built(self) -> None:
        self.assertIn("no arguments", self.mistake("bench.sh", "x86_64"))
        self.assertIn("unknown cell 'x68_64'", self.mistake("bench.sh", CELLS="x68_64"))


if __name__ == "__main__":
    unittest.main()
