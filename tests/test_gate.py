# SPDX-License-Identifier: GPL-2.0
"""The front door: names and values of knobs, what has to be installed, the checks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from common import ROOT

LIB = '. "$0/harness/lib/lib.sh"; '


class Gate(unittest.TestCase):
    """A copy of what there is, and commands that only tell that they were called."""

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix="ptlock-test-")
        self.addCleanup(scratch.cleanup)
        self.root = Path(scratch.name).resolve() / "repo"
        shutil.copytree(ROOT / "harness", self.root / "harness",
                        ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "Makefile", self.root)
        self.env = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR")
                    if name in os.environ}

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
        return file

    def call(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(args, cwd=self.root, env=self.env | env, text=True, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    def bash(self, script: str, **env: str) -> str:
        done = self.call("bash", "-c", LIB + script, str(self.root), **env)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def error(self, *args: str, **env: str) -> str:
        """The one line of an error."""
        done = self.call(*args, **env)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"\Aerror: .*\n\Z")
        return done.stderr[len("error: "):].strip()


class Knobs(Gate):
    """make, with scripts that say what they got."""

    def setUp(self) -> None:
        super().setUp()
        for script in (self.root / "harness").glob("*/*.sh"):
            if script.parent.name != "lib":
                self.write(str(script.relative_to(self.root)),
                           '#!/bin/bash\necho "${0##*/} $*|${CELLS-}|${KEEP-}"\n')

    def refused(self, *args: str) -> str:
        done = self.call("make", *args)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stdout, "", "something ran")
        first, rest = done.stderr.split("\n", 1)
        self.assertRegex(rest, r"\Amake: \*\*\* .*\n\Z")
        self.assertTrue(first.startswith("error: "), first)
        return first[len("error: "):]

    def made(self, *args: str, **env: str) -> str:
        done = self.call("make", *args, **env)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def test_unknown(self) -> None:
        self.assertRegex(self.refused("matrix", "CELL=arm64"),
                         "^make matrix does not take CELL=: it takes CELLS= AGAIN= KEEP= "
                         "HOSTS=.* and BASE= LINUX= .*DEPS=$")
        self.assertIn("make windows does not take TEST=", self.refused("windows", "TEST=x"))
        self.assertIn("make help does not take CELL=", self.refused("CELL=x"))

    def test_target_without_knobs(self) -> None:
        self.assertRegex(self.refused("answer", "V=1"), "take V=: it takes BASE= LINUX=")

    def test_several_goals(self) -> None:
        self.assertEqual(self.made("cell", "clean", "CELL=x").splitlines(),
                         ["cell.sh x||", "clean.sh ||"])
        self.assertIn("make cell clean does not take TESTS=",
                      self.refused("cell", "clean", "CELL=x", "TESTS=y"))

    def test_values_arrive(self) -> None:
        self.assertEqual(self.made("matrix", "CELLS=a b=c $$x", "KEEP=0", "-k"),
                         "matrix.sh |a b=c $x|0")
        self.assertEqual(self.made("matrix", CELLS="a b", NOBODY="x"), "matrix.sh |a b|")

    def test_without_a_value(self) -> None:
        self.assertEqual(self.made("clean", "CELL=", "X="), "clean.sh ||")
        self.assertEqual(self.made("cell", "CELL="), "cell.sh ||")

    def test_help(self) -> None:
        """Each target and each knob is there, and each script that make calls."""
        said = self.made()
        makefile = (self.root / "Makefile").read_text()
        for line in makefile.splitlines():
            target = re.match(r"([a-z-]+):", line)
            if target:
                self.assertRegex(said, rf"(?m)^{target[1]} +\w")
            if line.startswith("KNOBS"):
                for knob in line.split(":=")[1].split():
                    self.assertRegex(said, rf"(?m)(^|[; ]){knob}=[\w\"]", f"{knob}= is not explained")
        self.assertRegex(said, r"(?m)^matrix .*\n +CELLS= AGAIN= KEEP= HOSTS=")


class Lib(Gate):
    def test_on(self) -> None:
        for value, said in (("1", "on"), ("y", "on"), ("yes", "on"), ("on", "on"), ("", "off"),
                            ("0", "off"), ("n", "off"), ("no", "off"), ("off", "off")):
            with self.subTest(value):
                self.assertEqual(self.bash("on AGAIN && echo on || echo off", AGAIN=value),
                                 f"{said}\n")
        self.assertEqual(self.bash("on AGAIN || echo off"), "off\n")

    def test_said_at_once(self) -> None:
        cell = "harness/run/cell.sh"
        for knob in ("AGAIN", "ALL", "FORCE", "KEEP", "LINT_SLOW", "NOSIGN", "PARTIAL"):
            self.assertEqual(self.error(cell, "x86_64", **{knob: "maybe"}),
                             f"{knob}=maybe: it is 1 or 0")
        for jobs in ("0", "abc", "-1", "4 4", "1.5", "08"):
            self.assertEqual(self.error(cell, "x86_64", JOBS=jobs),
                             f"JOBS={jobs}: give a number of jobs, such as JOBS=4")
        self.assertIn("the cells are x86_64 ", self.error(cell))
        self.assertFalse((self.root / "build").exists())

    def test_flags_of_make_stay_here(self) -> None:
        """Those of make V=1 -k must not reach the make that builds a kernel."""
        self.write("Makefile.kernel", "all:\n\t@echo '$(origin V)|$(MAKEFLAGS)'\n")
        self.write("harness/toy.sh", '. harness/lib/lib.sh\nmake -s -f Makefile.kernel\n')
        self.write("Makefile", "all:\n\t@bash harness/toy.sh\n")
        done = self.call("make", "-k", "-j2", "V=1")
        self.assertEqual(done.stdout.strip(), "environment|s", done.stderr)

    def test_path_has_sbin(self) -> None:
        self.assertIn(":/usr/sbin:/sbin", self.bash('echo "$PATH"', PATH="/usr/bin:/bin"))


class Deps(Gate):
    """With nothing installed but what the script itself takes."""

    def setUp(self) -> None:
        super().setUp()
        folder = self.root / "shims"
        folder.mkdir()
        for name in ("bash", "cat", "cut", "date", "dirname", "env", "flock", "git", "grep", "id",
                     "mkdir", "nproc", "paste", "python3", "rm", "sed", "stat", "tr"):
            (folder / name).symlink_to(shutil.which(name) or "")
        self.env["PATH"] = str(folder)
        # What lib.sh puts after it, must not find what this machine has.
        lib = self.root / "harness/lib/lib.sh"
        lib.write_text(lib.read_text().replace("PATH=$PATH:/usr/sbin:/sbin", "PATH"))

    def deps(self, *args: str, **env: str) -> str:
        return self.error("shims/bash", "harness/gate/deps.sh", *args, **env)

    def debian(self, root: bool, installed: str = "git python3") -> None:
        lines = "".join(f"echo installed {name}\n" for name in installed.split())
        self.write("shims/dpkg-query", f"#!/bin/bash\n{lines}")
        self.write("shims/apt-get", '#!/bin/bash\necho "$*" >>calls\n[ "$1" != install ] || '
                   '{ [ -f fetched ] || { >fetched; exit 1; }; }\n')
        (self.root / "shims/id").unlink()
        self.write("shims/id", f"#!/bin/bash\necho {0 if root else 1000}\n")

    def test_not_debian(self) -> None:
        said = self.deps("x86_64")
        self.assertRegex(said, r"^missing: make \(make\), gcc \(gcc\), flex \(flex\), ")
        for words in ("mkfs.ext4 (e2fsprogs)", "qemu-system-x86_64 (qemu-system-x86)",
                      "not Debian here", "or DEPS=skip"):
            self.assertIn(words, said)
        for words in ("libelf-dev", "ccache", "git (git)", "shellcheck"):
            self.assertNotIn(words, said, "cannot be looked for, is there, or was not asked for")
        self.assertIn("aarch64-linux-gnu-gcc (gcc-aarch64-linux-gnu)", self.deps("arm64"))

    def test_gates(self) -> None:
        said = self.deps("--lint", "--bench")
        self.assertIn("shellcheck (shellcheck)", said)
        self.assertIn("gnuplot (gnuplot-nox)", said)
        self.assertNotIn("spin", said)
        self.assertIn("no such gate", self.deps("--nonsense"))

    def test_skip(self) -> None:
        done = self.call("shims/bash", "harness/gate/deps.sh", "x86_64", DEPS="skip")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertIn("DEPS=no: it is skip", self.deps(DEPS="no"))

    def test_debian_installs_with_one_call(self) -> None:
        self.debian(root=True)
        done = self.call("shims/bash", "harness/gate/deps.sh", "arm64")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"installing: make \(building the kernel\), .*\(cell arm64\)")
        calls = (self.root / "calls").read_text().splitlines()
        self.assertEqual([call.split()[0] for call in calls], ["install", "update", "install"])
        self.assertIn("libelf-dev", calls[0])
        self.assertNotIn(" git ", calls[0])

    def test_debian_without_python(self) -> None:
        """Without it no cell can be read: what all need is there first."""
        self.debian(root=True, installed="")
        python = self.root / "shims/python3"
        real = python.resolve()
        python.unlink()
        self.write("shims/apt-get", f'#!/bin/bash\necho "$*" >>calls\nln -sf {real} shims/python3\n')
        (self.root / "shims/ln").symlink_to(shutil.which("ln") or "")
        done = self.call("shims/bash", "harness/gate/deps.sh", "arm64")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("not found", done.stderr)
        self.assertRegex((self.root / "calls").read_text(), "python3 .*\n.* gcc-aarch64-linux-gnu ")

    def test_debian_without_root(self) -> None:
        self.debian(root=False)
        self.assertRegex(self.deps(), "neither root nor sudo .*: apt-get install make gcc ")
        self.write("shims/sudo", '#!/bin/bash\n[ "$1" = -n ] && "${@:2}"\n')
        done = self.call("shims/bash", "harness/gate/deps.sh")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_table(self) -> None:
        lines = [line for line in (ROOT / "harness/gate/deps.tsv").read_text().splitlines()
                 if not line.startswith("#")]
        self.assertEqual({line.count("\t") for line in lines}, {3})
        packages = [line.split("\t")[0] for line in lines]
        self.assertEqual(len(packages), len(set(packages)))


LINT_SH = """\
. harness/gate/lint.sh
mkdir -p "$OUT" started
quiet() { : >started/$BASHPID; sleep 0.3; ls started | wc -l >>"$OUT/most"; rm started/$BASHPID; }
loud() { sleep 0.1; echo; echo "mm/x.c:	bad"; echo more; }
broken() { return 3; }
first() { quiet; }
second() { quiet; }
third() { quiet; }
last() { [ -z "$(ls started)" ] || echo "others were running"; }
for name in first second loud broken third; do check "$name"; done
alone last
summary
"""


class Lint(Gate):
    """The functions of lint.sh, on files of ours."""

    def setUp(self) -> None:
        super().setUp()
        self.call("git", "init", "-q")

    def functions(self, script: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.call("bash", "-c", LINT_SH.partition("\n")[0] + "\n" + script,
                         "test", **env)

    def test_side_by_side_and_in_order(self) -> None:
        for jobs in ("1", "2"):
            with self.subTest(jobs):
                done = self.call("bash", "-c", LINT_SH, JOBS=jobs)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertRegex(done.stdout, (
                    r"\Aok   first \(\d+ s\)\nok   second \(.*\nFAIL loud: mm/x.c: bad "
                    r"\(3 lines in \S+/build/lint/loud.log\)\nFAIL broken: +\(0 lines.*\n"
                    r"ok   third .*\nok   last .*\n4 passed, 2 failed\n\Z"))
                out = self.root / "build/lint"
                self.assertEqual((out / "results.tsv").read_text(), (
                    "check\tresult\tdetail\nfirst\tpass\t\nsecond\tpass\t\n"
                    "loud\tfail\tmm/x.c: bad\nbroken\tfail\t\nthird\tpass\t\nlast\tpass\t\n"))
                most = max(int(n) for n in (out / "most").read_text().split())
                self.assertLessEqual(most, int(jobs))
                (out / "most").unlink()

    def test_series_in_one_sitting(self) -> None:
        for number in range(1, 8):
            self.write(f"patches/toy/000{number}-x.patch", "")
        self.write("patches/toy/0000-cover-letter.txt", "subject\n\n" + 45 * "line\n")
        self.write("patches/stack", "toy\n")
        self.assertEqual(self.functions("series_size").stdout, "")
        self.write("patches/toy/0008-x.patch", "")
        self.write("patches/toy/0000-cover-letter.txt", "subject\n\n" + 46 * "line\n")
        said = self.functions("series_size").stdout
        self.assertIn("toy/: 8 patches, at most 7", said)
        self.assertIn("toy/: a cover letter of 46 lines, at most 45", said)

    def test_python(self) -> None:
        self.assertEqual(self.functions("python").stdout, "")
        self.write("a.py", "def f(x: int):\n    return x\n")
        self.write("b.py", "match 1:\n    case 1: pass\n")
        said = self.functions("python").stdout
        self.assertIn("a.py:1: f() has no type", said)
        self.assertRegex(said, "b.py: .*3.10")

    def test_vma_tests(self) -> None:
        script = 'tgit() { tar -C toy -c .; }; REV=([tip]=HEAD); mkdir -p "$OUT"; vma_tests'
        for recipe, said in (
                ("@echo \"echo '26 tests run, 26 passed, 0 failed.'\" >vma; chmod +x vma", ""),
                ("@printf 'echo Assert FAILED; echo 26 tests run, 25 passed, 1 failed.; exit 1'"
                 " >vma; chmod +x vma", "Assert FAILED\n"),
                ("@echo 'vma.c:1: error: no such thing'; exit 1",
                 "vma.c:1: error: no such thing\n")):
            with self.subTest(said):
                self.write("toy/tools/testing/vma/Makefile", f"vma:\n\t{recipe}\n")
                self.assertEqual(self.functions(script).stdout, said)

    def test_spdx(self) -> None:
        self.assertEqual(self.functions("spdx").stdout, "")
        self.write("x/Makefile", "\n\n\n# SPDX-License-Identifier: GPL-2.0\n")
        self.assertEqual(self.functions("spdx").stdout, "x/Makefile: no SPDX line\n")

    def test_deleted_file_is_no_mistake(self) -> None:
        self.write("gone.py", "")
        self.call("git", "add", "gone.py")
        (self.root / "gone.py").unlink()
        done = self.functions("python && spdx")
        self.assertEqual((done.stdout, done.returncode), ("", 0))

    def test_machine_names(self) -> None:
        self.write("x.sh", f"cd {self.root}/x\n")
        self.assertIn("x.sh:1:", self.functions("machine_names").stdout)
        self.write("x.sh", f"cd $ROOT{self.root}/x\n")
        self.assertEqual(self.functions("machine_names").stdout, "")


UNIT = """\
import os
import unittest


class Toy(unittest.TestCase):
    def test_good(self) -> None:
        pass

    def test_other(self) -> None:
        {}

    @unittest.skip("not here")
    def test_skipped(self) -> None:
        pass
"""
CELL_SH = """\
mkdir -p build/cells/$1
printf '%s\\t%s\\t%s\\t\\n' check name result kunit a pass selftest b "$FATE" \\
	proof c pass kunit d skip >build/cells/$1/result.tsv
[ "$FATE" = pass ]
"""


class Test(Gate):
    """test.sh, with scripts that leave what the real ones do."""

    def setUp(self) -> None:
        super().setUp()
        for name in ("gate/deps.sh", "source/tree.sh"):
            self.write(f"harness/{name}", "#!/bin/bash\n")
        self.write("harness/run/cell.sh", "#!/bin/bash\n" + CELL_SH)
        self.write("harness/prove/mutants.sh", '#!/bin/bash\n'
                   '[[ $MUTANTS != *_* ]] || { echo "$MADE"; [[ $MADE = 16* ]]; exit; }\n'
                   '[ "$MUTANTS" != "$ALIVE" ]\n')
        subprocess.run(["git", "init", "-q", self.root], check=True)
        subprocess.run(["git", "-C", self.root, "-c", "user.name=a", "-c", "user.email=a@b.invalid",
                        "commit", "-q", "--allow-empty", "-m", "x"], check=True)
        self.write("harness/gate/lint.sh", "#!/bin/bash\n[ -z \"$LINT\" ] || exit 1\n"
                   "mkdir -p build/lint\nprintf 'a\\tpass\\t\\nb\\tpass\\t\\n' >build/lint/results.tsv\n")
        shutil.copy(ROOT / "tests/run.py", self.write("tests/run.py", ""))
        self.toys("pass")

    def toys(self, what: str) -> None:
        self.write("tests/test_one.py", UNIT.format(what))
        self.write("tests/test_two.py", UNIT.format("pass"))

    def ran(self, **env: str) -> tuple[int, list[str]]:
        done = self.call("harness/gate/test.sh", **{"FATE": "pass", "CELLS": "x86_64",
                                                    "ALIVE": "", "LINT": "",
                                                    "MADE": "16 of 16 killed (x)", **env})
        return done.returncode, done.stdout.splitlines()

    def test_all_pass(self) -> None:
        status, said = self.ran()
        self.assertEqual((status, said), (0, [
            "tests of harness/: 4 passed, 0 failed", "lint: 2 passed, 0 failed",
            "cell x86_64: 2 passed, 0 failed", "mutant wrong-pmdval: 1 passed, 0 failed",
            "mutant free-at-once: 1 passed, 0 failed",
            "16 of 16 killed (x)", "generated mutants: 16 passed, 0 failed", "26 passed, 0 failed"]))

    def test_failures_count(self) -> None:
        for env, line, total in (
                ({"FATE": "fail"}, "cell x86_64: 1 passed, 1 failed", "25 passed, 1 failed"),
                ({"LINT": "dies"}, "lint: 0 passed, 1 failed", "24 passed, 1 failed"),
                ({"ALIVE": "free-at-once"}, "mutant free-at-once: 0 passed, 1 failed",
                 "25 passed, 1 failed")):
            with self.subTest(line):
                status, said = self.ran(**env)
                self.assertEqual((status, said[-1]), (1, total))
                self.assertIn(line, said)

    def test_generated_mutants(self) -> None:
        """Those that are always the same have to be killed; what survives of others is said."""
        lives = "retract_page_tables-%s SURVIVED: x\n15 of 16 killed (x)"
        for made, total in ((lives % "not-d33d8a", "25 passed, 1 failed"), ("", "10 passed, 1 failed"),
                            (lives % "not-123456", "25 passed, 0 failed")):
            with self.subTest(made):
                status, said = self.ran(MADE=made)
                self.assertEqual((status, said[-1]), (int(", 1 " in total), total))

    def test_failed_tests_are_shown(self) -> None:
        for what in ("self.fail('so')", "raise OSError('so')",
                     "[self.subTest(n).__enter__() for n in 'ab'] and self.fail('so')"):
            with self.subTest(what):
                self.toys(what)
                status, said = self.ran()
                self.assertEqual((status, said[-1]), (1, "25 passed, 1 failed"))
                self.assertTrue(any("test_other" in line for line in said), said)

    def test_dead_tests_fail(self) -> None:
        self.toys("os._exit(0)")
        self.assertEqual(self.ran()[1][-1], "24 passed, 1 failed")
        self.write("tests/test_one.py", "import nothing_of_that_name\n")
        self.assertEqual(self.ran()[1][-1], "24 passed, 1 failed")
        self.write("tests/test_one.py", "")
        self.assertEqual(self.ran()[1][-1], "24 passed, 1 failed")

    def test_two_subtests_are_one_test(self) -> None:
        self.toys("\n        ".join(("for n in 'ab':", "    with self.subTest(n):",
                                      "        self.fail(n)")))
        self.assertEqual(self.ran()[1][-1], "25 passed, 1 failed")

    def test_cell_without_result(self) -> None:
        self.write("harness/run/cell.sh", "#!/bin/bash\nexit 1\n")
        status, said = self.ran()
        self.assertEqual((status, said[-1]), (1, "24 passed, 1 failed"))


if __name__ == "__main__":
    unittest.main()
