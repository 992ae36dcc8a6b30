from pathlib import Path

import rl_fn


def test_only_what_has_a_fallback_imports_what_tensorflow_keeps_private():
    package = Path(rl_fn.__file__).parent
    sources = [path for path in package.rglob("*.py") if "tensorflow.python" in path.read_text()]
    names = sorted(path.relative_to(package).as_posix() for path in sources)
    assert names == ["_src/xla/autograph.py", "_src/xla/calls.py", "_src/xla/copies.py"]
