"""The documentation's Python blocks run as printed."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
BLOCKS = [
    pytest.param(block, id=f"{path.name}-{index}")
    for path in sorted(DOCS.glob("**/*.md"))
    for index, block in enumerate(re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_block_runs(block):
    exec(compile(block, "<documentation>", "exec"), {"__name__": "documentation"})
