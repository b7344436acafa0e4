"""One HTML page of all videos: the curve over a strip of frames that a person scrolls; it needs nothing else."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from mtl.formatting import html_table, number
from mtl.predict.curves import Curve, Threshold, smoothed
from mtl.predict.scoring import PICTURE_HEIGHT, Picture, Scored
from mtl.predict.tables import Moment, clock

MOST_POINTS = 4000  # of a curve on the page; of more, each stands for several by the highest of the leading curve
BETWEEN_PICTURES = 165  # pixels from one picture of the strip to the next
HIGH = 150  # pixels of the curves
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")
DASHES = ("", "7 4", "2 3", "10 3 2 3", "1 4")

STYLE = f"""
body {{ font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; margin: 2rem auto; max-width: 78rem; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }}
th, td {{ padding: .25rem .45rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top; }}
th:first-child, td:first-child, td.word {{ text-align: left; }} th {{ border-bottom: 2px solid #666; }}
td {{ white-space: nowrap; }} td.sentence {{ white-space: normal; min-width: 22rem; }}
.warning {{ background: #f2f2f2; border-left: 4px solid #555; padding: .4rem .8rem; }}
.film {{ overflow-x: auto; position: relative; border: 1px solid #ccc; }} .film:focus {{ outline: 2px solid #0072B2; }}
.inner {{ position: relative; height: {HIGH + PICTURE_HEIGHT + 26}px; }} svg {{ display: block; }}
.strip img {{ position: absolute; top: {HIGH + 22}px; height: {PICTURE_HEIGHT}px; }}
.cursor {{ position: absolute; top: 0; bottom: 0; width: 0; border-left: 2px solid #1a1a1a; pointer-events: none; }}
.now {{ display: flex; gap: 1rem; align-items: center; min-height: {2 * PICTURE_HEIGHT}px; margin-bottom: .6rem; }}
.now img {{ height: {2 * PICTURE_HEIGHT}px; }} .now pre {{ font: 14px/1.5 ui-monospace, monospace; margin: 0; }}
.tops {{ display: flex; flex-wrap: wrap; gap: .8rem; }} .tops button {{ border: 1px solid #bbb; background: #fff;
  padding: .3rem; font: inherit; font-size: 13px; cursor: pointer; text-align: center; }}
.tops img {{ display: block; margin: 0 auto; height: {PICTURE_HEIGHT}px; }}
text {{ font: 11px system-ui, sans-serif; }}
"""

SCRIPT = """
for (const section of document.querySelectorAll('section[data-video]')) {
  const film = section.querySelector('.film'), cursor = section.querySelector('.cursor');
  if (!film) continue;
  const data = JSON.parse(section.querySelector('script').textContent);
  const pictures = [...section.querySelectorAll('.strip img, .tops img')];
  const times = pictures.map(picture => Number(picture.dataset.seconds));
  const image = section.querySelector('.now img'), text = section.querySelector('.now pre');
  const nearest = (list, at) => {  // of rising numbers
    let low = 0, high = list.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (list[middle] <= at) low = middle; else high = middle;
    }
    return Math.abs(list[low] - at) <= Math.abs(list[high] - at) ? low : high;
  };
  const order = times.map((_, i) => i).sort((a, b) => times[a] - times[b]), sorted = order.map(i => times[i]);
  const show = seconds => {
    const row = nearest(data.seconds, seconds);
    cursor.style.left = data.seconds[row] * data.pixels + 'px';
    if (order.length) image.src = pictures[order[nearest(sorted, data.seconds[row])]].src;
    const lines = data.names.map((name, i) => {
      const value = data.values[i][row];
      return name.padEnd(data.widest) + ' ' + (value === null ? '  –  ' : value.toFixed(3)) +
        (value !== null && value >= data.limits[i] ? '  alarm' : '');
    });
    text.textContent = [data.seconds[row].toFixed(2) + ' s, frame ' + data.frames[row], ...lines].join('\\n');
  };
  film.addEventListener('mousemove', event => {
    show((event.clientX - film.getBoundingClientRect().left + film.scrollLeft) / data.pixels);
  });
  film.addEventListener('scroll', () => {
    const room = film.scrollWidth - film.clientWidth;  // from the first frame to the last on the way
    show(room > 0 ? film.scrollLeft / room * data.seconds[data.seconds.length - 1] : 0);
  });
  const go = seconds => {
    film.scrollLeft = seconds * data.pixels - film.clientWidth / 2;
    show(seconds);
    requestAnimationFrame(() => requestAnimationFrame(() => show(seconds)));  // after what scrolling shows
  };
  for (const button of section.querySelectorAll('.tops button'))
    button.addEventListener('click', () => go(Number(button.dataset.seconds)));
  go(data.first);
}
"""


@dataclass(frozen=True)
class Shown:
    """A video with what is shown of it: its top moments, and the annotated events in seconds if there are."""

    scored: Scored
    tops: Sequence[Moment]
    events: Sequence[tuple[float, float]] | None


def page(
    title: str,
    said: Sequence[str],
    table: pd.DataFrame,
    videos: Sequence[Shown],
    curves: Sequence[Curve],
    limits: Mapping[str, Threshold],
    smooth: float,
) -> str:
    """The whole page.

    Parameters
    ----------
    said : sequence of str
        What a reader must know of the scores, a sentence each.
    table : DataFrame
        The summary, a row per video.
    """
    body = [f"<h1>{html.escape(title)}</h1>", f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in said)}</ul>"]
    body.append(html_table(table))
    leading = html.escape(curves[0].name)
    body.append(
        f"<p>Top score and alarm are those of {leading}; alarm is the share of the scored frames at or above its "
        "threshold. Move the mouse over a curve, or scroll it, to see the nearest frame and its scores; pictures are "
        "those nearest in time of the ones kept.</p>"
    )
    body += [_section(shown, curves, limits, smooth) for shown in videos]
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    body.append(f"<script>{SCRIPT}</script>")
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"


def _section(shown: Shown, curves: Sequence[Curve], limits: Mapping[str, Threshold], smooth: float) -> str:
    """What is shown of a video."""
    scored = shown.scored
    parts = [f"<section data-video><h2>{html.escape(scored.name)}</h2>"]
    if scored.reason:
        parts.append(f'<p class="warning">{html.escape(scored.reason)}</p>')
    if not scored.has_times:
        said = "" if scored.reason else '<p class="warning">Nothing tells when its frames are shown.</p>'
        return "".join([*parts, said, "</section>"])
    seconds = scored.table["seconds"].to_numpy()
    values = [smoothed(seconds, curve.values(scored.table), smooth) for curve in curves]
    at = _rows(values[0])
    strip, pixels = _strip(scored)
    width = max(seconds[-1] * pixels + 2 * BETWEEN_PICTURES, 300)
    parts.append('<div class="now"><img alt="nearest frame"><pre></pre></div>')
    parts.append(f'<div class="film" tabindex="0"><div class="inner" style="width:{width:.0f}px">')
    parts.append(_drawing(seconds[at], [each[at] for each in values], shown.events, curves, limits, pixels, width))
    parts += ['<div class="strip">', *strip, '</div><div class="cursor"></div></div></div>']
    parts.append(_legend(curves, limits, shown.events))
    parts.append(_tops(shown, curves[0]))
    known = {
        "seconds": [round(float(each), 3) for each in seconds[at]],
        "frames": scored.table["frame"].to_numpy()[at].tolist(),
        "names": [curve.name for curve in curves],
        "widest": max(len(curve.name) for curve in curves),
        "limits": [limits[curve.name].value for curve in curves],
        "values": [[round(float(v), 4) if np.isfinite(v) else None for v in each[at]] for each in values],
        "pixels": pixels,
        "first": shown.tops[0].seconds if shown.tops else 0,
    }
    data = json.dumps(known, allow_nan=False).replace("<", "\\u003c")
    return "".join([*parts, f'<script type="application/json">{data}</script></section>'])


def _rows(values: np.ndarray) -> np.ndarray:
    """Rows that are drawn: all, or of each bundle of neighbours the highest."""
    if len(values) <= MOST_POINTS:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), MOST_POINTS + 1).astype(int)
    filled = np.where(np.isfinite(values), values, -np.inf)
    return np.array([low + int(np.argmax(filled[low:high])) for low, high in pairwise(edges)])


def _strip(scored: Scored) -> tuple[list[str], float]:
    """Pictures along the time, and the pixels of a second."""
    pixels = BETWEEN_PICTURES / scored.between
    shown = [_image(picture, f' style="left:{picture.seconds * pixels:.0f}px"') for picture in scored.strip]
    return shown, pixels


def _image(picture: Picture, more: str = "") -> str:
    source = base64.b64encode(picture.data).decode("ascii")
    return (
        f'<img alt="frame at {picture.seconds:.1f} s" data-seconds="{picture.seconds:.3f}"{more} '
        f'src="data:image/jpeg;base64,{source}">'
    )


def _drawing(
    seconds: np.ndarray,
    values: Sequence[np.ndarray],
    events: Sequence[tuple[float, float]] | None,
    curves: Sequence[Curve],
    limits: Mapping[str, Threshold],
    pixels: float,
    width: float,
) -> str:
    """The curves as an SVG of the strip's width."""
    height = HIGH - 10
    drawn = [f'<svg width="{width:.0f}" height="{HIGH + 20}" role="img" aria-label="scores over time">']
    for start, end in events or ():
        wide = max((end - start) * pixels, 1)
        drawn.append(
            f'<rect class="event" x="{start * pixels:.1f}" y="0" width="{wide:.1f}" height="{HIGH}" fill="#ddd"/>'
        )
    for share in (0, 0.5, 1):
        y = 5 + height * (1 - share)
        below = 12 if share == 1 else -2  # above the highest line there is no room
        drawn.append(
            f'<path d="M0 {y:.1f}H{width:.0f}" stroke="#eee"/><text x="2" y="{y + below:.1f}">{share:g}</text>'
        )
    for i, (curve, found) in enumerate(zip(curves, values, strict=True)):
        look = f'stroke="{COLOURS[i % len(COLOURS)]}" fill="none"'
        y = 5 + height * (1 - limits[curve.name].value)
        drawn.append(f'<path d="M0 {y:.1f}H{width:.0f}" {look} stroke-width="1" stroke-dasharray="3 5"/>')
        points = " ".join(
            f"{at * pixels:.1f},{5 + height * (1 - value):.1f}"
            for at, value in zip(seconds, found, strict=True) if np.isfinite(value)
        )  # fmt: skip
        drawn.append(
            f'<polyline points="{points}" {look} stroke-width="2" stroke-dasharray="{DASHES[i % len(DASHES)]}"/>'
        )
    tick = BETWEEN_PICTURES / pixels
    for at in np.arange(0, seconds[-1] + 1e-9, tick):
        drawn.append(f'<text x="{at * pixels + 2:.0f}" y="{HIGH + 14}">{clock(float(at))}</text>')
    return "".join([*drawn, "</svg>"])


def _legend(
    curves: Sequence[Curve], limits: Mapping[str, Threshold], events: Sequence[tuple[float, float]] | None
) -> str:
    """Which line is what, and whether anything was annotated."""
    lines = []
    for i, curve in enumerate(curves):
        look = f'stroke="{COLOURS[i % len(COLOURS)]}" stroke-width="2" stroke-dasharray="{DASHES[i % len(DASHES)]}"'
        lines.append(
            f'<svg width="40" height="8" style="display:inline"><path d="M0 4H40" {look}/></svg> '
            f"{html.escape(curve.name)} (threshold {number(limits[curve.name].value)})"
        )
    lines.append("thin: thresholds")
    if events is not None:
        lines.append("grey: annotated events" if events else "annotated: no event")
    return f"<p>{' &nbsp; '.join(lines)}</p>"


def _tops(shown: Shown, leading: Curve) -> str:
    """The top moments, each with the nearest picture."""
    if not shown.tops or not shown.scored.pictures:
        return ""
    times = np.array([picture.seconds for picture in shown.scored.pictures])
    buttons = []
    for moment in shown.tops:
        picture = shown.scored.pictures[int(np.argmin(np.abs(times - moment.seconds)))]
        said = f"{clock(moment.seconds)}, frame {moment.frame}: {number(moment.value)}"
        buttons.append(f'<button data-seconds="{moment.seconds:.3f}">{_image(picture)}{said}</button>')
    return f'<p>Top moments of {html.escape(leading.name)}:</p><div class="tops">{"".join(buttons)}</div>'
