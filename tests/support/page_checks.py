"""Scripts for a browser that return the faults of a page: clipped blocks, low contrast, missing names and headings."""

# Blocks of code, tables and pictures that do not fit: their contents into them, or they onto the screen.
CLIPPED = """() => {
  const faults = [], screen = document.documentElement;
  const inside = what => document.querySelectorAll(`article ${what}`);
  const say = (what, e) => faults.push(`${what}: ${(e.innerText || e.src || '').trim().slice(0, 60)}`);
  for (const e of inside(':is(pre, pre > code, .highlight, table, .md-typeset__scrollwrap)'))
    if (e.scrollWidth > e.clientWidth + 1) say(`${e.scrollWidth} px in ${e.clientWidth}`, e);
  for (const e of inside(':is(pre, table, img, svg, video, .cards > div, p, li, h1, h2, h3)'))
    if (e.getBoundingClientRect().right > screen.clientWidth + 1) say('beyond the screen', e);
  if (screen.scrollWidth > screen.clientWidth) say('scrolls sideways', document.body);
  return faults;
}"""

# Text of less contrast with its background than WCAG 2.2 asks for (AA: 4.5, and 3 from 24 px, or 18.66 px and bold).
CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const known = new Map();
  const read = colours => {  // the sRGB colour, 0 to 255, of layers from the bottom up
    const key = colours.join();
    if (!known.has(key)) known.set(key, painted(colours));
    return known.get(key);
  };
  const painted = colours => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of ['#fff', ...colours]) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = rgb => {
    const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faults = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement, style = getComputedStyle(e);
    const seen = e.checkVisibility({visibilityProperty: true, opacityProperty: true});
    if (!seen || !walk.currentNode.data.trim()) continue;
    if (e.closest('script, style, noscript, .headerlink, [aria-hidden=true]')) continue;
    const layers = [];
    for (let a = e; a; a = a.parentElement) layers.unshift(getComputedStyle(a).backgroundColor);
    const [text, ground] = [light(read([...layers, style.color])), light(read(layers))];
    const ratio = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) faults.add(`${ratio.toFixed(2)} ${style.color} ${e.tagName}.${e.className}`);
  }
  return [...faults];
}"""

# Pictures without a text, headings out of order, controls without a name, ids that are there twice.
STRUCTURE = """() => {
  const faults = [];
  if (!document.documentElement.lang) faults.push('no language');
  if (!document.title) faults.push('no title');
  for (const e of document.querySelectorAll('video'))
    if (!e.controls && !(e.muted && e.loop)) faults.push(`no controls: ${e.src}`);
  for (const e of document.querySelectorAll('img, video'))
    if (!(e.alt || e.ariaLabel)) faults.push(`no text: ${e.src}`);
  const levels = [...document.querySelectorAll('article :is(h1, h2, h3, h4, h5, h6)')].map(e => +e.tagName[1]);
  if (levels[0] !== 1 || levels.filter(n => n === 1).length !== 1) faults.push(`not one h1: ${levels}`);
  levels.forEach((n, i) => { if (i && n > levels[i - 1] + 1) faults.push(`h${n} follows h${levels[i - 1]}`); });
  const ids = [...document.querySelectorAll('article [id]')].map(e => e.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) faults.push(`twice: ${id}`);
  for (const e of document.querySelectorAll('a[href], button, input:not([type=hidden])')) {
    if (!e.checkVisibility({visibilityProperty: true}) || e.closest('[aria-hidden=true]')) continue;
    const picture = e.querySelector('img')?.alt;
    const label = e.labels?.[0]?.innerText || e.ariaLabel || e.title || e.innerText.trim() || e.placeholder || picture;
    if (!label) faults.push(`no name: ${e.outerHTML.slice(0, 80)}`);
  }
  return faults;
}"""

# Links and controls that the keyboard does not reach in their order, or that look the same with the focus.
KEYBOARD = """() => {
  const faults = [];
  const ring = e => {
    const style = getComputedStyle(e);
    return [style.outlineStyle === 'none' ? '' : style.outline, style.boxShadow, style.backgroundColor].join();
  };
  for (const e of document.querySelectorAll('a[href], button, summary, input:not([type=hidden]), [tabindex]')) {
    if (!e.checkVisibility({visibilityProperty: true}) || e.disabled || e.closest('[aria-hidden=true]')) continue;
    const name = (e.innerText || e.ariaLabel || e.title || e.outerHTML).trim().slice(0, 60);
    if (e.matches('a[href], button, summary, input') && e.tabIndex < 0) faults.push(`not reached: ${name}`);
    if (e.tabIndex > 0) faults.push(`out of order: ${name}`);
    if (e.tabIndex < 0) continue;
    const before = ring(e);
    e.focus({focusVisible: true, preventScroll: true});
    if (document.activeElement !== e) faults.push(`takes no focus: ${name}`);
    else if (ring(e) === before) faults.push(`the focus is not seen: ${name}`);
    e.blur();
  }
  const first = [...document.querySelectorAll('a[href], button')].find(e => e.tabIndex >= 0 && e.checkVisibility());
  const start = first?.getAttribute('href') || '';
  if (!start.startsWith('#') || !document.getElementById(start.slice(1))) faults.push('no way past the contents');
  return faults;
}"""

# Targets that a finger misses: smaller than 24 px and nearer than that to another (WCAG 2.2 AA; links in text may be).
TARGETS = """() => {
  const seen = e =>
    e.checkVisibility({visibilityProperty: true, opacityProperty: true}) && !e.closest('[aria-hidden=true]');
  const inText = e => e.matches('a') && e.closest('article :is(p, li, td, th, h1, h2, h3, h4, h5, h6)');
  const targets = [...document.querySelectorAll('a[href], button, summary, input:not([type=hidden]), label[for]')]
    .filter(e => seen(e) && !inText(e)).map(e => [e, e.getBoundingClientRect()]).filter(([e, box]) => box.width);
  const faults = [];
  for (const [e, box] of targets) {
    if (box.width >= 23.9 && box.height >= 23.9) continue;
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const near = targets.find(([other, b]) => other !== e && !e.contains(other) && !other.contains(e)
      && Math.hypot(Math.max(b.left - x, x - b.right, 0), Math.max(b.top - y, y - b.bottom, 0)) < 12);
    const name = (e.innerText || e.ariaLabel || e.title || e.outerHTML).trim().slice(0, 60);
    if (near) faults.push(`${box.width.toFixed(0)} × ${box.height.toFixed(0)} px: ${name}`);
  }
  return faults;
}"""
