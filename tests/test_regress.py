# SPDX-License-Identifier: GPL-2.0
"""regress.py, fed with the logs of two guests that differ in one thing."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

from common import KERNEL, Harness, Repo, kunit_folder, script, write_tar

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "harness/prove/regress.tsv"

sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "harness/prove"))
import regress  # noqa: E402
from regress import records  # noqa: E402

PORT = """\
guest: kunit suite
KTAP version 1
1..1
    KTAP version 1
    # Subtest: suite
    1..2
    ok 1 one
    ok 2 two
ok 1 suite
guest: selftest first
TAP version 13
1..4
ok 1 \x1b[32mpages\x1b[0m
not ok 2 always broken
ok 3 # SKIP not here
ok 4 # XFAIL as expected
guest: seconds first 3
guest: exit first 1
guest: selftest second
no KTAP at all
guest: exit second 0
guest: tainted 0
guest: success
"""
CONSOLE = """\
[    0.1] Linux version 7.3.4
[    0.2] debug_vm_pgtable: [debug_vm_pgtable         ]: Validating
guest: kunit suite
guest: selftest first
[    1.2] in the first
guest: exit first 1
guest: selftest second
[    1.5] in the second
guest: exit second 0
guest: tainted 0
guest: success
"""
WARN = "[    1.3] WARNING: mm/memory.c:%d at do_fault+0x12/0x34, CPU#1: t/%d\n"


KUNIT = kunit_folder()


class Regress(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.out = Path(scratch.name)
        for side in ("base", "series"):
            self.boot(side, "1-1")

    def boot(self, side: str, name: str, port: str = PORT,
             console: str = CONSOLE) -> None:
        logs = self.out / "cell" / f"{side}.logs"
        logs.mkdir(parents=True, exist_ok=True)
        (logs / f"{name}.port").write_text(port)
        (logs / f"{name}.console").write_text(console)

    def run_it(self) -> tuple[int, str]:
        """Judged, recorded as regress.sh does it, and told from the records."""
        shutil.rmtree(self.out / "records", ignore_errors=True)
        judged = io.StringIO()
        cell = self.out / "cell"
        with contextlib.redirect_stdout(judged):
            self.assertEqual(regress.main(["judge", str(cell), str(KUNIT)]), 0)
        self.judged = [line.split("\t") for line in judged.getvalue().splitlines()]
        for name, result, seconds, detail in self.judged:
            self.assertRegex(seconds, r"^\d+$")
            self.assertTrue(detail)
            records.Record("regress", name, "cell", "", result, detail, inputs={"tree": "t"},
                           figures=list(records.rows(cell / f"figures/{name}.tsv"))).write(
                               self.out / "records")
        return self.table()

    def table(self, tree: str = "t") -> tuple[int, str]:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            status = regress.main(["table", str(self.out / "records"), tree, "cell"])
        return status, said.getvalue()

    def failed(self) -> list[str]:
        return [line[0] for line in self.judged if line[1] == "fail"]

    def worse(self, test: str, line: str) -> None:
        """Exactly this is worse, and the record has it."""
        status, said = self.run_it()
        self.assertEqual(status, 1, said)
        self.assertEqual(self.failed(), [test], said)
        record, = (r for r in records.load(self.out / "records") if r.result == "fail")
        bad = [row["line"] for row in record.figures[1:] if row["verdict"] == "worse"]
        self.assertTrue(any(re.search(line, l) for l in bad), bad)
        self.assertRegex(said, rf"compared, {len(bad)} worse\n$")
        self.assertEqual(record.figures[0]["verdict"].split()[0], "worse")

    def same(self, *wanted: str) -> None:
        status, said = self.run_it()
        self.assertEqual(status, 0, said)
        self.assertRegex(said, r"[1-9]\d* compared, 0 worse\n$")
        for text in wanted:
            self.assertRegex(said, text)

    def test_same(self) -> None:
        self.same(r"first: always broken: fail -> fail",
                  r"cell first: not here, and 1 more",
                  r"cell +first +2/2/2 +2/2/2  3/3\n")
        self.assertEqual(self.failed(), [])

    def test_records_of_another_tree_say_nothing(self) -> None:
        self.same()
        self.assertEqual(self.table("other")[0], 1)
        self.assertIn("0 compared", self.table("other")[1])

    def test_each_change_is_worse(self) -> None:
        for old, new, test, line in (
                ("ok 1 \x1b[32mpages\x1b[0m", "not ok 1 pages", "first", "^pages$"),
                ("ok 1 \x1b[32mpages\x1b[0m", "ok 1 # SKIP pages", "first", "^pages$"),
                ("ok 1 \x1b[32mpages\x1b[0m\n", "", "first", "^pages$"),
                ("ok 4 # XFAIL as expected\n", "", "first", "planned"),
                ("exit second 0", "exit second 1", "second", "ended"),
                ("exit second 0", "exit second 4", "second", "ended"),
                ("exit second 0", "exit second 139", "second", "ended"),
                ("guest: exit second 0\nguest: tainted 0\nguest: success\n", "",
                 "second", "ended"),
                ("guest: exit second 0", "guest: timeout second\nguest: exit second 137",
                 "second", "ended"),
                ("    ok 2 two", "    not ok 2 two", "kunit suite", "suite.two"),
                (PORT[:PORT.index("guest: selftest first")],
                 "guest: missing suite\n", "kunit suite", "suite.one")):
            with self.subTest(new=new):
                self.assertEqual(PORT.count(old), 1)
                self.boot("series", "1-1", PORT.replace(old, new))
                self.worse(test, line)

    def test_test_that_never_ran(self) -> None:
        head = PORT[:PORT.index("guest: selftest second")]
        self.boot("series", "1-1", head)
        self.worse("second", "ended")
        # A second boot of the round went on after it.
        self.boot("series", "1-2", PORT[PORT.index("guest: selftest second"):])
        self.same()

    def test_series_does_not_boot(self) -> None:
        self.boot("series", "1-1", "", "Kernel panic - not syncing\n")
        status, said = self.run_it()
        self.assertEqual(status, 1)
        self.assertIn("(boot): init came to the tests: pass -> not there", said)

    def test_base_does_not_boot(self) -> None:
        self.boot("base", "1-1", "", "")
        status, said = self.run_it()
        self.assertEqual(status, 1, said)
        self.assertRegex(said, r"cell \(boot\): NOTHING RAN: base.*base.logs\n0 compared, 1 worse\n$")
        self.boot("base", "2-1")
        self.assertEqual(self.run_it()[0], 1, "a second round makes up for nothing")

    def test_neither_boots(self) -> None:
        for side in ("base", "series"):
            self.boot(side, "1-1", "", "Kernel panic - not syncing: timer\n")
        status, said = self.run_it()
        self.assertEqual(status, 1, said)
        self.assertEqual(said.count("NOTHING RAN"), 2)

    def test_no_logs(self) -> None:
        shutil.rmtree(self.out / "cell/base.logs")
        shutil.rmtree(self.out / "cell/series.logs")
        self.assertEqual(self.run_it()[0], 1)

    def test_better(self) -> None:
        self.boot("series", "1-1", PORT.replace("not ok 2 always", "ok 2 always"))
        self.same("better", "first: always broken: fail -> pass")

    def test_complaint(self) -> None:
        line = "[    1.5] in the second\n"
        self.boot("series", "1-1", console=CONSOLE.replace(line, line + WARN % (7, 8)))
        self.worse("second", "^WARN: ")
        # The same one on the base, of another process and at another line.
        self.boot("base", "1-1", console=CONSOLE.replace(line, WARN % (9, 10) + line))
        self.same("second: WARN: .*: fail -> fail")
        # But in another test it is another one.
        line = "[    1.2] in the first\n"
        self.boot("base", "1-1", console=CONSOLE.replace(line, WARN % (9, 10) + line))
        self.worse("second", "^WARN: ")

    def test_complaint_at_boot(self) -> None:
        console = CONSOLE.replace("guest: kunit", WARN % (1, 1) + "guest: kunit")
        self.boot("series", "1-1", console=console)
        self.worse("(boot)", "^WARN: ")

    def test_page_table_check_gone(self) -> None:
        console = re.sub(".*debug_vm_pgtable.*\n", "", CONSOLE)
        self.boot("series", "1-1", console=console)
        self.worse("(boot)", "debug_vm_pgtable")

    def test_both_time_out(self) -> None:
        """How far each came does not matter, but what failed before does."""
        end = "guest: timeout first\nguest: exit first 137\n"
        long = re.sub("guest: seconds first 3\nguest: exit first 1\n", end, PORT)
        short = re.sub(r"ok 1 .*pages.*\nnot ok 2.*\nok 3.*\nok 4.*\n",
                       "ok 1 other\n", long)
        self.boot("base", "1-1", long)
        self.boot("series", "1-1", short)
        self.same("first: how it ended: timeout -> timeout")
        self.boot("series", "1-1", long.replace("ok 1 \x1b", "not ok 1 \x1b"))
        self.worse("first", "^pages$")

    def test_flaky(self) -> None:
        bad = PORT.replace("exit second 0", "exit second 1")
        self.boot("series", "1-1", bad)
        self.boot("base", "2-1")
        self.boot("series", "2-1")
        self.same("flaky:\n.*second: how it ended: pass -> fail, pass")
        self.boot("series", "2-1", bad)
        self.worse("second", "ended")

    def test_names_with_a_measurement(self) -> None:
        for side, n in (("base", 59), ("series", 67)):
            name = f"count {n} {n}MB of memory Extra pages {n} (0.{n}%), extra thread faults {n + 1}."
            self.boot(side, "1-1", PORT.replace("\x1b[32mpages", name))
        self.same()

    def test_names_that_come_twice(self) -> None:
        twice = PORT.replace("not ok 2 always broken", "ok 2 pages")
        self.boot("base", "1-1", twice)
        self.boot("series", "1-1", twice.replace("ok 2 pages", "not ok 2 pages"))
        self.worse("first", "^pages #2$")


# In place of booting: every test passes, but FAIL with the series, as often as FAILS says.
BOOT = """#!/bin/bash
. "$(dirname "$0")/../lib/lib.sh"
. "$HARNESS/guest/cells.sh"
load_cell "$1"
root=$BUILD/regress/$1/root
{
	sed 's/^/guest: missing /' "$root/suites"
	while read -r name _ program _; do
		[ -f "$root/bin/$program" ] || continue
		echo "guest: selftest $name"
		status=0
		if [[ $name = "$FAIL" && $CELL_KOUT = */series/* && $FAILS -gt 0 ]]; then
			status=1
			[ -e "$BUILD/fails" ] || echo "$FAILS" >"$BUILD/fails"
			echo $(($(cat "$BUILD/fails") - 1)) >"$BUILD/fails"
			[ "$(cat "$BUILD/fails")" -ge 0 ] || status=0
		fi
		echo "guest: seconds $name 2"
		echo "guest: exit $name $status"
	done <"$root/selftests"
} >"$CELL_OUT/port.log"
sed -n '/^guest: [se]/p' "$CELL_OUT/port.log" >"$CELL_OUT/console.log"
echo "$(sed -n 's/^guest: selftest //p' "$CELL_OUT/port.log" | paste -sd,) ${CELL_KOUT#"$BUILD/"}" \
	>>"$BUILD/boots"
"""
MAKE = """\
for arg; do
	case $arg in
	OUTPUT=*)
		printf '#!/bin/sh\\n' >"${arg#*=}/khugepaged"
		cp "${arg#*=}/khugepaged" "${arg#*=}/merge"
		chmod +x "${arg#*=}"/*
	esac
done
"""


class Script(Repo):
    """regress.sh on the toy kernel, with guests that are made up."""
    begins = ("tree.sh",)

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        write_tar(cls.tarball, KERNEL | {f"tools/testing/kunit/{path.name}": path.read_text()
                                         for path in KUNIT.glob("*.py")})

    def setUp(self) -> None:
        super().setUp()
        for name, text in (("gate/deps.sh", "#!/bin/sh\n"), ("guest/kernel.sh", "#!/bin/sh\n"),
                           ("guest/boot.sh", BOOT)):
            self.write(f"harness/{name}", text).chmod(0o755)
        path = script(self.root, "regress.sh")
        path.write_text(re.sub(r"(?s)SUITES=\(.*?\)", "SUITES=(kfence)", path.read_text()))
        self.shim("make", MAKE)
        self.shim("gcc", 'while [ $# -gt 1 ]; do [ "$1" != -o ] || touch "$2"; shift; done\n')
        self.env.pop("TREE", None)
        self.env.update(CELLS="x86_64-debug", TESTS="khugepaged merge cow", RETRIES="1",
                        FAIL="none", FAILS="9")

    def boots(self) -> list[str]:
        """What ran in each guest since this was asked last, and on which side."""
        path = self.root / "build/boots"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [f"{line.split(' ')[0]} {line.split('/')[1]}" for line in lines]

    def results(self) -> dict[str, str]:
        return {r.name: r.result for r in records.load(self.root / "build/records")
                if not r.name.startswith("kunit")}

    def test_what_passed_is_not_run_again(self) -> None:
        self.assertIn("0 worse", self.ok("regress.sh"))
        self.assertEqual(self.boots(), ["khugepaged,merge base", "khugepaged,merge series"])
        self.assertEqual(self.results(), {"(boot)": "pass", "cow": "skip", "khugepaged": "pass",
                                          "merge": "pass"})
        self.assertRegex(self.ok("regress.sh"), r"(?s)khugepaged +1/0/0 +1/0/0  2/2\n.* 0 worse$")
        self.assertEqual(self.boots(), [])
        for name, ran in (("merge", "merge"), ("(boot)", ""), ("kunit kfence", "")):
            (self.root / f"build/records/regress/{name},x86_64-debug.json").unlink()
            self.ok("regress.sh")
            self.assertEqual(self.boots(), [f"{ran} base", f"{ran} series"])
        self.ok("regress.sh", AGAIN="1", TESTS="merge")
        self.assertEqual(self.boots(), ["merge base", "merge series"])

    def test_what_seems_worse_is_run_again(self) -> None:
        done = self.run_script("regress.sh", FAIL="merge")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("x86_64-debug merge: how it ended: pass -> fail: exit status 1", done.stdout)
        self.assertEqual(self.boots(), ["khugepaged,merge base", "khugepaged,merge series",
                                        "merge base", "merge series"])
        self.assertEqual(self.results()["merge"], "fail")
        (self.root / "build/fails").unlink()
        self.assertIn("flaky", self.ok("regress.sh", FAIL="merge", FAILS="1"))
        self.assertEqual(self.boots()[0], "merge base", "the other has its record")
        self.assertEqual(self.results()["merge"], "pass")


class Mistakes(Harness):
    def test_said_before_anything_is_built(self) -> None:
        for knobs, words in (({"TESTS": "nope"}, "no test 'nope'"), ({"RETRIES": "x"}, "RETRIES=x"),
                             ({"CELLS": "s390x"}, "no harness/guest/config/regress-s390x.config")):
            with self.subTest(words):
                self.assertIn(words, self.mistake("regress.sh", **knobs))


class List(unittest.TestCase):
    def test_lines(self) -> None:
        lines = [l for l in LIST.read_text().splitlines()
                 if not l.startswith(("#", "test\t"))]
        names = set()
        for line in lines:
            name, seconds, command = line.split("\t")
            self.assertRegex(name, r"^\S+$")
            self.assertRegex(seconds, r"^[1-9]\d*$")
            program = (name if command == "-" else command).split()[0]
            source = re.sub("_(32|64)$", "", program) + ".c"
            folder = KUNIT.parent / "selftests" / "mm"
            self.assertTrue((folder / source).is_file(), source)
            self.assertNotIn(name, names)
            names.add(name)
        self.assertGreater(len(names), 50)


if __name__ == "__main__":
    unittest.main()
