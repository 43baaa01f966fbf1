# SPDX-License-Identifier: GPL-2.0
"""The cells: cells.tsv, how it is read, and that its mistakes are named."""

from __future__ import annotations

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from common import script

ROOT = Path(__file__).resolve().parent.parent
HARNESS = ROOT / "harness"
CELLS = HARNESS / "guest/cells.tsv"


def table(path: Path = CELLS) -> list[dict[str, str]]:
    lines = [line for line in path.read_text().splitlines()
             if line and not line.startswith("#")]
    head = lines[0].split("\t")
    return [dict(zip(head, line.split("\t"), strict=True)) for line in lines[1:]]


def load(cell: str, cells: Path = CELLS,
         show: str = "") -> subprocess.CompletedProcess[str]:
    """load_cell in a shell of its own; show is printed after it."""
    return shell(f'load_cell "$2"; printf "%s" "{show}"', cell, cells=cells)


def booted() -> list[dict[str, str]]:
    """The cells that are not only built."""
    return [row for row in table() if row["qemu"] != "-"]


def shell(script: str, *args: str,
          cells: Path = CELLS) -> subprocess.CompletedProcess[str]:
    """A script that has sourced cells.sh; its arguments start at $2."""
    env = {k: v for k, v in os.environ.items()
           if k not in ("TREE", "KOUT", "BASE", "LINUX")}
    env["CELLS_TSV"] = str(cells)
    script = '. "$1"/lib/lib.sh; . "$1"/guest/cells.sh; ' + script
    return subprocess.run(["bash", "-c", script, "test", str(HARNESS), *args],
                          env=env, capture_output=True, text=True, check=False)


class Table(unittest.TestCase):
    """What is in cells.tsv itself."""

    def test_every_line_loads(self) -> None:
        for row in table():
            with self.subTest(row["cell"]):
                got = load(row["cell"], show="$CELL_qemu|$CELL_proof")
                self.assertEqual(got.stderr, "")
                want = [row[name] if row[name] != "-" else ""
                        for name in ("qemu", "proof")]
                self.assertEqual(got.stdout, "|".join(want))

    def test_fragments_exist(self) -> None:
        used = {name for row in table()
                for name in row["fragments"].split(",")}
        there = {path.stem for path in (HARNESS / "guest/config").glob("*.config")
                 if not path.stem.startswith("regress")}  # see regress.sh
        self.assertEqual(used - there, set())
        self.assertEqual(there - used, set(), "fragments that no cell uses")

    def test_every_option_has_its_reason(self) -> None:
        """A fragment says why: no block of options without a comment."""
        for path in (HARNESS / "guest/config").glob("*.config"):
            first = path.read_text().splitlines()[:2]
            with self.subTest(path.name):
                self.assertIn("SPDX-License-Identifier", first[0])
                self.assertTrue(first[1].startswith("# "))

    def test_same_build_means_same_kernel(self) -> None:
        seen: dict[str, tuple[str, ...]] = {}
        for row in table():
            kernel = (row["arch"], row["cross"], row["fragments"], row["image"])
            self.assertEqual(seen.setdefault(row["build"], kernel), kernel)

    def test_every_cell_runs_the_suite(self) -> None:
        for row in table():
            self.assertIn("ptlock", row["fragments"].split(","))
        for row in booted():
            self.assertIn("ptlock", row["suites"].split(","))

    def test_every_cell_proves_itself(self) -> None:
        """Its name promises at least a page size and what is split."""
        for row in booted():
            keys = {item.partition("=")[0] for item in row["proof"].split(",")}
            with self.subTest(row["cell"]):
                self.assertLessEqual({"PAGE_SIZE", "split_pte", "split_pmd"}, keys)

    def test_no_accelerator_in_the_table(self) -> None:
        """boot.sh chooses it."""
        for row in table():
            self.assertNotIn("accel", row["qemu"])


class Mistakes(unittest.TestCase):
    """Each is one line that names what is wrong, and where."""

    def setUp(self) -> None:
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.file = Path(self.dir.name) / "cells.tsv"

    def fails(self, cell: str, *parts: str, cells: Path | None = None) -> None:
        got = load(cell, cells or self.file)
        self.assertEqual(got.returncode, 1)
        self.assertEqual(got.stdout, "")
        self.assertEqual(got.stderr.count("\n"), 1, got.stderr)
        for part in parts:
            self.assertIn(part, got.stderr)

    def edit(self, column: int, text: str | None, source: Path = CELLS) -> int:
        """Change one column of the last line with a machine, or take it out; its number."""
        lines = source.read_text().splitlines()
        at = max(i for i, line in enumerate(lines) if "qemu-system" in line)
        fields = lines[at].split("\t")
        fields[column:column + 1] = [] if text is None else [text]
        lines[at] = "\t".join(fields)
        self.file.write_text("\n".join(lines) + "\n")
        return at + 1

    def test_unknown_cell_lists_the_known(self) -> None:
        self.fails("vax", "unknown cell 'vax'", "x86_64", "arm-lpae-highpte",
                   cells=CELLS)

    def test_the_header_is_no_cell(self) -> None:
        self.fails("cell", "unknown cell 'cell'", cells=CELLS)

    def test_no_cell_named(self) -> None:
        self.fails("", "unknown cell ''", cells=CELLS)

    def test_column_missing(self) -> None:
        nr = self.edit(3, None)
        self.fails("x86_64", f"{self.file}:{nr}:", "14 columns instead of 15")

    def test_column_empty(self) -> None:
        nr = self.edit(3, "")
        self.fails("x86_64", f"{self.file}:{nr}:", "column cross is empty")

    def test_timeout_is_no_number(self) -> None:
        for text in ("soon", "0", "-5", "10m"):
            nr = self.edit(11, text)
            self.fails("x86_64", f"{self.file}:{nr}:", "column timeout", text)

    def test_only_what_is_built_has_no_timeout(self) -> None:
        nr = self.edit(11, "-")
        self.fails("x86_64", f"{self.file}:{nr}:", "column timeout", "'-'")
        nr = self.edit(5, "-", self.file)
        got = load("x86_64", self.file)
        self.assertEqual((got.returncode, got.stderr), (0, ""))
        nr = self.edit(11, "soon", self.file)
        self.fails("x86_64", f"{self.file}:{nr}:", "column timeout", "soon")

    def test_name(self) -> None:
        nr = self.edit(0, "x86/64")
        self.fails("x86_64", f"{self.file}:{nr}:", "column cell", "x86/64")

    def test_same_name_twice(self) -> None:
        nr = self.edit(0, "x86_64")
        self.fails("x86_64", f"{self.file}:{nr}:", "column cell", "x86_64", "twice")

    def test_no_such_transport(self) -> None:
        nr = self.edit(8, "usb")
        self.fails("x86_64", f"{self.file}:{nr}:", "column virtio", "usb")

    def test_proof_is_no_list(self) -> None:
        for text in ("levels=", "a b", "a,,b", "=5"):
            nr = self.edit(13, text)
            self.fails("x86_64", f"{self.file}:{nr}:", "column proof", text)

    def test_no_such_file(self) -> None:
        self.fails("x86_64", "cannot be read")


class Derived(unittest.TestCase):
    """A table made of another one."""

    def setUp(self) -> None:
        self.file = Path(self.enterContext(tempfile.TemporaryDirectory())) / "new.tsv"

    def derive(self, edit: str, *cells: str) -> subprocess.CompletedProcess[str]:
        return shell(f"edit() {{ {edit}; }}; derive_cells \"$2\" edit \"${{@:3}}\"; "
                     'printf %s "$CELLS_TSV"; load_cell "$(cell_names | tail -n 1)"',
                     str(self.file), *cells)

    def test_only_what_was_edited_differs(self) -> None:
        got = self.derive("CELL_cell+=-new CELL_user= CELL_timeout=7", "arm64", "x86_64")
        self.assertEqual((got.stdout, got.stderr), (str(self.file), ""))
        rows = {row["cell"]: row for row in table()}
        wanted = [{**rows[name], "cell": f"{name}-new", "user": "-", "timeout": "7"}
                  for name in ("arm64", "x86_64")]
        self.assertEqual(table(self.file), wanted)

    def test_unknown_cell(self) -> None:
        got = self.derive(":", "arm64", "vax")
        self.assertEqual(got.returncode, 1)
        self.assertIn("unknown cell 'vax'", got.stderr)
        self.assertFalse(self.file.exists())

    def test_a_bad_edit_is_named(self) -> None:
        got = self.derive("CELL_timeout=soon", "arm64")
        self.assertEqual(got.returncode, 1)
        self.assertIn(f"{self.file}:2: column timeout: 'soon'", got.stderr)


class Scripts(unittest.TestCase):
    """Bad arguments end in a line and exit 1, before anything is done."""

    def test_usage(self) -> None:
        for name in ("kernel.sh", "user.sh", "boot.sh", "cell.sh"):
            for args in ([], ["x86_64", "arm64"]):
                got = subprocess.run([str(script(ROOT, name)), *args], text=True,
                                     capture_output=True, check=False)
                with self.subTest(name, args=args):
                    self.assertEqual(got.returncode, 1)
                    self.assertIn(f"usage: {name} CELL", got.stderr)

    def test_unknown_cell(self) -> None:
        for name in ("deps.sh", "kernel.sh", "user.sh", "boot.sh", "cell.sh",
                     "matrix.sh"):
            got = subprocess.run([str(script(ROOT, name)), "vax"], text=True,
                                 capture_output=True, check=False)
            with self.subTest(name):
                self.assertEqual(got.returncode, 1)
                self.assertIn("unknown cell 'vax'", got.stderr)


if __name__ == "__main__":
    unittest.main()
