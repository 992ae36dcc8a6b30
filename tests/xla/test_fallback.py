from pathlib import Path

import rl_fn


def test_only_what_vectorises_over_copies_imports_what_tensorflow_keeps_private():
    package = Path(rl_fn.__file__).parent
    sources = [path for path in package.rglob("*.py") if "tensorflow.python" in path.read_text()]
    assert [path.relative_to(package).as_posix() for path in sources] == ["_src/xla/copies.py"]
