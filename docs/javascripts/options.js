// An option of a command stays in one line: browsers break "--size" after its hyphens, and nothing in CSS forbids it.
// Names in tables may break, but only behind these characters: training.<break>batch_<break>size.
const OPTION = /((?<![^\s(])--?[A-Za-z][\w-]{0,24}(?![\w-]))/;
const BREAKS = /(?<=[\w"'\]}][_./=:+,]|[a-z0-9]-)(?=[\w"'[{<*])/;

for (const code of document.querySelectorAll("article code")) {
  const inTable = code.closest("table") !== null;
  const walk = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walk.nextNode()) texts.push(walk.currentNode);
  for (const text of texts) {
    const parts = text.data.split(OPTION);
    if (parts.length < 2 && !inTable) continue;
    text.replaceWith(...parts.flatMap((part, i) => (i % 2 ? [option(part)] : inTable ? breakable(part) : [part])));
  }
}

function option(name) {
  const span = document.createElement("span");
  span.className = "option";
  span.textContent = name;
  return span;
}

function breakable(text) {
  return text.split(BREAKS).flatMap((piece, i) => (i ? [document.createElement("wbr"), piece] : [piece]));
}

// A table of many columns becomes a list on a phone (site.css): each cell has the heading of its column.
for (const table of document.querySelectorAll("article table:not([class])")) {
  const headings = [...table.querySelectorAll("thead th")].map((cell) => cell.innerText);
  if (headings.length < 4) continue;
  table.dataset.columns = "many"; // a class would take the theme's style away
  table.role = "table";
  for (const row of table.querySelectorAll("tr")) {
    row.role = "row";
    [...row.querySelectorAll("td")].forEach((cell, i) => {
      cell.role = "cell";
      cell.dataset.heading = headings[i];
    });
  }
}
