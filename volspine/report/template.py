"""The name of a page -> its Jinja template; every value that is filled in is escaped.

Style and script of a page stand in files beside it. A page lets a browser run these very texts and
nothing else: its Content-Security-Policy names their sha256, and no network.
"""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["Inline", "inline", "page_template"]


class Inline(NamedTuple):
    """A text that is written into a page as it is.

    Attributes:
        text: Trusted: one of the package's own files. Its class says so to Jinja.
        source: What the Content-Security-Policy calls it.
    """

    text: str
    source: str


@cache
def page_template(name: str) -> "Template":
    """Return a template of `volspine/report/templates`; a value that it lacks is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("volspine.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{name}.html.j2")


@cache
def inline(name: str) -> Inline:
    """Return a style or script of `volspine/report/templates`, such as `report.css`."""
    from markupsafe import Markup

    text = files("volspine.report").joinpath("templates", name).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return Inline(Markup(text), f"'sha256-{digest}'")  # noqa: S704 - A file of this package.
