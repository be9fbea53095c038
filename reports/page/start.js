// The page as it begins, and when its size, its colours or its paper change.
function restyle() {
  readInk();
  charts.forEach(c => c.u.destroy());
  charts = [];
  drawAgain(true);
  drawCurves();
  drawPlots();
}

readInk();
if (DATA.cells.length) {
  build(DATA.cells[0]);
  const chooser = document.getElementById('cell');
  if (chooser) chooser.addEventListener('change', () => build(DATA.cells[+chooser.value]));
  window.addEventListener('scroll', () => { if (canvases.some(c => c.stale)) drawAgain(); }, { passive: true });
  window.addEventListener('resize', () => drawAgain());
  let sizing = 0;
  new ResizeObserver(() => {
    const was = view.width;
    measure();
    if (view.width === was) return;
    drawAgain();
    clearTimeout(sizing);
    sizing = setTimeout(restyle, 200);
  }).observe(root);
}
drawPlots();
window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', restyle);

// On paper everything is open and light, but for the list of what changed, which says what the lanes show.
window.addEventListener('beforeprint', () => {
  document.documentElement.classList.add('paper');
  document.querySelectorAll('details').forEach(d => { d.dataset.was = d.open ? '1' : ''; d.open = d.open || d !== events; });
  readInk();
  tip.hidden = cross.hidden = true;
  if (DATA.cells.length) { listEvents(); drawCurves(); drawNow(true); }
});
window.addEventListener('afterprint', () => {
  document.documentElement.classList.remove('paper');
  document.querySelectorAll('details').forEach(d => { d.open = d.dataset.was === '1'; });
  restyle();
});

document.querySelectorAll('[data-copy]').forEach(b => b.addEventListener('click', () => {
  const never = () => { b.textContent = 'Select it and copy'; };
  if (!navigator.clipboard) { never(); return; }
  navigator.clipboard.writeText(b.dataset.copy).then(() => { b.textContent = 'Copied'; }, never);
}));
document.documentElement.dataset.ready = String(Math.round(performance.now()));
