"""What is settled before TensorFlow is imported."""

import os
import subprocess
import sys

import pytest
import tensorflow as tf

from rl_fn._src.xla import startup

NEW, OLD = "flags : fpu avx512f avx512_vbmi2 avx512_vnni", "flags : fpu avx512f avx512_vnni"
WIDE = "--xla_cpu_prefer_vector_width=512"


@pytest.mark.parametrize(
    ("processor", "given", "flags"),
    [
        (NEW, "", WIDE),
        (NEW, "--xla_dump_to=here", f"--xla_dump_to=here {WIDE}"),
        (NEW, "--xla_cpu_prefer_vector_width=128", "--xla_cpu_prefer_vector_width=128"),
        (OLD, "", ""),
        ("arm64 arm", "--xla_dump_to=here", "--xla_dump_to=here"),
    ],
)
def test_wide_vectors_are_for_newer_processors_and_for_whoever_has_not_chosen(processor, given, flags, monkeypatch):
    monkeypatch.setattr(startup, "_processor", lambda: processor)
    monkeypatch.setenv("XLA_FLAGS", given)
    assert startup.xla_flags() == flags


def test_nothing_is_changed_where_tensorflow_is_there_already(monkeypatch):
    monkeypatch.setattr(startup, "_processor", lambda: NEW)
    monkeypatch.setenv("XLA_FLAGS", "")
    startup.use_wide_vectors()
    assert tf.__name__ in sys.modules
    assert os.environ["XLA_FLAGS"] == ""


@pytest.mark.parametrize(("processor", "flags"), [(NEW, WIDE), (OLD, None)])
def test_a_command_has_wide_vectors_and_xla_takes_the_flag(processor, flags):
    code = f"""import os
from rl_fn._src.xla import startup
startup._processor = lambda: {processor!r}
from rl_fn.commands import main
main(["show", "ppo_cartpole"])
import tensorflow as tf
print(os.environ.get("XLA_FLAGS"), int(tf.function(lambda: tf.constant(1) + 1, jit_compile=True)()))"""
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert answer.stdout.splitlines()[-1] == f"{flags} 2"
