// Pointer and keyboard.
let drag = null;

function watchPointer(canvas, group) {
  canvas.addEventListener('pointermove', e => {
    const box = canvas.getBoundingClientRect(), x = e.clientX - box.left, ms = view.ms(x);
    if (drag && drag.canvas === canvas) {
      drag.moved = drag.moved || Math.abs(e.clientX - drag.x) > 3;
      if (drag.select) { view.wanted = { from: Math.min(drag.ms, ms), to: Math.max(drag.ms, ms) }; drawAgain(); }
      else see(drag.from - (e.clientX - drag.x) * (drag.to - drag.from) / view.width, drag.to - (e.clientX - drag.x) * (drag.to - drag.from) / view.width);
      tip.hidden = true;
      return;
    }
    showCross(ms);
    const y = e.clientY - box.top, lane = group && group.lanes.find(l => y >= l.y && y < l.y + l.height);
    const found = lane && spanAt(lane, ms, 4 * (view.to - view.from) / view.width);
    if (found) showTip(describe(found, ms), e.clientX, e.clientY); else tip.hidden = true;
  });
  canvas.addEventListener('pointerleave', () => { tip.hidden = true; showCross(null); });
  canvas.addEventListener('pointerdown', e => {
    if (e.button !== 0) return;
    const box = canvas.getBoundingClientRect();
    drag = { canvas, x: e.clientX, ms: view.ms(e.clientX - box.left), from: view.from, to: view.to, select: e.shiftKey || !group, moved: false };
    canvas.setPointerCapture(e.pointerId);
  });
  const end = () => {
    if (drag && drag.canvas === canvas && drag.select && drag.moved && view.wanted) {
      const w = view.wanted;
      view.wanted = null;
      see(w.from, w.to);
    }
    drag = null;
  };
  canvas.addEventListener('pointerup', end);
  canvas.addEventListener('pointercancel', () => { drag = null; });
  canvas.addEventListener('dblclick', e => zoom(0.4, view.ms(e.clientX - canvas.getBoundingClientRect().left)));
  canvas.addEventListener('wheel', e => {
    const sideways = Math.abs(e.deltaX) > Math.abs(e.deltaY) || e.shiftKey;
    if (!sideways && !e.ctrlKey && !e.metaKey) return; // the page scrolls
    e.preventDefault();
    if (sideways) pan((e.deltaX || e.deltaY) / view.width);
    else zoom(Math.exp(e.deltaY * 0.004), view.ms(e.clientX - canvas.getBoundingClientRect().left));
  }, { passive: false });
}

// watchOverview moves what is seen to where the whole axis is pointed at, or to what is marked on it.
function watchOverview(canvas) {
  const at = e => view.cell.first + (e.clientX - canvas.getBoundingClientRect().left) * (view.cell.last - view.cell.first) / view.width;
  let begin = null;
  canvas.addEventListener('pointerdown', e => { begin = at(e); canvas.setPointerCapture(e.pointerId); });
  canvas.addEventListener('pointermove', e => {
    if (begin === null) return;
    const now = at(e);
    if (Math.abs(now - begin) > (view.cell.last - view.cell.first) / 100) see(Math.min(begin, now), Math.max(begin, now));
  });
  canvas.addEventListener('pointerup', e => {
    const now = at(e), half = (view.to - view.from) / 2;
    if (begin !== null && Math.abs(now - begin) <= (view.cell.last - view.cell.first) / 100) see(now - half, now + half);
    begin = null;
  });
}

// choose takes a lane by the keyboard and tells what it has at the time that is pointed at.
function choose(lane, ms) {
  const lanes = openLanes();
  if (!lanes.length) return;
  view.lane = Math.max(0, Math.min(lane, lanes.length - 1));
  view.at = Math.max(view.cell.first, Math.min(ms, view.cell.last));
  if (view.at < view.from || view.at > view.to) see(view.at - (view.to - view.from) / 2, view.at + (view.to - view.from) / 2);
  const on = lanes[view.lane];
  root.querySelectorAll('.name.on').forEach(e => e.classList.remove('on'));
  on.tag.classList.add('on');
  on.tag.scrollIntoView({ block: 'nearest' });
  const found = spanAt(on, view.at, 4 * (view.to - view.from) / view.width) || { lane: on, from: view.at, to: view.at, label: 'nothing here', more: '', tone: 5 };
  const lines = describe(found, view.at), box = on.group.canvas.getBoundingClientRect();
  showTip(lines, box.left + view.x(view.at), box.top + on.y + on.height / 2);
  showCross(view.at);
  seeing.textContent = lines.join('. ') + (TELL[TONES[found.tone]] ? '. ' + TELL[TONES[found.tone]] : '');
}

const openLanes = () => view.cell.groups.filter(g => !g.folded).flatMap(g => g.lanes);

// change is the next or the last change of the lane from a time on.
function change(ms, forward) {
  const lane = openLanes()[view.lane];
  if (!lane) return ms;
  const times = [...lane.spans.from, ...lane.marks.map(m => m[0])].sort((a, b) => a - b);
  const i = first(times, forward ? ms + 0.5 : ms - 0.5);
  return forward ? (i < times.length ? times[i] : ms) : (i > 0 ? times[i - 1] : ms);
}

root.addEventListener('keydown', e => {
  if (e.target !== root || e.ctrlKey || e.metaKey || e.altKey) return;
  const at = view.lane < 0 ? (view.from + view.to) / 2 : view.at;
  const keys = {
    ArrowLeft: () => e.shiftKey ? choose(Math.max(view.lane, 0), change(at, false)) : pan(-0.15), ArrowRight: () => e.shiftKey ? choose(Math.max(view.lane, 0), change(at, true)) : pan(0.15),
    ArrowUp: () => choose(view.lane - 1, at), ArrowDown: () => choose(view.lane + 1, at),
    '+': () => zoom(0.6, view.lane < 0 ? undefined : at), '=': () => zoom(0.6, view.lane < 0 ? undefined : at), '-': () => zoom(1 / 0.6, view.lane < 0 ? undefined : at),
    0: () => see(view.cell.from, view.cell.end), Home: () => see(view.cell.from, view.cell.from + view.to - view.from), End: () => see(view.cell.end - view.to + view.from, view.cell.end),
    Escape: () => { tip.hidden = true; showCross(null); },
  };
  if (!keys[e.key]) return;
  e.preventDefault();
  keys[e.key]();
});
root.addEventListener('blur', () => { tip.hidden = true; showCross(null); });

const buttons = {
  in: () => zoom(0.5), out: () => zoom(2), earlier: () => pan(-0.4), later: () => pan(0.4),
  fit: () => { view.wanted = null; unfind(); see(view.cell.from, view.cell.end); }, all: () => see(view.cell.first, view.cell.last),
};
for (const [name, act] of Object.entries(buttons)) document.getElementById('do-' + name).addEventListener('click', act);

function unfind() {
  for (const g of view.cell.groups) for (const l of g.lanes) { l.found = false; l.tag.classList.remove('found'); }
}

// show goes to a place: its cell, its time with some room around it, and the lanes that the most of its words name.
function show(place) {
  const cell = DATA.cells.find(c => c.label === place.cell) || DATA.cells[0];
  if (cell !== view.cell) {
    build(cell);
    const chooser = document.getElementById('cell');
    if (chooser) chooser.value = String(DATA.cells.indexOf(cell));
  }
  unfind();
  const lanes = cell.groups.flatMap(g => g.lanes), score = l => (l.of || []).filter(w => place.of.includes(w)).length + (place.of.includes(l.name) ? 1 : 0);
  const most = Math.max(0, ...lanes.map(score));
  for (const l of lanes) {
    if (!most || score(l) !== most) continue;
    l.found = true;
    l.tag.classList.add('found');
    if (l.group.folded && l.group.lanes.length < 40) fold(l.group, false);
  }
  const from = place.from - cell.t0, to = place.to - cell.t0, room = Math.max((to - from) * 0.4, Math.min(15000, (cell.end - cell.from) * 0.12));
  view.wanted = { from, to };
  see(from - room, to + room, true);
  const ill = l => { // for how much of that time it was bad or silent
    let sum = 0;
    for (let i = first(l.spans.to, from); i < l.spans.n && l.spans.from[i] <= to; i++) if (RANK[l.spans.tone[i]] > 4) sum += Math.min(l.spans.to[i], to) - Math.max(l.spans.from[i], from) + 1;
    return sum;
  };
  const found = lanes.filter(l => l.found).sort((a, b) => ill(b) - ill(a))[0];
  document.getElementById('timeline').scrollIntoView({ block: 'start' });
  root.focus({ preventScroll: true });
  if (found) choose(openLanes().indexOf(found), (from + to) / 2);
}

document.addEventListener('click', e => {
  const link = e.target.closest('[data-place]');
  if (!link) return;
  e.preventDefault();
  show(JSON.parse(link.dataset.place));
});
