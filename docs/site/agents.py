"""What pages of agents have beside what is written: drawn formulas, links, hyper-parameters, sets and scores."""

import html
import inspect
import logging
import re
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree
from xml.sax.saxutils import unescape

from latex2mathml import converter
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from rl_fn import sets
from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.sets import modules

LOG = logging.getLogger("mkdocs.plugins.agents")  # warnings fail a strict build
AGENTS = {named.agent for named in sets.SETS.values() if modules.is_ours(named.agent)}
_NAME = re.compile(r"(?<!\[)`rl\.([\w.]+)`")
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
_SIM = "\N{TILDE OPERATOR}"
_SPELLED = {r"\arg": r"\text{arg}", r"\sim": _SIM}  # what the converter does not know, or has another sign for
_BELOW = {"msub": "munder", "msubsup": "munderover"}  # where limits of these stand in a formula on lines of its own
_WITH_LIMITS = ("&#x02211;", "&#x0220F;", "max", "min")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lists the pages of agents by family, in the order of their table."""
    index = (Path(config.docs_dir) / "agents" / "index.md").read_text()
    families = [
        {heading: [f"agents/{name}.md" for name in re.findall(r"\]\((\w+)\.md\)", part)]}
        for heading, part in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", index, re.MULTILINE | re.DOTALL)
    ]
    for section in config.nav:
        if "Agents" in section:
            section["Agents"][:0] = ["agents/index.md", *families]
    return config


def on_pre_build(config: MkDocsConfig) -> None:
    """Imports TensorFlow, which structs of hyper-parameters need, before anything does so less quietly."""
    import_tensorflow(compilation_cache=False)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links names to their places in the API, and puts what is known of an agent behind what is written of it."""
    if not page.file.src_uri.startswith("agents/"):
        return markdown
    linked = _NAME.sub(r"[`rl.\1`][rl_fn.\1]", markdown)
    agent = Path(page.file.src_uri).stem
    return f"{linked}\n{hyper_parameters(agent)}\n{scores(agent)}" if agent in AGENTS else linked


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Draws the formulas of any page."""

    def drawn(found: re.Match) -> str:
        tag, latex = found[1], html.unescape(found[2]).strip()
        for command, spelled in _SPELLED.items():
            latex = re.sub(rf"{re.escape(command)}(?![a-zA-Z])", spelled.replace("\\", r"\\"), latex)
        try:
            math = mathml(latex, "block" if tag == "div" else "inline")
        except Exception as error:
            LOG.warning("%s: %s is no formula: %s", page.file.src_uri, latex, error)
            return found[0]
        for unknown in re.findall(r"\\\w+", math):
            LOG.warning("%s: %s in %s cannot be drawn", page.file.src_uri, unknown, latex)
        return f'<{tag} class="formula">{math}</{tag}>'

    return _FORMULA.sub(drawn, content)


def mathml(latex: str, display: Literal["block", "inline"]) -> str:
    """A formula as browsers draw it, with limits and spaces where TeX has them."""
    root = converter.convert_to_element(latex, display=display)
    for element in root.iter():
        if display == "block" and element.tag in _BELOW and element[0].text in _WITH_LIMITS:
            element.tag = _BELOW[element.tag]
        if element.text == _SIM:
            element.tag = "mo"
        elif element.tag in ("mi", "mo") and len(element.text or "") > 1 and str(element.text).isalpha():  # such as log
            element.tag, element.attrib = "mo", {"lspace": "0.17em", "rspace": "0.17em", "movablelimits": "false"}
    return unescape(ElementTree.tostring(root, encoding="unicode"))  # its texts are character references already


def hyper_parameters(agent: str) -> str:
    """The section of an agent's hyper-parameters, its own ones first."""
    from rl_fn.agents.hparams import described
    from rl_fn.search import space

    struct = sets.hparams_struct(agent)
    own = inspect.get_annotations(struct)
    rows = [
        [f"`{field.name}`", f"`{field.default}`", field.doc, str(field.search or "") * (field.name not in space.NEVER)]
        for field in sorted(described(struct).values(), key=lambda field: field.name not in own)
    ]
    text = f"Those of `{struct.__name__}`, first what this agent adds or sets anew. The range is where a "
    text += "[search](../search.md) looks unless told where."
    return f"## Hyper-parameters\n\n{text}\n\n{_table(['name', 'default', 'meaning', 'usual range'], rows)}"


def scores(agent: str) -> str:
    """The section of an agent's named sets and what they score."""
    from benchmarks import learning

    measured = learning.read_rows()
    named = [name for name, one in sets.SETS.items() if one.agent == agent]
    named += [name for name, row in measured.items() if name not in named and row["agent"] == agent]
    rows, pictures, commands = [], {}, []
    for name in named:
        env = sets.find(name).env
        if env and name in measured:
            cells = learning.scores(measured[name])
            commands.append(measured[name]["command"])
            pictures[env] = f"![Learning curves in {env}](../results/{learning.picture(env).name})"
        else:
            cells = [f"{learning.steps_of(name):,}", "not measured" if env else "", "", ""]
            commands.append(learning.shown(name, learning.SEEDS))
        rows.append([f"`{name}`", env or "any", *cells])
    head = ["set", "environment", "steps", "median", "IQM (interval)", "worst"]
    text = "Five seeds unless it says fewer, each with 100 whole episodes of its last parameters without exploration; "
    text += "[how](../results.md)."
    curves = "\n\n".join(["Curves of all agents measured there:", *pictures.values()] if pictures else [])
    typed = "\n".join(["```text", *commands, "```"])
    return f"## Sets and scores\n\n{text}\n\n{_table(head, rows)}\n\n{typed}\n\n{curves}\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
