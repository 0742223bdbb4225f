"""HTML from documents and data: the templates escape every text that goes in."""

from __future__ import annotations

import base64
import re
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from cmg.report.colors import code_color, heat, palette_css, text_on
from cmg.report.document import Block, Document
from cmg.report.prose import percent

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def page(document: Document) -> str:
    """The whole page: nothing in it is loaded from elsewhere."""
    return str(fill("page", document=document, style=Markup(stylesheet())))


def stylesheet() -> str:
    """The style of every page and every picture."""
    rules = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return palette_css() + rules


def fill(template: str, package: str = "cmg.report", **values: Any) -> Markup:
    """A file of ``templates/`` with its values.

    Args:
        template: Its name, without the ending.
        package: Whose; its templates may use those of reports.
        **values: What it asks for; plain text is escaped.
    """
    return Markup(_environment(package).get_template(f"{template}.html").render(**values))


def standalone(drawing: str) -> str:
    """A drawing of a page as a file of its own, which loads nothing: in the light colors."""
    rules = re.findall(r"^(?::root|svg)[^{]*\{[^}]*\}", stylesheet(), re.MULTILINE)
    head, _, body = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", drawing).partition(">")
    head = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    page = '<rect width="100%" height="100%" style="fill:var(--page)"/>'
    return f"{head}><style><![CDATA[{''.join(rules)}]]></style>{page}{body}\n"


def data_uri(kind: str, content: bytes) -> str:
    """A file as a URI that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def prose(text: str) -> Markup:
    """Plain text, escaped, in its lines; numbers stay on the line of their percent sign."""
    return escape(text).replace(" %", Markup("&nbsp;%")).replace("\n", Markup("<br>"))


@cache
def _environment(package: str) -> Environment:
    packages = dict.fromkeys((package, "cmg.report"))
    made = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in packages]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.filters |= {"prose": prose, "percent": percent}
    made.globals |= {"code_color": code_color, "text_on": text_on, "heat": heat, "kind_of": _kind}
    return made


def _kind(block: Block) -> str:
    return type(block).__name__
