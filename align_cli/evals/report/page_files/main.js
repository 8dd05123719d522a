// The page: fields, list and pane follow the view; every change of the view goes through `go`.

const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const contents = at("list");
const pane = at("pane");
const reader = pane.parentElement;
let view = viewOf(location.hash, data);
let found = [];
let listed = "";
let tally = []; // of every model: how often it won, lost and drew against the reference

function go(changes) {
  view = { ...view, ...changes };
  try {
    history.replaceState(null, "", hashOf(view));
  } catch {
    // Some browsers forbid it for a file, or so many a second: the view is right, only its address is old.
  }
  show();
}

function show() {
  const models = shownModels(view, data);
  fillOrders(models);
  fillResults(models);
  fillFields(models);
  found = questionsFound(data, view, models);
  const current = Math.max(found.findIndex((one) => one.id === view.q), 0);
  showList(models, current);
  showPane(models, current);
  document.querySelectorAll(".series").forEach((one) => one.classList.toggle("is-faint", view.models !== null && models.length > 0 && !models.includes(Number(one.dataset.series))));
}

function showList(models, current) {
  const key = JSON.stringify([found.map((one) => one.id), models, view.turn, hashOf({ ...view, q: "" })]);
  if (key !== listed) {
    listed = key;
    at("count").textContent = found.length === data.questions.length ? `${found.length} questions` : `${found.length} of ${data.questions.length} questions`;
    contents.replaceChildren(element("ol", { kids: found.map((one) => element("li", { kids: [rowElement(one, models)] })) }));
  }
  contents.querySelectorAll("a").forEach((one, number) => {
    if (number !== current) one.removeAttribute("aria-current");
    else {
      one.setAttribute("aria-current", "true");
      const [top, bottom] = [one.offsetTop - contents.offsetTop, one.offsetTop - contents.offsetTop + one.offsetHeight];
      if (top < contents.scrollTop || bottom > contents.scrollTop + contents.clientHeight) contents.scrollTop = top - contents.clientHeight / 3;
    }
  });
}

function rowElement(question, models) {
  const begins = question.turns.length ? data.texts[question.turns[0]].slice(0, 120) : "";
  const cells = models.filter((model) => isJudgedAlone(data, model)).map((model) => {
    const scores = turnsOf(question, view).map((turn) => entryOf(question, model, turn));
    const known = scores.map((one) => one.score).filter((one) => one !== null);
    const mean = known.length ? known.reduce((sum, one) => sum + one, 0) / known.length : null;
    const text = scores.map((one) => (one.score === null ? "–" : number(one.score))).join("·");
    const cell = element("span", { class: mean === null ? "" : heat(mean, data.scale), title: `${data.models[model].name}: ${text}`, text });
    cell.classList.add(`e${model % 7}`);
    return cell;
  });
  return element("a", { href: hashOf({ ...view, q: question.id }), kids: [
    element("span", { class: "what", kids: [element("span", { text: question.id }), element("span", { text: question.category })] }),
    element("span", { class: "begins", dir: "auto", text: begins }),
    element("span", { class: "cells", kids: [...cells, ...battleCells(question)] }),
  ] });
}

function battleCells(question) {
  return question.battles.filter((one) => !view.turn || one.turn === view.turn).map((one) => {
    const [sign, said] = one.result === null ? ["?", "does not count"] : one.leaning ? ["≠", "the games contradict each other"] :
      one.result > 0 ? ["▲", `${one.model} wins`] : one.result < 0 ? ["▼", `${one.opponent} wins`] : ["=", "a tie"];
    return element("span", { class: "sign", title: `turn ${one.turn}, ${one.model} against ${one.opponent}: ${said}`, text: sign });
  });
}

function showPane(models, current) {
  reader.classList.toggle("is-all", view.all);
  if (!found.length) {
    pane.replaceChildren(element("p", { class: "nothing", text: "No question is left: take a filter back." }));
    return;
  }
  if (view.all) {
    pane.replaceChildren(...found.map((one) => questionElement(data, one, view, models)));
    return;
  }
  const step = (text, by) => {
    const made = element("button", { type: "button", text, disabled: current + by < 0 || current + by >= found.length });
    made.addEventListener("click", () => { move(by); reader.scrollIntoView(); pane.focus({ preventScroll: true }); });
    return made;
  };
  const steps = element("nav", { class: "steps", "aria-label": "Next and previous", kids: [step("← Previous", -1), element("span", { class: "quiet", text: `${current + 1} of ${found.length}` }), step("Next →", 1)] });
  pane.replaceChildren(questionElement(data, found[current], view, models), steps);
}

function move(by) {
  if (!found.length) return;
  const current = Math.max(found.findIndex((one) => one.id === view.q), 0);
  go({ q: found[Math.min(Math.max(current + by, 0), found.length - 1)].id, all: false });
}

function biggest() {
  const models = shownModels(view, data);
  const order = data.questions.some((one) => spread(data, one, view, models) !== null) ? "apart" : "contradicting";
  view = { ...view, order };
  go({ q: (questionsFound(data, view, models)[0] || { id: "" }).id, all: false });
}

function options(id, pairs) {
  at(id).replaceChildren(...pairs.map(([value, text]) => element("option", { value, text })));
}

function fillOrders(models) {
  const name = (place) => data.models[models[place]].name;
  options("order", [
    ["asked", "as asked"], ["low", "lowest score first"], ["high", "highest score first"],
    ...(models.length > 1 ? [["apart", "biggest difference first"], ["first", `${name(0)} above ${name(1)}`], ["second", `${name(1)} above ${name(0)}`]] : []),
    ...(models.length === 1 && data.reference !== null ? [["apart", "furthest from a draw first"]] : []),
    ...(data.questions.some((one) => one.battles.length) ? [["contradicting", "contradicting games first"]] : []),
  ]);
}

function fillResults(models) {
  if (data.reference === null) return;
  const results = (model, name, place) => ["won", "lost", "drawn"].map((result) => [`${result}${place}`, `${name}${result} (${tally[model][result]})`]);
  const alone = models.length === 1 && view.result.endsWith(`.${models[0]}`) ? `.${models[0]}` : ""; // picked when others were shown
  options("result", [
    ["", "everything"],
    ...(models.length === 1 ? results(models[0], "", alone) : []),
    ...(models.length > 1 ? [["won", "some model won"], ["lost", "some model lost"], ["drawn", "some model drew"], ...models.flatMap((model) => results(model, `${data.models[model].name} `, `.${model}`))] : []),
  ]);
}

function fillFields(models) {
  for (const name of ["text", "low", "high"]) if (at(name) !== document.activeElement) at(name).value = view[name];
  at("category").value = view.category;
  at("turn").value = String(view.turn);
  at("state").value = view.state;
  at("order").value = view.order;
  at("result").value = view.result;
  at("models").querySelectorAll("input").forEach((one, number) => { one.checked = number < data.models.length ? models.includes(number) : view.reference; });
  at("source").setAttribute("aria-pressed", String(view.plain));
  at("all").setAttribute("aria-pressed", String(view.all));
  for (const [id, usual] of [["category", ""], ["turn", "0"], ["state", ""], ["result", ""], ["order", "asked"]]) if (at(id).selectedIndex < 0) at(id).value = usual;
}

function toggled(model) {
  const models = shownModels(view, data);
  go({ models: models.includes(model) ? models.filter((one) => one !== model) : [...models, model].sort((a, b) => a - b) });
}

function begin() {
  const every = data.models.map((_, number) => number).filter((model) => isJudgedAlone(data, model));
  const entries = data.questions.flatMap((one) => entriesOf(one, { ...USUAL }, every));
  const battles = data.questions.flatMap((one) => one.battles);
  const counted = (states, things) => states.map(([name, text, is]) => [name, text, things.filter(is).length]).filter(([, , count]) => count).map(([name, text, count]) => [name, `${text} (${count})`]);
  options("category", [["", "all"], ...data.categories.map((one) => [one, one || "(none)"])]);
  options("turn", [["0", "all"], ...data.turns.map((one) => [String(one), String(one)])]);
  options("state", [["", "everything"], ...counted(STATES, entries), ...counted(BATTLE_STATES, battles)]);
  for (const [model, one] of data.models.entries()) {
    const box = element("input", { type: "checkbox" });
    box.addEventListener("change", () => toggled(model));
    at("models").append(element("label", { kids: [box, element("span", { class: `swatch c${model % 7}`, "aria-hidden": "true" }), document.createTextNode(one.name)] }));
  }
  if (data.reference !== null) beginReference();
  if (data.models.length < 2 && data.reference === null) at("models").hidden = true;
  if (data.models.length < 2 && !battles.length && data.reference === null) at("biggest").hidden = true;
  for (const id of ["category", "state", "result", "order"]) at(id).addEventListener("change", () => go({ [id]: at(id).value }));
  at("turn").addEventListener("change", () => go({ turn: Number(at("turn").value) }));
  let waiting = 0;
  for (const id of ["text", "low", "high"]) at(id).addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => go({ [id]: at(id).value }), 150); });
  at("biggest").addEventListener("click", biggest);
  at("source").addEventListener("click", () => go({ plain: !view.plain }));
  at("all").addEventListener("click", () => go({ all: !view.all }));
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("filters").addEventListener("reset", (event) => { event.preventDefault(); go({ ...USUAL, q: view.q, models: view.models, reference: view.reference, plain: view.plain, all: view.all }); });
  window.addEventListener("hashchange", () => {
    if (location.hash && !location.hash.includes("=")) return; // the link to the answers, no view
    view = viewOf(location.hash, data);
    show();
  });
  document.addEventListener("keydown", onKey);
  if (window.innerWidth < 900) at("fields").open = false;
  for (const one of [at("filters"), reader, document.querySelector(".keys")]) one.hidden = false;
  show();
}

function beginReference() {
  tally = data.models.map((_, model) => {
    const counts = { won: 0, lost: 0, drawn: 0, "": 0 };
    for (const entry of data.questions.flatMap((one) => entriesOf(one, { ...USUAL }, [model]))) counts[resultOf(entry.score, drawAt(data))] += 1;
    return counts;
  });
  const box = element("input", { type: "checkbox" });
  box.addEventListener("change", () => go({ reference: !view.reference }));
  at("models").append(element("label", { kids: [box, element("span", { class: "swatch", "aria-hidden": "true" }), document.createTextNode(`reference: ${data.reference}`)] }));
  for (const id of ["results", "r-key"]) at(id).hidden = false;
}

function onKey(event) {
  const isTyping = event.target.closest("input:not([type=checkbox]), select, textarea") !== null;
  if (event.key === "Escape" && isTyping) event.target.blur();
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const inList = event.target.closest("#list") !== null;
  const does = {
    j: () => move(1), ArrowRight: () => move(1), k: () => move(-1), ArrowLeft: () => move(-1),
    ...(inList ? { ArrowDown: () => stepInList(1), ArrowUp: () => stepInList(-1) } : {}),
    d: biggest, m: () => go({ plain: !view.plain }), ...(data.reference === null ? {} : { r: () => go({ reference: !view.reference }) }), "/": () => at("text").focus(),
  }[event.key];
  const model = /^[1-9]$/.test(event.key) ? Number(event.key) - 1 : -1;
  if (does) does();
  else if (model >= 0 && model < data.models.length) toggled(model);
  else return;
  event.preventDefault();
}

function stepInList(by) {
  move(by);
  const current = contents.querySelector("[aria-current]");
  if (current) current.focus({ preventScroll: true });
}

begin();
