// What is looked at: kept in the page's address, so that a link shows the same thing again.

const USUAL = { q: "", text: "", category: "", turn: 0, state: "", result: "", low: "", high: "", order: "asked", models: null, reference: true, all: false, plain: false };

function viewOf(hash, data) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const view = { ...USUAL };
  for (const name of ["q", "text", "category", "state", "result", "low", "high", "order"]) if (given.has(name)) view[name] = given.get(name);
  view.turn = data.turns.includes(Number(given.get("turn"))) ? Number(given.get("turn")) : 0;
  view.reference = given.get("reference") !== "0";
  view.all = given.get("all") === "1";
  view.plain = given.get("plain") === "1";
  if (given.has("models")) {
    const named = given.get("models").split(".").filter(Boolean).map(Number);
    view.models = [...new Set(named)].filter((one) => Number.isInteger(one) && one >= 0 && one < data.models.length).sort((a, b) => a - b);
  }
  return view;
}

function hashOf(view) {
  const said = new URLSearchParams();
  for (const name of ["q", "text", "category", "turn", "state", "result", "low", "high", "order"]) {
    if (String(view[name]) !== String(USUAL[name])) said.set(name, view[name]);
  }
  if (view.models !== null) said.set("models", view.models.join("."));
  if (!view.reference) said.set("reference", "0");
  if (view.all) said.set("all", "1");
  if (view.plain) said.set("plain", "1");
  return `#${said}`;
}

// All models where they fit beside each other; else the best, and the one that the others are compared with.
function shownModels(view, data) {
  if (view.models !== null) return view.models;
  const all = data.models.map((_, number) => number);
  if (all.length <= 3) return all;
  const against = data.models.findIndex((one) => one.is_against);
  return [...new Set([...all.slice(0, against > 1 ? 2 : 3), ...(against >= 0 ? [against] : [])])].sort((a, b) => a - b);
}
