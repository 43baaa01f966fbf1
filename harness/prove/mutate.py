#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Breaks functions of the kernel, one place at a time, and tells who noticed.

usage: mutate.py make TREE FILE FOLDER FUNCTION...   a patch for each mutant of them
       mutate.py join TREE FILE FOLDER FUNCTION NAME...   puts these mutants of it into the
                                   file, a copy of the function each: mutant=N on the kernel's
                                   command line takes the Nth of them, else none
       mutate.py codes FUNCTION    of that file's disassembly on stdin, a line for each copy, N
                                   and a word for what it does: 0 is the function itself
       mutate.py said FOLDER any   which test failed by the logs there, or what else the
                                   kernel complained of: nothing while all is well
       mutate.py said FOLDER TEST  what that test itself says of its failure: SUITE.CASE of
                                   KUnit, or PROGRAM.FIXTURE.TEST of a selftest

coccinelle finds the places (mutants/places.cocci); what is put there is below. A mutant is
FUNCTION-OPERATOR-HASH, the hash that of its changed lines and of how many there were alike:
changes elsewhere do not rename it.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import subprocess
import sys
from collections import Counter
from itertools import accumulate
from pathlib import Path
from typing import Iterator

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "judge"))
import verdict  # noqa: E402
from records import call  # noqa: E402

Span = tuple[int, int]
Edit = tuple[int, int, str]  # from, to, what takes its place

# Statements of which one more shows, or should: a flush, an accounting, a free.
ONCE = re.compile(r"flush|clear|count|rmap|_(add|sub|inc|dec|put|get|free)\b|\b(free|put|get)_"
                  r"|free_defer|nr_|invalidate|[-+|]=")
LOCK = re.compile(r"(?:(\w+) = )?(\w*?)lock(_(?!ptr)\w+)?\(((?:[^();]|\([^()]*\))*)\)")
COMPOUND = re.compile(r"(if|for|while|do|switch)\b")
LABEL = re.compile(r"^(\w+):", re.M)
GOTO = re.compile(r"\bgoto (\w+);")
DO_WHILE = re.compile(r"\} while \((.*)\);")
JUMPS = {"continue;": "break;", "break;": "continue;"}
OPERATORS = {"&&": ("||",), "||": ("&&",), "<": ("<=", "< -1 +"), "<=": ("<", "<= 1 +"),
             ">": (">=", "> 1 +"), ">=": (">", ">= -1 +")}
ARGUMENTS = [(re.compile(pattern), new) for pattern, new in (
    (r"\w*(pte|ptep|pmd|pmdp)", "{} + 1"),
    (r"(\w+->vm_)?\w*mm", "current->mm"),
    (r"(\w+->)?\w*(addr|address|start|end)", "{} + PAGE_SIZE"))]
WORDS = [(re.compile(pattern), new, other) for pattern, new, other in (
    (r"\b(HPAGE_)?PMD_SIZE\b", "PAGE_SIZE", ""), (r"\bPAGE_SIZE\b", "PMD_SIZE", ""),
    (r"(?<=[ (])-E[A-Z]+\b", "-EINVAL", "-EAGAIN"),
    (r"\bSCAN_[A-Z_]+\b", "SCAN_FAIL", "SCAN_SUCCEED"),
    (r"\bVM_FAULT_[A-Z]+\b", "VM_FAULT_SIGBUS", "VM_FAULT_NOPAGE"),
    (r"\b(true|false)\b", "true", "false"))]


class Source:
    """A file, and where coccinelle says that its functions can be broken."""

    def __init__(self, path: Path, functions: tuple[str, ...]) -> None:
        self.text = path.read_text(encoding="utf-8")
        lines = [0, *accumulate(map(len, self.text.splitlines(True)))]
        # Comments are blanked for what is looked for by its text.
        self.code = re.sub(r"/\*.*?\*/|//[^\n]*", lambda m: re.sub(r"\S", " ", m[0]),
                           self.text, flags=re.S)
        run = subprocess.run(
            ["spatch", "--very-quiet", "--no-includes", "--no-show-diff", "--cocci-file",
             str(HERE / "mutants/places.cocci"), str(path)], capture_output=True, text=True,
            env={**os.environ, "FUNCTIONS": " ".join(functions)}, check=False, timeout=300)
        if not run.stdout.strip():
            raise ValueError(f"{path}: {' '.join(functions)}: spatch found nothing: {run.stderr}")
        self.places: dict[str, set[Span]] = {}
        for kind, *at in map(str.split, run.stdout.splitlines()):
            a, b, c, d = map(int, at)
            self.places.setdefault(kind, set()).add((lines[a - 1] + b, lines[c - 1] + d))

    def bodies(self, name: str) -> list[Span]:
        """Where the function is: more than once, if by configuration."""
        return [m.span() for m in re.finditer(
            rf"^\w[^\n;]*\b{name}\([^;{{]*?\)\n\{{\n.*?^\}}", self.code, re.M | re.S)]

    def inside(self, kind: str, span: Span) -> list[Span]:
        return sorted(p for p in self.places.get(kind, ()) if span[0] <= p[0] < span[1])


def edits(source: Source, span: Span) -> Iterator[tuple[str, list[Edit]]]:
    """All ways to break the function there: the operator, and what it changes."""
    code, statements = source.code, source.inside("statement", span)
    simple = [(a, b) for a, b in statements if code[b - 1] == ";" and not COMPOUND.match(code, a)]
    for a, b in simple:
        text = code[a:b]
        yield "drop", [(a, b, "{ }")]
        if ONCE.search(text) and not text.startswith("return"):
            yield "twice", [(a, b, f"{{ {text} {text} }}")]
        if text in JUMPS:
            yield "jump", [(a, b, JUMPS[text])]
    labels = LABEL.findall(code, *span)
    for m in GOTO.finditer(code, *span):
        if m[1] in labels and len(labels) > 1:
            other = labels[(labels.index(m[1]) + 1) % len(labels)]
            yield "jump", [(*m.span(1), other)]
    loops = {m.span(1) for m in DO_WHILE.finditer(code, *span)}
    for a, b in sorted(loops.union(source.inside("condition", span))):
        yield "true", [(a, b, "1")]
        yield "false", [(a, b, "0")]
        yield "not", [(a, a, "!("), (b, b, ")")]
    for a, b in source.inside("operator", span):
        for new in OPERATORS[code[a:b]]:
            yield "operator", [(a, b, new)]
    for a, b in source.inside("argument", span):
        for pattern, new in ARGUMENTS:
            if pattern.fullmatch(code, a, b) and new != code[a:b]:
                yield "argument", [(a, b, new.format(code[a:b]))]
    for pattern, new, other in WORDS:
        for m in pattern.finditer(code, *span):
            yield "word", [(*m.span(), new if m[0] != new else other or new)]
    yield from locks(code, span)
    # Of those that end alike the first has the others in it: a loop, not its body.
    whole = {b: (a, b) for a, b in reversed(statements)}.values()
    for unlock in (s for s in simple if "unlock" in code[slice(*s)]):
        if code[:unlock[0]].rstrip()[-1] not in ";{}:":     # all that an if or a loop has
            continue
        for near in whole:
            first, second = sorted((unlock, near))
            if first[1] <= second[0] and not code[first[1]:second[0]].strip():
                yield "move", [(*first, code[slice(*second)]), (*second, code[slice(*first)])]


def locks(code: str, span: Span) -> Iterator[tuple[str, list[Edit]]]:
    """A lock not taken at all, nor dropped: each by the name that it has here."""
    found: dict[str, list[Edit]] = {}
    for m in LOCK.finditer(code, *span):
        to, kind, args = m[1], m[2], [arg.strip() for arg in m[4].split(",")]
        if kind in ("pte_offset_map_", "pte_alloc_map_"):
            name, new = args[-1].strip("&*"), f"{to} = pte_offset_map_ro_nolock({m[4]})"
        elif kind == "pte_unmap_un":
            name, new = args[1], f"pte_unmap({args[0]})"
        elif kind == "pmd_" and to:
            name, new = to, f"{to} = pmd_lockptr({m[4]})"
        elif not to and re.match(r";", code[m.end():]):
            name, new = args[0] or kind.removesuffix("un"), "do { } while (0)"
        else:
            continue
        found.setdefault(name, []).append((m.start(), m.end(), new))
    for edit in found.values():
        yield "lock", edit


def make(tree: Path, file: str, to: str, *functions: str) -> None:
    """Each once: two operators may do the same."""
    source, folder = Source(tree / file, functions), Path(to)
    folder.mkdir(parents=True, exist_ok=True)
    for name in functions:
        bodies = source.bodies(name)
        if not bodies:
            raise ValueError(f"{file}: no function {name}")
        seen = {source.text}
        alike: Counter[str] = Counter()
        for operator, edit in (pair for span in bodies for pair in edits(source, span)):
            text = source.text
            for a, b, new in sorted(edit, reverse=True):
                text = text[:a] + new + text[b:]
            if text in seen:
                continue
            seen.add(text)
            diff = list(difflib.unified_diff(
                source.text.splitlines(True), text.splitlines(True), f"a/{file}", f"b/{file}"))
            what = " ".join(" ".join(line for line in diff[2:] if line[0] in "+-").split())
            alike[what] += 1
            digest = hashlib.sha256(f"{what} {alike[what]}".encode()).hexdigest()[:6]
            where = source.text.count("\n", 0, min(edit)[0]) + 1
            (folder / f"{name}-{operator}-{digest}.patch").write_text(
                f"Breaks: {file}:{where}: {what}\n---\n{''.join(diff)}", encoding="utf-8")


def patched(text: str, patch: str) -> str:
    """The text with what make() has written of exactly this text."""
    old, new, at = text.splitlines(True), [], 0
    for hunk in patch.split("\n@@ -")[1:]:
        head, *lines = hunk.splitlines(True)
        start = int(head.split(",")[0]) - 1
        new += old[at:start] + [line[1:] for line in lines if line[0] in " +"]
        at = start + sum(line[0] in " -" for line in lines)
    return "".join(new + old[at:])


def join(tree: Path, file: str, folder: str, function: str, *names: str) -> None:
    """All copies have the line numbers of the function, and gcc takes none for another."""
    source = Source(tree / file, (function,))
    text = source.text
    mutants = [text] + [patched(text, (Path(folder) / f"{name}.patch").read_text(encoding="utf-8"))
                        for name in names]
    for a, b in reversed(source.bodies(function)):
        head = source.code[a:source.code.index("\n{\n", a)]
        kind, _, rest = head.partition(f"{function}(")
        kind = re.sub(r"\b(static|\w*inline\w*|VISIBLE_IF_KUNIT)\s+", "", kind)
        passed = ", ".join(word for part in rest.rstrip(")").split(",")
                           for word in re.findall(r"\w+", part)[-1:] if word != "void")
        line = text.count("\n", 0, a) + 1
        new, choice = "static int mutant_nr;\n", ""
        for n, mutant in enumerate(mutants):
            # The mutant of a definition is only one of that.
            if mutant[:a] != text[:a] or not mutant.endswith(text[b:]):
                continue
            body = mutant[a:len(mutant) - len(text) + b].partition(f"{function}(")[2]
            new += (f"#line {line}\nstatic __attribute__((noipa)) {kind}{function}__m{n}({body}\n")
            choice = f"\treturn {function}__m{n}({passed});\n{choice}"
            if n:
                choice = f"\tif (mutant_nr == {n})\n\t{choice}"
        new += f"{head}\n{{\n{choice}}}\n#line {text.count(chr(10), 0, b) + 1}\n"
        source.text = source.text[:a] + new + source.text[b:]
    (tree / file).write_text(f"{source.text}\n#include <linux/moduleparam.h>\n"
                             "core_param(mutant, mutant_nr, int, 0);\n", encoding="utf-8")


def codes(function: Path) -> None:
    """What is in a copy is told from where it begins; padding does nothing."""
    copy = re.compile(rf"([0-9a-f]+) <{function}__m(\d+)(?:\.cold)?>:")
    found: dict[str, list[tuple[str, str]]] = {}
    begin: dict[tuple[str, str], int] = {}
    section = number = ""
    for line in sys.stdin:
        if line.startswith("Disassembly of section "):
            section = line.split()[-1].rstrip(":")
        elif line.rstrip().endswith(">:"):
            m = copy.match(line)
            number = m[2] if m else ""
            if m:
                begin[section, number] = int(m[1], 16)
        elif number and ":" in line:
            found.setdefault(number, []).append((section, line.partition(":")[2].strip()))
    for number, lines in found.items():
        text = "\n".join(" ".join(pair) for pair in lines)
        text = re.sub(rf"<{function}__m\d+", "<", text)
        text = re.sub(r"\b[0-9a-f]+ <", "<", text)
        text = re.sub(r"\b(__bug_table|\.data\.\.once|__already_done|__func__)[-+.\w]*", r"\1", text)
        text = re.sub(r"(\.text[.\w]*)\+0x([0-9a-f]+)", lambda m: "{}+{}".format(
            m[1], int(m[2], 16) - begin.get((m[1], number), 0)), text)  # pylint: disable=W0640
        text = re.sub(r"(\n\S+ (nop|data16|cs nop|xchg +%ax,%ax|int3).*)+$", "", text)
        print(number, hashlib.sha256(text.encode()).hexdigest()[:16])


def expectation(case: str) -> str:
    """The pattern for one that failed in KUnit: where it is, and the lines below it."""
    return (rf"^ *# {case}: (?:EXPECTATION|ASSERTION) FAILED at (?:\.\./)*(?:tree/)?"
            r"(.*(?:\n(?! *# | *(?:not )?ok \d|(?:guest|BUG|WARNING|CPU|rcu): ).*)*)")


def complaint(test: str, console: str, port: str) -> str:
    """What the test itself says, KUnit's at once on the console, else on the port."""
    name = test.partition(".")[2]
    case = name.rpartition(".")[2]
    if case == name:
        found = re.search(expectation(case), console, re.M)
    else:
        found = re.search(rf"^# +RUN +{re.escape(name)} .*\n(?:(?!# +RUN ).*\n)*?"
                          rf"# (\S+:\d+:{case}:Expected .*)", port, re.M)
    return found[1] if found else ""


def anything(console: str, plain: str, port: str) -> str:
    """A test's word counts more than the kernel's, which may come before it."""
    for text in (plain, port):
        if bad := re.search(r"^ *not ok \d+ ([^#\n]*[^#\s])", text, re.M):
            # KUnit says of a case with parameters only the parameter there.
            at = re.findall(r"^ *# (\w+): (?:EXPECTATION|ASSERTION) FAILED", text[:bad.start()], re.M)
            case = re.escape(at[-1] if at else bad[1].rpartition(".")[2])
            why = re.search(rf"{expectation(case)}|:{case}:Expected .*|after [\d.]+ s, .*"
                            rf"|# {case}: (?!.*(?:pass|rounds)).*", text, re.M)
            return f"test {bad[1]}: {why[0] if why else '-'}"
    if bad := re.search(r"^guest: (?:exit (\S+) (?!0$|4$)|timeout (\S+))", port, re.M):
        return f"test {bad[1] or bad[2]}: {bad[0]}"
    checks = (c for c in verdict.check_console(console)
              if c.result == "fail" and c.name not in ("announced", "empty"))
    return next((f"kernel {c.name}: {c.detail}" for c in checks), "")


def said(folder: Path, test: str) -> None:
    console, port = (verdict.read_log(folder / f"{name}.log") for name in ("console", "port"))
    plain = re.sub(r"^\[[ \d.]+\] ?", "", console, flags=re.M)  # without times
    text = anything(console, plain, port) if test == "any" else complaint(test, plain, port)
    print(" ".join(text.split())[:200])


if __name__ == "__main__":
    sys.exit(call({"make": make, "join": join, "codes": codes, "said": said}, sys.argv[1:]))
