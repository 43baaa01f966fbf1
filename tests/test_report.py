# SPDX-License-Identifier: GPL-2.0
"""report.py: what it makes of results, good, bad, old, broken and missing."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import subprocess
import sys
import tempfile
import unittest
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "harness/judge"))
sys.dont_write_bytecode = True

import report  # noqa: E402  pylint: disable=wrong-import-position

NAMES = ["good", "bad", "old", "odd", "broken", "built", "missing"]

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
        self.outside += [value or "" for key, value in attrs
                         if key in ("src", "href") and not (value or "").startswith("#")]
        if tag == "meta":
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


class Report(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.build = Path(scratch.name) / "build"
        self.cells = Path(scratch.name) / "cells.ini"
        self.cells.write_text("[machine m]\narch = x86\nqemu = qemu\nimage = i\n"
                              "virtio = pci\ntimeout = 5\n" + "".join(
            f"[cell {name}]\nmachine = m\nshows = shows {name}\n" for name in NAMES))
        self.now = {"tip": "abc (tip)", "tree": "f00", "base": "Linux 7", "since": "1000"}
        self.result("good", CHECKS, tree="f00", build="200", guest="12",
                    compiler="gcc 1 <b>", date="2026-01-02 03:04")
        self.result("bad", CHECKS + WRONG, tree="f00")
        self.result("old", CHECKS, tree="bad")
        self.result("odd", CHECKS)
        # Another run.tsv than of this result: somebody ran it since.
        (self.build / "cells/odd/run.tsv").write_text("result\t123\ntree\tbad\n")
        self.result("built", "build\tbuilt\tpass\tonly built\n", tree="f00")
        (self.build / "cells/broken").mkdir()
        (self.build / "cells/broken/job.log").write_text("x\nerror: no compiler\n")
        self.facts("broken", "FAIL", b"", tree="f00")

    def result(self, cell: str, checks: str, **facts: str) -> None:
        folder = self.build / "cells" / cell
        folder.mkdir(parents=True, exist_ok=True)
        text = "check\tname\tresult\tdetail\n" + checks
        (folder / "result.tsv").write_text(text)
        if facts:
            self.facts(cell, "FAIL" if "\tfail\t" in checks else "pass",
                       text.encode(), **facts)

    def facts(self, cell: str, outcome: str, result: bytes, **facts: str) -> None:
        known = {"outcome": outcome, **facts,
                 "result": hashlib.sha256(result).hexdigest()[:16] if result else ""}
        (self.build / "cells" / cell / "run.tsv").write_text(
            "".join(f"{key}\t{value}\n" for key, value in known.items()))

    def page(self) -> report.Page:
        cells = [report.load_cell(line, self.build / "cells" / line["cell"], self.now)
                 for line in report.cells_ini.load(self.cells).values()]
        return report.Page(cells, report.all_groups(cells), self.now, self.build)

    def put(self, path: str, text: str) -> None:
        (self.build / path).parent.mkdir(parents=True, exist_ok=True)
        (self.build / path).write_text(text)

    def written(self) -> tuple[str, str]:
        report.write(self.page(), self.build)
        return tuple((self.build / f"report.{kind}").read_text()  # type: ignore
                     for kind in ("html", "md"))

    def test_states(self) -> None:
        got = {cell.name: cell.status() for cell in self.page().cells}
        self.assertEqual(got, {
            "good": "passed", "bad": "failed", "old": "passed, stale", "odd": "passed",
            "broken": "failed", "built": "built", "missing": "not run"})

    def test_stale_without_facts(self) -> None:
        """Then what counts is whether the tip is younger than the result."""
        os.utime(self.build / "cells/odd/result.tsv", (999, 999))
        self.assertTrue(self.page().cells[NAMES.index("odd")].stale)
        os.utime(self.build / "cells/odd/result.tsv", (1001, 1001))
        self.assertFalse(self.page().cells[NAMES.index("odd")].stale)

    def test_fail_of_the_run_alone(self) -> None:
        """All its checks passed, and yet cell.sh said no."""
        self.facts("good", "FAIL",
                   (self.build / "cells/good/result.tsv").read_bytes(), tree="f00")
        self.assertEqual(self.page().cells[0].state, "fail")

    def test_every_cell_has_a_row_in_order(self) -> None:
        html, markdown = self.written()
        rows = [line.split("|")[1].strip() for line in markdown.splitlines()
                if line.startswith("|")]
        self.assertEqual(rows[2:2 + len(NAMES)], NAMES)
        parser = Parser()
        parser.feed(html)
        self.assertEqual([row[0].strip() for row in parser.rows[2:2 + len(NAMES)]], NAMES)

    def test_html_is_whole_and_alone(self) -> None:
        html, _ = self.written()
        parser = Parser()
        parser.feed(html)
        self.assertEqual((parser.wrong, parser.open, parser.outside), ([], [], []))
        self.assertNotIn("<script", html)
        self.assertNotIn("<b>,", html, "a compiler's name is not markup")
        self.assertIn("mm/&lt;x&gt;.c:1", html)

    def test_main_table(self) -> None:
        _, markdown = self.written()
        lines = markdown.splitlines()
        self.assertIn("| good | passed | 1/0/1 | 0/0/1 | 1/0/0 | 2/0/0 | 1/0/0 | clean "
                      "| 200 | 12 | shows good |", lines)
        self.assertIn("| bad | failed | 1/0/1 | 0/0/1 | 1/1/0 | 2/0/0 | 1/0/0 | 1 bad "
                      "| - | - | shows bad |", lines)
        self.assertIn("| missing | not run | - | - | - | - | - | - | - | - | shows missing |",
                      lines)

    def test_not_by_colour_alone(self) -> None:
        html, _ = self.written()
        parser = Parser()
        parser.feed(html)
        rows = {row[0].strip(): row for row in parser.rows[2:2 + len(NAMES)]}
        self.assertIn("✗ failed", rows["bad"][1])
        self.assertIn("✗ 1", rows["bad"][4])
        self.assertIn("before the guest", rows["broken"][1])
        self.assertIn("stale", rows["old"][1])
        self.assertIn("○ 1", rows["good"][3])

    def test_no_check_is_lost(self) -> None:
        """Whatever there is of results is in some column, whichever cell has it."""
        self.result("good", CHECKS + "kunit\tother.case\tpass\t\nnew\tx\tfail\tboo\n"
                    "selftest\tpgtable_retract\tfail\tthe test never ran\n")
        page = self.page()
        tallies = [page.cells[0].tally(group) for group in page.groups]
        self.assertEqual(sum(t.passed + t.failed + t.skipped for t in tallies), 11)
        self.written()

    def test_details(self) -> None:
        html, markdown = self.written()
        for text in ("error: no compiler", "requires CONFIG_HIGHPTE: highpte_linear",
                     "ptlock: config: PAGE_SIZE=4096", "Expected a < b, but | a & b"):
            self.assertIn(text, markdown)
        self.assertIn("Expected a &lt; b, but | a &amp; b", html)
        self.assertIn("not recorded", markdown)

    def test_unreadable_result(self) -> None:
        for text in ("", "check\tname\tresult\tdetail\n", "a\nb\n", "\0\xff\n\x01\n"):
            with self.subTest(text):
                (self.build / "cells/good/result.tsv").write_text(text)
                self.assertEqual(self.page().cells[0].state, "fail")
                self.written()

    def test_failed_when_it_was_run_alone(self) -> None:
        """The log there is of another run; what it failed in is known."""
        self.facts("broken", "FAIL", b"", tree="f00", run="-", failed="the kernel")
        html, markdown = self.written()
        self.assertNotIn("no compiler", markdown)
        self.assertIn("in the kernel: run alone: make cell CELL=broken says why", markdown)
        parser = Parser()
        parser.feed(html)
        rows = {row[0].strip(): row for row in parser.rows[2:2 + len(NAMES)]}
        self.assertIn("the kernel", rows["broken"][1])

    def whole(self) -> str:
        """The markdown, when the page is well-formed and all of it is inside."""
        html, markdown = self.written()
        parser = Parser()
        parser.feed(html)
        self.assertEqual((parser.wrong, parser.open, parser.outside), ([], [], []))
        return markdown

    def test_no_section_without_results(self) -> None:
        markdown = self.whole()
        for title in ("Mutants", "The model", "The kernel's own", "What it costs"):
            self.assertNotIn(f"## {title}", markdown)

    def test_mutants(self) -> None:
        self.put("mutants/good/outcome.tsv", "good\tx86\tt.one\tkilled\ta < b\n")
        self.assertIn("1 killed, 0 survived.", self.whole())
        self.put("mutants/zombie/outcome.tsv", "zombie\tx86\tt.two\tSURVIVED (pass)\t\n")
        self.put("mutants/cells.tsv", "no mutant\n")
        markdown = self.whole()
        self.assertIn("1 killed, 1 survived.", markdown)
        rows = [line for line in markdown.splitlines() if "x86 | t." in line]
        self.assertIn("zombie", rows[0], "what is bad comes first")
        self.assertNotIn("no mutant", markdown)

    def test_model(self) -> None:
        self.put("model/walker.tsv", "walker\tholds\tholds\t12\t34\t5\n")
        self.put("model/short.tsv", "short\tholds\tWRONG: deadlock\n")
        self.assertIn("1 as it must be, 1 wrong.", self.whole())

    def test_own_tests(self) -> None:
        head = "cell\ttest\tline\tbase\tpatched\tverdict\tdetail\n"
        self.put("regress/report.tsv", head
                 + "arm\tcow\tone\tpass\tpass\tsame\t\n"
                 + "arm\tcow\ttwo\tskip\tskip\tsame\tnot here\n"
                 + "arm\tcow\tthree\tfail\tfail\tsame\ta < b\n"
                 + "x86\tcow\tone\tfail, pass\tpass\tflaky\t\n"
                 + "x86\tmerge\tone\tpass\tfail\tworse\tit broke\n"
                 + "x86\tmerge\tnew\tnot there\tpass\tnew\t\ncut short\n")
        markdown = self.whole()
        self.assertIn("5 compared, 1 worse.", markdown)
        self.assertIn("| cow | 1/1/1 | 1/1/1 |  | 1/0/0 | 1/0/0 | flaky |", markdown)
        self.assertIn("| merge | - | - |  | 1/0/1 | 1/0/1 | worse |", markdown)
        self.assertIn("| x86 | merge | one | pass | fail | it broke |", markdown)
        self.put("regress/report.tsv", head)
        self.assertNotIn("own tests", self.whole())

    def test_costs(self) -> None:
        self.put("bench/cells.tsv", "no figures\n")
        self.put("bench/cut.size", "cut short\n")
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertNotIn("What it costs", self.whole())
        self.assertIn("left out", said.getvalue())
        (self.build / "bench/cut.size").unlink()
        self.put("bench/x86.size", "Total: Before=1000, After=932, chg -6.80%\n")
        self.put("bench/x86.tsv", "".join(
            f"x86\t{side}\tfault\tpage\t9\t{n}\t{n}\t{n}\n"
            for side, n in (("base", 100.0), ("series", 90.0))))
        markdown = self.whole()
        self.assertIn("| x86 | 1000 | 932 | -68 |", markdown)
        self.assertIn("| x86 | fault | page | 100.0 | 90.0 | **-10.0** ", markdown)
        self.assertIn("<b>-10.0</b>", self.written()[0])

    def readme(self, text: str) -> str:
        """What becomes of it, if anything: else the error."""
        file = self.build / "README.md"
        file.write_text(text)
        try:
            report.write_readme(self.page(), file)
        except ValueError as error:
            self.assertEqual(file.read_text(), text)
            return f"error: {error}"
        return file.read_text()

    def test_readme(self) -> None:
        text = f"before\n\n{report.README_BEGIN}\nold\n{report.README_END}\nafter\n"
        said = self.readme(text)
        self.assertIn("no result of the series as it is of old, missing: run", said)
        for name in ("old", "missing"):
            self.result(name, CHECKS, tree="f00")
        said = self.readme(text)
        self.assertTrue(said.startswith(f"before\n\n{report.README_BEGIN}\n7 cells: "), said)
        self.assertTrue(said.endswith(f"\n{report.README_END}\nafter\n"))
        self.assertNotIn("\nold\n", said)
        self.assertIn("\n| bad | failed |", said)
        self.assertIn("Linux 7", said)
        self.assertEqual(self.readme(said), said, "the same answer twice")
        self.assertIn("no lines", self.readme("no place for it\n"))

    def test_readme_has_the_place(self) -> None:
        text = (ROOT / "README.md").read_text()
        self.assertEqual([text.count(mark) for mark in
                          (report.README_BEGIN, report.README_END)], [1, 1])

    def test_program(self) -> None:
        env = {**os.environ, "CELLS_INI": str(self.cells)}
        args = [str(ROOT / "harness/judge/report.py"), "--build", str(self.build)]
        run = subprocess.run(args, env=env, capture_output=True, text=True, check=False)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertRegex((self.build / "report.md").read_text(),
                         r"(?m)^\| missing \| not run \|")
        self.cells.write_text("[cell short]\narch = x86\n")
        run = subprocess.run(args, env=env, capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn("cells.ini: [cell short]: image: is missing", run.stderr)
        self.cells.unlink()
        run = subprocess.run(args, env=env, capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 1)
        self.assertEqual(run.stderr.count("\n"), 1)
        self.assertIn("cells.ini", run.stderr)


if __name__ == "__main__":
    unittest.main()
