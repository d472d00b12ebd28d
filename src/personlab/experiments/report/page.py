"""The report's page: one HTML file that holds everything it needs."""

from __future__ import annotations

import base64
import gzip
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from personlab import __version__
from personlab.experiments.comparison import Comparison
from personlab.experiments.provenance import now
from personlab.experiments.report.charts import chart_data
from personlab.experiments.report.gallery import Gallery
from personlab.experiments.report.views import page_view
from personlab.files import write_atomically
from personlab.visualization.people import SCORE_THRESHOLD


def write_report(
    path: str | Path, comparison: Comparison, gallery: Gallery | None = None, resamples: int = 0, title: str = ""
) -> int:
    """Write a comparison as one HTML file.

    Its names are text whatever they hold, its policy forbids to load anything, and its script is its own, plotly.js
    (compressed, as installed with the package plotly) included.

    Args:
        path: The file.
        comparison: What to show.
        gallery: Images, if there are any.
        resamples: What intervals over images were made with.
        title: Its heading.

    Returns:
        Its size in bytes.

    Raises:
        InputError: If it cannot be written.
    """
    content = render(comparison, gallery, resamples, title).encode()
    write_atomically(path, content)
    return len(content)


def render(comparison: Comparison, gallery: Gallery | None, resamples: int, title: str) -> str:
    """The page as text; see `write_report`."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    data = chart_data(comparison)
    view = page_view(comparison, data) | {
        "title": title or f"{len(comparison.rows) + len(comparison.unscored)} runs compared",
        "resamples": resamples if comparison.evidence else 0,
        "gallery": gallery,
        "least_score": SCORE_THRESHOLD,
        "version": __version__,
        "date": now(),
    }
    names = {
        "settings": "Settings", "runs": "Runs", "curves": "Learning curves", "cost": "Accuracy and cost",
        "deltas": "Sizes and keypoints", "errors": "Errors", "sweep": "Settings that vary", "gallery": "Images",
        "differences": "Differences", "unscored": "Not finished",
    }  # fmt: skip
    present = {**view, "curves": True, "deltas": view["sizes"] or view["keypoints"], "unscored": True}
    sections = [("images" if n == "gallery" else n, name) for n, name in names.items() if present[n]]
    script = "\n".join(_own(name) for name in ("page.common.js", "page.curves.js", "page.charts.js", "page.js"))
    return environment.from_string(_own("page.html")).render(
        **view, sections=sections, css=Markup(_own("page.css")), js=Markup(script), data=_json(data),
        plotly=Markup(_plotly()),
    )  # fmt: skip


def _own(name: str) -> str:
    return (files("personlab.experiments.report") / name).read_text(encoding="utf-8")


def _json(content: Any) -> Markup:
    """JSON that no name in it can end the script element of, nor begin a comment in."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _plotly() -> str:
    """plotly.js, compressed: a third of its size, and nothing in it that could end a script element."""
    from plotly.offline import get_plotlyjs  # a second to import, and only a report needs it

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode("ascii")
