// Curves with numbers on their axes, by uPlot, over the time that the timeline shows.
const BINS = 400;
const LINES = ['--line-1', '--line-2', '--line-3', '--line-4', '--line-5', '--line-6', '--line-7', '--line-8'];
const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]]; // beside the colours, for whoever sees none
let charts = [];

function style() {
  const css = getComputedStyle(document.documentElement);
  return { text: css.getPropertyValue('--faint').trim(), grid: css.getPropertyValue('--rule').trim(), line: i => css.getPropertyValue(LINES[i % LINES.length]).trim(), bad: css.getPropertyValue('--bad').trim() };
}

// binned sums the samples of a lane up over the time that is seen: of each bin the slowest answer, and how many of the tries failed.
function binned(lane) {
  const s = lane.samples, slow = new Array(BINS).fill(null), tried = new Array(BINS).fill(0), failed = new Array(BINS).fill(0), width = (view.to - view.from) / BINS;
  for (let i = first(s.at, view.from); i < s.n && s.at[i] < view.to; i++) {
    const b = Math.min(BINS - 1, Math.floor((s.at[i] - view.from) / width));
    tried[b]++;
    if (s.tone[i]) failed[b]++;
    else slow[b] = Math.max(slow[b] || 0, s.took[i]);
  }
  const share = tried.map((n, i) => n ? 100 * failed[i] / n : null);
  return { slow, share };
}

function axes(s, unit) {
  return [{ stroke: s.text, grid: { stroke: s.grid, width: 1 }, ticks: { stroke: s.grid }, values: (u, ticks) => ticks.map(t => clock(view.cell, t, view.to - view.from < 10000 ? 1 : 0)), space: 80 },
    { stroke: s.text, grid: { stroke: s.grid, width: 1 }, ticks: { stroke: s.grid }, size: 72, values: (u, ticks) => ticks.map(t => t === null ? '' : +t.toPrecision(3) + unit) }];
}

// chart makes one of the timeline's curves. The axis of x is in milliseconds of the cell; uPlot's own zoom becomes the timeline's.
function chart(title, names, unit, log) {
  const s = style(), place = document.getElementById('curves');
  const holder = make('figure', {}, make('figcaption', {}, title));
  place.append(holder);
  const u = new uPlot({
    width: Math.max(240, holder.clientWidth), height: 170, legend: { live: true }, cursor: { sync: { key: 'time' }, drag: { x: true, y: false, setScale: false } },
    scales: { x: { time: false }, y: log ? { distr: 3, log: 10, range: (u, lo, hi) => [1, Math.max(10, 10 ** Math.ceil(Math.log10(Math.max(hi || 10, 1.1))))] } : { range: (u, lo, hi) => [0, Math.max(hi || 0, unit === ' %' ? 5 : 1) * 1.05] } },
    axes: axes(s, unit),
    series: [{ label: 'time', value: (u, v) => v === null ? '–' : clock(view.cell, v, 1) }, ...names.map((n, i) => ({ label: n, stroke: s.line(i), dash: DASHES[Math.floor(i / 4) % DASHES.length], width: 1.3, spanGaps: false, points: { show: false }, value: (u, v) => v === null || v === undefined ? '–' : +v.toPrecision(3) + unit }))],
    hooks: { setSelect: [u => { if (u.select.width > 4) { see(u.posToVal(u.select.left, 'x'), u.posToVal(u.select.left + u.select.width, 'x')); u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false); } }] },
  }, [[0, 1], ...names.map(() => [null, null])], holder);
  labelled(u, title);
  return u;
}

// labelled says to whoever does not see it what the picture is.
function labelled(u, title) {
  u.root.querySelectorAll('canvas').forEach(c => { c.setAttribute('role', 'img'); c.setAttribute('aria-label', title + ': the numbers are in the tables of this page'); });
}

function drawCurves() {
  const box = document.getElementById('curves-box');
  if (!box.open) return;
  const cell = view.cell;
  if (!charts.length || charts.cell !== cell) {
    charts.forEach(c => c.u.destroy());
    document.getElementById('curves').replaceChildren();
    charts = [];
    charts.cell = cell;
    const probes = cell.groups.flatMap(g => g.lanes.filter(l => l.samples)), shown = probes.filter(l => !l.name.includes('past the balancer'));
    if (shown.length) {
      charts.push({ u: chart('The slowest answer of each moment', shown.map(l => l.name), ' ms', true), of: () => shown.map(l => binned(l).slow) });
      charts.push({ u: chart('Share of tries that failed', probes.map(l => l.name), ' %', false), of: () => probes.map(l => binned(l).share) });
    }
    const host = cell.groups.flatMap(g => g.lanes.filter(l => l.points && l.unit === '%'));
    if (host.length) {
      const at = (l, t) => { const i = first(l.times, t); return i < l.times.length ? l.points[i][1] : null; };
      charts.push({ u: chart('The host: share of the time in which something waited', host.map(l => l.name), ' %', false), of: xs => host.map(l => xs.map(x => at(l, x))) });
    }
  }
  const width = (view.to - view.from) / BINS, xs = Array.from({ length: BINS }, (_, i) => view.from + (i + 0.5) * width);
  for (const c of charts) {
    c.u.setData([xs, ...c.of(xs)], false);
    c.u.batch(() => { c.u.setScale('x', { min: view.from, max: view.to }); });
    c.u.redraw(true, true);
  }
}

// drawPlots are the plots of the result, whose axes are their own.
function drawPlots() {
  const place = document.getElementById('plots');
  if (!place) return;
  place.replaceChildren();
  const s = style();
  for (const p of DATA.plots || []) {
    const xs = [...new Set(p.lines.flatMap(l => [...l.points, ...(l.marks || [])].map(q => q[0])))].sort((a, b) => a - b);
    const column = points => { const at = new Map(points.map(q => [q[0], q[1]])); return xs.map(x => at.has(x) ? at.get(x) : null); };
    const series = [{ label: p.x }], data = [xs];
    p.lines.forEach((l, i) => {
      series.push({ label: l.name, stroke: s.line(i), dash: DASHES[Math.floor(i / 4) % DASHES.length], width: 1.6, spanGaps: true, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } });
      data.push(column(l.points));
      if ((l.marks || []).length) {
        series.push({ label: l.name + ', marked', stroke: s.bad, paths: () => null, points: { show: true, size: 5, fill: s.bad } });
        data.push(column(l.marks));
      }
    });
    const holder = make('figure', {}, make('figcaption', {}, p.title + ' (' + p.y + ')'));
    place.append(holder);
    const u = new uPlot({ width: Math.max(240, holder.clientWidth), height: 260, scales: { x: { time: false } }, series,
      axes: [{ stroke: s.text, grid: { stroke: s.grid, width: 1 }, ticks: { stroke: s.grid }, label: p.x, labelSize: 20 }, { stroke: s.text, grid: { stroke: s.grid, width: 1 }, ticks: { stroke: s.grid }, size: 72 }] }, data, holder);
    labelled(u, p.title);
  }
}
watchers.push(drawCurves);
document.getElementById('curves-box').addEventListener('toggle', drawCurves);
