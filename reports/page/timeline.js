// The timeline: lanes over one axis of time. What is looked at is one cell, from and to; everything else follows from that.
const root = document.getElementById('lanes');
const tip = document.getElementById('tip');
const seeing = document.getElementById('seeing');
const cross = document.getElementById('cross');
const view = { cell: DATA.cells[0], from: 0, to: 1, width: 1, lane: -1, at: 0, wanted: null };
view.x = ms => (ms - view.from) * view.width / (view.to - view.from);
view.ms = x => view.from + x * (view.to - view.from) / view.width;
const watchers = []; // told whenever another time is seen
let canvases = []; // of the cell: {canvas, height, draw, group}
let pending = false, everything = false;

// drawAgain draws at the next frame what is on the screen; all: whatever is not as well.
function drawAgain(all = false) {
  everything = everything || all;
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => { pending = false; drawNow(everything); everything = false; });
}

function drawNow(all) {
  const bottom = window.innerHeight;
  const scale = window.devicePixelRatio || 1;
  for (const item of canvases) {
    if (item.group && item.group.folded) continue;
    const box = item.canvas.getBoundingClientRect();
    if (!all && (box.bottom < -200 || box.top > bottom + 200)) { item.stale = true; continue; }
    const wide = Math.round(view.width * scale), high = Math.round(item.height * scale);
    if (item.canvas.width !== wide || item.canvas.height !== high) { item.canvas.width = wide; item.canvas.height = high; }
    const c = item.canvas.getContext('2d');
    c.setTransform(scale, 0, 0, scale, 0, 0);
    c.clearRect(0, 0, view.width, item.height);
    c.font = FONT;
    item.draw(c, item.height);
    item.stale = false;
  }
}

function make(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes || {})) if (v !== undefined) e.setAttribute(k, v);
  e.append(...children);
  return e;
}

// build lays the lanes of a cell out.
function build(cell) {
  view.cell = cell;
  view.lane = -1;
  canvases = [];
  root.querySelectorAll('.group, .overview, .axis').forEach(e => e.remove());
  const strip = (name, height, draw) => {
    const canvas = make('canvas', { class: 'plot', 'aria-hidden': 'true' });
    canvas.style.height = height + 'px';
    root.append(make('div', { class: name }, make('div', { class: 'names' }), canvas));
    canvases.push({ canvas, height, draw });
    return canvas;
  };
  watchOverview(strip('overview', 30, (c, h) => drawOverview(c, h)));
  watchPointer(strip('axis', 32, (c, h) => { drawWindows(c, view.cell, h, view); drawAxis(c, view.cell, h, view); }), null);
  cell.groups.forEach((group, i) => {
    const names = make('div', { class: 'names' }), canvas = make('canvas', { class: 'plot', 'aria-hidden': 'true' });
    const height = group.lanes.reduce((sum, l) => { l.y = sum; return sum + l.height; }, 0);
    group.height = height;
    for (const lane of group.lanes) {
      const name = make('div', { class: 'name', title: lane.name }, cell.prefix ? lane.name.replaceAll(cell.prefix, '…') : lane.name);
      name.style.height = lane.height + 'px';
      lane.tag = name;
      names.append(name);
    }
    canvas.style.height = height + 'px';
    const body = make('div', { class: 'rows', id: 'rows-' + i }, names, canvas);
    const button = make('button', { type: 'button', 'aria-expanded': String(!group.folded), 'aria-controls': 'rows-' + i }, group.name, make('span', { class: 'count' }, ' ' + group.lanes.length));
    button.addEventListener('click', () => fold(group, !group.folded));
    group.button = button;
    group.body = body;
    body.hidden = !!group.folded;
    root.append(make('div', { class: 'group' }, make('div', { class: 'head' }, button, make('span', { class: 'about' }, group.about || '')), body));
    canvases.push({ canvas, height, group, draw: (c, h) => drawGroup(c, h, group) });
    group.canvas = canvas;
    watchPointer(canvas, group);
  });
  measure();
  see(cell.from, cell.end, true);
}

function fold(group, folded) {
  group.folded = folded;
  group.body.hidden = folded;
  group.button.setAttribute('aria-expanded', String(!folded));
  drawAgain();
}

function drawGroup(c, height, group) {
  drawGrid(c, height, view);
  drawWindows(c, view.cell, height, view);
  for (const lane of group.lanes) {
    drawLane(c, lane, lane.y, view);
    if (lane.found) {
      c.strokeStyle = INK.accent;
      c.lineWidth = 2;
      c.strokeRect(1, lane.y + 1, view.width - 2, lane.height - 2);
    }
  }
  if (view.wanted) {
    const x0 = view.x(view.wanted.from), x1 = view.x(view.wanted.to);
    c.strokeStyle = INK.accent;
    c.setLineDash([4, 3]);
    c.lineWidth = 1.5;
    c.strokeRect(x0 - 1.5, -2, Math.max(3, x1 - x0 + 3), height + 4);
    c.setLineDash([]);
  }
}

// drawOverview is the whole axis in little: where faults were, where something was red, and what of it is seen.
function drawOverview(c, height) {
  const cell = view.cell, whole = { from: cell.first, to: cell.last, width: view.width };
  whole.x = ms => (ms - whole.from) * whole.width / (whole.to - whole.from);
  c.fillStyle = INK.fill[7];
  c.fillRect(0, 4, view.width, height - 8);
  c.fillStyle = INK.fill[0];
  c.fillRect(whole.x(cell.from), 4, whole.x(cell.end) - whole.x(cell.from), height - 8);
  drawWindows(c, cell, height, whole);
  if (!cell.red) cell.red = cell.groups.flatMap(g => g.lanes.flatMap(l => l.level ? [] : [...l.spans.from.keys()].filter(i => l.spans.tone[i] === 3).map(i => [l.spans.from[i], l.spans.to[i]])));
  c.fillStyle = INK.fill[3];
  for (const [a, b] of cell.red) c.fillRect(whole.x(a), height - 11, Math.max(1.5, whole.x(b) - whole.x(a)), 6);
  const x0 = whole.x(view.from), x1 = whole.x(view.to);
  c.fillStyle = INK.page;
  c.globalAlpha = 0.6;
  c.fillRect(0, 0, x0, height);
  c.fillRect(x1, 0, view.width - x1, height);
  c.globalAlpha = 1;
  c.strokeStyle = INK.accent;
  c.lineWidth = 2;
  c.strokeRect(x0 + 1, 2, Math.max(4, x1 - x0 - 2), height - 4);
}

function measure() {
  const box = canvases[1].canvas.getBoundingClientRect();
  view.width = Math.max(60, Math.floor(box.width));
}

let telling = 0;
// see looks at a time of the cell, within what there is of it.
function see(from, to, quiet) {
  const cell = view.cell, least = 20;
  let span = Math.min(Math.max(to - from, least), cell.last - cell.first || least);
  from = Math.max(cell.first, Math.min(from, cell.last - span));
  if (from === view.from && from + span === view.to && !quiet) return;
  view.from = from;
  view.to = from + span;
  drawAgain();
  clearTimeout(telling);
  telling = setTimeout(() => {
    seeing.textContent = clock(cell, view.from, 1) + ' to ' + clock(cell, view.to, 1) + ', ' + lasting(view.to - view.from);
    for (const w of watchers) w();
    drawAgain(true); // who scrolls, or takes a picture of all, finds it
  }, 150);
}

function zoom(factor, ms = (view.from + view.to) / 2) {
  const part = (ms - view.from) / (view.to - view.from), span = (view.to - view.from) * factor;
  see(ms - part * span, ms + (1 - part) * span);
}

const pan = part => see(view.from + part * (view.to - view.from), view.to + part * (view.to - view.from));

// spanAt is what a lane has at a time: its span, sample, point or mark, in words.
function spanAt(lane, ms, near) {
  const out = { lane, from: ms, to: ms, label: '', more: '', tone: 5 };
  for (const m of lane.marks) if (Math.abs(m[0] - ms) <= near) return { ...out, from: m[0], to: m[0], label: text(m[2]), tone: m[1] };
  if (lane.samples) {
    const s = lane.samples;
    let i = first(s.at, ms);
    if (i > 0 && (i >= s.n || ms - s.at[i - 1] < s.at[i] - ms || ms <= s.at[i - 1] + s.took[i - 1])) i--;
    if (i < s.n && ms >= s.at[i] - near && ms <= s.at[i] + Math.max(s.took[i], 0) + near) {
      const o = lane.spans, k = first(o.to, ms), inside = k < o.n && o.from[k] <= ms;
      return { ...out, from: s.at[i], to: s.at[i] + s.took[i], tone: s.tone[i], label: s.tone[i] ? text(s.err.get(i)) : 'answered in ' + (s.took[i] < 10 ? s.took[i].toFixed(1) : Math.round(s.took[i])) + ' ms', more: inside ? text(o.more[k]) : '' };
    }
    return null;
  }
  if (lane.points) {
    const times = lane.times, i = Math.min(first(times, ms), times.length - 1);
    return { ...out, from: times[i], to: times[i], tone: 7, label: +lane.points[i][1].toPrecision(3) + ' ' + lane.unit };
  }
  const s = lane.spans;
  let i = first(s.to, ms);
  if (i + 1 < s.n && s.from[i + 1] <= ms) i++; // what begins there, not what ends
  for (const k of [i, i - 1, i + 1]) {
    if (k >= 0 && k < s.n && s.from[k] - near <= ms && s.to[k] + near >= ms) return { ...out, index: k, from: s.from[k], to: s.to[k], label: text(s.label[k]), more: text(s.more[k]), tone: s.tone[k] };
  }
  return null;
}

const TELL = { ok: 'well', lead: 'well', warn: 'not as it should be', bad: 'bad', silent: 'no answer', unseen: 'not known', fault: 'on purpose', quiet: '' };

function describe(found, ms) {
  const cell = view.cell, lines = [found.lane.group.name + ': ' + found.lane.name, found.label];
  lines.push(found.to > found.from ? clock(cell, found.from) + ' to ' + clock(cell, found.to) + ' (' + offset(found.from) + ', for ' + lasting(found.to - found.from) + ')' : clock(cell, found.from) + ' (' + offset(found.from) + ')');
  if (found.more) lines.push(found.more);
  for (const f of cell.faults) {
    const until = f.to === undefined ? cell.end : f.to;
    if (ms >= f.from && ms <= until) lines.push('while: ' + text(f.name) + ' (' + f.id + ')');
  }
  return lines;
}

function showTip(lines, x, y) {
  tip.replaceChildren(...lines.map((l, i) => make('div', { class: i ? '' : 'title' }, l)));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(x + 14, document.documentElement.clientWidth - box.width - 6)) + 'px';
  tip.style.top = (y + 18 + box.height > window.innerHeight ? Math.max(4, y - box.height - 10) : y + 18) + 'px';
}

function showCross(ms) {
  cross.hidden = ms === null;
  if (ms === null) return;
  const rootBox = root.getBoundingClientRect(), box = canvases[1].canvas.getBoundingClientRect();
  cross.style.left = box.left - rootBox.left + view.x(ms) + 'px';
  cross.firstElementChild.textContent = clock(view.cell, ms);
}
