// One question: what was asked, the answers beside each other, what judges made of them.

const WHY = {
  unreadable: "the verdict cannot be read", filtered: "stopped by the endpoint's filter", too_long: "too long for the judge",
  refused: "the request was refused", failed: "the request failed", unjudged: "not judged yet", unanswered: "no answer",
};
const NO_ANSWER = { too_long: "the conversation filled the context", filtered: "the endpoint's filter stopped it", failed: "asking for it failed" };

function questionElement(data, question, view, models) {
  const shown = turnsOf(question, view);
  const every = turnsOf(question, { ...view, turn: 0 });
  const heading = element("h3", { text: `Question ${question.id}` });
  const made = element("article", { class: "question", "aria-label": `Question ${question.id}`, kids: [element("header", { kids: [heading, element("span", { class: "quiet", text: question.category || "no category" })] })] });
  for (const turn of every) {
    const make = () => turnElement(data, question, turn, view, models);
    made.append(shown.includes(turn) ? make() : fold(`Turn ${turn}`, make));
  }
  marked(made, view.text);
  return made;
}

function turnElement(data, question, turn, view, models) {
  const made = element("section", { class: "turn", kids: [element("h4", { text: question.turns.length > 1 || turn > 1 ? `Turn ${turn}` : "Asked" })] });
  const asked = question.turns[turn - 1];
  made.append(asked === undefined ? element("p", { class: "quiet", text: "This question is not among the benchmark's." }) : element("div", { class: "asked", dir: "auto", text: data.texts[asked] }));
  const beside = data.reference !== null && view.reference;
  const num = models.length + (beside ? 1 : 0);
  if (num) {
    const columns = element("div", { class: "columns", role: "group", "aria-label": `Answers, turn ${turn}`, kids: models.map((model) => answerElement(data, question, model, turn, view)) });
    if (beside) columns.append(referenceElement(data, question, turn, view));
    columns.style.gridTemplateColumns = `repeat(${num}, minmax(min(${beside && num > 3 ? 15.5 : 20}rem, 86vw), 1fr))`;
    made.append(columns);
  }
  for (const battle of question.battles.filter((one) => one.turn === turn)) made.append(battleElement(data, battle, view));
  return made;
}

function answerElement(data, question, model, turn, view) {
  const entry = entryOf(question, model, turn);
  const head = element("header", { kids: [element("span", { class: `swatch c${model % 7}`, "aria-hidden": "true" }), element("h3", { text: data.models[model].name }), scoreElement(data, entry, model)] });
  const said = element("div", { class: "said" });
  if (entry.answer === null) {
    said.append(element("p", { class: "quiet", text: entry.judgments.length ? "The answer is not here: open what the judge was sent." : "There is no answer yet." }));
  } else if (entry.answer.state in NO_ANSWER) {
    said.append(element("p", { class: "is-bad", text: `No answer: ${NO_ANSWER[entry.answer.state]}.` }));
    if (entry.answer.why) said.append(element("p", { class: "quiet", text: entry.answer.why }));
  } else {
    const text = data.texts[entry.answer.text];
    said.append(text.trim() ? prose(text, view.plain) : element("p", { class: "quiet", text: "The answer is empty." }));
    const about = [
      data.reference === null ? "" : length(text),
      entry.answer.tokens ? `${entry.answer.tokens} tokens` : "",
      entry.isCut ? "cut at the length limit" : "",
      entry.nearTies ? `${entry.nearTies} near ${entry.nearTies === 1 ? "tie" : "ties"}` : "",
    ].filter(Boolean);
    if (about.length) said.append(element("p", { class: "quiet", text: about.join(" · ") }));
  }
  return element("article", { class: "answer", "aria-label": data.models[model].name, kids: [head, said, ...entry.judgments.map((one) => verdictElement(data, one, view))] });
}

// What the answers are held against: a column like theirs, without a score.
function referenceElement(data, question, turn, view) {
  const name = `reference: ${data.reference}`;
  const said = element("div", { class: "said" });
  const place = question.reference[turn - 1];
  if (place === undefined) said.append(element("p", { class: "quiet", text: "The reference's answer is not here." }));
  else {
    const text = data.texts[place];
    said.append(text.trim() ? prose(text, view.plain) : element("p", { class: "quiet", text: "The answer is empty." }), element("p", { class: "quiet", text: length(text) }));
  }
  return element("article", { class: "answer is-reference", "aria-label": name, kids: [element("header", { kids: [element("span", { class: "swatch", "aria-hidden": "true" }), element("h3", { text: name })] }), said] });
}

function length(text) {
  const signs = [...text].length;
  return `${signs} ${signs === 1 ? "character" : "characters"}`;
}

function scoreElement(data, entry, model) {
  if (entry.score !== null) return element("span", { class: `score ${heat(entry.score, data.scale)}`, title: `score on a scale from ${data.scale[0]} to ${data.scale[1]}`, text: number(entry.score) });
  if (entry.state === "unjudged" && !isJudgedAlone(data, model)) return null;
  return element("span", { class: `score ${["unjudged", "unanswered"].includes(entry.state) ? "quiet" : "is-bad"}`, text: WHY[entry.state] || entry.state });
}

function verdictElement(data, judgment, view, title) {
  const result = judgment.state !== "ok" ? WHY[judgment.state] || judgment.state : judgment.winner !== null ? (judgment.winner === "tie" ? "a tie" : `${judgment.winner} wins`) : [`score ${number(judgment.score)}`, resultOf(judgment.score, drawAt(data))].filter(Boolean).join(": ");
  const label = element("p", { class: "label", kids: [element("span", { text: title || `${data.judge || "judge"}, ${judgment.prompt}` }), element("strong", { class: judgment.state === "ok" ? undefined : "is-bad", text: result })] });
  const made = element("div", { class: "verdict", kids: [label] });
  if (judgment.why) made.append(element("p", { class: "quiet", text: judgment.why }));
  const text = data.texts[judgment.text];
  if (text.trim()) made.append(prose(text, view.plain));
  if (judgment.request.length) made.append(fold("What the judge was sent", () => requestElement(data, judgment)));
  return made;
}

function requestElement(data, judgment) {
  const made = element("div", { class: "request" });
  for (const [role, pieces] of judgment.request) {
    made.append(element("h6", { text: role }), element("div", { class: "text is-plain", dir: "auto", text: pieces.map((place) => data.texts[place]).join("") }));
  }
  const about = Object.entries(judgment.parameters).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  const [sent, said] = judgment.tokens;
  if (sent || said) about.push(`${sent} tokens sent, ${said} received`);
  if (judgment.cost !== null) about.push(`$${judgment.cost.toFixed(5)}`);
  if (about.length) made.append(element("p", { class: "quiet", text: about.join(" · ") }));
  return made;
}

function battleElement(data, battle, view) {
  const outcome = battle.result === null ? "does not count: a verdict is missing" : battle.result > 0 ? `${battle.model} wins` : battle.result < 0 ? `${battle.opponent} wins` : "a tie";
  const leaning = battle.leaning === null ? "" : battle.leaning === 0 ? "both games agree" : `the games contradict each other: the answer shown ${battle.leaning > 0 ? "first" : "second"} fares better`;
  const head = element("header", { kids: [element("h3", { text: `${battle.model} against ${battle.opponent}` }), element("strong", { class: battle.result === null ? "is-bad" : undefined, text: outcome }), element("span", { class: "quiet", text: leaning })] });
  const games = battle.games.map((game, order) => {
    const first = order ? battle.opponent : battle.model;
    if (game === null) return element("div", { class: "verdict", kids: [element("p", { class: "quiet", text: `With ${first} shown first: not judged yet.` })] });
    return verdictElement(data, game, view, `${first} shown first`);
  });
  return element("div", { class: "battle", kids: [head, element("div", { class: "games", kids: games })] });
}
