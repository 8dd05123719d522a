// How far the raters are; only with the report's token, which stays in this page's memory.

function tableElement(title, columns, rows) {
  const head = element("tr", { kids: columns.map((text) => element("th", { scope: "col", text })) });
  const body = rows.map((row) => element("tr", { kids: row.map((value, place) => element(place ? "td" : "th", { scope: place ? undefined : "row", text: String(value) })) }));
  return element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": title, kids: [element("table", { class: "numbers", kids: [element("caption", { text: title }), element("thead", { kids: [head] }), element("tbody", { kids: body })] })] });
}

function showReport(found, save) {
  const button = element("button", { type: "button", class: "main", text: "Download the battles (JSONL)" });
  button.addEventListener("click", save);
  const pairs = found.pairs.map((row) => [`${row.a} against ${row.b}`, row.a_won, row.b_won, row.tie, row.both_bad, row.a_won + row.b_won + row.tie + row.both_bad]);
  const raters = found.raters.map((row) => [row.name, row.votes, new Date(row.last * 1000).toLocaleString()]);
  byId("found").replaceChildren(
    element("p", { text: `${found.votes} votes on ${found.models.join(", ")}. Ratings, intervals and agreement:` }),
    element("p", { kids: [element("code", { text: `align eval arena report ${found.file}` })] }),
    tableElement("Pairs", ["pair", "first won", "second won", "tie", "both bad", "votes"], pairs),
    tableElement("Raters", ["rater", "votes", "last"], raters),
    button,
  );
  byId("found").hidden = false;
}

async function load(token) {
  const headers = { authorization: `Bearer ${token}` };
  try {
    const found = await (await call("/api/report", { headers })).json();
    byId("enter").hidden = true;
    showReport(found, async () => {
      const url = URL.createObjectURL(await (await call("/api/battles.jsonl", { headers })).blob());
      element("a", { href: url, download: "battles.jsonl" }).click();
      URL.revokeObjectURL(url);
    });
  } catch (error) {
    byId("enter").hidden = false;
    byId("refused").textContent = token ? `${error.message}.` : "";
  }
}

byId("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  load(byId("token").value.trim());
});
const given = tokenOfAddress();
if (given) load(given);
else byId("enter").hidden = false;
