// SPDX-License-Identifier: GPL-2.0
// Where the functions FUNCTIONS, of the environment, can be broken: a line for each place,
// KIND LINE COLUMN LINE_END COLUMN_END, for mutate.py. What is in the function is told by the
// position: a pattern of a path through it (<... ...>) takes minutes instead of seconds.
@initialize:python@
@@
import os

def inside(p):
    return p[0].current_element in os.environ["FUNCTIONS"].split()

def say(kind, p):
    for place in p:
        print(kind, place.line, place.column, place.line_end, place.column_end)

@r1@
statement S;
position p : script:python() { inside(p) };
@@
 S@p
@script:python@
p << r1.p;
@@
say("statement", p)

@r2@
expression E;
statement S, S2;
position p : script:python() { inside(p) };
@@
(
 if (E@p) S else S2
|
 while (E@p) S
|
 for (...; E@p; ...) S
)
@script:python@
p << r2.p;
@@
say("condition", p)

@r3@
expression E, E1, E2;
binary operator o = {&&, ||};
position p : script:python() { inside(p) };
@@
(
 E@p ? E1 : E2
|
 E@p o E2
)
@script:python@
p << r3.p;
@@
say("condition", p)

@r4@
expression E, E1;
binary operator o = {&&, ||};
position p : script:python() { inside(p) };
@@
 E1 o E@p
@script:python@
p << r4.p;
@@
say("condition", p)

@r5@
expression E1, E2;
binary operator o = {&&, ||, <, <=, >, >=};
position p : script:python() { inside(p) };
@@
 E1 o@p E2
@script:python@
p << r5.p;
@@
say("operator", p)

@r6@
expression E;
identifier f;
position p : script:python() { inside(p) };
@@
 f(..., E@p, ...)
@script:python@
p << r6.p;
@@
say("argument", p)
