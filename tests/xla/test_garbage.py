"""When Python looks for reference cycles."""

import gc
import subprocess
import sys

import pytest

from rl_fn._src.xla.garbage import collected_later


def test_no_search_until_the_end():
    assert gc.isenabled()
    with collected_later():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), collected_later():
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    try:
        with collected_later():
            pass
        assert not gc.isenabled()  # it was off before
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "imported",
    ["from rl_fn._src.xla.startup import import_tensorflow; import_tensorflow(False)", "rl_fn.losses.l2_loss"],
)
def test_what_tensorflow_imports_is_left_out_of_later_searches(imported):
    code = f"import gc, rl_fn; {imported}; print(gc.isenabled(), gc.get_freeze_count() > 5 * len(gc.get_objects()))"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout.split() == ["True", "True"]
