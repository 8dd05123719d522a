// How far the raters are and what their votes come to; only with the report's token, which stays in this page's memory.

// As the report's page has tables: cells with what stands below them, and shades.
function tableElement({ title, columns, rows }) {
  const head = element("tr", { kids: [element("td"), ...columns.map((text) => element("th", { scope: "col", text }))] });
  const body = rows.map(([name, cells]) => element("tr", { kids: [element("th", { scope: "row", text: name }), ...cells.map(cellElement)] }));
  return element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": title, kids: [element("table", { class: "numbers", kids: [element("caption", { text: title }), element("thead", { kids: [head] }), element("tbody", { kids: body })] })] });
}

function cellElement({ text, aside, title, share }) {
  const shade = share === null ? undefined : heat(share, [0, 1]);
  return element("td", { class: shade, title: title || undefined, kids: [text, aside ? element("small", { text: aside }) : null] });
}

// The drawing takes the ink of the page; as a picture it is no part of it, and has to be told.
function chartElement(drawn) {
  const ink = getComputedStyle(document.body).color;
  const url = URL.createObjectURL(new Blob([drawn.replace("<svg ", `<svg color="${ink}" `)], { type: "image/svg+xml" }));
  const picture = element("img", { src: url, alt: "Rating and 95 % interval of every model, as in the table of ratings", class: "drawing" });
  picture.addEventListener("load", () => URL.revokeObjectURL(url));
  return element("div", { class: "scroll chart", role: "region", tabindex: "0", "aria-label": "Ratings, drawn", kids: [picture] });
}

function progressTable(found) {
  const cell = (text) => ({ text, aside: "", title: "", share: null });
  const rows = found.raters.map((one) => [one.name, [cell(one.votes.toLocaleString("en")), cell(new Date(one.last * 1000).toLocaleString())]]);
  return tableElement({ title: "How far raters are", columns: [found.items ? `votes, of ${found.items.toLocaleString("en")} items` : "votes", "last vote"], rows });
}

function showReport(found, again, save) {
  const button = (text, kind, run) => {
    const made = element("button", { type: "button", class: kind, text });
    made.addEventListener("click", run);
    return made;
  };
  const list = (kind, texts) => (texts.length ? element("ul", { class: kind, kids: texts.map((text) => element("li", { text })) }) : null);
  const { page } = found;
  const models = element("p", { class: "quiet", text: `Served now: ${found.models.join(", ")}.` });
  const actions = element("p", { class: "actions", kids: [button("Compute again", "main", again), button("Download the battles (JSONL)", "", save)] });
  const whole = element("p", { class: "quiet", kids: ["With length and Markdown controlled, and to keep: ", element("code", { text: `align eval arena report ${found.file}` })] });
  const kids = page
    ? [element("p", { text: page.subtitle }), models, list("notes", page.notes), actions, chartElement(page.chart), ...page.tables.map(tableElement), list("facts", page.facts), progressTable(found), whole]
    : [element("p", { text: "Nobody has voted yet." }), models, actions];
  byId("found").replaceChildren(...kids.filter((kid) => kid !== null));
  byId("found").hidden = false;
}

async function load(token) {
  const headers = { authorization: `Bearer ${token}` };
  byId("refused").textContent = "";
  byId("working").hidden = false;
  try {
    const found = await (await call("/api/report", { headers })).json();
    byId("enter").hidden = true;
    showReport(found, () => load(token), async () => {
      const url = URL.createObjectURL(await (await call("/api/battles.jsonl", { headers })).blob());
      element("a", { href: url, download: "battles.jsonl" }).click();
      URL.revokeObjectURL(url);
    });
  } catch (error) {
    byId("enter").hidden = false;
    byId("refused").textContent = token ? `${error.message}.` : "";
  } finally {
    byId("working").hidden = true;
  }
}

byId("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  load(byId("token").value.trim());
});
const given = tokenOfAddress();
if (given) load(given);
else byId("enter").hidden = false;
