/* What the page does in the browser: the picture that is opened, keys, favourites, and the choice to download. */
(() => {
  const FAVOURITES = 'leccr-favourites';
  const picked = new Set();
  let kept;
  try { kept = new Set(JSON.parse(localStorage.getItem(FAVOURITES)) || []); } catch { kept = new Set(); }
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };

  /* The picture that is opened. The element that says why is Gradio's; it moves in here while it is needed. */
  let viewer, shown, opener;
  const reasons = {};
  const show = (tile) => {
    if (!viewer) build();
    shown = tile;
    const {large, video, name, description, note, file} = tile.dataset;
    const frame = video
      ? make('video', {src: video, controls: true, autoplay: true, poster: large})
      : make('img', {src: large || tile.querySelector('img').src, alt: description || name});
    if (video) frame.setAttribute('aria-label', name);
    viewer.querySelector('.frame').replaceChildren(frame);
    viewer.querySelector('h2').textContent = name.split('/').pop();
    viewer.querySelector('.path').textContent = name;
    viewer.querySelector('.rank').textContent = note || '';
    const text = viewer.querySelector('.description');
    text.textContent = description || 'It has no description.';
    text.classList.toggle('note', !description);
    const link = viewer.querySelector('.download');
    link.hidden = !file;
    if (file) link.href = file;
    const heart = viewer.querySelector('[data-heart]');
    heart.hidden = !file;
    heart.dataset.heart = tile.dataset.id;
    place(tile);
    paint();
    const tiles = siblings(tile);
    viewer.querySelector('.previous').disabled = tiles[0] === tile;
    viewer.querySelector('.following').disabled = tiles.at(-1) === tile && !more(tile);
    if (!viewer.open) viewer.showModal();
  };
  const siblings = (tile) => all('.tile', tile.closest('.tiles'));
  const more = (tile) => tile.closest('.tiles').querySelector('.more button');
  const place = (tile) => {
    const side = viewer.querySelector('.reason');
    const id = tile.closest('.tiles').dataset.why;
    const why = reasons[id] ??= document.getElementById(id);
    if (why && why.parentElement !== side) side.replaceChildren(why);
    wait();
  };
  /* Until the server has answered, what is there is about another picture. */
  const wait = () => {
    const section = viewer.querySelector('.reason section');
    const query = shown.closest('.tiles')?.dataset.query;
    const isOther = !section || section.dataset.id !== shown.dataset.id || section.dataset.query !== query;
    viewer.querySelector('.reason').classList.toggle('waiting', isOther);
  };
  const step = (by) => {
    const tiles = siblings(shown);
    const next = tiles[tiles.indexOf(shown) + by];
    if (next) next.click();
    else if (by > 0) more(shown)?.click();
  };
  const build = () => {
    const button = (label, title, kind, act) => {
      const node = make('button', {type: 'button', textContent: label, className: kind, onclick: act});
      node.setAttribute('aria-label', title);
      return node;
    };
    const heart = button('♥', 'Favourite', 'mark heart', null);
    heart.dataset.heart = '';
    viewer = make('dialog', {className: 'viewer'},
      make('div', {className: 'stage'},
        make('div', {className: 'frame'}),
        button('‹', 'Previous picture', 'arrow previous', () => step(-1)),
        button('›', 'Next picture', 'arrow following', () => step(1))),
      make('div', {className: 'side'},
        make('div', {className: 'bar-top'},
          heart,
          make('a', {className: 'download chip', textContent: 'Download', download: ''}),
          button('✕', 'Close', 'close', () => viewer.close())),
        make('h2', {dir: 'auto'}),
        make('p', {className: 'rank note'}),
        make('p', {className: 'description', dir: 'auto'}),
        make('p', {className: 'path note', dir: 'auto'}),
        make('div', {className: 'reason'})));
    viewer.setAttribute('aria-label', 'Picture');
    viewer.addEventListener('click', (event) => { if (event.target === viewer) viewer.close(); });
    viewer.addEventListener('close', () => {
      viewer.querySelector('.frame').replaceChildren();
      (document.contains(shown) ? shown : opener)?.focus();
    });
    new MutationObserver(wait).observe(viewer.querySelector('.reason'), {
      childList: true, subtree: true, attributes: true, attributeFilter: ['data-id', 'data-query']
    });
    /* Gradio applies the page's styles fully only in there. */
    (document.querySelector('.contain') ?? document.body).append(viewer);
  };

  /* Favourites stay in this browser; the choice to download lasts as long as the page. */
  const paint = () => {
    all('[data-pick]').forEach((node) => node.setAttribute('aria-pressed', picked.has(node.dataset.pick)));
    all('[data-heart]').forEach((node) => node.setAttribute('aria-pressed', kept.has(node.dataset.heart)));
    const bar = document.querySelector('#marks .marks');
    if (!bar) return;
    bar.hidden = !picked.size && !kept.size;
    const favourites = bar.querySelector('[data-action=favourites]');
    favourites.hidden = !kept.size;
    write(favourites, `♥ Favourites (${kept.size})`);
    if (favourites.dataset.id !== [...kept].join(',')) favourites.dataset.id = [...kept].join(',');
    all('.for-picked', bar).forEach((node) => { node.hidden = !picked.size; });
    write(bar.querySelector('.count'), `${picked.size} selected`);
    bar.querySelector('a').href = `selection.zip?ids=${[...picked].map(encodeURIComponent).join(',')}`;
  };
  /* Writing what is there already would wake the observer below again and again. */
  const write = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  const toggle = (set, id) => { if (!set.delete(id)) set.add(id); };
  const keep = () => {
    try { localStorage.setItem(FAVOURITES, JSON.stringify([...kept])); } catch { /* A private window. */ }
    paint();
  };

  document.addEventListener('click', (event) => {
    const {pick, heart, marks} = event.target.closest('[data-pick], [data-heart], [data-marks]')?.dataset ?? {};
    if (pick) { toggle(picked, pick); paint(); }
    if (heart) { toggle(kept, heart); keep(); }
    if (marks === 'keep') { picked.forEach((id) => kept.add(id)); keep(); }
    if (marks === 'clear') { picked.clear(); paint(); }
    if (event.target.closest('[data-action=like]')) viewer?.close();
    const tile = event.target.closest('.tile');
    if (tile?.closest('.tiles').dataset.why) { if (!viewer?.open) opener = tile; show(tile); }
  });

  /* Arrows go from picture to picture; / goes to the query, f makes a favourite, x selects. */
  const nearest = (tile, down) => {
    const own = tile.getBoundingClientRect();
    const middle = own.left + own.width / 2;
    const far = (other) => {
      const box = other.getBoundingClientRect();
      const away = down * (box.top - own.top);
      return away > 4 ? 1000 * away + Math.abs(box.left + box.width / 2 - middle) : Infinity;
    };
    const best = siblings(tile).reduce((one, other) => (far(other) < far(one) ? other : one));
    return far(best) < Infinity ? best : null;
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select, video')) return;
    const {key} = event;
    const ahead = getComputedStyle(document.body).direction === 'rtl' ? 'ArrowLeft' : 'ArrowRight';
    const by = {ArrowLeft: -1, ArrowRight: 1}[key] * (ahead === 'ArrowRight' ? 1 : -1);
    const tile = viewer?.open ? shown : event.target.closest('.tile');
    if (key === '/' && !viewer?.open) document.querySelector('#query textarea, #query input')?.focus();
    else if (!tile) return;
    else if (key === 'f' || key === 'x') tile.parentElement.querySelector(key === 'f' ? '.heart' : '.pick')?.click();
    else if (viewer?.open) { if (!by) return; step(by); }
    else {
      const tiles = siblings(tile);
      const to = by ? tiles[tiles.indexOf(tile) + by]
        : {Home: tiles[0], End: tiles.at(-1)}[key]
        ?? (key.startsWith('Arrow') ? nearest(tile, key === 'ArrowDown' ? 1 : -1) : null);
      if (!to) return;
      to.focus();
    }
    event.preventDefault();
  });

  /* The list goes on when its end comes near. Gradio may make another button of one that was watched. */
  const end = new IntersectionObserver((entries) => entries.forEach(({isIntersecting, target}) => {
    if (!target.matches('.more button')) end.unobserve(target);
    else if (isIntersecting) target.click();
  }), {rootMargin: '600px'});
  let isDue = false;
  const refresh = () => {
    isDue = false;
    all('.tiles .more button').forEach((node) => {
      const {count, query} = node.closest('.tiles').dataset;
      if (node.watched === count + query) return;
      node.watched = count + query;
      end.unobserve(node);
      end.observe(node);
    });
    /* Gradio writes every text box from left to right; this lets the text itself decide. */
    all('textarea:not([dir=auto]), input[type=text]:not([dir=auto])').forEach((box) => { box.dir = 'auto'; });
    paint();
  };
  new MutationObserver(() => {
    if (!isDue) { isDue = true; setTimeout(refresh, 50); }
  }).observe(document, {
    childList: true, subtree: true, attributes: true, attributeFilter: ['data-id', 'data-count', 'data-query']
  });
})();
