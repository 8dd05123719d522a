// Markdown as models write it, as a tree of few harmless elements.
//
// parseMarkdown(text) gives an array of nodes: a string, or {tag, kids, ...}. No HTML is read and none is written: what
// looks like a tag is text. Links and pictures are named, never followed or fetched.

const DEEPEST = 6; // quotes, lists and emphasis inside each other
const LONGEST_SPAN = 1000; // characters between two marks of emphasis
const LONGEST_TEXT = 300000; // beyond it the text is shown as it is

function parseMarkdown(text) {
  if (text.length > LONGEST_TEXT) return [{ tag: "pre", kids: [{ tag: "code", kids: [text] }] }];
  return blocks(text.replace(/\r\n?/g, "\n").split("\n"), 0);
}

function blocks(lines, depth) {
  const made = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const [node, next] = fence(lines, at) || heading(lines, at) || rule(lines, at) || quote(lines, at, depth) ||
      list(lines, at, depth) || table(lines, at, depth) || paragraph(lines, at, depth);
    made.push(node);
    at = next;
  }
  return made;
}

function fence(lines, at) {
  const opening = /^\s{0,12}(`{3,}|~{3,})([^`]*)$/.exec(lines[at]);
  if (!opening) return null;
  const sign = opening[1];
  const inside = [];
  let next = at + 1;
  for (; next < lines.length; next += 1) {
    const line = lines[next].trim();
    if (line.length >= sign.length && line === sign[0].repeat(line.length)) break;
    inside.push(lines[next]);
  }
  return [{ tag: "pre", lang: opening[2].trim().slice(0, 40), kids: [{ tag: "code", kids: [inside.join("\n")] }] }, next + 1];
}

function heading(lines, at) {
  const opening = /^ {0,3}(#{1,6})\s/.exec(lines[at]);
  if (!opening) return null;
  const words = lines[at].trim().slice(opening[1].length).trim();
  return [{ tag: "h5", level: opening[1].length, kids: inline(words, 0) }, at + 1];
}

function rule(lines, at) {
  const line = lines[at].replace(/\s/g, "");
  return line.length >= 3 && "-*_".includes(line[0]) && line === line[0].repeat(line.length) ? [{ tag: "hr", kids: [] }, at + 1] : null;
}

function quote(lines, at, depth) {
  if (depth >= DEEPEST || !/^ {0,3}>/.test(lines[at])) return null;
  const inside = [];
  let next = at;
  for (; next < lines.length && /^ {0,3}>/.test(lines[next]); next += 1) inside.push(lines[next].replace(/^ {0,3}> ?/, ""));
  return [{ tag: "blockquote", kids: blocks(inside, depth + 1) }, next];
}

const ITEM = /^(\s{0,40})([-*+•]|\d{1,9}[.)])(\s+)(?=\S)/;

function list(lines, at, depth) {
  const opening = ITEM.exec(lines[at]);
  if (!opening || depth >= DEEPEST) return null;
  const isOrdered = /\d/.test(opening[2]);
  const edge = opening[1].length;
  const items = [];
  let next = at;
  while (next < lines.length) {
    const item = ITEM.exec(lines[next]);
    if (!item || item[1].length !== edge || /\d/.test(item[2]) !== isOrdered) break;
    const inside = [lines[next].slice(item[0].length)];
    next += 1;
    while (next < lines.length) {
      const line = lines[next];
      const indent = line.length - line.trimStart().length;
      if (line.trim()) {
        if (indent <= edge && (ITEM.test(line) || !lines[next - 1].trim() || startsBlock(lines, next))) break;
      } else if (!(lines[next + 1] || "").trim()) {
        break;
      }
      inside.push(line.slice(Math.min(indent, item[0].length)));
      next += 1;
    }
    items.push({ tag: "li", value: isOrdered ? parseInt(item[2], 10) : undefined, kids: tight(blocks(inside, depth + 1)) });
    let after = next;
    while (after < lines.length && !lines[after].trim()) after += 1;
    const following = after < lines.length ? ITEM.exec(lines[after]) : null;
    if (following && following[1].length === edge && /\d/.test(following[2]) === isOrdered) next = after;
  }
  return [{ tag: isOrdered ? "ol" : "ul", kids: items }, next];
}

function tight(nodes) {
  return nodes.length && nodes[0].tag === "p" ? [...nodes[0].kids, ...nodes.slice(1)] : nodes;
}

function table(lines, at, depth) {
  const under = lines[at + 1];
  if (under === undefined || !lines[at].includes("|") || !/^[\s|:-]+$/.test(under) || !under.includes("-") || !under.includes("|")) return null;
  const rows = [{ tag: "tr", kids: cells(lines[at]).map((one) => ({ tag: "th", kids: inline(one, depth) })) }];
  let next = at + 2;
  for (; next < lines.length && lines[next].includes("|"); next += 1) {
    rows.push({ tag: "tr", kids: cells(lines[next]).map((one) => ({ tag: "td", kids: inline(one, depth) })) });
  }
  return [{ tag: "table", kids: rows }, next];
}

function cells(line) {
  return line.trim().replace(/^\|/, "").replace(/\|$/, "").split("|").map((one) => one.trim());
}

function startsBlock(lines, at) {
  return /^ {0,3}(#{1,6}\s|>)/.test(lines[at]) || /^\s{0,12}(```|~~~)/.test(lines[at]) || ITEM.test(lines[at]) || rule(lines, at) !== null;
}

function paragraph(lines, at, depth) {
  const inside = [lines[at]];
  let next = at + 1;
  while (next < lines.length && lines[next].trim() && !startsBlock(lines, next)) {
    inside.push(lines[next]);
    next += 1;
  }
  return [{ tag: "p", kids: broken(inline(inside.map((line) => line.trimEnd()).join("\n"), depth)) }, next];
}

// Line breaks are kept: models mean them, and a poem without them is none.
function broken(nodes) {
  return nodes.flatMap((node) => {
    if (typeof node !== "string") return [node.tag === "code" ? node : { ...node, kids: broken(node.kids) }];
    return node.split("\n").flatMap((line, number) => (number ? [{ tag: "br", kids: [] }, line] : [line]));
  });
}

const LINK = /!?\[([^[\]\n]{0,300})\]\(([^()\s]{1,1000})(?: "[^"\n]{0,200}")?\)/y;

function inline(text, depth) {
  const made = [];
  let plain = "";
  const put = (node, next) => {
    if (plain) made.push(plain);
    plain = "";
    made.push(node);
    return next;
  };
  const unmatched = new Set();
  let at = 0;
  while (at < text.length) {
    const sign = text[at];
    if (sign === "\\" && "*_`".includes(text[at + 1] || " ")) {
      plain += text[at + 1];
      at += 2;
    } else if (sign === "`") {
      let size = 1;
      while (text[at + size] === "`") size += 1;
      const end = unmatched.has(size) ? -1 : closing(text, at + size, size);
      if (end < 0) {
        unmatched.add(size);
        plain += text.slice(at, at + size);
        at += size;
      } else {
        at = put({ tag: "code", kids: [text.slice(at + size, end).replace(/\n/g, " ")] }, end + size);
      }
    } else if (sign === "*" && depth < DEEPEST) {
      const size = text[at + 1] === "*" ? 2 : 1;
      const end = emphasised(text, at, size);
      if (end < 0) {
        plain += text.slice(at, at + size);
        at += size;
      } else {
        at = put({ tag: size === 2 ? "strong" : "em", kids: inline(text.slice(at + size, end), depth + 1) }, end + size);
      }
    } else if (sign === "[" || (sign === "!" && text[at + 1] === "[")) {
      LINK.lastIndex = at;
      const link = LINK.exec(text);
      if (!link) {
        plain += sign;
        at += 1;
      } else {
        const words = sign === "!" ? `[picture: ${link[1]}]` : link[1];
        plain += words;
        at = put({ tag: "span", kids: [` (${link[2]})`] }, at + link[0].length);
      }
    } else {
      plain += sign;
      at += 1;
    }
  }
  if (plain) made.push(plain);
  return made;
}

function closing(text, from, size) {
  let at = from;
  for (;;) {
    at = text.indexOf("`", at);
    if (at < 0) return -1;
    let run = 1;
    while (text[at + run] === "`") run += 1;
    if (run === size) return at;
    at += run;
  }
}

function emphasised(text, at, size) {
  const sign = "*".repeat(size);
  const first = text[at + size];
  if (first === undefined || /\s/.test(first) || first === "*") return -1;
  const last = Math.min(text.length, at + LONGEST_SPAN);
  for (let end = text.indexOf(sign, at + size + 1); end >= 0 && end < last; end = text.indexOf(sign, end + 1)) {
    const isAlone = size === 2 || (text[end + 1] !== "*" && text[end - 1] !== "*");
    if (isAlone && !/\s/.test(text[end - 1])) return end;
  }
  return -1;
}
