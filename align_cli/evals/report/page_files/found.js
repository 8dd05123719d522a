// Which questions a view shows, and in which order.

// One model's answer to one turn, with what judges made of it.
function entryOf(question, model, turn) {
  const { answers, judgments } = question.models[model];
  const answer = answers.find((one) => one.turn === turn) || null;
  const own = judgments.filter((one) => one.turn === turn);
  const scores = own.filter((one) => one.state === "ok" && one.score !== null).map((one) => one.score);
  const score = scores.length ? scores.reduce((sum, one) => sum + one, 0) / scores.length : null;
  const isThere = answer !== null && (answer.state === "ok" || answer.state === "length");
  let state = "ok";
  if (score === null) state = own.length ? own[own.length - 1].state : isThere ? "unjudged" : "unanswered";
  return { answer, judgments: own, score, state, isCut: isThere && answer.state === "length", nearTies: isThere ? answer.near_ties : 0 };
}

// Some answer of the model has a judgment of its own; where all are judged in pairs, none is missing one.
function isJudgedAlone(data, model) {
  return data.questions.some((one) => one.models[model].judgments.length) || !data.questions.some((one) => one.battles.length);
}

const STATES = [
  ["ok", "with a score", (entry) => entry.state === "ok"],
  ["lost", "verdict does not count", (entry) => !["ok", "unjudged", "unanswered"].includes(entry.state)],
  ["unjudged", "not judged", (entry) => entry.state === "unjudged"],
  ["unanswered", "no answer", (entry) => entry.state === "unanswered"],
  ["cut", "cut at the length limit", (entry) => entry.isCut],
  ["ties", "near ties", (entry) => entry.nearTies > 0],
];
const BATTLE_STATES = [
  ["contradicting", "games that contradict each other", (battle) => battle.leaning !== null && battle.leaning !== 0],
  ["consistent", "consistent games", (battle) => battle.leaning === 0],
  ["uncounted", "battles that do not count", (battle) => battle.result === null],
];

// Where a score says how far an answer is preferred to the reference's: the score of a draw. Else null.
function drawAt(data) {
  return data.reference === null ? null : (data.scale[0] + data.scale[1]) / 2;
}

function resultOf(score, draw) {
  if (score === null || draw === null) return "";
  return score > draw ? "won" : score < draw ? "lost" : "drawn";
}

// Of any shown model, or of a single one: `lost`, `lost.0`. A model that is not shown filters nothing.
function makeResult(data, view, models) {
  const draw = drawAt(data);
  const [wanted, place] = view.result.split(".");
  const some = place === undefined ? models : models.filter((one) => String(one) === place);
  if (draw === null || !some.length || !["won", "lost", "drawn"].includes(wanted)) return null;
  return (question) => entriesOf(question, view, some).some((entry) => resultOf(entry.score, draw) === wanted);
}

function turnsOf(question, view) {
  const most = Math.max(question.turns.length, ...question.models.flatMap((one) => [...one.answers, ...one.judgments].map((each) => each.turn)),
    ...question.battles.map((one) => one.turn), 1);
  const all = Array.from({ length: most }, (_, number) => number + 1);
  return view.turn ? all.filter((turn) => turn === view.turn) : all;
}

function entriesOf(question, view, models) {
  return turnsOf(question, view).flatMap((turn) => models.map((model) => entryOf(question, model, turn)));
}

function questionsFound(data, view, models) {
  const search = makeSearch(data, view.text);
  const [low, high] = [bound(view.low), bound(view.high)];
  const state = STATES.find(([name]) => name === view.state);
  const result = makeResult(data, view, models);
  const battles = BATTLE_STATES.find(([name]) => name === view.state);
  const found = data.questions.filter((question) => {
    if (view.category && question.category !== view.category) return false;
    if (result !== null && !result(question)) return false;
    if (battles && !question.battles.some((one) => (!view.turn || one.turn === view.turn) && battles[2](one))) return false;
    if (state || low !== null || high !== null) {
      const isSome = entriesOf(question, view, models).some((entry) => (!state || state[2](entry)) &&
        (low === null || (entry.score !== null && entry.score >= low)) && (high === null || (entry.score !== null && entry.score <= high)));
      if (!isSome) return false;
    }
    return search === null || search(question, turnsOf(question, view), models);
  });
  return ordered(data, found, view, models);
}

function bound(typed) {
  const value = Number.parseFloat(typed);
  return Number.isFinite(value) ? value : null;
}

function makeSearch(data, typed) {
  const wanted = typed.trim().toLowerCase();
  if (!wanted) return null;
  const known = new Map();
  const has = (place) => {
    if (!known.has(place)) known.set(place, data.texts[place].toLowerCase().includes(wanted));
    return known.get(place);
  };
  return (question, turns, models) =>
    question.id.toLowerCase() === wanted ||
    question.turns.some((place, number) => turns.includes(number + 1) && has(place)) ||
    models.some((model) => [...question.models[model].answers, ...question.models[model].judgments].some((one) => turns.includes(one.turn) && has(one.text))) ||
    question.battles.some((battle) => turns.includes(battle.turn) && battle.games.some((game) => game !== null && has(game.text)));
}

function meanScore(question, view, models) {
  const scores = entriesOf(question, view, models).map((entry) => entry.score).filter((score) => score !== null);
  return scores.length ? scores.reduce((sum, one) => sum + one, 0) / scores.length : null;
}

// The largest distance between two shown models in one turn; of a single one, its distance from a draw.
function spread(data, question, view, models) {
  const draw = drawAt(data);
  const apart = turnsOf(question, view).map((turn) => {
    const scores = models.map((model) => entryOf(question, model, turn).score).filter((score) => score !== null);
    if (models.length === 1 && scores.length && draw !== null) return Math.abs(scores[0] - draw);
    return scores.length > 1 ? Math.max(...scores) - Math.min(...scores) : null;
  }).filter((one) => one !== null);
  return apart.length ? Math.max(...apart) : null;
}

function ahead(question, view, first, second) {
  const apart = turnsOf(question, view).map((turn) => {
    const [ours, theirs] = [entryOf(question, first, turn).score, entryOf(question, second, turn).score];
    return ours === null || theirs === null ? null : ours - theirs;
  }).filter((one) => one !== null);
  return apart.length ? Math.max(...apart) : null;
}

function ordered(data, questions, view, models) {
  const rank = {
    low: (one) => { const score = meanScore(one, view, models); return score === null ? null : -score; },
    high: (one) => meanScore(one, view, models),
    apart: (one) => spread(data, one, view, models),
    first: (one) => (models.length > 1 ? ahead(one, view, models[0], models[1]) : null),
    second: (one) => (models.length > 1 ? ahead(one, view, models[1], models[0]) : null),
    contradicting: (one) => one.battles.filter((battle) => battle.leaning).length || null,
  }[view.order];
  if (!rank) return questions;
  const ranked = questions.map((one, number) => ({ one, number, value: rank(one) }));
  ranked.sort((a, b) => (b.value ?? -Infinity) - (a.value ?? -Infinity) || a.number - b.number);
  return ranked.map(({ one }) => one);
}
