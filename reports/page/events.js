// What changed, in words and in order, in the time that is seen: the timeline for whoever does not look at it.
const events = document.getElementById('events');
const LISTED = 250;

function happened() {
  const cell = view.cell, out = [], inside = t => t >= view.from && t <= view.to;
  for (const f of cell.faults) {
    for (const [t, what] of [[f.from, 'is injected'], [f.effective, 'is seen to be effective'], [f.recover, 'is being undone'], [f.to, 'is seen to be over']]) {
      if (t !== undefined && inside(t)) out.push([t, 'Fault ' + f.id, text(f.name) + ' ' + what, 6]);
    }
  }
  for (const g of cell.groups) {
    for (const l of g.lanes) {
      const s = l.spans;
      for (let i = first(s.from, view.from); i < s.n && s.from[i] <= view.to; i++) {
        out.push([s.from[i], g.name + ': ' + l.name, l.samples ? text(s.more[i]) : text(s.label[i]) + (text(s.more[i]) && s.tone[i] > 1 ? ': ' + text(s.more[i]) : ''), s.tone[i]]);
      }
      for (const m of l.marks) if (inside(m[0])) out.push([m[0], g.name + ': ' + l.name, text(m[2]), m[1]]);
    }
  }
  return out.sort((a, b) => a[0] - b[0]);
}

function listEvents() {
  if (!events.open) return;
  const all = happened(), body = events.querySelector('tbody'), bad = events.querySelector('#only-bad').checked;
  const shown = bad ? all.filter(e => e[3] === 3 || e[3] === 4 || e[3] === 2 || e[3] === 6) : all;
  body.replaceChildren(...shown.slice(0, LISTED).map(([t, where, what, tone]) =>
    make('tr', {}, make('td', { class: 'time' }, clock(view.cell, t)), make('td', { class: 'time' }, offset(t)), make('td', {}, where), make('td', {}, make('span', { class: 'dot ' + TONES[tone], 'aria-hidden': 'true' }), what))));
  events.querySelector('.rest').textContent = shown.length > LISTED ? shown.length - LISTED + ' more: zoom in to see them' : shown.length + ' in the time that is seen';
}
events.addEventListener('toggle', listEvents);
events.querySelector('#only-bad').addEventListener('change', listEvents);
watchers.push(listEvents);
