"""What is said of a field in a comment or by `field(default, doc)`, as its docstring on the site."""

import re

import griffe

_SAID = re.compile(r'(?:field|setting)\(\s*[^"]*?,\s*"([^"]+)"|(?:setting)\(\s*"([^"]+)"', re.DOTALL)
_COMMENT = re.compile(r"\s#\s(.+)$")


class FieldComments(griffe.Extension):
    """Gives fields of structs the comment behind them, or on the line above, for a docstring."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **kwargs) -> None:
        """See griffe."""
        if attr.docstring or not attr.parent.is_class or not attr.lineno:
            return
        lines = attr.lines_collection[attr.filepath]
        above, own = lines[attr.lineno - 2].strip(), lines[attr.lineno - 1 : attr.endlineno]
        said, comment = _SAID.search("\n".join(own)), _COMMENT.search(own[-1])
        text = (said[1] or said[2]) if said else comment[1] if comment else ""
        if not text and above.startswith("# "):
            text = above.removeprefix("# ")
        if text:
            attr.docstring = griffe.Docstring(text[0].upper() + text[1:], parent=attr, lineno=attr.lineno)
