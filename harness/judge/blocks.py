# SPDX-License-Identifier: GPL-2.0
"""What a report is made of: each function gives a pair, HTML and markdown."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from html import escape
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, Union

WORD = {"pass": "passed", "fail": "failed", "skip": "skipped", "built": "built",
        "not run": "not run"}
SIGN = {"pass": "✓", "fail": "✗", "skip": "○", "built": "✓", "not run": "–", "none": "–",
        "stale": "↻"}

Block = tuple[str, str]


class Field(NamedTuple):
    """Of a table: its text; on the page its class, what is there instead, and below."""
    text: str
    state: str = ""
    main: str = ""
    small: tuple[str, ...] = ()


Row = list[Union[str, Field]]


def tag(name: str, text: str, **attributes: str) -> str:
    """text is HTML already; class_ is class."""
    said = "".join(f' {key.rstrip("_")}="{escape(value.replace("not run", "not-run"))}"'
                   for key, value in attributes.items() if value)
    return f"<{name}{said}>{text}</{name}>"


def plain(text: str) -> str:
    """In markdown: what is in angle brackets is no markup, a line is one line."""
    return re.sub(r"<(?=[\w/!])", r"\\<", " ".join(text.split()))


def join(blocks: list[Block]) -> Block:
    return "".join(html for html, _ in blocks), "\n\n".join(md for _, md in blocks if md)


def words(text: str) -> Block:
    return tag("p", escape(text)), plain(text)


def heading(text: str, level: int = 2) -> Block:
    return tag(f"h{level}", escape(text)), f"{'#' * level} {text}"


def chips(before: str, counts: Iterable[tuple[int, str, str]]) -> Block:
    """How many, of what, and its class."""
    some = [count for count in counts if count[0]]
    return (tag("p", escape(before) + " ".join(
        tag("span", f"{SIGN[state]} {n} {escape(word)}", class_=state) for n, word, state in some)),
        before + ", ".join(f"{n} {word}" for n, word, _ in some) + ".")


def field_html(cell: Field) -> str:
    kind = "long" if len(cell.text) > 40 else "number" * bool(
        re.fullmatch(r"[-+]?[\d.]+( %)?|-|same", cell.text))
    text = escape(cell.text) if not cell.main else tag("b", escape(cell.main)) + "".join(
        tag("small", escape(line), class_="stale" * (line[0] == "↻")) for line in cell.small)
    return tag("td", text, class_=cell.state or kind)


def table(head: list[str], rows: list[Row], spans: list[str] | None = None) -> Block:
    """The first column is what a row is about. spans: a word above each heading, or none."""
    fields = [[cell if isinstance(cell, Field) else Field(cell) for cell in row] for row in rows]
    pairs = list(zip(spans or [""] * len(head), head))
    top = "".join(
        tag("th", escape(span), colspan=str(len(list(group)))) if span else "".join(
            tag("th", escape(word), rowspan="2" if spans else "") for _, word in group)
        for span, group in groupby(pairs, lambda pair: pair[0]))
    low = "".join(tag("th", escape(word)) for span, word in pairs if span)
    body = "".join(tag("tr", tag("th", escape(first.text), scope="row")
                       + "".join(map(field_html, rest))) for first, *rest in fields)
    lines = [head, ["---"] * len(head),
             *([plain(cell.text).replace("|", "\\|") for cell in row] for row in fields)]
    return (tag("div", tag("table", tag("thead", tag("tr", top) + (tag("tr", low) if low else ""))
                           + tag("tbody", body)), class_="scroll main" if low else "scroll",
                tabindex="0"),
            "\n".join(f"| {' | '.join(line)} |" for line in lines))


def fold(title: str, block: Block, is_open: bool = False, name: str = "", state: str = "") -> Block:
    """A link to what is within opens it; one to the element itself does not."""
    chip = tag("span", f"{SIGN[state]} {WORD[state]}", class_=state) if state else ""
    return ("<details" + " open" * is_open + ">" + tag("summary", f"{escape(title)} {chip}")
            + tag("div", block[0], id=name) + "</details>",
            (f"### {title}: {WORD[state]}\n\n" if state else "") + block[1])


def facts(lines: list[tuple[str, list[str]]]) -> Block:
    return (tag("dl", "".join(tag("dt", title) + "".join(
        tag("dd", escape(text), class_="fail" * (title == "failed")) for text in texts)
        for title, texts in lines)),
        "\n".join(f"- {title}: {plain(text)}" for title, texts in lines for text in texts))


def image(file: Path, where: str) -> Block:
    """The page has it inside, the markdown says where it is."""
    data = base64.b64encode(file.read_bytes()).decode()
    return (f'<img alt="{file.stem}" src="data:image/svg+xml;base64,{data}">',
            f"![{file.stem}]({where}{file.name})")


def document(title: str, style: str, blocks: list[Block]) -> Block:
    html, markdown = join([heading(title, 1), *blocks])
    return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(title)}</title><style>{style}</style></head>"
            f"<body>{html}</body></html>\n", markdown + "\n")
