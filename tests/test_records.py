# SPDX-License-Identifier: GPL-2.0
"""records.py: what is written, what is read again, and what counts as good."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "harness/judge/records.py"
sys.path.insert(0, str(RECORDS.parent))
import records  # noqa: E402


class Records(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name) / "records"

    def run_it(self, *args: str, expect: int = 0) -> str:
        done = subprocess.run([str(RECORDS), *args], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, expect, done.stderr)
        return done.stdout + done.stderr

    def put(self, *args: str, expect: int = 0) -> str:
        return self.run_it("put", str(self.folder), *args, expect=expect)

    def table(self, name: str, text: str) -> str:
        path = self.folder.parent / name
        path.write_text(text)
        return str(path)

    def test_what_is_put_is_read(self) -> None:
        checks = self.table("result.tsv", "check\tname\tresult\tdetail\n"
                            "kunit\ta.b\tpass\t\nkunit\ta.c\tskip\tno such option\n")
        figures = self.table("figures.tsv", "operation\tmedian\nfault\t3\n")
        self.put("experiment=bench", "name=all", "cell=x86_64", "side=base", "result=pass",
                 "detail=two\nlines", "seconds=7", "time.guest=3", "time.build=", "in.key=k",
                 "--checks", checks, "--figures", figures)
        self.assertTrue((self.folder / "bench/all,x86_64,base.json").is_file())
        record, = records.load(self.folder)
        self.assertEqual(record.key(), ("bench", "all", "x86_64", "base"))
        self.assertEqual((record.detail, record.seconds, record.times, record.inputs),
                         ("two lines", 7, {"guest": 3}, {"key": "k"}))
        self.assertEqual([record.count(r) for r in records.RESULTS], [1, 0, 1])
        self.assertEqual(record.figures, [{"operation": "fault", "median": "3"}])

    def test_a_cell_is_named_once(self) -> None:
        self.put("experiment=cell", "name=arm64", "cell=arm64", "result=pass")
        self.assertTrue((self.folder / "cell/arm64.json").is_file())

    def test_bad_arguments(self) -> None:
        for args, word in ((["experiment=cell", "result=pass"], "no name"),
                           (["experiment=cell", "name=x", "result=PASS"], "PASS"),
                           (["experiment=cell", "name=x", "colour=red"], "colour=red")):
            with self.subTest(word):
                self.assertIn(word, self.put(*args, expect=2))
        self.assertFalse(self.folder.exists(), "half a record was written")

    def good(self, *inputs: str) -> bool:
        path = str(self.folder / "cell/one.json")
        return subprocess.run([str(RECORDS), "good", path, *inputs], check=False).returncode == 0

    def test_good(self) -> None:
        self.assertFalse(self.good("key=k"), "there is none")
        self.put("experiment=cell", "name=one", "result=pass", "in.key=k", "in.qemu=QEMU 7")
        self.assertTrue(self.good("key=k", "qemu=QEMU 7"))
        self.assertFalse(self.good("key=other", "qemu=QEMU 7"))
        self.assertFalse(self.good("key=k", "qemu=QEMU 8"))
        path = self.folder / "cell/one.json"
        path.write_text(path.read_text().replace('"host": "', '"host": "other-'))
        self.assertTrue(self.good("key=k", "qemu=QEMU 8"), "that host's tools are its own")
        self.put("experiment=cell", "name=one", "result=fail", "in.key=k")
        self.assertFalse(self.good("key=k"))
        path.write_text("{")
        self.assertFalse(self.good("key=k"))

    def test_a_broken_one_is_named(self) -> None:
        self.put("experiment=cell", "name=one", "result=pass")
        path = self.folder / "cell/one.json"
        data = json.loads(path.read_text())
        for text in ("{", json.dumps(data | {"colour": "red"}),
                     json.dumps(data | {"result": "maybe"})):
            path.write_text(text)
            with self.assertRaisesRegex(ValueError, "one.json.*remove it"):
                records.load(self.folder)

    def test_get(self) -> None:
        self.put("experiment=cell", "name=one", "result=pass", "detail=all is well")
        path = str(self.folder / "cell/one.json")
        self.assertEqual(self.run_it("get", path, "detail"), "all is well\n")
        self.assertIn("colour", self.run_it("get", path, "colour", expect=2))

    def test_lines(self) -> None:
        """A record a line, sorted, without what passed, empty, or of this machine."""
        checks = self.table("result.tsv", "check\tname\tresult\tdetail\n"
                            "kunit\ta.b\tpass\t\nproof\tx=1\tpass\t\nconfig\ta\tinfo\tx\n"
                            "selftest\ta.c\tfail\tsee /here/build/log\n")
        for name in ("two", "one"):
            self.put("experiment=cell", f"name={name}", "result=fail", "detail=in /here/x",
                     "in.tree=t", "in.tip=abc", "in.base=Linux 7.3.4", "in.qemu=",
                     "--checks", checks)
        path = self.folder / "lines"
        path.write_text(records.as_lines(r.compact("/here") for r in records.load(self.folder)))
        one, two = records.load_lines(path)
        self.assertEqual((one.name, two.name, one.version()), ("one", "two", "7.3"))
        self.assertEqual(one.inputs, {"tree": "t", "base": "Linux 7.3.4"})
        self.assertEqual((one.checks, one.passed, one.host, one.detail),
                         ([["selftest", "a.c", "fail", "see build/log"]],
                          {"kunit": 1, "proof": 1}, "", "in x"))
        self.assertEqual([one.count(r) for r in records.RESULTS], [1, 1, 0])
        self.assertEqual(records.as_lines([two, one.compact("/here")]), path.read_text())
        self.assertEqual(records.load_lines(self.folder / "none"), [])

    def test_built(self) -> None:
        record = records.Record("cell", "hppa", result="pass",
                                checks=[["build", "hppa", "pass", ""]])
        self.assertEqual((record.state(), record.compact("/x").state()), ("built", "built"))
        record.result = "fail"
        self.assertEqual(record.state(), "fail")

    def test_table(self) -> None:
        for name, result, run in (("one", "pass", "1"), ("two", "fail", "1"),
                                  ("old", "pass", "0"), ("kept", "pass", "0")):
            self.put("experiment=cell", f"name={name}", f"result={result}", f"run={run}")
        out = self.run_it("table", str(self.folder), "1,kept", "one", "two", "old", "kept",
                          "never", expect=1)
        self.assertEqual([line.split("\t")[1] for line in out.splitlines()[1:]],
                         ["pass", "fail", "not run", "pass", "not run"])
        self.run_it("table", str(self.folder), "1,kept", "one", "kept")


if __name__ == "__main__":
    unittest.main()
