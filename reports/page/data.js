// What the page is drawn from: the evidence, as reports/pack.go packs it. Times are milliseconds from the begin of the scenario.
const DATA = JSON.parse(document.getElementById('data').textContent);
const TONES = DATA.tones.map(t => t.name), RANK = DATA.tones.map(t => t.rank); // what is worse is not hidden by what is better
const text = i => DATA.strings[i] || '';

function unpackSpans(rows) {
  const n = rows.length, s = { n, from: new Float64Array(n), to: new Float64Array(n), tone: new Uint8Array(n), label: new Int32Array(n), more: new Int32Array(n), value: new Int32Array(n) };
  rows.forEach((r, i) => { s.from[i] = r[0]; s.to[i] = r[1]; s.tone[i] = r[2]; s.label[i] = r[3]; s.more[i] = r[4]; s.value[i] = r[5] || 0; });
  return s;
}

function unpackSamples(d) {
  const n = d.at.length, s = { n, at: new Float64Array(n), took: new Float64Array(n), tone: new Uint8Array(n), err: new Map(), slowest: 0 };
  let t = 0;
  for (let i = 0; i < n; i++) {
    t += d.at[i];
    s.at[i] = t;
    s.took[i] = d.took[i] / 10;
    s.slowest = Math.max(s.slowest, s.took[i]);
  }
  (d.err || []).forEach(([i, tone, why]) => { s.tone[i] = tone; s.err.set(i, why); });
  return s;
}

for (const cell of DATA.cells) {
  for (const group of cell.groups) {
    for (const lane of group.lanes) {
      lane.group = group;
      lane.spans = unpackSpans(lane.spans || []);
      lane.samples = lane.samples ? unpackSamples(lane.samples) : null;
      lane.points = lane.points || null;
      lane.times = lane.points ? lane.points.map(p => p[0]) : null;
      lane.marks = lane.marks || [];
      lane.height = lane.samples || lane.points ? 34 : lane.level ? 26 : 20;
      lane.top = lane.level ? Math.max(1, ...lane.spans.value) : lane.points ? Math.max(1e-9, ...lane.points.map(p => p[1])) : 0;
    }
  }
}

// first is the index of the first of sorted numbers that is not less than x.
function first(numbers, x) {
  let lo = 0, hi = numbers.length;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (numbers[mid] < x) lo = mid + 1; else hi = mid;
  }
  return lo;
}

const two = n => String(n).padStart(2, '0');

// clock is a time of the cell by the harness's own zone, as all messages have it.
function clock(cell, ms, digits = 3) {
  const unit = 10 ** (3 - digits), d = new Date(Math.floor((cell.t0 + ms + cell.zone * 60000) / unit) * unit);
  const s = two(d.getUTCHours()) + ':' + two(d.getUTCMinutes()) + ':' + two(d.getUTCSeconds());
  return digits ? s + '.' + String(d.getUTCMilliseconds()).padStart(3, '0').slice(0, digits) : s;
}

// offset is a time from the begin of the scenario on.
function offset(ms) {
  const a = Math.abs(ms) / 1000, sign = ms < 0 ? '−' : '+';
  if (a < 60) return sign + a.toFixed(a < 10 ? 2 : 1) + ' s';
  return sign + Math.floor(a / 60) + ':' + two(Math.floor(a % 60)) + (a < 600 ? '.' + Math.floor((a * 10) % 10) : '');
}

function lasting(ms) {
  if (ms < 1000) return Math.round(ms) + ' ms';
  if (ms < 59950) return (ms / 1000).toFixed(ms < 10000 ? 2 : 1) + ' s';
  const s = Math.round(ms / 1000);
  return Math.floor(s / 60) + ' min ' + s % 60 + ' s';
}
