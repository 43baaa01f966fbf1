# SPDX-License-Identifier: GPL-2.0
"""Runs one file of tests, for harness/gate/test.sh.

usage: run.py FILE   the number of tests that passed, a tab, of those that failed, on
                     stdout; what failed on stderr
"""

from __future__ import annotations

import sys
import unittest
from pathlib import Path


def main() -> None:
    file = Path(sys.argv[1])
    sys.path.insert(0, str(file.parent))
    suite = unittest.defaultTestLoader.loadTestsFromName(file.stem)
    result = unittest.TextTestRunner(stream=sys.stderr).run(suite)
    # A test of which several subtests failed counts once; one that was skipped, not at all.
    bad = {getattr(test, "test_case", test).id() for test, _ in result.failures + result.errors}
    failed = len(bad) + len(result.unexpectedSuccesses)
    if not result.testsRun:
        failed += 1
    print(max(0, result.testsRun - failed - len(result.skipped)), failed, sep="\t")


if __name__ == "__main__":
    main()
