#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Reads the cells, and checks all of the file, whichever cell is asked for.

usage: cells.py [NAME...]    each as assignments for the shell, one line a cell; without
                             NAME all of them, in the order of the file
in:    cells.ini beside this, CELLS_INI=FILE for another; AS=NAME, the section [as NAME]
       to apply on top
out:   stdout; a cell has every key, empty where the file has none
exit:  0; 1 with one line that names the section and the key
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import sys
from pathlib import Path

KEYS = ("cell arch build cross fragments qemu append image virtio suites user debs timeout "
        "packages proof shows").split()
LISTS = ("fragments", "qemu", "append", "suites", "user", "debs", "packages", "proof",
         "timeout")  # which is their sum in the end
# Each kind of section, and the key that names the one that it inherits.
PARENT = {"machine": "", "cell": "machine", "as": "as"}
# What a value has to look like, and in a list each word of it.
NAME = (r"[a-z0-9][a-z0-9_-]*", "a name of small letters, digits, - and _")
NUMBER = (r"[1-9][0-9]*", "a number of seconds")
SHAPES = {
    "cell": NAME, "build": NAME, "fragments": NAME, "timeout": NUMBER,
    "suites": (r"[\w-]+", "the name of a suite"),
    "user": (r"[\w.-]+", "the name of a selftest"),
    "debs": (r"[a-z0-9][a-z0-9+.-]+", "a package of Debian's"),
    "virtio": (r"(device|pci|ccw)(,[a-z]+=\w+)*", "device, pci or ccw, with properties after it"),
    "proof": (r"\w+(=[^=,]+)?", "KEY=VALUE or a test"),
}

Sections = dict[tuple[str, str], list[tuple[str, str, str]]]  # key, = += or -=, value
Cell = dict[str, str]


def expand(value: str, cell: str) -> str:
    """${VAR} and ${VAR:-WORD} of the environment; where the default is a number, what is
    given must be one."""
    def one(match: re.Match[str]) -> str:
        name, default = match.groups()
        said = cell if name == "CELL" else os.environ.get(name) or default
        if said is None:
            sys.exit(f"error: {name}= has to be given")
        if re.fullmatch(NUMBER[0], default or "") and not re.fullmatch(NUMBER[0], said):
            sys.exit(f"error: {name}={said}: it is not {NUMBER[1]}")
        return said
    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", one, value)


def parse(file: Path) -> Sections:
    """The sections, by kind (machine, cell, as) and name."""
    ini = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",),
                                       default_section="", empty_lines_in_values=False)
    ini.optionxform = str  # type: ignore[assignment]
    try:
        ini.read_string(file.read_text(encoding="utf-8"), file.name)
    except configparser.Error as error:
        raise ValueError(" ".join(str(error).split())) from error
    except (OSError, UnicodeError) as error:
        raise ValueError("cannot be read") from error
    sections: Sections = {}
    for title in ini.sections():
        kind, _, name = title.partition(" ")
        if kind not in PARENT or not name:
            raise ValueError(f"[{title}]: is no [machine NAME], [cell NAME] or [as NAME]")
        lines = sections[kind, name] = []
        lines += [(key, "=", name) for key in ("cell", "build") if kind == "cell"]
        for option, value in ini.items(title):
            key = option.rstrip("+- ")
            how = option[len(key):].strip() + "="
            if key not in (*KEYS[1:], PARENT[kind]) or how not in ("=", "+=", "-="):
                raise ValueError(f"[{title}]: {option}: there is no such key")
            lines.append((key, how, value))
    return sections


def put_on(sections: Sections, section: tuple[str, str], cell: Cell,
           below: tuple[tuple[str, str], ...] = ()) -> None:
    """Apply a section, and at the line that says so the one that it inherits."""
    below += (section,)
    for key, how, value in sections[section]:
        where, above = f"[{' '.join(section)}]: {key}", (key, value)
        if key == PARENT[section[0]]:
            if above not in sections or above in below:
                raise ValueError(f"{where}: there is no [{' '.join(above)}]")
            put_on(sections, above, cell, below)
            continue
        if section[0] == "as":
            value = expand(value, cell["cell"])
        old, words = cell[key].split(), value.split()
        if how != "=" and key not in LISTS:
            raise ValueError(f"{where}: is one value, not words: write {key} = {value}")
        shape, what = SHAPES.get(key, (r"(?s).*", ""))
        for word in words if key in LISTS else [value]:
            if word and how != "-=" and not re.fullmatch(shape, word):
                raise ValueError(f"{where}: '{word}' is not {what}")
        less = [word for word in old if word not in words]
        cell[key] = " ".join({"=": words, "+=": old + words, "-=": less}[how])


def one_cell(sections: Sections, name: str, also: str = "") -> Cell:
    """also: with [as ALSO] on top, under a name, and if need be a build, of its own."""
    cell = dict.fromkeys(KEYS, "")
    put_on(sections, ("cell", name), cell)
    for key in ("arch", "image", "shows", *(("virtio", "timeout") if cell["qemu"] else ())):
        if not cell[key]:
            raise ValueError(f"[cell {name}]: {key}: is missing")
    if also:
        if not cell["qemu"]:
            sys.exit(f"error: AS={also}: {name} is only built: {cell['shows']}")
        fragments = cell["fragments"]
        put_on(sections, ("as", also), cell)
        cell["cell"] += f"-{also}"
        if cell["fragments"] != fragments:
            cell["build"] += f"-{also}"
    cell["timeout"] = str(sum(map(int, cell["timeout"].split())) or "")
    return cell


def load(file: Path, names: list[str] | None = None, also: str = "") -> dict[str, Cell]:
    """The cells by name, all or those named; also: with that [as NAME] on top."""
    try:
        sections = parse(file)
        cells = {name: one_cell(sections, name) for kind, name in sections if kind == "cell"}
        for name in names or []:
            if name not in cells:
                what = f"unknown cell '{name}'" if name else "give CELL=NAME"
                sys.exit(f"error: {what}: the known ones are {' '.join(cells)}")
        if also and ("as", also) not in sections:
            known = " ".join(name for kind, name in sections if kind == "as")
            sys.exit(f"error: AS={also}: the known ones are {known}")
        return {name: one_cell(sections, name, also) for name in names or cells}
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def main(names: list[str]) -> None:
    file = Path(os.environ.get("CELLS_INI") or Path(__file__).with_name("cells.ini"))
    try:
        for cell in load(file, names, os.environ.get("AS", "")).values():
            print(*(f"CELL_{key}={shlex.quote(value)}" for key, value in cell.items()))
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
