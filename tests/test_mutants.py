# SPDX-License-Identifier: GPL-2.0
"""mutants.sh: what it says of wrong names and of mutants that say too little; in which
order it goes.

That each mutant applies, and names what exists, is a check of lint.sh."""

from __future__ import annotations

import subprocess
import unittest

from common import Harness, patch, script
from guests import Guests


class Mistakes(Harness):
    """All of them come out before anything is built."""

    def run_mutants(self, names: str, *args: str) -> str:
        return self.mistake("mutants.sh", *args, MUTANTS=names)

    def test_unknown_name_lists_the_known_ones(self) -> None:
        error = self.run_mutants("july-2024 nope")
        self.assertIn("no mutant 'nope'", error)
        self.assertIn("july-2024", error)

    def test_arguments(self) -> None:
        self.assertIn("no arguments", self.run_mutants("", "july-2024"))

    def test_missing_header(self) -> None:
        mutant = self.root / "harness/prove/mutants/july-2024.patch"
        for field in ("Breaks", "Cell", "Killed-by"):
            with self.subTest(field):
                whole = mutant.read_text()
                mutant.write_text(whole.replace(f"\n{field}: ", "\n"))
                error = self.run_mutants("july-2024")
                self.assertIn(f"'{field}: …'", error)
                self.assertIn("july-2024.patch", error)
                mutant.write_text(whole)


class Functions(Harness):
    """Each alone, with a copy of harness/ of its own."""

    def call(self, *args: str) -> list[str]:
        run = subprocess.run(
            ["bash", "-c", '. "$1" && "${@:2}"', "bash",
             str(self.root / "harness/prove/mutants.sh"), *args], capture_output=True, text=True, check=True, timeout=30)
        return run.stdout.splitlines()


class Order(Functions):
    """What is changed is rebuilt as seldom as can be."""

    def add(self, name: str, cell: str, test: str, path: str) -> None:
        (self.root / f"harness/prove/mutants/{name}.patch").write_text(
            f"Breaks: x\nCell: {cell}\nKilled-by: {test}\n---\n"
            f"--- a/{path}\n+++ b/{path}\n")

    def test_order(self) -> None:
        self.add("a", "two", "ptlock.x", "mm/a.c")
        self.add("b", "one", "pgtable_retract.fix.x", "mm/a.c")
        self.add("c", "one", "ptlock.x", "include/linux/a.h")
        self.add("d", "two", "ptlock.x", "mm/a.c")
        self.add("e", "one", "ptlock.x", "mm/a.c")
        self.assertEqual(self.call("in_order", *"abcde"), list("ebadc"))


class Cells(Functions):
    """A mutant that a KUnit case kills needs no userspace tests."""

    def keys(self, test: str) -> str:
        script = ('AS=$(section "$1"); load_cell x86_64; '
                  'echo "$CELL_build|$CELL_suites|$CELL_user|$CELL_timeout"')
        return "".join(self.call("eval", f"set {test}; {script}"))

    def test_kunit(self) -> None:
        self.assertEqual(self.keys("ptlock.x"), "x86_64|ptlock retract||240")

    def test_selftest(self) -> None:
        self.assertEqual(self.keys("pgtable_retract.fix.x"),
                         "x86_64|ptlock retract|pgtable_retract guard-regions|240")


class Score(Functions):
    """What is asked for, and what came out."""

    def test_chosen(self) -> None:
        for name in ("f-drop-1", "f-lock-2", "ff-drop-3"):
            (self.root / "build/mutants/made").mkdir(parents=True, exist_ok=True)
            (self.root / f"build/mutants/made/{name}.patch").touch()
        for asked, found in (("", ["f-drop-1", "f-lock-2"]), ("f", ["f-drop-1", "f-lock-2"]),
                             ("*-lock-*", ["f-lock-2"]), ("f-drop-1 g", ["f-drop-1"]), ("ff", [])):
            with self.subTest(asked):
                self.assertEqual(self.call("eval", f'read -ra ASKED <<<"{asked or "*"}"; chosen f'), found)

    def test_sampled(self) -> None:
        """Those that are named do not count; the same word gives the same sample."""
        def sampled(asked: str, sample: str) -> list[str]:
            return self.call("eval", f'read -ra ASKED <<<"{asked}"; SEED=x SAMPLE={sample}; '
                                     'printf "f-drop-%s\\n" 1 2 3 4 | sampled')

        self.assertEqual(sampled("f", ""), [f"f-drop-{n}" for n in (1, 2, 3, 4)])
        for asked, sample, count in (("f-drop-2 f", "2", 3), ("f-drop-2", "9", 4)):
            with self.subTest(asked):
                found = sampled(asked, sample)
                self.assertEqual((len(found), len(set(found)), found[-1]), (count, count, "f-drop-2"))
                self.assertEqual(sampled(asked, sample), found)

    def test_score(self) -> None:
        said = self.call("eval", "declare -A of=([test]=5 [kernel]=1 [survived]=2 [equal]=3); "
                                 "score of")
        self.assertIn("6 of 8 killed (75 %): 5 by a test, 1 by the kernel's own checks", said[0])

    def test_outcome(self) -> None:
        """Also of a guest that goes away without a word, or does not end."""
        for said, wrong, ended, found in (
                ("test x: so", "x failed", "exit", "test|x: so"), ("kernel BUG: x", "", "", "kernel|BUG: x"),
                ("", "it never ran", "exit", "kernel|it never ran"), ("", "late", "timeout", "timeout|late"),
                ("", "", "exit", "survived|")):
            with self.subTest(found):
                self.assertEqual(self.call("eval", f"""
                    CELL_OUT={self.root} LIMIT=1 CELL_cell=x; echo {ended} >{self.root}/ended
                    boot() {{ SAID="{said}" WRONG="{wrong}"; }}; outcome x; echo "$state|$said" """), [found])

    # What boots, replaced: a mutant comes out as its name says, in CELL=STATE.
    TOYS = """
    side() { CELL_cell=$2; }
    begin_record() { INPUT_KEY=k; }
    record() { echo "record $*"; cat "$MADE/figures"; }
    prepare() { LIMIT=1 CODE=c; echo "prepare $*"; }
    join_mutants() { :; }
    attempt() {
        state=${1#*"$2="} state=${state%%,*}
        printf '%s\\t' "$1" "$2" k c "$state" "f-one=test" | sed 's/\\t$/\\n/' >>"$TABLE"
    }
    declare -A COUNT=()
    """

    def test_cells_one_after_the_other(self) -> None:
        names = ["f-one=test", "f-one=equal,two=survived", "f-one=survived,two=kernel",
                 "f-one=survived,two=equal", "f-one=equal,two=build", "f-why",
                 "f-one=same,two=survived"]
        made = self.root / "build/mutants/made"
        made.mkdir(parents=True)
        for name in names:
            (made / f"{name}.patch").write_text(f"Breaks: {name}!\n---\n")
        (self.root / "harness/prove/mutants/equivalent.tsv").write_text("f-why\ttlb\tno TLB\n")
        script = f"{self.TOYS} break_function f mm/f.c 'one two' mm/f.o {' '.join(names)}; score COUNT"
        said = self.call("eval", script)
        self.assertEqual(said[:4], [
            "prepare one mm/f.o", "prepare two mm/f.o",
            "f-one=equal,two=survived SURVIVED: f-one=equal,two=survived!",
            "f-one=survived,two=equal SURVIVED: f-one=survived,two=equal!"])
        self.assertTrue(said[4].startswith("record mutation f fail 2 of 4 killed (50 %)"), said[4])
        self.assertEqual(said[6].split("\t"), ["7"]
                         + ["1", "1", "0", "0", "1", "1", "1", "2"])
        self.assertIn("2 of 4 killed", said[-1])
        some = self.call("eval", f"CELLS=one; {script}")
        self.assertFalse([line for line in some if line.startswith("record")])
        again = self.call("eval", script)
        self.assertFalse([line for line in again if line.startswith("prepare")])

    def test_known_only_of_the_same_inputs(self) -> None:
        (self.root / "t.tsv").write_text("f-drop-1\tone\tk\tc\ttest\tsaid\n")
        for cell, key, found in (("one", "k", ["test"]), ("one", "l", []), ("two", "k", [])):
            self.assertEqual(self.call("eval", f"TABLE={self.root}/t.tsv KEY={key}; "
                                               f"known f-drop-1 {cell} || :"), found)


class Flow(Guests):
    """On toys: what is killed, what is recorded, what is not done again."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = self.root / "harness/prove/mutants"
        for file in self.folder.glob("*.patch"):
            file.unlink()
        (self.folder / "functions.tsv").write_text("# none\n")
        self.add("caught", "fail_case")
        self.add("missed", "nothing")

    def add(self, name: str, new: str, test: str = "ptlock.case") -> None:
        diff = patch("x", "mm/memory.c", "line_20", new, 20).partition("---\n")[2]
        (self.folder / f"{name}.patch").write_text(
            f"Breaks: x\nCell: x86_64\nKilled-by: {test}\n---\n{diff}")

    def test_table_and_records(self) -> None:
        run = self.run_script("mutants.sh")
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertRegex(run.stdout, r"caught +x86_64 +ptlock.case +killed\n"
                                     r" +mm/toy.c:1 Expected a == b, but\n")
        self.assertRegex(run.stdout, r"missed .*SURVIVED \(did not run, see build/mutants/missed/\)")
        self.assertEqual(run.stdout.splitlines()[-1], "1 killed, 1 survived")
        records = self.records("mutant")
        self.assertEqual({name: (r["cell"], r["result"], r["detail"]) for name, r in records.items()}, {
            "caught,x86_64": ("x86_64", "pass", "mm/toy.c:1 Expected a == b, but"),
            "missed,x86_64": ("x86_64", "fail", "ptlock.case: did not run")})

    def test_what_was_killed_is_not_done_again(self) -> None:
        self.run_script("mutants.sh")
        self.kernels()
        run = self.run_script("mutants.sh")
        self.assertEqual(run.stdout.splitlines()[-1], "1 killed, 1 survived")
        self.assertEqual(len(self.kernels()), 1)
        self.assertIn("mm/toy.c:1 Expected a == b", run.stdout)
        self.ok("mutants.sh", MUTANTS="caught", AGAIN="1")
        self.assertEqual(len(self.kernels()), 1)
        self.add("caught", "fail_case, other")
        self.ok("mutants.sh", MUTANTS="caught")
        self.assertEqual(len(self.kernels()), 1)

    FUZZ = r"""
cd "$BUILD"/root
mkdir bin
printf '#!/bin/bash\necho "TAP version 13\n1..1"
case $KERNEL in *fail*) echo "not ok 1 seq"; exit 1 ;; esac\necho "ok 1 seq"' >bin/pgtable_fuzz
chmod +x bin/pgtable_fuzz
cd "$BUILD"
guest_root"""

    def test_by_the_fuzzer(self) -> None:
        user = script(self.root, "user.sh")
        user.write_text(user.read_text().replace("guest_root", self.FUZZ.strip()))
        run = self.run_script("mutants.sh", CELLS="x86_64+fuzz", DURATION="1")
        self.assertEqual(run.returncode, 1, run.stdout)
        self.assertRegex(run.stdout, r"caught +x86_64 +pgtable_fuzz +killed\n"
                                     r" +test seq: -")
        self.assertRegex(run.stdout, r"missed .*SURVIVED \(did not find it, see")
        self.assertEqual({name: r["result"] for name, r in self.records("fuzzed").items()},
                         {"caught,x86_64": "pass", "missed,x86_64": "fail"})
        self.assertFalse(self.records("mutant"))

    def test_does_not_apply(self) -> None:
        self.add("caught", "fail_case")
        file = self.folder / "caught.patch"
        file.write_text(file.read_text().replace("line_19", "line_0"))
        run = self.run_script("mutants.sh", MUTANTS="caught")
        self.assertEqual(run.returncode, 1)
        self.assertIn("caught.patch does not apply to the stack", run.stderr)


if __name__ == "__main__":
    unittest.main()
