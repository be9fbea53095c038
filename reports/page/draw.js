// Drawing of lanes. All colours are the style sheet's.
const FONT = '11px system-ui, sans-serif';
let INK = {};

function readInk() {
  const css = getComputedStyle(document.documentElement), get = n => css.getPropertyValue(n).trim();
  INK = { text: get('--text'), faint: get('--faint'), rule: get('--rule'), page: get('--page'), accent: get('--accent'), window: get('--window'), windowEdge: get('--fault'),
    fill: TONES.map(t => get('--' + t)), on: TONES.map(t => get('--on-' + t)), hatch: {} };
}

// hatch is a pattern over a colour: what is silent or was not seen is told from what is known without any colour.
function hatch(c, colour) {
  if (!INK.hatch[colour]) {
    const tile = document.createElement('canvas');
    tile.width = tile.height = 6;
    const t = tile.getContext('2d');
    t.fillStyle = colour;
    t.fillRect(0, 0, 6, 6);
    t.strokeStyle = INK.page;
    t.globalAlpha = 0.45;
    t.lineWidth = 1.4;
    for (const d of [-6, 0, 6]) { t.beginPath(); t.moveTo(d, 6); t.lineTo(d + 6, 0); t.stroke(); }
    INK.hatch[colour] = c.createPattern(tile, 'repeat');
  }
  return INK.hatch[colour];
}

const fill = (c, tone) => tone === 4 || tone === 5 ? hatch(c, INK.fill[tone]) : INK.fill[tone];

const widths = new Map();
function widthOf(c, s) {
  let w = widths.get(s);
  if (w === undefined) widths.set(s, w = c.measureText(s).width);
  return w;
}

// caption writes a label into a box, or as much of it as there is room for.
function caption(c, s, x, w, y, colour, halo) {
  const room = w - 8;
  if (room < 8 || !s) return;
  const full = widthOf(c, s);
  if (full > room) {
    const n = Math.floor(s.length * room / full) - 1;
    if (n < 3) return;
    s = s.slice(0, n) + '…';
  }
  if (halo) { c.strokeStyle = halo; c.lineWidth = 3; c.strokeText(s, x + 4, y); }
  c.fillStyle = colour;
  c.fillText(s, x + 4, y);
}

// slivers are what is narrower than can be seen: the worst of each column of pixels.
function slivers(c, columns, y, h) {
  for (let x = 0; x < columns.length; x++) {
    if (!columns[x]) continue;
    const tone = columns[x] - 1;
    let end = x + 1;
    while (end < columns.length && columns[end] === columns[x]) end++;
    c.fillStyle = fill(c, tone);
    c.fillRect(x, y, Math.max(end - x, tone === 3 || tone === 4 ? 2 : 1), h);
    x = end - 1;
  }
}

function drawSpans(c, lane, y, h, v) {
  const s = lane.spans, columns = new Uint8Array(Math.ceil(v.width) + 1);
  let narrow = false;
  for (let i = first(s.to, v.from); i < s.n && s.from[i] <= v.to; i++) {
    const x0 = Math.max(v.x(s.from[i]), -2), x1 = Math.min(v.x(s.to[i]), v.width + 2), w = x1 - x0, tone = s.tone[i];
    if (w < 2) {
      const col = Math.max(0, Math.floor(x0));
      if (!columns[col] || RANK[columns[col] - 1] < RANK[tone]) columns[col] = tone + 1;
      narrow = true;
      continue;
    }
    if (lane.level && s.value[i] > 0 && tone !== 5) {
      const part = Math.max(3, h * s.value[i] / lane.top);
      c.fillStyle = fill(c, tone);
      c.fillRect(x0, y + h - part, w, part);
      caption(c, text(s.label[i]), x0, w, y + h - 6, INK.on[tone]);
      continue;
    }
    c.fillStyle = fill(c, tone);
    c.fillRect(x0, y, w, h);
    if (w > 3) { c.fillStyle = INK.page; c.fillRect(x1 - 0.5, y, 0.5, h); }
    caption(c, text(s.label[i]), Math.max(x0, 0), x1 - Math.max(x0, 0), y + h / 2 + 4, INK.on[tone]);
  }
  if (narrow) slivers(c, columns, y, h);
}

// height of a time on a scale by tens, from 1 ms at the bottom to 10 s at the top.
const tens = (ms, h) => Math.max(1, h * Math.min(1, Math.log10(Math.max(ms, 1.15)) / 4));

function drawSamples(c, lane, y, h, v) {
  const s = lane.samples, wide = Math.ceil(v.width) + 1;
  const slow = new Float32Array(wide), bad = new Uint8Array(wide);
  let i = Math.max(0, first(s.at, v.from) - 1);
  for (; i < s.n && s.at[i] <= v.to; i++) {
    const x0 = Math.max(0, Math.floor(v.x(s.at[i]))), x1 = Math.min(wide - 1, Math.floor(v.x(s.at[i] + s.took[i])));
    for (let x = x0; x <= x1; x++) {
      if (s.tone[i]) { if (!bad[x] || RANK[bad[x] - 1] < RANK[s.tone[i]]) bad[x] = s.tone[i] + 1; }
      else if (s.took[i] > slow[x]) slow[x] = s.took[i];
    }
  }
  c.fillStyle = INK.accent;
  for (let x = 0; x < wide; x++) if (slow[x]) { const t = tens(slow[x], h); c.fillRect(x, y + h - t, 1, t); }
  slivers(c, bad, y, h);
  const o = lane.spans;
  for (let k = first(o.to, v.from); k < o.n && o.from[k] <= v.to; k++) {
    const x0 = v.x(o.from[k]), w = Math.max(2, v.x(o.to[k]) - x0), left = Math.max(x0, 0);
    c.fillStyle = INK.fill[o.tone[k]];
    c.fillRect(x0, y, w, 3);
    caption(c, text(o.label[k]), left, x0 + w - left, y + 14, INK.text, INK.page);
  }
}

function drawPoints(c, lane, y, h, v) {
  c.strokeStyle = INK.accent;
  c.lineWidth = 1.2;
  c.beginPath();
  let pen = false;
  const p = lane.points, step = Math.max(1, Math.floor(p.length / (4 * v.width)));
  for (let i = 0; i < p.length; i += step) {
    if (p[i][0] < v.from - 2000 || p[i][0] > v.to + 2000) continue;
    const x = v.x(p[i][0]), top = y + h - 1 - (h - 3) * p[i][1] / lane.top;
    if (pen) c.lineTo(x, top); else c.moveTo(x, top);
    pen = true;
  }
  c.stroke();
  c.fillStyle = INK.faint;
  c.fillText(lane.top < 1e-6 ? 'none' : 'up to ' + (+lane.top.toPrecision(2)) + (lane.unit === '%' ? ' %' : ' ' + lane.unit), 4, y + 10);
}

function drawMarks(c, lane, y, h, v) {
  for (const m of lane.marks) {
    if (m[0] < v.from || m[0] > v.to) continue;
    const x = v.x(m[0]);
    c.fillStyle = INK.fill[m[1]];
    c.strokeStyle = INK.text;
    c.lineWidth = 1;
    c.beginPath();
    c.moveTo(x, y + h / 2 - 5); c.lineTo(x + 4, y + h / 2); c.lineTo(x, y + h / 2 + 5); c.lineTo(x - 4, y + h / 2);
    c.closePath();
    c.fill();
    c.stroke();
  }
}

function drawLane(c, lane, y, v) {
  const h = lane.height - 4;
  if (lane.samples) drawSamples(c, lane, y + 2, h, v);
  else if (lane.points) drawPoints(c, lane, y + 2, h, v);
  else drawSpans(c, lane, y + 2, h, v);
  if (lane.marks.length) drawMarks(c, lane, y + 2, h, v);
}

// drawWindows shades the faults behind all lanes: lightly while one is on its way, fully while it holds.
function drawWindows(c, cell, height, v) {
  for (const f of cell.faults) {
    const until = f.to === undefined ? cell.end : f.to, holds = f.effective === undefined ? until : f.effective, undone = f.recover === undefined ? until : f.recover;
    for (const [a, b, alpha] of [[f.from, holds, 0.10], [holds, undone, 0.24], [undone, until, 0.10]]) {
      if (b < v.from || a > v.to || b <= a) continue;
      const x0 = Math.max(0, v.x(a)), x1 = Math.min(v.width, v.x(b));
      c.globalAlpha = alpha;
      c.fillStyle = INK.window;
      c.fillRect(x0, 0, Math.max(1, x1 - x0), height);
    }
    c.globalAlpha = 0.8;
    c.fillStyle = INK.windowEdge;
    for (const t of [f.from, until]) if (t >= v.from && t <= v.to) c.fillRect(v.x(t), 0, 1, height);
    c.globalAlpha = 1;
  }
}

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 216e5, 432e5, 864e5];

// tickStep is the time between two ticks that leaves so many pixels for each.
function tickStep(v, room) {
  let step = STEPS.find(s => s * v.width / (v.to - v.from) >= room) || STEPS[STEPS.length - 1];
  while (step * v.width / (v.to - v.from) < room) step *= 10; // evidence with a time that cannot be
  return step;
}

function drawAxis(c, cell, height, v) {
  const step = tickStep(v, 92), digits = step < 10 ? 3 : step < 100 ? 2 : step < 1000 ? 1 : 0;
  c.font = FONT;
  for (let t = Math.ceil(v.from / step) * step; t <= v.to; t += step) {
    const x = v.x(t);
    c.fillStyle = INK.rule;
    c.fillRect(x, height - 6, 1, 6);
    if (x > v.width - 60) continue;
    c.fillStyle = INK.text;
    c.fillText(clock(cell, t, digits), x + 3, 12);
    c.fillStyle = INK.faint;
    c.fillText(offset(t), x + 3, 26);
  }
}

function drawGrid(c, height, v) {
  const step = tickStep(v, 92);
  c.fillStyle = INK.rule;
  c.globalAlpha = 0.5;
  for (let t = Math.ceil(v.from / step) * step; t <= v.to; t += step) c.fillRect(Math.round(v.x(t)), 0, 1, height);
  c.globalAlpha = 1;
}
