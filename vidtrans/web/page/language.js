// The texts of a page in the reader's language. The pages are written in English; a catalogue, text/<language>.json, maps
// their texts to others, and what it lacks stays English. "{}" in a text stands for a name or a number, {1}, {2} … for them in its translation.
const LANGUAGES = ["de", "ja"];
const ATTRIBUTES = ["title", "aria-label", "aria-valuetext", "placeholder", "alt", "label"];
const OWN = "pre, code, script, style, [translate=no]"; // what is the user's own: commands, logs, names of files
const MOST_KEPT = 4000; // translated texts that are remembered

const asked = new URLSearchParams(location.search).get("lang") ?? navigator.languages.map((one) => one.slice(0, 2)).find((one) => one === "en" || LANGUAGES.includes(one));
export const language = LANGUAGES.includes(asked) ? asked : "en";
export const missing = new Set(); // texts without a translation that the page has shown, for translators
const texts = new Map(), patterns = [], results = new Set();

function read(catalogue) {
  for (const [text, translation] of Object.entries(catalogue)) {
    if (!text.includes("{}")) { texts.set(text, translation); continue; }
    const parts = text.split("{}").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    patterns.push([new RegExp(`^${parts.join("(.+?)")}$`, "s"), translation]);
  }
  patterns.sort(([a], [b]) => b.source.length - a.source.length); // the one that says most
}

export function translated(text) {
  const found = text.trim().replace(/\s+/g, " ");
  if (!found || results.has(found) || !/\p{L}{2}/u.test(found)) return text;
  let to = texts.get(found);
  for (const [pattern, translation] of to === undefined ? patterns : []) {
    const match = pattern.exec(found);
    if (match) { to = translation.replace(/\{(\d)\}/g, (_, number) => texts.get(match[number]) ?? match[number]); break; }
  }
  if (to === undefined) { if (missing.size < MOST_KEPT) missing.add(found); return text; }
  if (results.size > MOST_KEPT) results.clear();
  results.add(to); // so that it is not taken for a text of the page
  return text.replace(text.trim(), () => to);
}

function translateText(node) {
  if (node.parentElement?.closest(OWN) || node.parentElement?.tagName === "TEXTAREA") return;
  const to = translated(node.data);
  if (to !== node.data) node.data = to;
}

function translateElement(element) {
  for (const name of ATTRIBUTES) {
    const text = element.getAttribute(name);
    if (text && !element.closest(OWN)) { const to = translated(text); if (to !== text) element.setAttribute(name, to); }
  }
}

function translateTree(root) {
  if (root.nodeType === Node.TEXT_NODE) { translateText(root); return; }
  if (root.nodeType !== Node.ELEMENT_NODE) return;
  translateElement(root);
  const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
  while (walk.nextNode()) if (walk.currentNode.nodeType === Node.TEXT_NODE) translateText(walk.currentNode); else translateElement(walk.currentNode);
}

if (language !== "en") {
  const response = await fetch(new URL(`./text/${language}.json`, import.meta.url)).catch(() => null);
  if (response?.ok) {
    read(await response.json());
    document.documentElement.lang = language;
    translateTree(document.body);
    new MutationObserver((changes) => {
      for (const { type, target, addedNodes } of changes) {
        if (type === "childList") addedNodes.forEach(translateTree);
        else if (type === "characterData") translateText(target);
        else translateElement(target);
      }
    }).observe(document.body, { childList: true, characterData: true, subtree: true, attributes: true, attributeFilter: ATTRIBUTES });
  }
}
