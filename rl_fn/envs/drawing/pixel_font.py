"""A tiny font of capitals and digits, for labels in pictures made with NumPy alone."""

from __future__ import annotations

import numpy as np

HEIGHT = 5  # of every glyph; widths differ

# Each glyph from its top row to its bottom row.
_DRAWN = """
0 ### #.# #.# #.# ###
1 .#. ##. .#. .#. ###
2 ##. ..# .#. #.. ###
3 ### ..# .## ..# ###
4 #.# #.# ### ..# ..#
5 ### #.. ##. ..# ##.
6 .## #.. ### #.# ###
7 ### ..# .#. .#. .#.
8 ### #.# ### #.# ###
9 ### #.# ### ..# ##.
A .#. #.# ### #.# #.#
B ##. #.# ##. #.# ##.
C .## #.. #.. #.. .##
D ##. #.# #.# #.# ##.
E ### #.. ##. #.. ###
F ### #.. ##. #.. #..
G .### #... #.## #..# .###
H #.# #.# ### #.# #.#
I ### .#. .#. .#. ###
J ..# ..# ..# #.# .#.
K #..# #.#. ##.. #.#. #..#
L #.. #.. #.. #.. ###
M #...# ##.## #.#.# #...# #...#
N #..# ##.# #.## #..# #..#
O .##. #..# #..# #..# .##.
P ##. #.# ##. #.. #..
Q .##. #..# #..# #.#. .#.#
R ##. #.# ##. #.# #.#
S .## #.. .#. ..# ##.
T ### .#. .#. .#. .#.
U #.# #.# #.# #.# ###
V #.# #.# #.# #.# .#.
W #...# #...# #.#.# ##.## #...#
X #.# #.# .#. #.# #.#
Y #.# #.# .#. .#. .#.
Z ### ..# .#. #.. ###
. . . . . #
, . . . # #
: . # . # .
- ... ... ### ... ...
? ### ..# .#. ... .#.
"""
_GLYPHS = {
    name: np.array([[pixel == "#" for pixel in row] for row in rows])
    for name, *rows in (line.split() for line in _DRAWN.strip().splitlines())
}
_GLYPHS[" "] = np.zeros((HEIGHT, 2), bool)


def text_mask(text: str, scale: int = 2) -> np.ndarray:
    """Where the letters of a line of text are, `bool[HEIGHT * scale, width]`.

    Args:
      text: capitals, digits, spaces and `.,:-?`.
      scale: pixels per dot.

    Raises:
      ValueError: if a character has no glyph.
    """
    unknown = sorted(set(text) - set(_GLYPHS))
    if unknown:
        raise ValueError(f"text_mask: no glyph for {', '.join(map(repr, unknown))}, there are {''.join(_GLYPHS)!r}")
    gap = np.zeros((HEIGHT, 1), bool)
    dots = np.concatenate([part for character in text for part in (_GLYPHS[character], gap)], axis=1)
    return dots.repeat(scale, axis=0).repeat(scale, axis=1)
