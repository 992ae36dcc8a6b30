"""A window that shows pictures as they come. Needs pygame, of the `video` extra."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any

import numpy as np


class Window:
    """A window that shows one picture after the other at their pace, until it is closed.

    Raises:
      ValueError: where there is no display, or no pygame.
    """

    def __init__(self, title: str, rate: float):
        self._pygame, self._rate = _display(), rate
        self._clock = self._pygame.time.Clock()
        self._surface: Any = None
        self._title = title
        self.is_open = True

    def show(self, picture: np.ndarray) -> None:
        """Shows a picture `uint8[H, W, 3]`, when it is time for it."""
        if self.is_open and any(event.type == self._pygame.QUIT for event in self._pygame.event.get()):
            self.close()
        if not self.is_open:
            return
        height, width, _ = picture.shape
        if self._surface is None or self._surface.get_size() != (width, height):
            self._surface = self._pygame.display.set_mode((width, height))
            self._pygame.display.set_caption(self._title)
        self._surface.blit(self._pygame.image.frombuffer(picture.tobytes(), (width, height), "RGB"), (0, 0))
        self._pygame.display.flip()
        self._clock.tick(self._rate)

    def close(self) -> None:
        """Closes the window."""
        if self.is_open:
            self._pygame.display.quit()
        self.is_open = False


def _display() -> Any:
    if importlib.util.find_spec("pygame") is None:
        raise ValueError('a window needs pygame, which is not installed: pip install "rl-fn[video]"')
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    wanted = os.environ.get("SDL_VIDEODRIVER")
    if sys.platform.startswith("linux") and not (
        wanted or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise ValueError("there is no display to open a window on: DISPLAY is not set; record films instead")
    import pygame

    pygame.display.quit()  # what draws pictures may have started it before, without a screen
    try:
        pygame.display.init()
    except pygame.error as error:
        raise ValueError(f"there is no display to open a window on: {error}; record films instead") from None
    return pygame
