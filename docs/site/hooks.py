"""What the site has beside its pages: the files of the project that they link to, and a look at what is documented."""

import logging
import os
import re
from pathlib import Path

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
LOG = logging.getLogger("mkdocs.plugins.documented")  # warnings fail a strict build
_INNER = ("envs.wrappers", "runs.reporters")  # public, too
_COLLECTIONS = ("agents", "media")  # of modules that are used by their names
_OUTSIDE = re.compile(r"\]\(((?:\.\./)+([^)#]+))(#[^)]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lists the pages of all public modules, and at the end those that nobody has given a place."""
    modules = sorted([*_public(), *_INNER])
    for section in config.nav:
        if "API" in section:
            section["API"] = ["api/index.md", *[{module: f"api/{module}.md"} for module in modules]]
    placed = re.findall(r"[\w./]+\.md", str(config.nav))
    rest = [path.name for path in sorted(Path(config.docs_dir).glob("*.md")) if path.name not in placed]
    config.nav += [{"More": rest}] if rest else []
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for each public module, and for each other file of the project that a page links to."""
    for module in [*_public(), *_INNER]:
        if (name := f"api/{module}.md") not in files.src_uris:
            files.append(File.generated(config, name, content=_page(module)))
    for page in list(files.documentation_pages()):
        for path in _outside(page):
            name = f"project/{path}.md"
            if name not in files.src_uris:
                fence = "````" + Path(path).suffix.removeprefix(".").replace("py", "python")
                content = f"# {path}\n\n{fence}\n{(ROOT / path).read_text()}````\n"
                files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page, config: MkDocsConfig, files: Files) -> str:
    """Turns links to these files into links to their pages."""
    for path in _outside(page.file):
        up = os.path.relpath(f"project/{path}.md", Path(page.file.src_uri).parent)
        for link in {match[1] for match in _OUTSIDE.finditer(markdown) if _target(page.file, match[1]) == path}:
            markdown = re.sub(rf"\]\({re.escape(link)}(#[^)]*)?\)", f"]({up})", markdown)
    return markdown


def on_pre_build(config: MkDocsConfig) -> None:
    """Warns where something public has no docstring."""
    package = griffe.load("rl_fn", search_paths=[str(ROOT)], try_relative_path=False, resolve_aliases=True)
    for name in _public():
        for path in _undocumented(package[name]):
            LOG.warning("%s has no docstring", path)


def _public() -> list[str]:
    """The public modules."""
    (listed,) = re.findall(r"__all__ = \[(.*?)\]", (ROOT / "rl_fn" / "__init__.py").read_text(), re.DOTALL)
    return re.findall(r'"([a-z]\w*)"', listed)


def _page(module: str) -> str:
    """The page of a module, and of all that it consists of where it is a collection."""
    sections = [f"# rl_fn.{module}\n\n::: rl_fn.{module}\n"]
    if module in _COLLECTIONS:
        for path in sorted((ROOT / "rl_fn" / module).glob("[a-z]*.py")):
            name = f"rl_fn.{module}.{path.stem}"
            sections.append(f"## {name}\n\n::: {name}\n    options:\n      heading_level: 3\n")
    return "\n".join(sections)


def _undocumented(module: griffe.Module) -> list[str]:
    missing = []
    for name, member in module.members.items():
        if name.startswith("_") or (member.is_alias and name not in (module.exports or [])):
            continue
        found = member.final_target if member.is_alias else member
        parts = [found]
        if found.is_class:
            parts += [one for key, one in found.members.items() if one.is_function and not key.startswith("_")]
        missing += [one.path for one in parts if (one.is_function or one.is_class) and not one.has_docstring]
    return missing


def _outside(file: File) -> list[str]:
    """The files that a page links to, by their paths in the project."""
    if file.generated_by or not file.abs_src_path:
        return []
    links = {match[1] for match in _OUTSIDE.finditer(Path(file.abs_src_path).read_text())}
    return sorted(path for link in links if (path := _target(file, link)))


def _target(file: File, link: str) -> str | None:
    path = os.path.normpath(Path("docs") / Path(file.src_uri).parent / link)
    return path if not path.startswith("docs") and (ROOT / path).is_file() else None
