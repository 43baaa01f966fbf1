# SPDX-License-Identifier: GPL-2.0
"""report.py: what it makes of records, good, bad, old, broken and missing."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "harness/judge"))
sys.dont_write_bytecode = True

import records  # noqa: E402
import report  # noqa: E402  pylint: disable=wrong-import-position

NAMES = ["good", "bad", "old", "odd", "broken", "built", "missing"]
BASE = "Linux 7.3.4 (Debian)"

CHECKS = """\
kunit\tptlock.ptlock_identity\tpass\t
kunit\tptlock.ptlock_unsplit\tskip\tPTE locks are split
kunit\tptlock.highpte_linear\tskip\trequires CONFIG_HIGHPTE
kunit\tptlock.retract_table\tpass\t
config\tptlock\tinfo\tptlock: config: PAGE_SIZE=4096
selftest\tpgtable_retract.pgtable_retract.shmem_shared.every_mapping\tpass\t
selftest\tpgtable_retract.pgtable_retract.file_private.every_mapping\tpass\t
guest\ttaint\tpass\t
proof\tPAGE_SIZE=4096\tpass\t
"""
WRONG = """\
kunit\tptlock.retract_own_table\tfail\tExpected a < b, but | a & b
console\tWARN\tfail\tWARNING: mm/<x>.c:1
"""


class Parser(HTMLParser):
    """Rows of tables, and whether what is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.wrong: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.outside += [value or "" for key, value in attrs if key in ("src", "href")
                         and not (value or "").startswith(("#", "data:image/svg+xml;"))]
        if tag in ("meta", "img"):
            return
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data + " "


class Base(unittest.TestCase):
    """A scratch folder with cells and records."""

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = Path(scratch.name)
        self.build, self.docs = self.root / "build", self.root / "docs"
        self.ini = self.root / "cells.ini"
        self.write_cells(NAMES)
        env = mock.patch.dict(os.environ, {"CELLS_INI": str(self.ini)})
        env.start()
        self.addCleanup(env.stop)
        for knob in ("BASE", "LINUX"):
            os.environ.pop(knob, None)

    def write_cells(self, names: list[str]) -> None:
        self.ini.write_text("[machine x86]\narch = x86_64\nqemu = qemu\nimage = i\n"
                            "virtio = pci\ntimeout = 5\n"
                            + "".join(f"[cell {name}]\nmachine = x86\nshows = shows {name}\n"
                                      for name in names))

    def put(self, experiment: str, name: str, result: str = "pass", checks: str = "",
            folder: str = "records", **more: Any) -> records.Record:
        """A record in build/, of tree f00 unless told."""
        inputs = {"tree": "f00", "base": BASE} | more.pop("inputs", {})
        more = {"date": "2026-01-02 03:04"} | more
        record = records.Record(
            experiment, name, result=result, inputs=inputs,
            checks=[line.split("\t") for line in checks.splitlines()], **more)
        record.write(self.build / folder)
        return record

    def git(self, *args: str, expect: int = 0) -> str:
        env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "a",
               "GIT_AUTHOR_EMAIL": "a@a", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@a"}
        done = subprocess.run(["git", f"--git-dir={self.build}/base.git", *args], env=env,
                              capture_output=True, text=True, check=False, input="")
        self.assertEqual(done.returncode, expect, done.stderr)
        return done.stdout.strip()

    def compose(self, content: str, series: str = "") -> str:
        """A stack of one patch that is composed, as compose.sh does; gives its tree."""
        if not (self.build / "base.git").exists():
            self.git("init", "-q", "--bare", str(self.build / "base.git"))
            self.git("config", "core.logAllRefUpdates", "true")
            self.git("tag", "base/7.3", self.git("commit-tree", "-m", BASE, self.git("mktree")))
        file = self.root / "file"
        file.write_text(content)
        blob = self.git("hash-object", "-w", str(file))
        env = mock.patch.dict(os.environ, {"GIT_INDEX_FILE": str(self.root / "index")})
        with env:
            self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},file")
            tree = self.git("write-tree")
        message = ["-m", "mm: x"] + ([] if series else ["-m", "Series: one"])
        commit = self.git("commit-tree", tree, *message)
        self.git("update-ref", f"refs/composed/{series or 'stack'}/series", commit)
        if not series:
            self.git("update-ref", "refs/heads/series", commit)
        return tree

    def run_it(self, *args: str) -> tuple[int, str]:
        """The status, and what is said on stderr."""
        with contextlib.redirect_stderr(io.StringIO()) as said, \
                contextlib.redirect_stdout(io.StringIO()):
            status = report.main(["--build", str(self.build), "--docs", str(self.docs), *args])
        return status, said.getvalue()

    def written(self) -> tuple[str, str]:
        status, said = self.run_it()
        self.assertEqual(status, 0, said)
        return tuple((self.build / f"report.{kind}").read_text()  # type: ignore
                     for kind in ("html", "md"))

    def whole(self) -> str:
        """The markdown, when the page is well-formed and all of it is inside."""
        html, markdown = self.written()
        parser = Parser()
        parser.feed(html)
        self.assertEqual((parser.wrong, parser.open, parser.outside), ([], [], []))
        return markdown

    def rows(self) -> dict[str, list[str]]:
        """Of the main table of the page."""
        parser = Parser()
        parser.feed(self.written()[0])
        return {row[0].strip(): row for row in parser.rows[2:2 + len(NAMES)]}


class Report(Base):
    def setUp(self) -> None:
        super().setUp()
        tree = self.compose("stack")
        self.now = {"inputs": {"tree": tree}}
        self.put("cell", "good", checks=CHECKS, times={"build": 200, "guest": 12},
                 inputs={"tree": tree, "compiler": "gcc 1 <b>"})
        self.put("cell", "bad", "fail", CHECKS + WRONG, **self.now)
        self.put("cell", "old", checks=CHECKS)
        self.put("cell", "odd", "fail", CHECKS, detail="the guest failed", **self.now)
        self.put("cell", "broken", "fail", detail="the kernel failed", run="1", **self.now)
        self.put("cell", "built", checks="build\tbuilt\tpass\tonly built\n", **self.now)
        (self.build / "cells/broken").mkdir(parents=True)
        (self.build / "cells/broken/job.log").write_text("x\nerror: no compiler\n")

    def test_states(self) -> None:
        _, markdown = self.written()
        table = [line.split(" | ") for line in markdown.splitlines() if line.startswith("| ")]
        self.assertEqual({row[0][2:]: row[1] for row in table[2:2 + len(NAMES)]}, {
            "good": "passed", "bad": "failed", "old": "passed, stale", "odd": "failed",
            "broken": "failed: the kernel failed", "built": "built", "missing": "not run"})

    def test_stale_only_if_git_knows(self) -> None:
        self.assertIn("1 stale", self.whole())
        (self.build / "base.git").rename(self.build / "gone.git")
        self.assertNotIn("stale", self.whole())

    def test_the_base_that_is_asked_for(self) -> None:
        self.put("cell", "good", "fail", folder="records-7.2", detail="of 7.2")
        with mock.patch.dict(os.environ, {"BASE": "7.2"}):
            self.assertIn("of 7.2", self.whole())
        self.assertNotIn("of 7.2", self.whole())

    def test_every_cell_has_a_row_in_order(self) -> None:
        html, markdown = self.written()
        rows = [line.split("|")[1].strip() for line in markdown.splitlines()
                if line.startswith("|")]
        self.assertEqual(rows[2:2 + len(NAMES)], NAMES)
        parser = Parser()
        parser.feed(html)
        self.assertEqual([row[0].strip() for row in parser.rows[2:2 + len(NAMES)]], NAMES)

    def test_html_is_whole_and_alone(self) -> None:
        self.docs.mkdir()
        (self.docs / "bench.svg").write_text("<svg/>")
        self.bench()
        self.whole()
        html, _ = self.written()
        self.assertIn("data:image/svg+xml", html)
        self.assertNotIn("<script", html)
        self.assertNotIn("<b> ", html, "a compiler's name is not markup")
        self.assertIn("gcc 1 &lt;b&gt;", html)
        self.assertIn("mm/&lt;x&gt;.c:1", html)

    def test_main_table(self) -> None:
        _, markdown = self.written()
        lines = markdown.splitlines()
        self.assertIn("| cell | result | lock lookup | HIGHPTE | retraction | shmem shared "
                      "| file private | proof | console, taint | build | guest | what it shows |",
                      lines)
        self.assertIn("| good | passed | 1/0/1 | 0/0/1 | 1/0/0 | 1/0/0 | 1/0/0 | 1/0/0 | 1/0/0 "
                      "| 200 | 12 | shows good |", lines)
        self.assertIn("| bad | failed | 1/0/1 | 0/0/1 | 1/1/0 | 1/0/0 | 1/0/0 | 1/0/0 | 1/1/0 "
                      "| - | - | shows bad |", lines)
        self.assertIn("| missing | not run | - | - | - | - | - | - | - | - | - "
                      "| shows missing |", lines)

    def test_not_by_colour_alone(self) -> None:
        rows = self.rows()
        self.assertIn("✗ failed", rows["bad"][1])
        self.assertIn("✗ 1", rows["bad"][4])
        self.assertIn("the kernel failed", rows["broken"][1])
        self.assertIn("stale", rows["old"][1])
        self.assertIn("○ 1", rows["good"][3])

    def test_no_check_is_lost(self) -> None:
        """Whatever there is of results is in some column, whichever cell has it."""
        record = self.put(
            "cell", "good", "fail", CHECKS + "kunit\tother.case\tpass\t\nnew\tx\tfail\tboo\n"
            "selftest\tpgtable_retract\tfail\tthe test never ran\n", **self.now)
        groups = {report.group_of(check) for check in record.checks} - {None}
        tallies = [report.tally(record, group) for group in groups if group]
        self.assertEqual(sum(int(n) for t in tallies for n in t.text.split("/")), 11)
        self.assertIn("| other suites |", self.whole())

    def test_details(self) -> None:
        html, markdown = self.written()
        for text in ("error: no compiler", "requires CONFIG_HIGHPTE: highpte_linear",
                     "ptlock: config: PAGE_SIZE=4096", "Expected a < b, but | a & b"):
            self.assertIn(text, markdown)
        self.assertIn("Expected a &lt; b, but | a &amp; b", html)
        self.assertIn("not recorded", markdown)
        self.assertIn(r"mm/\<x>.c:1", markdown, "markdown would take it for a tag")

    def test_failed_when_it_was_run_alone(self) -> None:
        """The log there is of another run; what it failed in is known."""
        self.put("cell", "broken", "fail", detail="the kernel failed", **self.now)
        _, markdown = self.written()
        self.assertNotIn("no compiler", markdown)
        self.assertIn("- failed: the kernel failed", markdown)

    def test_unreadable_record(self) -> None:
        (self.build / "records/cell/good.json").write_text("{}")
        status, said = self.run_it()
        self.assertEqual((status, said.count("\n")), (1, 1))
        self.assertRegex(said, "error: .*good.json: .*remove it")

    def test_no_section_without_records(self) -> None:
        markdown = self.whole()
        for title in ("Mutants", "The model", "The kernel's own", "What it costs", "Windows",
                      "Each patch", "Races", "Time until", "Reproducers"):
            self.assertNotIn(f"## {title}", markdown)

    def test_mutants(self) -> None:
        self.put("mutant", "good", cell="x86", detail="a < b", **self.now)
        self.assertIn("1 killed.", self.whole())
        self.put("mutant", "zombie", "fail", cell="x86", detail="t.two pass", **self.now)
        markdown = self.whole()
        self.assertIn("1 killed, 1 survived.", markdown)
        rows = [line for line in markdown.splitlines() if "| x86 |" in line]
        self.assertIn("zombie", rows[0], "what is bad comes first")
        self.assertIn("Failed: cell bad, cell broken, cell odd, mutant zombie,x86.", markdown)

    def test_model(self) -> None:
        figures = [{"states": "12", "transitions": "34", "steps": ""}]
        self.put("model", "walker", detail="holds", figures=figures, inputs={"tree": "none"})
        self.put("model", "short", "fail", detail="WRONG: deadlock", inputs={"tree": "none"})
        markdown = self.whole()
        self.assertIn("1 as it must be, 1 wrong.", markdown)
        self.assertIn("1 stale", markdown, "the cell: a model is of no tree")
        self.assertRegex(markdown, r"\| walker \| 7.3 \| passed \| holds \| 12 \| 34 \|")

    def test_own_tests(self) -> None:
        def put(test: str, cell: str, *rows: str, **more: Any) -> None:
            names = ("line", "compared", "base", "series", "verdict", "detail")
            self.put("regress", test, cell=cell, **self.now, **more, figures=[
                dict(zip(names, row.split(","))) for row in rows])

        put("cow", "arm", ",3,1/1/1,1/1/1,,", "three,,fail,fail,same,a < b")
        put("cow", "x86", ",1,1/0/0,1/0/0,flaky,", "one,,fail then pass,pass,flaky,")
        put("merge", "x86", ",1,1/0/1,1/0/1,worse,", "one,,pass,fail,worse,it broke",
            result="fail")
        self.put("regress", "none", "skip", cell="x86", detail="no none was built", **self.now)
        markdown = self.whole()
        self.assertIn("5 compared, 1 worse.", markdown)
        self.assertIn("| cow | 1/1/1 | 1/1/1 |  | 1/0/0 | 1/0/0 | flaky |", markdown)
        self.assertIn("| merge | - | - |  | 1/0/1 | 1/0/1 | worse |", markdown)
        self.assertIn("| x86 | merge | one | pass | fail | it broke |", markdown)
        self.assertIn("| arm | cow | three | fail | fail | a < b |", markdown)
        text = (self.docs / "RESULTS.md").read_text()
        self.assertIn("| x86 | merge | one | pass | fail | it broke |", text)
        self.assertNotIn("three", text, "in brief, what is the same is left out")

    def test_sides_are_beside_each_other(self) -> None:
        self.put("window", "uffd_wp", cell="x86", side="base", detail="lost, 3 hits", **self.now)
        self.put("window", "uffd_wp", "fail", cell="x86", side="series", detail="not hit",
                 inputs={"tree": "bad"})
        self.put("try", "punch", cell="arm", side="series", detail="exit 0", **self.now)
        self.put("try", "guard", "fail", cell="arm", side="base", detail="exit 1", **self.now)
        self.put("try", "guard", "fail", cell="arm", side="series", detail="exit 2", **self.now)
        markdown = self.whole()
        row = "| - | - | guard | no | 7.3 | arm | failed: exit 1 | failed: exit 2 |"
        self.assertIn(row, markdown, "a program that shows no bug of bugs.tsv")
        self.assertRegex(markdown, r"(?m)^Failed: .*try guard,arm,series")
        self.assertNotRegex(markdown, r"(?m)^Failed: .*try guard,arm,base")
        self.assertIn("| uffd_wp | x86 | 7.3 | passed: lost, 3 hits | failed, stale: not hit |",
                      markdown)
        self.assertIn("| - | - | punch | no | 7.3 | arm | - | passed: exit 0 |", markdown)

    def test_bugs(self) -> None:
        """Each with what was seen of it: widened or not, on which base, in which cell."""
        for base, cell in (("7.3", "x86"), ("7.2", "arm")):
            self.put("try", "uffd_move", "fail", cell=cell, side="base", inputs={
                **self.now["inputs"], "base": f"Linux {base}.4"}, detail="exit 1: round 8, 1 s")
        self.put("try", "uffd_move", cell="x86", side="series", detail="9 rounds", **self.now)
        self.put("window", "uffd_move", cell="x86", side="base", detail="lost, 3 hits", **self.now)
        rows = [line.split(" | ") for line in self.whole().splitlines() if "UFFDIO_MOVE returns" in line]
        self.assertEqual([row[1:8] for row in rows], [
            ["userfaultfd-fixes", "uffd_move", "no", "7.2", "arm", "failed: round 8, 1 s", "-"],
            ["userfaultfd-fixes", "uffd_move", "no", "7.3", "x86", "failed: round 8, 1 s",
             "passed: 9 rounds"],
            ["userfaultfd-fixes", "uffd_move", "yes", "7.3", "x86", "passed: lost, 3 hits", "-"]])
        self.assertRegex(self.whole(), r"(?m)^\| TCP_ZEROCOPY_RECEIVE .* none \| no \| - \| - \|")

    def test_bugs_tsv(self) -> None:
        """Its programs, tests and series are there, and no program is left out."""
        bugs = records.rows(ROOT / "harness/prove/repro/bugs.tsv")
        named = {key: {n for bug in bugs for n in bug[key].split()} - {"-"} for key in bugs[0]}
        tests = {row["test"] for row in records.rows(ROOT / "harness/prove/windows/windows.tsv")}
        self.assertEqual(named["programs"],
                         {path.stem for path in (ROOT / "harness/prove/repro").glob("*.c")})
        self.assertLessEqual(named["windows"], tests)
        self.assertLessEqual(named["series"], {path.name for path in (ROOT / "patches").iterdir()})

    def test_fixed_by(self) -> None:
        """What a program says that it is fixed by is the subject of a patch."""
        subjects = {re.sub(r"\n ", " ", path.read_text().split(": ", 1)[1].split("\n\n")[0])
                    for path in (ROOT / "patches").glob("*/0*-*.patch")}
        for path in (ROOT / "harness/prove/repro").glob("*.c"):
            for fix in re.findall(r"(?m)^ \* Fixed-by: (?!none|the series)(.*)", path.read_text()):
                self.assertIn(fix, subjects, path.name)

    def test_each_patch(self) -> None:
        tree = self.compose("of one series", "one")
        self.put("bisect", "one/0001-x.patch", cell="x86", inputs={"tree": tree})
        self.put("bisect", "one/0001-x.patch", "fail", cell="arm", detail="the kernel failed",
                 inputs={"tree": "gone"})
        self.assertIn("| one/0001-x.patch | 7.3 | failed, stale: one/0001-x.patch: "
                      "the kernel failed | passed |", self.whole())

    def bench(self) -> None:
        for side, n, size in (("base", 100, 1000), ("series", 90, 932)):
            rows = [("fault", "page", n), ("lookup", "call", 7), ("collapse", "table", 1000),
                    ("retract_8_1", "table", 1000 + 8 * n), ("size", "bytes", size)]
            self.put("bench", "x86", cell="x86", side=side, **self.now, figures=[
                {"operation": name, "unit": unit, "n": "9", "min": str(value),
                 "median": str(value), "max": str(value)} for name, unit, value in rows])

    def test_costs(self) -> None:
        self.put("bench", "half", cell="half", side="base", figures=[])
        self.assertNotIn("What it costs", self.whole())
        self.bench()
        markdown = self.whole()
        for row in ("| fault | -10.00 % |", "| lookup | same |", "| a retracted table | -10.0 % |",
                    "| size, bytes | -68 |", "| x86 | fault | page | 100.0 | 90.0 | -10.0 "):
            self.assertIn(row, markdown)

    def test_junit(self) -> None:
        self.put("mutant", "zombie", "fail", cell="x86", detail="pass \x1b[1m]]>", **self.now)
        self.written()
        root = ET.parse(self.build / "report.xml").getroot()
        suites = {suite.get("name"): suite for suite in root}
        self.assertEqual(len(suites), 7)
        bad = suites["cell/bad"]
        self.assertEqual([bad.get(key) for key in ("tests", "failures", "skipped")],
                         ["10", "2", "2"])
        self.assertEqual(sum(case.find("failure") is not None for case in bad), 2)
        self.assertEqual(suites["cell/good"][1].find("skipped").get("message"),  # type: ignore
                         "PTE locks are split")
        self.assertEqual([case.get("name") for case in suites["cell/broken"]], ["broken"])
        self.assertEqual([case.get("name") for case in suites["cell/odd"]][-1], "odd",
                         "all its checks passed, and yet it failed")
        self.assertIn("]]>", suites["mutant/zombie,x86"][0][0].get("message"))

    def test_program(self) -> None:
        args = [str(ROOT / "harness/judge/report.py"), "--build", str(self.build),
                "--docs", str(self.docs)]
        run = subprocess.run(args, capture_output=True, text=True, check=False)
        self.assertEqual((run.returncode, run.stdout.count("report.")), (0, 3), run.stderr)
        self.assertRegex((self.build / "report.md").read_text(),
                         r"(?m)^\| missing \| not run \|")
        for text in ("[cell x]\ncolour = red\n", None):
            self.ini.write_text(text) if text else self.ini.unlink()
            run = subprocess.run(args, capture_output=True, text=True, check=False)
            self.assertEqual((run.returncode, run.stderr.count("\n")), (1, 1), run.stderr)
            self.assertIn("cells.ini", run.stderr)


class Results(Base):
    """docs/RESULTS.md, and the records that it is made of."""

    def setUp(self) -> None:
        super().setUp()
        self.tree = self.compose("stack")
        self.now = {"inputs": {"tree": self.tree, "key": "k"}}

    def results(self) -> str:
        """What is in docs/ after make report, which a clone without build/ gives again."""
        self.written()
        lines, text = (self.docs / "records.jsonl", self.docs / "RESULTS.md")
        before = lines.read_text(), text.read_text()
        clone = self.root / "clone"
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(report.main(["--build", str(clone), "--docs", str(self.docs)]), 0)
        self.assertEqual((lines.read_text(), text.read_text()), before)
        self.assertEqual(self.run_it("--check"), (0, ""))
        return before[1]

    def kept(self) -> dict[str, records.Record]:
        return {f"{r.version()} {r.path().stem}": r
                for r in records.load_lines(self.docs / "records.jsonl")}

    def test_cells(self) -> None:
        self.put("cell", "good", checks=CHECKS, host="here", seconds=60, run="1",
                 date="2026-01-02 03:00", times={"build": 200, "guest": 12}, **self.now)
        self.put("cell", "bad", "fail", CHECKS + WRONG, run="1", seconds=60,
                 date="2026-01-02 04:29", **self.now)
        self.put("cell", "built", checks="build\tbuilt\tpass\t\n", **self.now)
        text = self.results()
        row = f"| good | 7.3 | passed | 4/0/2 | 200 | 12 | 2026-01-02 03:00 | {self.tree[:7]} "
        self.assertIn(row + "| shows good |", text)
        self.assertIn("| missing | 7.3 | not run | - | - | - | - | - | shows missing |", text)
        self.assertIn("7 cells: 1 passed, 1 failed, 1 built, 4 not run.", text)
        self.assertIn("ran 2 of them in one go, in 1:30 hours", text)
        self.assertIn(r"- bad: console WARN: WARNING: mm/\<x>.c:1", text)
        self.assertIn("- PTE locks are split: good (1), bad (1)", text)
        self.assertIn(f"- {BASE}, stack {self.tree}, 2026-01-02", text)
        self.assertIn("| Mutants | `make mutants` |", text)
        record = self.kept()["7.3 good"]
        self.assertEqual((record.host, len(record.checks), record.count("pass")), ("", 2, 4))
        self.assertEqual(record.passed, {"kunit": 2, "selftest": 2, "guest": 1, "proof": 1})

    def test_what_is_taken_over(self) -> None:
        self.compose("stack, edited")
        self.put("cell", "good", **self.now)
        self.put("cell", "bad", inputs={"tree": self.tree + "+1"})
        self.put("cell", "old", inputs={"tree": "f00"})
        self.put("model", "walker", inputs={"tree": "none"})
        self.put("cell", "odd", folder="records-linux", **self.now)
        self.put("try", "init", cell="arm", side="base", **self.now)  # guest/init.c
        self.put("try", "somebodys", cell="arm", side="base", **self.now)
        self.put("cell", "odd", folder="records-7.2",
                 inputs={"tree": self.tree, "base": "Linux 7.2.1 (Debian)"})
        status, said = self.run_it()
        self.assertEqual((status, said.count("docs/: 3 records")), (0, 1), said)
        self.assertEqual(sorted(self.kept()), ["7.2 odd", "7.3 good", "7.3 init,arm,base",
                                               "7.3 walker"])
        self.assertIn("| odd | 7.2 | passed |", self.results())

    def test_younger_ones_replace(self) -> None:
        self.put("cell", "good", date="2026-01-02 03:04", **self.now)
        self.results()
        self.put("cell", "good", "fail", date="2026-01-02 03:05", detail="the guest failed",
                 **self.now)
        self.assertIn("| good | 7.3 | failed |", self.results())
        self.put("cell", "good", date="2026-01-01 03:04", **self.now)
        self.assertIn("| good | 7.3 | failed |", self.results(), "somebody else's is younger")

    def test_stale(self) -> None:
        """Of another tree than the last cell's; patches that are gone have no record."""
        self.put("cell", "good", **self.now)
        self.put("mutant", "m", **self.now)
        one = self.compose("a patch", "one")
        self.put("bisect", "one/1", cell="x86", inputs={"tree": one})
        self.assertNotIn("↻ ", self.results().split("## Cells")[1])
        other = self.compose("another stack")
        self.put("cell", "bad", date="2026-02-01 03:04", inputs={"tree": other})
        text = self.results()
        self.assertIn(f"2026-01-02 03:04 | ↻ {self.tree[:7]} |", text)
        self.assertIn(f"stack ↻ {self.tree[:7]}", text.split("## Mutants")[1])
        self.assertIn("| one | 7.3 | 1 passed |", text)
        self.git("update-ref", "-d", "refs/composed/one/series")
        self.assertIn("| one |", self.results(), "another machine composed that series")
        self.compose("a patch, edited", "one")
        self.assertNotIn("| one |", self.results())

    def test_no_path_of_this_machine(self) -> None:
        self.put("cell", "good", "fail", f"guest\tend\tfail\tsee {ROOT}/build/x.log\n",
                 detail=f"see {ROOT}/build/x", host="this-machine", **self.now)
        text = self.results() + (self.docs / "records.jsonl").read_text()
        self.assertIn("see build/x.log", text)
        for word in (str(ROOT), "this-machine"):
            self.assertNotIn(word, text)

    def test_short(self) -> None:
        """However many there are: a maintainer reads it."""
        self.write_cells([f"c{n}" for n in range(40)])
        for n in range(60):
            self.put("cell", f"c{n}", checks=CHECKS, **self.now)
            self.put("mutant", f"m{n}", cell="x86", **self.now)
            self.put("model", f"m{n}", inputs={"tree": "none"})
            self.put("regress", f"t{n}", cell="x86", **self.now, figures=[
                {"compared": "7", "base": "7/0/0", "series": "7/0/0", "verdict": ""}])
            for cell in ("x86", "arm"):
                self.put("bisect", f"s{n % 9}/{n}", cell=cell,
                         inputs={"tree": self.compose("s", "s1")})
        self.put("mutant", "zombie", "fail", cell="x86", detail="t pass", **self.now)
        text = self.results()
        self.assertLess(text.count("\n"), 150)
        self.assertIn("| zombie |", text)
        self.assertNotIn("| m1 |", text)

    def test_check(self) -> None:
        self.assertEqual(self.run_it("--check"), (0, ""), "there is neither")
        self.put("cell", "good", **self.now)
        self.written()
        self.assertEqual(self.run_it("--check"), (0, ""))
        text = self.docs / "RESULTS.md"
        for edit in (text.read_text() + "all is well\n", None):
            text.write_text(edit) if edit else text.unlink()
            status, said = self.run_it("--check")
            self.assertEqual((status, said.count("\n")), (1, 1))
            self.assertIn("run make report", said)
        self.written()
        lines = self.docs / "records.jsonl"
        data = json.loads(lines.read_text()) | {"result": "maybe"}
        lines.write_text(json.dumps(data) + "\n")
        status, said = self.run_it("--check")
        self.assertEqual(status, 1)
        self.assertIn("records.jsonl:1: not a result", said)


if __name__ == "__main__":
    unittest.main()
