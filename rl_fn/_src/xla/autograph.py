"""Keeps AutoGraph away from this library, which is written without it.

A `tf.function` of a user's converts all that is called inside of it, unless told otherwise: that doubles the time to
trace, and warns of each function whose syntax AutoGraph does not know. The rules that say which packages are left
alone have no public name; where it is gone, functions are converted as before.
"""

from __future__ import annotations

try:
    from tensorflow.python.autograph.core import config
except ImportError:
    config = None


def leave_alone(package: str) -> None:
    """Has AutoGraph call the functions of a package as they are."""
    rules, rule = getattr(config, "CONVERSION_RULES", None), getattr(config, "DoNotConvert", None)
    if isinstance(rules, tuple) and rule is not None:
        config.CONVERSION_RULES = (rule(package), *rules)
