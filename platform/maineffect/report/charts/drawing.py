"""Drawing: a Vega-Lite specification becomes a small SVG that is safe inside a page.

vl-convert draws without a network and to the same bytes each time. The SVG is then simplified: marks that draw
nothing and inner ARIA are dropped, numbers rounded to a tenth of a pixel, ids made unique to the panel, circle paths
turned into circles, and the theme's colours turned into CSS variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from maineffect.report.charts.theme import CSS_VARIABLES, config

if TYPE_CHECKING:
    from altair import TopLevelMixin as Chart

__all__ = ["Chart", "chart_of", "draw_png", "draw_svg", "finish", "inline_data", "inline_svg"]

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_DROPPED = {"role", "aria-roledescription", "aria-hidden", "aria-label", "class", "pointer-events", "stroke-miterlimit"}
_NUMBER = re.compile(r"-?\d+\.\d{2,}(?:e-?\d+)?")
_CIRCLE = re.compile(r"^M([\d.]+),0A\1,\1,0,1,1,-\1,0A\1,\1,0,1,1,\1,0$")
_SHIFT = re.compile(r"^translate\(([-\d.]+),([-\d.]+)\)$")
_URL = re.compile(r"url\(#([\w-]+)\)")
_DEFAULTS = {("opacity", "1"), ("stroke-width", "1"), ("fill-opacity", "1"), ("stroke-opacity", "1")}


class _Rows(str):
    """A name that carries its rows, so that Altair, which copies and checks data at every step, leaves them alone."""

    rows: list[Mapping[str, Any]]


def inline_data(rows: Iterable[Mapping[str, Any]]) -> Any:
    """Rows as a chart's own data."""
    import altair as alt

    listed = list(rows)
    name = _Rows(f"rows-{id(listed)}")
    name.rows = listed
    return alt.NamedData(name=name)


def chart_of(spec: dict[str, Any]) -> Chart:
    """A specification as a chart of Altair, in the theme's colours: to be shown in a notebook, changed or saved."""
    import altair as alt

    # Altair's own schema knows no colour that is none.
    theme = {name: value for name, value in config().items() if value is not None}
    chart: Chart = alt.Chart.from_dict({**spec, "config": theme})
    return chart


def finish(chart: Any) -> dict[str, Any]:
    """The chart's specification with its rows inside, without Altair's own config: the theme's is added when drawn."""
    # Tests validate every specification; here it would take half of the time that a report takes.
    spec: dict[str, Any] = chart.to_dict(validate=False)
    spec.pop("config", None)
    _fill(spec)
    return spec


def _fill(spec: dict[str, Any]) -> None:
    name = spec.get("data", {}).get("name")
    if isinstance(name, _Rows):
        spec["data"] = {"values": name.rows}
    for layer in spec.get("layer", ()):
        _fill(layer)


def draw_svg(spec: dict[str, Any]) -> str:
    """A self-contained SVG file in the light colours, for papers."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg({**spec, "config": {**config(), "background": "white"}}))


def draw_png(spec: dict[str, Any], *, scale: float = 3.0) -> bytes:
    """A PNG at ``scale`` pixels per CSS pixel (3 is about 290 dpi)."""
    import vl_convert

    return bytes(vl_convert.vegalite_to_png({**spec, "config": {**config(), "background": "white"}}, scale=scale))


def inline_svg(spec: dict[str, Any], panel_id: str, label: str) -> str:
    """An SVG element for the page, labelled as one image.

    Args:
        spec: Vega-Lite specification without a config of its own.
        panel_id: Unique on the page; prefixes every id inside.
        label: Text alternative.
    """
    import vl_convert

    drawn = ElementTree.fromstring(vl_convert.vegalite_to_svg({**spec, "config": config()}))
    _simplify(drawn)
    _rename_ids(drawn, panel_id)
    drawn.attrib = {
        "viewBox": drawn.attrib["viewBox"],
        "width": drawn.attrib["width"],
        "height": drawn.attrib["height"],
        "role": "img",
        "aria-label": label,
    }
    text = ElementTree.tostring(_without_namespace(drawn), encoding="unicode")
    return text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def _simplify(parent: ElementTree.Element) -> None:
    for child in list(parent):
        _simplify(child)
        if _draws_nothing(child):
            parent.remove(child)
            continue
        _clean(child)
        if child.tag == f"{_SVG}path" and (circle := _CIRCLE.match(child.get("d", ""))):
            _make_circle(child, circle[1])
    _flatten(parent)


def _draws_nothing(element: ElementTree.Element) -> bool:
    if element.tag == f"{_SVG}g":
        return len(element) == 0
    if element.tag == f"{_SVG}path":
        d = element.get("d", "")
        invisible = element.get("fill") is None and element.get("stroke") in (None, "none")
        return d in ("", "M0,0h0v0h0Z") or (invisible and "background" in element.get("class", ""))
    return False


def _clean(element: ElementTree.Element) -> None:
    kept: dict[str, str] = {}
    for key, value in element.attrib.items():
        if key in _DROPPED or (key, value) in _DEFAULTS or (key == "transform" and value == "translate(0,0)"):
            continue
        rounded = _NUMBER.sub(_round, value)
        kept[key] = f"var({CSS_VARIABLES[rounded]})" if rounded in CSS_VARIABLES else rounded
    if element.tag == f"{_SVG}text":
        kept.pop("font-family", None)
        kept["font-size"] = kept.get("font-size", "11").removesuffix("px")
    element.attrib = kept


def _round(match: re.Match[str]) -> str:
    text = f"{float(match[0]):.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def _make_circle(element: ElementTree.Element, radius: str) -> None:
    element.tag = f"{_SVG}circle"
    del element.attrib["d"]
    place = _SHIFT.match(element.get("transform", ""))
    x, y = (place[1], place[2]) if place else ("0", "0")
    element.attrib = {"cx": x, "cy": y, "r": _NUMBER.sub(_round, radius)} | {
        k: v for k, v in element.attrib.items() if k != "transform" or place is None
    }


def _flatten(parent: ElementTree.Element) -> None:
    """Lift the children of groups that carry nothing."""
    if not any(child.tag == f"{_SVG}g" and not child.attrib for child in parent):
        return
    lifted: list[ElementTree.Element] = []
    for child in list(parent):
        lifted += list(child) if child.tag == f"{_SVG}g" and not child.attrib else [child]
        parent.remove(child)
    parent.extend(lifted)


def _rename_ids(root: ElementTree.Element, prefix: str) -> None:
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if key == "id":
                element.set(key, f"{prefix}-{value}")
            elif key in ("href", _XLINK) and value.startswith("#"):
                element.set(key, f"#{prefix}-{value[1:]}")
            else:
                element.set(key, _URL.sub(rf"url(#{prefix}-\1)", value))


def _without_namespace(root: ElementTree.Element) -> ElementTree.Element:
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        if _XLINK in element.attrib:
            element.set("href", element.attrib.pop(_XLINK))
    return root
