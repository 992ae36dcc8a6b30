"""Pictures of grids of coloured cells, and of labelled rows of them, in NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

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


def _cell_size(rows: int, columns: int, pixels: int) -> int:
    """Even, so that the picture's sides are: video encoders want that."""
    return max(2, pixels // max(rows, columns) // 2 * 2)


def _join(tiles: np.ndarray) -> np.ndarray:
    """Puts tiles `[rows, columns, height, width, 3]` together, each with a border where it is large enough."""
    rows, columns, height, width, _ = tiles.shape
    if min(height, width) >= 6:
        tiles[:, :, [0, -1]] = LINE
        tiles[:, :, :, [0, -1]] = LINE
    return tiles.swapaxes(1, 2).reshape(rows * height, columns * width, 3)
