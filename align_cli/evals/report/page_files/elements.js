// Elements out of data: text becomes text, whatever it holds. No HTML is ever parsed here.

function element(tag, { kids = [], text, ...attributes } = {}) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined && value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  if (text !== undefined) made.textContent = text;
  made.append(...kids.filter((kid) => kid !== null));
  return made;
}

const HARMLESS = new Set(["p", "br", "h5", "ul", "ol", "li", "blockquote", "pre", "code", "strong", "em", "table", "tr", "th", "td", "hr", "span"]);

function grown(nodes) {
  return nodes.map((node) => {
    if (typeof node === "string") return document.createTextNode(node);
    if (!HARMLESS.has(node.tag)) throw new Error(`no such element: ${node.tag}`);
    const made = element(node.tag, { kids: grown(node.kids) });
    if (node.tag === "h5") made.className = `l${node.level}`;
    if (node.tag === "li" && node.value !== undefined) made.value = node.value;
    if (node.tag === "span") made.className = "address";
    if (node.tag === "pre") made.tabIndex = 0; // or a long line could not be read with the keyboard alone
    if (node.tag === "pre" && node.lang) made.prepend(element("span", { class: "lang", text: node.lang }));
    return made;
  });
}

function prose(text, isPlain) {
  return isPlain ? element("div", { class: "text is-plain", dir: "auto", text }) : element("div", { class: "text", dir: "auto", kids: grown(parseMarkdown(text)) });
}

// A fold whose inside is made when it is opened.
function fold(title, make) {
  const made = element("details", { kids: [element("summary", { text: title })] });
  made.addEventListener("toggle", () => { if (made.open && made.children.length === 1) made.append(make()); });
  return made;
}

function marked(root, typed) {
  const wanted = typed.trim().toLowerCase();
  if (wanted.length < 2) return;
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const hits = [];
  while (walker.nextNode() && hits.length < 2000) {
    const value = walker.currentNode.nodeValue.toLowerCase();
    if (value.length === walker.currentNode.nodeValue.length && value.includes(wanted)) hits.push(walker.currentNode);
  }
  for (const node of hits) {
    let rest = node;
    for (let at = rest.nodeValue.toLowerCase().indexOf(wanted); at >= 0; at = rest.nodeValue.toLowerCase().indexOf(wanted)) {
      const hit = rest.splitText(at);
      rest = hit.splitText(wanted.length);
      const mark = document.createElement("mark");
      hit.replaceWith(mark);
      mark.append(hit);
    }
  }
}

function number(value) {
  return Number.isInteger(value) ? String(value) : String(Math.round(value * 100) / 100);
}

function heat(score, scale) {
  const share = (score - scale[0]) / (scale[1] - scale[0] || 1);
  return `h${Math.min(Math.max(Math.ceil(share * 5), 1), 5)}`;
}
