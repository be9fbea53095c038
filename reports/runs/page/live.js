'use strict';
const rows = document.getElementById('rows'), live = document.getElementById('live');
const source = new EventSource('/events');
source.addEventListener('open', () => { live.textContent = 'It follows what goes on.'; });
source.addEventListener('rows', e => {
  const at = document.activeElement && document.activeElement.getAttribute('href');
  rows.innerHTML = JSON.parse(e.data); // of the server's own template, which escapes what runs have said
  const link = at && [...rows.querySelectorAll('a')].find(a => a.getAttribute('href') === at);
  if (link) link.focus();
});
source.addEventListener('error', () => { live.textContent = 'Nobody answers any more: what stands here may be old.'; });
