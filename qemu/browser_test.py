"""The tests of the report in a real browser. Part of the verb `test`; without a browser they are skipped."""

from __future__ import annotations

import html
import json
import re
import tempfile
from pathlib import Path
from typing import Callable

from . import browser, html_report, report_sample
from .base import Failure

# Widths of windows: a desk's and a telephone's.
WIDTHS = (1280, 360)
# The least height of letters in a plot, in pixels.
LEAST_LETTERS = 8
# The colours of the first run's line, light and dark.
LINES = {False: (0x00, 0x72, 0xB2), True: (0x56, 0xB4, 0xE9)}
PAPERS = {False: (0xFF, 0xFF, 0xFF), True: (0x14, 0x17, 0x1A)}
# What a line and its markers take of a picture, at least.
LEAST_PIXELS = 300

# Opens the page in frames of both widths and writes down what it sees there.
PROBE = """<!DOCTYPE html><meta charset="utf-8"><title>probe</title><body>%s<script>
function rectangle(element) { const r = element.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; }
function meets(a, b) { return a[0] + 1 < b[2] && b[0] + 1 < a[2] && a[1] + 1 < b[3] && b[1] + 1 < a[3]; }
function panel(element) {
  const lines = [...element.querySelectorAll('polyline')].filter(line => line.getAttribute('stroke-width') >= 5);
  return {arch: element.dataset.arch, drawings: element.querySelectorAll('svg').length, lines: lines.map(line => {
    const box = line.getBBox(), style = line.ownerDocument.defaultView.getComputedStyle(line);
    return {points: line.points.length, width: box.width, colour: style.stroke, shown: line.getClientRects().length};
  })};
}
function letters(svg) {
  const texts = [...svg.querySelectorAll('text')], boxes = texts.map(rectangle), found = [];
  for (let a = 0; a < boxes.length; a++) for (let b = 0; b < a; b++)
    if (meets(boxes[a], boxes[b])) found.push(texts[a].textContent.trim() + ' / ' + texts[b].textContent.trim());
  const whole = rectangle(svg);
  for (let a = 0; a < boxes.length; a++)
    if (boxes[a][0] < whole[0] - 3 || boxes[a][2] > whole[2] + 3) found.push(texts[a].textContent.trim() + ' is cut');
  return found;
}
function look(frame) {
  const page = frame.contentDocument, all = selector => [...page.querySelectorAll(selector)];
  const scale = svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  return {
    width: frame.width,
    overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    curves: all('figure[data-curve]').map(figure => ({curve: figure.dataset.curve, measure: figure.dataset.measure,
      panels: [...figure.querySelectorAll('.panel')].map(panel)})),
    overlaps: all('svg').flatMap(letters),
    letters: Math.min(...all('svg text').map(text => parseFloat(text.getAttribute('font-size')) * scale(text.ownerSVGElement))),
    lost: all('a[href^="#"]').map(link => link.hash.slice(1)).filter(id => !page.getElementById(id)),
    twice: all('[id]').map(element => element.id).filter((id, index, ids) => ids.indexOf(id) != index),
    nameless: all('table').filter(table => !table.caption || !table.caption.textContent.trim()).length,
  };
}
onload = () => {
  const found = document.createElement('pre');
  found.id = 'found';
  found.textContent = JSON.stringify([...document.querySelectorAll('iframe')].map(look));
  document.body.append(found);
};
</script>"""

# Shows one curve of the page.
WINDOW = """<!DOCTYPE html><meta charset="utf-8"><title>window</title><style>body { margin: 0 } iframe { border: 0; display: block }
</style><iframe width="800" height="9000" srcdoc="%s"></iframe><script>
onload = () => {
  const frame = document.querySelector('iframe'), section = frame.contentDocument.getElementById('%s');
  frame.style.marginTop = -section.getBoundingClientRect().top + 'px';
};
</script>"""


def chosen(wanted: str) -> list:
    """The names of the tests that hold this text."""
    return [name for name in TESTS if wanted in name]


def run(names: list, report: Callable[[str, str, str], None]) -> None:
    """Runs these tests; `report` gets (name, verdict, reason) of each."""
    if names and browser.find() is None:
        for name in names:
            report(name, "skipped", "there is no browser; ./x.py test browser installs one")
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            try:
                complaint = TESTS[name](Path(folder))
            except Failure as failure:
                complaint = str(failure)
            report(name, "FAILED" if complaint else "ok", complaint)


def _page(folder: Path) -> Path:
    return html_report.write(folder, report_sample.documents(), report_sample.catalogue())


def _quoted(page: Path) -> str:
    return html.escape(page.read_text(encoding="utf-8"), quote=True)


def seen(page: Path) -> list:
    """What a browser sees of a page in windows of both widths."""
    text = _quoted(page)
    probe = page.with_name("probe.html")
    frames = "".join(f'<iframe width="{width}" height="900" srcdoc="{text}"></iframe>' for width in WIDTHS)
    probe.write_text(PROBE % frames, encoding="utf-8")
    output, console = browser.dom(probe)
    found = re.search(r'<pre id="found">(.*?)</pre>', output, re.S)
    if console or not found:
        raise Failure(f"the page does not open as it should: {console or 'nothing was found in it'}")
    return json.loads(html.unescape(found.group(1)))


def complaints_of(views: list, curves: list, arches: list) -> str:
    """What is wrong with what was seen: of each curve a plot on every architecture, and nothing that cannot be read."""
    found = []
    for view in views:
        measured = {figure["curve"]: figure["panels"] for figure in view["curves"] if figure["measure"] == "measured"}
        found += [f"there is no plot of {curve}" for curve in curves if curve not in measured]
        for curve, panels in measured.items():
            if [panel["arch"] for panel in panels] != arches:
                found.append(f"{curve} has plots for {[panel['arch'] for panel in panels]}")
            for panel in panels:
                lines = [line for line in panel["lines"] if line["points"] > 1 and line["width"] > 50 and line["shown"]]
                if panel["drawings"] != 1 or not lines or len(lines) != len(panel["lines"]):
                    found.append(f"{curve} on {panel['arch']} has no line")
        found += [f"{name}: {view[name]}" for name in ("overlaps", "lost", "twice", "nameless") if view[name]]
        if view["overflow"] > 0 or view["letters"] < LEAST_LETTERS:
            found.append(f"{view['overflow']} pixels too wide, letters of {view['letters']:.1f} pixels")
        found = [text if text.startswith("at ") else f"at {view['width']} pixels: {text}" for text in found]
    return "; ".join(found)


def _every_curve(folder: Path) -> str:
    return complaints_of(seen(_page(folder)), [*report_sample.CURVES, "table_bytes"], ["x86_64", "aarch64"])


def _drawn(folder: Path) -> str:
    window = folder / "window.html"
    window.write_text(WINDOW % (_quoted(_page(folder)), "curve-switch_round_robin-instructions"), encoding="utf-8")
    for is_dark in (False, True):
        found = browser.colours(window, (800, 700), is_dark)
        paper = found.most_common(1)[0][0]
        if found[LINES[is_dark]] < LEAST_PIXELS or paper != PAPERS[is_dark]:
            return f"{found[LINES[is_dark]]} pixels of the line on paper {paper}, {'dark' if is_dark else 'light'}"
    return ""


TESTS = {"browser report: every curve is plotted and can be read": _every_curve,
         "browser report: lines are drawn, light and dark": _drawn}
