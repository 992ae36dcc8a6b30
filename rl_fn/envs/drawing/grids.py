"""Pictures of grids of coloured cells, and of labelled rows of them, in NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from rl_fn.envs.drawing import pixel_font

Color: TypeAlias = tuple[int, int, int]

# Okabe and Ito (2008), "Color universal design": distinguishable with every common kind of colour vision.
ORANGE: Color = (230, 159, 0)
SKY_BLUE: Color = (86, 180, 233)
GREEN: Color = (0, 158, 115)
YELLOW: Color = (240, 228, 66)
BLUE: Color = (0, 114, 178)
VERMILLION: Color = (213, 94, 0)
PURPLE: Color = (204, 121, 167)

WHITE: Color = (245, 245, 245)
GREY: Color = (140, 144, 152)
EMPTY: Color = (24, 26, 32)
LINE: Color = (56, 60, 70)

PIXELS = 360  # the longer side of a picture, about
STRIP_HEIGHT = 32  # of the cells of a labelled row
MARK_PIXELS = 16  # the least size of a mark, which may be larger than its cell
MARGIN = 6  # around the labels of rows

Shape: TypeAlias = Literal["disc", "diamond"]


class Mark(NamedTuple):
    """A shape inside one cell."""

    row: int
    column: int
    color: Color
    shape: Shape = "disc"


class Strip(NamedTuple):
    """A row of cells under a label."""

    label: str  # as pixel_font can write it
    colors: Sequence[Color]  # of the cells
    marks: Sequence[Mark] = ()  # in row 0


def draw_channels(channels: np.ndarray, colors: Sequence[Color], pixels: int = PIXELS) -> np.ndarray:
    """Draws a grid whose cells hold several things at once, one channel for each kind.

    Where several channels are active in a cell, their colours are nested squares, the first outermost.

    Args:
      channels: `bool[H, W, C]`.
      colors: C colours.
      pixels: about the length of the picture's longer side.

    Returns:
      `uint8[H', W', 3]`.

    Raises:
      ValueError: if `channels` has another rank, or there is not one colour for each channel.
    """
    channels = np.asarray(channels, bool)
    if channels.ndim != 3 or channels.shape[-1] != len(colors):
        raise ValueError(
            f"draw_channels: channels has shape {channels.shape} with {len(colors)} colors, "
            "expected [H, W, C] with C colors"
        )
    size = _cell_size(channels.shape[0], channels.shape[1], pixels)
    active_first = np.argsort(~channels, axis=-1, kind="stable")
    number_active = channels.sum(axis=-1)[..., np.newaxis, np.newaxis]
    ring = np.minimum(np.arange(size), size - 1 - np.arange(size))
    depth = 2 * np.minimum(ring[:, np.newaxis], ring) / size  # 0 at the edge of a cell, below 1 at its centre
    layer = (depth * number_active).astype(int)  # [H, W, size, size]
    row, column = np.indices(channels.shape[:2])[..., np.newaxis, np.newaxis]
    tiles = np.array(colors, np.uint8)[active_first[row, column, layer]]
    tiles[np.broadcast_to(number_active, layer.shape) == 0] = EMPTY
    return _join(tiles)


def draw_cells(colors: np.ndarray, marks: Sequence[Mark] = (), pixels: int = PIXELS) -> np.ndarray:
    """Draws a grid of cells of one colour each, with marks in some of them.

    Args:
      colors: `uint8[H, W, 3]`.
      marks: in the order of drawing.
      pixels: about the length of the picture's longer side.

    Returns:
      `uint8[H', W', 3]`.
    """
    size = _cell_size(colors.shape[0], colors.shape[1], pixels)
    return _draw(colors, marks, size, size)


def draw_strips(strips: Sequence[Strip], pixels: int = PIXELS) -> np.ndarray:
    """Draws labelled rows of cells below each other; `pixels` is the picture's width, in which long rows wrap."""
    parts = []
    for strip in strips:
        room = pixels - 2 * MARGIN
        columns = min(len(strip.colors), room // 3)
        rows = -(-len(strip.colors) // columns)
        colors = np.full((rows * columns, 3), EMPTY, np.uint8)
        colors[: len(strip.colors)] = strip.colors
        width = min(STRIP_HEIGHT, room // columns)
        marks = [mark._replace(row=mark.column // columns, column=mark.column % columns) for mark in strip.marks]
        cells = _draw(colors.reshape(rows, columns, 3), marks, STRIP_HEIGHT, width)
        parts.append(label_above(strip.label, cells, pixels))
    return np.concatenate(parts)


def label_above(label: str, picture: np.ndarray, pixels: int = PIXELS) -> np.ndarray:
    """Adds margins and a line of text to a picture; the result is `pixels` wide, or as the picture needs."""
    pixels = max(pixels, picture.shape[1] + 2 * MARGIN)
    letters = pixel_font.text_mask(label)[:, : pixels - MARGIN]
    labelled = np.full((letters.shape[0] + picture.shape[0] + 3 * MARGIN, pixels, 3), EMPTY, np.uint8)
    labelled[MARGIN:, MARGIN:][: letters.shape[0], : letters.shape[1]][letters] = WHITE
    labelled[letters.shape[0] + 2 * MARGIN :, MARGIN:][: picture.shape[0], : picture.shape[1]] = picture
    return labelled


def progress(time: int, length: int) -> Strip:
    """How much of an episode of `length` steps has passed, with the agent at the end of it."""
    cells = min(length, 100)
    place = time * cells // length
    colors = [GREEN if cell < place else LINE for cell in range(cells + 1)]
    return Strip(f"STEP {time} OF {length}", colors, [Mark(0, place, ORANGE)])


def _draw(colors: np.ndarray, marks: Sequence[Mark], height: int, width: int) -> np.ndarray:
    tiles = np.broadcast_to(colors[:, :, np.newaxis, np.newaxis], (*colors.shape[:2], height, width, 3)).copy()
    picture = _join(tiles)
    size = max(min(height, width), MARK_PIXELS)
    for mark in marks:
        # Centred in its cell, and cut off at the edges of the picture where it is larger than that.
        top, left = mark.row * height + (height - size) // 2, mark.column * width + (width - size) // 2
        above, before = max(-top, 0), max(-left, 0)
        area = picture[top + above : top + size, left + before : left + size]
        coverage = _coverage(mark.shape, size)[above:, before:][: area.shape[0], : area.shape[1]]
        area[...] = np.round(area + coverage * (np.array(mark.color) - area.astype(float)))
    return picture


def _coverage(shape: Shape, size: int) -> np.ndarray:
    """How much of each pixel of a square a shape covers, `[size, size, 1]`, from 4 x 4 points in each."""
    x = np.abs((np.arange(4 * size) + 0.5) / (2 * size) - 1)
    y = x[:, np.newaxis]
    distance = {"disc": np.hypot(x, y) / 0.7, "diamond": (x + y) / 0.8}[shape]
    return (distance < 1).reshape(size, 4, size, 4).mean(axis=(1, 3))[..., np.newaxis]


def _cell_size(rows: int, columns: int, pixels: int) -> int:
    """Even, so that the picture's sides are: video encoders want that."""
    return max(2, pixels // max(rows, columns) // 2 * 2)


def _join(tiles: np.ndarray) -> np.ndarray:
    """Puts tiles `[rows, columns, height, width, 3]` together, each with a border where it is large enough."""
    rows, columns, height, width, _ = tiles.shape
    if min(height, width) >= 10:
        tiles[:, :, [0, -1]] = LINE
        tiles[:, :, :, [0, -1]] = LINE
    return tiles.swapaxes(1, 2).reshape(rows * height, columns * width, 3)
