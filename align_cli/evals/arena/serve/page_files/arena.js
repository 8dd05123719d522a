// The page: come in, read, vote, go on. What the rater sees of a battle is its texts and a random name.

const KEYS = { a: "a", 1: "a", b: "b", 2: "b", t: "tie", 3: "tie", n: "both_bad", 4: "both_bad" };
const SAID = { a: "A is better", b: "B is better", tie: "a tie", both_bad: "both bad" };
const state = { about: null, battle: null, last: null, isBusy: false, side: "a", closeStream: null, isStreaming: false, token: tokenOfAddress() };

const say = (text, ms = 6000) => {
  clearTimeout(state.hush);
  byId("status").textContent = text;
  if (text && ms) state.hush = setTimeout(() => say(""), ms);
};
const isLive = () => state.about.mode === "live";

function ask(path, body = {}) {
  return call(path, { body, headers: { "x-arena": state.about.header }, onTrouble: () => say("Not saved yet: the server does not answer. Trying again …", 0) }).then((response) => response.json());
}

async function act(path, body) {
  if (state.isBusy) return;
  state.isBusy = true;
  document.body.classList.add("is-busy");
  try {
    const answer = await ask(path, body);
    say("");
    show(answer);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.status === 401) return location.reload();
    say(`${error.message[0].toUpperCase()}${error.message.slice(1)}.`);
  } finally {
    state.isBusy = false;
    document.body.classList.remove("is-busy");
  }
}

function show(answer) {
  state.closeStream?.();
  state.isStreaming = false;
  const isSame = Boolean(answer.battle) && answer.battle.id === state.battle?.id;
  state.battle = answer.battle;
  state.last = answer.last;
  showProgress(answer.progress);
  showLast();
  const place = byId("battle");
  if (answer.battle) {
    const turns = battleElement(answer.battle);
    place.replaceChildren(tabsElement(showSide), turns);
    if (isLive() && !answer.battle.turns.length && !answer.battle.asked) turns.append(element("p", { class: "welcome", text: "Ask anything: two models answer, and who they are you learn after your vote." }));
    showSide(isSame ? state.side : "a");
    if (!isSame) scrollTo(0, 0);
    if (answer.battle.asked) stream(answer.battle.asked);
  }
  place.hidden = !answer.battle && !isLive();
  showDone(answer);
  byId("desk").hidden = !answer.battle && !isLive();
  showDesk();
  const field = byId("prompt");
  if (isLive() && answer.battle && matchMedia("(pointer: fine)").matches) field.focus();
  else byId("main").focus({ preventScroll: true });
}

function showDesk() {
  const hasAnswers = Boolean(state.battle?.turns.length) && !state.isStreaming;
  byId("votes").hidden = !state.battle || (isLive() && !hasAnswers);
  byId("composer").hidden = !isLive() || !state.battle;
  byId("composer").querySelector("button").disabled = state.isStreaming;
  byId("fresh").hidden = Boolean(state.battle);
  byId("prompt").placeholder = hasAnswers ? "Ask more, or vote" : "Ask both models";
}

function showProgress({ voted, skipped, items }) {
  const bar = byId("bar");
  bar.hidden = !items;
  if (items) {
    bar.max = items;
    bar.value = Math.min(voted + skipped, items);
  }
  byId("count").textContent = items ? `${voted} of ${items}${skipped ? `, ${skipped} skipped` : ""}` : voted ? `${voted} vote${voted === 1 ? "" : "s"}` : "";
}

function showLast() {
  const place = byId("last");
  const last = state.last;
  place.hidden = !last;
  // Where answers stay to be read on after the vote, the page may be far down: the names are then asked for below.
  byId(isLive() && !state.battle ? "last-desk" : "last-top").append(place);
  if (!last) return;
  const button = (text, key, run) => {
    const made = element("button", { type: "button", class: "plain", kids: [text, " ", element("kbd", { text: key })] });
    made.addEventListener("click", run);
    return made;
  };
  const kids = [element("span", { kids: ["Last battle: ", element("strong", { text: last.vote ? SAID[last.vote] : "skipped" })] })];
  if (last.names) kids.push(element("span", { class: "names", role: "status", tabindex: "-1", kids: ["a", "b"].map((side) => element("span", { class: `name side-${side}`, kids: [element("b", { text: side.toUpperCase() }), " was ", element("strong", { text: last.names[side] })] })) }));
  else {
    kids.push(button("Undo", "U", undo));
    if (last.vote) kids.push(button("Show names", "R", reveal));
  }
  place.replaceChildren(...kids);
}

function showDone(answer) {
  const place = byId("done");
  place.hidden = Boolean(answer.battle) || isLive();
  if (place.hidden) return;
  const { voted, skipped } = answer.progress;
  place.replaceChildren(element("h2", { text: "That was all. Thank you!" }), element("p", { text: `You voted ${voted} time${voted === 1 ? "" : "s"}${skipped ? ` and skipped ${skipped}` : ""}. There is nothing left for you to vote on.` }));
}

function showSide(side) {
  state.side = side;
  byId("battle").className = `shows-${side}`;
  for (const tab of byId("battle").querySelectorAll(".tabs button")) tab.setAttribute("aria-pressed", String(tab.dataset.side === side));
}

function vote(word) {
  if (!state.battle || byId("votes").hidden) return;
  act(`/api/battles/${state.battle.id}/vote`, { vote: word });
}

function skip() {
  if (state.battle && !byId("votes").hidden) act(`/api/battles/${state.battle.id}/skip`);
}

function undo() {
  if (state.last) act("/api/undo");
}

async function reveal() {
  if (!state.last?.vote || state.last.names) return;
  try {
    const { a, b } = await ask(`/api/battles/${state.last.battle}/reveal`);
    state.last.names = { a, b };
    showLast();
    byId("last").querySelector(".names").focus();
  } catch (error) {
    say(error.message);
  }
}

async function prompted(event) {
  event.preventDefault();
  const field = byId("prompt");
  const text = field.value;
  if (!text.trim() || !state.battle || state.isStreaming || state.isBusy) return;
  try {
    state.isBusy = true;
    await ask(`/api/battles/${state.battle.id}/ask`, { text });
    field.value = "";
    grow();
    stream(text);
  } catch (error) {
    say(error.message);
  } finally {
    state.isBusy = false;
  }
}

function stream(prompt) {
  const { battle } = state;
  byId("battle").querySelector(".welcome")?.remove();
  state.isStreaming = true;
  showDesk();
  say("Both models are answering.", 3000);
  const turns = byId("battle").querySelector(".turns");
  state.closeStream = streamTurn(`/api/battles/${battle.id}/stream`, prompt, turns, async (failed) => {
    state.isStreaming = false;
    say("");
    if (failed.length) return showFailed();
    byId("prompt").blur();
    const place = scrollY;
    await act("/api/now", {});
    scrollTo(0, place);
    say("Both answers are there: ask more, or vote.", 3000);
  });
}

function showFailed() {
  showDesk();
  byId("votes").hidden = !state.battle.turns.length;
  byId("fresh").hidden = false;
}

async function fresh() {
  if (state.battle) await act(`/api/battles/${state.battle.id}/skip`);
  else await act("/api/now", {});
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || byId("keys").open || byId("main").contains(document.activeElement?.form)) return;
  const isTyping = ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName);
  if (isTyping) {
    if (event.key === "Escape") event.target.blur();
    if (event.key === "Enter" && !event.shiftKey && event.target.id === "prompt" && !event.isComposing) prompted(event);
    return;
  }
  const key = event.key.toLowerCase();
  const runs = { s: skip, u: undo, r: reveal, x: () => showSide(state.side === "a" ? "b" : "a"), "?": () => byId("keys").showModal() };
  if (!state.about?.rater) return;
  if (key in KEYS) vote(KEYS[key]);
  else if (key in runs) runs[key]();
  else if (key === "enter" && !byId("fresh").hidden && event.target.tagName !== "BUTTON") fresh();
  else return;
  event.preventDefault();
}

function grow() {
  const field = byId("prompt");
  field.rows = Math.min(8, field.value.split("\n").length + Math.floor(field.value.length / 120));
}

function showEnter() {
  byId("enter").hidden = false;
  byId("token-field").hidden = !state.about.needs_token || Boolean(state.token);
  byId("name").focus();
}

async function entered(event) {
  event.preventDefault();
  const refused = byId("refused");
  refused.textContent = "";
  try {
    const body = { name: byId("name").value, token: state.token || byId("token").value.trim(), code: byId("code").value };
    state.about = await (await call("/api/enter", { body })).json();
    await begin();
  } catch (error) {
    refused.textContent = `${error.message}.`;
    if (error.status === 401 && !byId("code").value) {
      state.token = "";
      byId("token-field").hidden = false;
    }
    if (error.status === 409 && state.about.needs_token) byId("code-field").hidden = false;
  }
}

async function begin() {
  byId("enter").hidden = true;
  byId("help").hidden = false;
  byId("who").hidden = false;
  byId("who").textContent = state.about.rater;
  byId("who").title = "Your name; help";
  byId("code-note").hidden = !state.about.code;
  byId("own-code").textContent = state.about.code || "";
  await act("/api/now", {});
}

async function left() {
  await ask("/api/leave");
  location.reload();
}

async function start() {
  byId("enter").addEventListener("submit", entered);
  byId("composer").addEventListener("submit", prompted);
  byId("prompt").addEventListener("input", grow);
  byId("leave").addEventListener("click", left);
  for (const name of ["who", "help"]) byId(name).addEventListener("click", () => byId("keys").showModal());
  new ResizeObserver(() => document.documentElement.style.setProperty("--desk", `${byId("desk").offsetHeight}px`)).observe(byId("desk"));
  byId("skip").addEventListener("click", skip);
  byId("fresh").addEventListener("click", fresh);
  for (const button of document.querySelectorAll("[data-vote]")) button.addEventListener("click", () => vote(button.dataset.vote));
  document.addEventListener("keydown", pressed);
  state.about = await (await call("/api/about")).json();
  if (state.about.rater) await begin();
  else showEnter();
}

start();
