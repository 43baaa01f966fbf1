# SPDX-License-Identifier: GPL-2.0
"""mutate.py: which mutants it makes of a small function, that they keep their names, and
whose word it takes that one was noticed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from common import ROOT

MUTATE = ROOT / "harness/prove/mutate.py"
TOY = """\
static int other(struct mm_struct *mm)
{
	return mm ? -ENOMEM : 0;
}

static int toy(struct mm_struct *mm, pmd_t *pmd, unsigned long addr)
{
	spinlock_t *pml = pmd_lock(mm, pmd);
	int i, ret = -ENOMEM;

	/* if (comment) flush(); */
	for_each_thing(i) {
		if (addr < 4 && i)
			continue;
		flush_tlb_mm(mm);
	}
	spin_unlock(pml);
	ret = use(pmd, addr + PAGE_SIZE);
	return ret;
}
"""


@unittest.skipUnless(shutil.which("spatch"), "coccinelle is not installed")
class Generator(unittest.TestCase):
    """What is changed, as `operator: old -> new` without what stays."""

    def make(self, text: str = TOY, *functions: str) -> dict[str, str]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            (folder / "toy.c").write_text(text)
            subprocess.run([MUTATE, "make", folder, "toy.c", folder / "out",
                            *(functions or ("toy",))], check=True, timeout=60)
            found = {}
            for patch in (folder / "out").iterdir():
                shutil.copy(folder / "toy.c", folder / "new.c")
                subprocess.run(["patch", "-s", "-p1", folder / "new.c", patch], check=True)
                found[patch.stem] = patch.read_text().partition("\n")[0]
            return found

    def changes(self, operator: str) -> set[str]:
        found = self.make()
        return {text.split(": ", 2)[2] for name, text in found.items()
                if name.split("-")[1] == operator}

    def test_statements(self) -> None:
        self.assertIn("- spin_unlock(pml); + { }", self.changes("drop"))
        self.assertEqual(self.changes("twice"), {
            "- flush_tlb_mm(mm); + { flush_tlb_mm(mm); flush_tlb_mm(mm); }"})
        self.assertEqual(self.changes("jump"), {"- continue; + break;"})

    def test_conditions(self) -> None:
        self.assertEqual(self.changes("true"), {
            f"- if (addr < 4 && i) + if ({new})" for new in ("1", "1 && i", "addr < 4 && 1")})
        self.assertIn("- if (addr < 4 && i) + if (!(addr < 4 && i))", self.changes("not"))
        self.assertEqual(self.changes("operator"), {
            f"- if (addr < 4 && i) + if ({new})" for new in (
                "addr <= 4 && i", "addr < -1 + 4 && i", "addr < 4 || i")})

    def test_arguments_and_words(self) -> None:
        self.assertIn("- flush_tlb_mm(mm); + flush_tlb_mm(current->mm);", self.changes("argument"))
        self.assertIn("- ret = use(pmd, addr + PAGE_SIZE); + ret = use(pmd + 1, addr + PAGE_SIZE);",
                      self.changes("argument"))
        self.assertEqual(self.changes("word"), {
            "- int i, ret = -ENOMEM; + int i, ret = -EINVAL;",
            "- ret = use(pmd, addr + PAGE_SIZE); + ret = use(pmd, addr + PMD_SIZE);"})

    def test_locks(self) -> None:
        self.assertEqual(self.changes("lock"), {
            "- spinlock_t *pml = pmd_lock(mm, pmd); + spinlock_t *pml = pmd_lockptr(mm, pmd); "
            "- spin_unlock(pml); + do { } while (0);"})
        self.assertEqual(len(self.changes("move")), 2)

    def test_an_if_keeps_the_unlock_that_is_all_it_has(self) -> None:
        guarded = TOY.replace("\tspin_unlock(pml);", "\tif (pml)\n\t\tspin_unlock(pml);")
        self.assertFalse([name for name in self.make(guarded) if "-move-" in name])

    def test_a_name_stays_when_the_rest_changes(self) -> None:
        longer = TOY.replace("\tint i,", "\tint j = 3, k;\n\tint i,")
        self.assertEqual(set(self.make()) - set(self.make(longer)), set())

    def test_only_of_these_functions(self) -> None:
        self.assertEqual({name.split("-")[0] for name in self.make(TOY, "other")}, {"other"})

    def test_no_such_function(self) -> None:
        run = subprocess.run([MUTATE, "make", ROOT, "harness/guest/init.c", "/nonexistent", "nope"],
                             capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(run.returncode, 1)
        self.assertIn("nope", run.stderr)


RUN = """\
#ifdef NEVER
static inline int pick(int a, int *b)
{
	return a < 1;
}
#else
static inline int pick(int a,
				int *b)
{
	if (a < 1)
		return 5;
	return a + *b;
}
#endif
int main(int argc, char **argv)
{
	int b = 2;

	mutant_nr = argc - 1;
	return pick(1, &b);
}
"""


@unittest.skipUnless(shutil.which("spatch"), "coccinelle is not installed")
class Joined(unittest.TestCase):
    """Each mutant is what its patch makes of the function, and all are in one program."""

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        (self.folder / "linux").mkdir()
        (self.folder / "linux/moduleparam.h").write_text("#define core_param(...)\n")
        self.file = self.folder / "run.c"
        self.restore()
        subprocess.run([MUTATE, "make", self.folder, "run.c", self.folder / "out", "pick"],
                       check=True, timeout=60)
        self.names = sorted(patch.stem for patch in (self.folder / "out").iterdir())

    def restore(self) -> None:
        self.file.write_text(RUN)

    def join(self, *names: str) -> None:
        subprocess.run([MUTATE, "join", self.folder, "run.c", self.folder / "out", "pick", *names],
                       check=True, timeout=60)

    def build(self) -> None:
        subprocess.run(["gcc", "-O2", "-w", "-I", self.folder, "-o", self.folder / "run", self.file],
                       check=True, timeout=60)

    def status(self, number: int = 0) -> int:
        return subprocess.run([self.folder / "run"] + ["x"] * number, check=False, timeout=60).returncode

    def test_same_as_alone(self) -> None:
        names = [name for name in self.names if "-drop-" not in name]
        self.join(*names)
        self.build()
        joined = [self.status(n) for n in range(len(names) + 1)]
        self.assertEqual(joined[0], 3)
        self.assertEqual(set(joined), {3, 5})
        for n, name in enumerate(names, 1):
            self.restore()
            subprocess.run(["patch", "-s", "-p1", self.file, self.folder / f"out/{name}.patch"], check=True)
            self.file.write_text("static int mutant_nr;\n" + self.file.read_text())
            self.build()
            self.assertEqual(joined[n], self.status(), name)

    def test_codes(self) -> None:
        listing = ("Disassembly of section .text:\n"
                   "0000000000000010 <f__m0>:\n  10:\tje     14 <f__m0+0x4>\n  12:\tcall   99 <g>\n"
                   "\t\t\t13: R_X86_64_PLT32\tg-0x4\n  17:\tnop\n"
                   "0000000000000020 <f__m1>:\n  20:\tje     24 <f__m1+0x4>\n  22:\tcall   27 <g>\n"
                   "\t\t\t23: R_X86_64_PLT32\tg-0x4\n"
                   "0000000000000030 <f__m2>:\n  30:\tje     35 <f__m2+0x5>\n  32:\tcall   37 <g>\n"
                   "\t\t\t33: R_X86_64_PLT32\tg-0x4\n"
                   "0000000000000040 <other>:\n  40:\tret\n")
        run = subprocess.run([MUTATE, "codes", "f"], input=listing, capture_output=True, text=True,
                             check=True, timeout=60)
        code = dict(line.split() for line in run.stdout.splitlines())
        self.assertEqual(code["0"], code["1"])
        self.assertNotEqual(code["0"], code["2"])
        self.assertEqual(set(code), set("012"))


def said(test: str, console: str = "", port: str = "") -> str:
    """Of these logs."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, text in (("console", console), ("port", port)):
            if text:
                (Path(scratch) / f"{name}.log").write_text(text.replace("\n", "\r\n"))
        return subprocess.run([MUTATE, "said", scratch, test], capture_output=True, text=True,
                              check=True, timeout=30).stdout.strip()


class Complaint(unittest.TestCase):
    """What one test says: a failed expectation of its own counts, and nothing else."""

    def test_kunit(self) -> None:
        found = said("ptlock.retract_table", console=(
            "[    0.55]     # retract_table: EXPECTATION FAILED at mm/t.c:61\n"
            "[    0.55]     Expected a == b, but\n"
            "[    0.55]         a == 1 (0x1)\n"
            "[    0.55] \n"
            "[    0.55] the last slot\n"
            "[    0.56]     # retract_table: ASSERTION FAILED at mm/t.c:70\n"
            "[    0.56]     Expected something else\n"
            "[    0.57]     not ok 16 retract_table\n"))
        self.assertEqual(found, "mm/t.c:61 Expected a == b, but a == 1 (0x1) the last slot")

    def test_kunit_where_the_kernel_was_built(self) -> None:
        found = said("ptlock.x", console=(
            "[ 0.5]     # x: EXPECTATION FAILED at ../../tree/mm/t.c:61\n"))
        self.assertEqual(found, "mm/t.c:61")

    def test_kunit_that_is_stuck_afterwards(self) -> None:
        found = said("ptlock.retract_table", console=(
            "[    0.84]     # retract_table: EXPECTATION FAILED at mm/t.c:118\n"
            "[    0.84]     a lock was left held\n"
            "[    0.84] BUG: scheduling while atomic: kunit_try_catch/94\n"))
        self.assertEqual(found, "mm/t.c:118 a lock was left held")

    def test_kunit_without_an_expectation(self) -> None:
        for reason in ("try timed out", "try faulted"):
            with self.subTest(reason):
                self.assertEqual("", said(
                    "ptlock.retract_table", console=(
                        f"[    0.5]     # retract_table: {reason}\n"
                        "[    0.5]     not ok 16 retract_table\n")))

    def test_kunit_case_of_another_name(self) -> None:
        self.assertEqual("", said("ptlock.retract_table", console=(
            "[ 0.5]     # retract_table_gone: EXPECTATION FAILED at mm/t.c:61\n"
            "[ 0.5]     Expected a == b, but\n"
            "[ 0.5]     # own_retract_table: EXPECTATION FAILED at mm/t.c:61\n")))

    def test_kunit_is_not_read_from_the_port(self) -> None:
        self.assertEqual("", said("ptlock.retract_table", port=(
            "    # retract_table: EXPECTATION FAILED at mm/t.c:61\n")))

    PORT = ("#  RUN           fix.shared.page ...\n"
            "# x.c:7:page:Expected 1 (1) == 2 (2)\n"
            "not ok 1 fix.shared.page\n"
            "#  RUN           fix.private.page ...\n"
            "# x.c:9:page:12 rounds\n"
            "# page: Test terminated by timeout\n"
            "not ok 2 fix.private.page\n"
            "#  RUN           fix.private.other ...\n"
            "# x.c:9:other:Expected 3 (3) == 4 (4)\n"
            "not ok 3 fix.private.other\n")

    def test_selftest(self) -> None:
        self.assertEqual(said("pgtable_retract.fix.shared.page", port=self.PORT),
                         "x.c:7:page:Expected 1 (1) == 2 (2)")

    def test_selftest_that_timed_out(self) -> None:
        self.assertEqual(said("pgtable_retract.fix.private.page", port=self.PORT), "")

    def test_no_log_yet(self) -> None:
        self.assertEqual(said("ptlock.x"), "")


class Anything(unittest.TestCase):
    """A test's word first, then the kernel's."""

    def test_kunit(self) -> None:
        self.assertEqual(said(
            "any",
            "[    0.50] BUG: Bad page state in process x\n"
            "[    0.55]     # gone: EXPECTATION FAILED at mm/t.c:61\n"
            "[    0.55]     Expected a == b, but\n"
            "[    0.55]         a == 1 (0x1)\n"
            "[    0.57]     not ok 16 gone\n"),
            "test gone: # gone: EXPECTATION FAILED at mm/t.c:61 Expected a == b, but a == 1 (0x1)")

    def test_kunit_with_a_parameter(self) -> None:
        self.assertEqual(said("any", (
            "[    0.5]     # keeps: EXPECTATION FAILED at mm/t.c:61\n[    0.5]     Expected a, but\n"
            "[    0.6]         not ok 3 other mm: poison\n[    0.6]     not ok 7 keeps\n")),
                         "test other mm: poison: # keeps: EXPECTATION FAILED at mm/t.c:61 Expected a, but")

    def test_selftest(self) -> None:
        self.assertEqual(said("any", port="# x.c:7:page:Expected 1 (1) == 2 (2)\n"
                                          "not ok 1 fix.shared.page\n"),
                         "test fix.shared.page: :page:Expected 1 (1) == 2 (2)")

    def test_fuzzer(self) -> None:
        self.assertEqual(said("any", port="# after 0.5 s, seed 7: page 0: no guard region\n"
                                          "#Cint main(void)\nnot ok 1 sequential\n"),
                         "test sequential: after 0.5 s, seed 7: page 0: no guard region")

    def test_program_that_died(self) -> None:
        self.assertEqual(said("any", port="guest: exit cow 139\n").split(":")[0], "test cow")

    def test_kernel(self) -> None:
        self.assertEqual(said("any", "BUG: Bad page state in process x\n"),
                         "kernel bad page: BUG: Bad page state in process x")

    def test_nothing(self) -> None:
        self.assertEqual(said("any", "[    0.57]     ok 16 gone\n", "guest: exit cow 0\n"), "")


if __name__ == "__main__":
    unittest.main()
