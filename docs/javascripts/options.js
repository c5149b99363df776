// An option of a command stays in one line: browsers break "--size" after its hyphens, and nothing in CSS forbids it.
for (const code of document.querySelectorAll("article code")) {
  const walk = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walk.nextNode()) texts.push(walk.currentNode);
  for (const text of texts) {
    const parts = text.data.split(/((?<![^\s(])--?[A-Za-z][\w-]{0,24}(?![\w-]))/);
    if (parts.length < 2) continue;
    text.replaceWith(
      ...parts.map((part, i) => {
        if (i % 2 === 0) return part;
        const span = document.createElement("span");
        span.className = "option";
        span.textContent = part;
        return span;
      }),
    );
  }
}
