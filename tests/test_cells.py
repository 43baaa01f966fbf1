# SPDX-License-Identifier: GPL-2.0
"""The cells: cells.ini, how it is read, and that its mistakes are named."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from common import Harness, script

ROOT = Path(__file__).resolve().parent.parent
HARNESS = ROOT / "harness"
sys.path.insert(0, str(HARNESS / "guest"))
sys.dont_write_bytecode = True

import cells  # noqa: E402  pylint: disable=wrong-import-position

CELLS = HARNESS / "guest/cells.ini"


def booted() -> list[dict[str, str]]:
    """The cells that are not only built."""
    return [cell for cell in cells.load(CELLS).values() if cell["qemu"]]


def shell(text: str, *args: str, **knobs: str) -> subprocess.CompletedProcess[str]:
    """A script that has sourced cells.sh; its arguments start at $2."""
    env = {k: v for k, v in os.environ.items()
           if k not in ("TREE", "KOUT", "BASE", "LINUX", "AS", "CELLS_INI", "DURATION",
                        "TEST", "PARTIAL", "MAKEFLAGS")}
    return subprocess.run(
        ["bash", "-c", '. "$1"/lib/lib.sh; . "$1"/guest/cells.sh; ' + text, "test",
         str(HARNESS), *args], env=env | knobs, capture_output=True, text=True, check=False)


class Table(unittest.TestCase):
    """What is in cells.ini itself."""

    def test_the_shell_sees_the_same(self) -> None:
        every = cells.load(CELLS)
        show = "".join(f'printf "%s\n" "$CELL_{key}"; ' for key in cells.KEYS)
        got = shell(f'for cell in $(cell_names); do load_cell "$cell"; {show}done')
        self.assertEqual(got.stderr, "")
        self.assertEqual(got.stdout.split("\n")[:-1],
                         [value for cell in every.values() for value in cell.values()])

    def test_short(self) -> None:
        """At most ten lines a cell, but for a long proof; none wider than a page."""
        text = CELLS.read_text()
        self.assertLessEqual(max(map(len, text.splitlines())), 100)
        for section in re.split(r"\n(?=\[)", text):
            lines = [line for line in section.splitlines()
                     if re.match(r"[\[a-z]", line)]
            if lines[:1] and lines[0].startswith("[cell"):
                self.assertLessEqual(len(lines), 10, lines[0])

    def test_fragments_exist(self) -> None:
        used = {name for cell in cells.load(CELLS).values()
                for name in cell["fragments"].split()}
        there = {path.stem for path in (HARNESS / "guest/config").glob("*.config")
                 if not path.stem.startswith(("regress", "soak"))}  # see [as ...]
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
        for cell in cells.load(CELLS).values():
            kernel = (cell["arch"], cell["cross"], cell["fragments"], cell["image"])
            self.assertEqual(seen.setdefault(cell["build"], kernel), kernel)

    def test_every_cell_runs_the_suite(self) -> None:
        for cell in cells.load(CELLS).values():
            # Without page tables there is nothing to test.
            self.assertTrue({"ptlock", "nommu"} & set(cell["fragments"].split()))
        for cell in booted():
            self.assertIn("ptlock", cell["suites"].split())

    def test_programs_of_32_bits_can_tell_the_time(self) -> None:
        """Debian's libc of these needs it for pthreads."""
        for cell in booted():
            small = re.match(r"(i686|arm|powerpc|m68k)-", cell["cross"])
            self.assertEqual("time32" in cell["fragments"].split(), bool(small), cell["cell"])

    def test_every_cell_proves_itself(self) -> None:
        """Its name promises at least which locks are split, and on how many CPUs."""
        for cell in booted():
            keys = {item.partition("=")[0] for item in cell["proof"].split()}
            with self.subTest(cell["cell"]):
                self.assertLessEqual({"SPLIT_PTE_PTLOCKS", "cpus"}, keys)

    def test_no_accelerator_in_the_table(self) -> None:
        """boot.sh chooses it."""
        for cell in booted():
            self.assertNotIn("accel", cell["qemu"])


TOY = """\
[machine m]
arch = x86
fragments = base thp one
qemu = qemu -m 1G
image = vmlinux
virtio = pci
timeout = 300

[cell a]
machine = m
fragments -= thp nothing
fragments += two
qemu += -smp 2
proof = PAGE_SHIFT=12 cpus=2
	some_test
shows = it all

[cell b]
arch = x86
image = vmlinux
shows = it builds

[as more]
fragments += ${FRAGMENT:-three} of-${CELL}
timeout += 60 ${DURATION:-10}
proof =
user = ${TEST}

[as other]
as = more
append += quiet

[as longer]
timeout = 900
"""


class Toy(unittest.TestCase):
    """cells.ini is a file of the test's."""

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.file = Path(scratch.name) / "cells.ini"
        self.file.write_text(TOY)

    def edit(self, old: str, new: str) -> None:
        self.assertIn(old, TOY)
        self.file.write_text(TOY.replace(old, new, 1))

    def shows(self, cell: str, *keys: str, **knobs: str) -> list[str]:
        text = 'load_cell "$2"; printf "%s\n" ' + " ".join(f'"$CELL_{key}"' for key in keys)
        got = shell(text, cell, CELLS_INI=str(self.file), **knobs)
        self.assertEqual(got.stderr, "")
        return got.stdout.split("\n")[:-1]

    def fails(self, cell: str, *parts: str, **knobs: str) -> None:
        got = shell('load_cell "$2"; echo loaded', cell,
                    **{"CELLS_INI": str(self.file), **knobs})
        self.assertEqual((got.returncode, got.stdout), (1, ""))
        self.assertEqual(got.stderr.count("\n"), 1, got.stderr)
        for part in ("error: ", *parts):
            self.assertIn(part, got.stderr)


class Inherited(Toy):
    def test_machine(self) -> None:
        self.assertEqual(
            self.shows("a", "cell", "build", "fragments", "qemu", "proof", "timeout", "user"),
            ["a", "a", "base one two", "qemu -m 1G -smp 2",
             "PAGE_SHIFT=12 cpus=2 some_test", "300", ""])

    def test_none(self) -> None:
        self.assertEqual(self.shows("b", "qemu", "timeout", "shows"), ["", "", "it builds"])

    def test_as(self) -> None:
        self.assertEqual(
            self.shows("a", "cell", "build", "fragments", "timeout", "proof", "user",
                       AS="more", TEST="t"),
            ["a-more", "a-more", "base one two three of-a", "370", "", "t"])

    def test_as_of_another(self) -> None:
        self.assertEqual(
            self.shows("a", "cell", "fragments", "timeout", "append", AS="other", TEST="t",
                       FRAGMENT="four", DURATION="20"),
            ["a-other", "base one two four of-a", "380", "quiet"])

    def test_same_fragments_same_kernel(self) -> None:
        self.assertEqual(self.shows("a", "cell", "build", "timeout", AS="longer"),
                         ["a-longer", "a", "900"])

    def test_folders(self) -> None:
        got = shell('load_cell a; echo "${CELL_KOUT#"$BUILD"} ${CELL_OUT#"$BUILD"}"',
                    CELLS_INI=str(self.file), AS="more", TEST="t")
        self.assertEqual(got.stdout, "/kernel/a-more /cells/a-more\n")


class Mistakes(Toy):
    """Each is one line that names what is wrong, and where."""

    def bad(self, old: str, new: str, *parts: str) -> None:
        """Whichever cell is asked for."""
        self.edit(old, new)
        self.fails("b", f"{self.file}: ", *parts)

    def test_unknown_cell_lists_the_known(self) -> None:
        self.fails("vax", "unknown cell 'vax'", "x86_64", "arm-lpae-highpte", CELLS_INI="")

    def test_a_machine_is_no_cell(self) -> None:
        self.fails("m", "unknown cell 'm': the known ones are a b")

    def test_no_cell_named(self) -> None:
        self.fails("", "give CELL=NAME", "a b")

    def test_unknown_key(self) -> None:
        self.bad("shows = it all", "show = it all", "[cell a]: show: there is no such key")
        self.bad("arch = x86", "machine = n\narch = x86",
                 "[machine m]: machine: there is no such key")
        self.bad("timeout = 900", "timout += 900", "[as longer]: timout +: there is no such key")

    def test_unknown_machine(self) -> None:
        self.bad("machine = m", "machine = n", "[cell a]: machine: there is no [machine n]")

    def test_unknown_section(self) -> None:
        for title in ("[cells a]", "[cell]", "[a]"):
            self.bad("[cell a]", title, f"{title}: is no [machine NAME], [cell NAME]")

    def test_no_section(self) -> None:
        self.bad("[machine m]\n", "", "no section")

    def test_no_value(self) -> None:
        self.bad("arch = x86", "arch x86", "arch x86")

    def test_required(self) -> None:
        self.bad("arch = x86\n", "", "[cell a]: arch: is missing")
        self.bad("timeout = 300\n", "", "[cell a]: timeout: is missing")
        self.bad("virtio = pci\n", "", "[cell a]: virtio: is missing")
        self.bad("shows = it builds\n", "", "[cell b]: shows: is missing")

    def test_timeout_is_no_number(self) -> None:
        for text in ("soon", "0", "-5", "10m"):
            self.bad("timeout = 300", f"timeout = {text}", f"[machine m]: timeout: '{text}' is not")
        self.bad("qemu += -smp 2", "timeout += soon", "[cell a]: timeout: 'soon' is not")

    def test_name(self) -> None:
        self.bad("[cell a]", "[cell a/b]", "cell: 'a/b' is not a name")

    def test_twice(self) -> None:
        self.bad("[cell b]", "[cell a]", "section 'cell a' already exists")
        self.bad("image = vmlinux", "arch = y", "option 'arch' in section 'machine m' already exists")

    def test_no_such_transport(self) -> None:
        self.bad("virtio = pci", "virtio = usb", "[machine m]: virtio: 'usb' is not device, pci")

    def test_proof_is_no_list(self) -> None:
        for text in ("levels=", "a,b", "=5", "a>=b"):
            self.bad("some_test", text, f"[cell a]: proof: '{text}' is not KEY=VALUE")

    def test_words_of_what_is_one_value(self) -> None:
        self.bad("qemu += -smp 2", "arch += y", "[cell a]: arch: is one value")

    def test_no_such_file(self) -> None:
        self.file.unlink()
        self.fails("b", f"{self.file}: cannot be read")

    def test_unknown_as(self) -> None:
        self.fails("a", "AS=less: the known ones are more other longer", AS="less")
        self.edit("as = more", "as = less")
        self.fails("a", "[as other]: as: there is no [as less]", AS="other")

    def test_as_of_itself(self) -> None:
        self.edit("as = more", "as = other")
        self.fails("a", "[as other]: as: there is no [as other]", AS="other")

    def test_only_built(self) -> None:
        self.fails("b", "AS=more: b is only built: it builds", AS="more")

    def test_knobs_of_a_section(self) -> None:
        self.fails("a", "error: TEST= has to be given", AS="more")
        for text in ("0", "x", "1.5", "1 2", "-1"):
            self.fails("a", f"error: DURATION={text}: it is not a number", AS="more", TEST="t",
                       DURATION=text)


class Environment(Harness):
    """What a user has in it, and what must not get in."""

    def test_accelerator(self) -> None:
        for accel in ("KVM", "hvf", "tcg kvm"):
            self.assertIn(f"ACCEL={accel}: it is auto, tcg or kvm",
                          self.mistake("cell.sh", "x86_64", ACCEL=accel))

    def test_knobs_of_make_shell(self) -> None:
        self.assertIn("SIDE=both: it is base or series",
                      self.mistake("shell.sh", "x86_64", SIDE="both"))
        self.assertIn("SHARE=/nope: no such folder",
                      self.mistake("shell.sh", "x86_64", SHARE="/nope"))
        self.assertIn("hppa is only built", self.mistake("shell.sh", "hppa"))
        self.assertIn("m68k-virt-shell: Debian has no programs of m68k for the guest",
                      self.mistake("shell.sh", "m68k-virt"))

    def test_knobs_of_make_soak(self) -> None:
        self.assertIn("m68k-virt-soak: Debian has no programs of m68k for the guest",
                      self.mistake("cell.sh", "m68k-virt", AS="soak"))
        self.assertIn("DURATION=5m: it is not a number of seconds",
                      self.mistake("cell.sh", "x86_64", AS="soak", DURATION="5m"))

    def test_flags_of_make_stay_there(self) -> None:
        """make V=1 -k run: a kernel build is to know nothing of it."""
        makefile = self.root / "Makefile"
        makefile.write_text("all:\n\t@bash -c '. harness/lib/lib.sh; make -f inner'\n")
        (self.root / "inner").write_text("all:\n\t@echo [$(origin V) $(MAKEFLAGS)]\n")
        run = subprocess.run(["make", "-s", "-k", "-B", "V=1", "-j3"], cwd=self.root, text=True,
                             capture_output=True, check=False)
        self.assertEqual((run.stdout, run.stderr), ("[environment ]\n", ""))

    def test_programs_of_root(self) -> None:
        """Debian has mkfs.ext4 and mkswap where PATH of a normal user does not look."""
        got = shell("need mkfs.ext4 e2fsprogs; need mkswap util-linux", PATH="/usr/bin:/bin")
        self.assertEqual((got.returncode, got.stderr), (0, ""))


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
