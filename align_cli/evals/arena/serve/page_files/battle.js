// A battle as elements: what was asked, and the two answers beside each other.

const LONG_PROMPT = 1200; // characters; a longer one scrolls in its own box

function battleElement(battle) {
  const made = element("div", { class: "turns" });
  battle.turns.forEach((turn, number) => made.append(turnElement(turn, number + 1, battle.turns.length)));
  return made;
}

function turnElement(turn, number, count) {
  const made = element("section", { class: "turn", "aria-label": `Turn ${number}` });
  const isLong = turn.prompt.length > LONG_PROMPT;
  const title = count > 1 ? `Turn ${number} of ${count}` : number > 1 ? `Turn ${number}` : "Asked";
  made.append(element("div", { class: "prompt", kids: [element("h2", { text: title }), element("div", { class: isLong ? "asked is-long" : "asked", dir: "auto", tabindex: isLong ? "0" : undefined, text: turn.prompt })] }));
  made.append(element("div", { class: "columns", kids: ["a", "b"].map((side) => answerElement(side, turn[side])) }));
  if (turn.a === turn.b) made.append(element("p", { class: "quiet same", text: "Both answers are the same, letter by letter." }));
  return made;
}

function answerElement(side, text) {
  const said = element("div", { class: "said" });
  fill(said, text);
  const letter = side.toUpperCase();
  return element("article", { class: `answer side-${side}`, "aria-label": `Answer ${letter}`, kids: [element("header", { kids: [element("h3", { text: letter })] }), said] });
}

function fill(said, text) {
  said.replaceChildren(text.trim() ? prose(text, false) : element("p", { class: "quiet", text: "The answer is empty." }));
}

function tabsElement(show) {
  const made = element("div", { class: "tabs", role: "group", "aria-label": "Which answer is shown" });
  for (const side of ["a", "b"]) {
    const tab = element("button", { type: "button", class: `side-${side}`, "aria-pressed": side === "a" ? "true" : "false", text: `Answer ${side.toUpperCase()}` });
    tab.dataset.side = side;
    tab.addEventListener("click", () => show(side));
    made.append(tab);
  }
  return made;
}
