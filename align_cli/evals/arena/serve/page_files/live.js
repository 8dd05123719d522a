// A turn whose answers are being made: both sides grow in step. A broken connection takes up where it broke.

function streamTurn(path, prompt, into, onEnd) {
  const turn = turnElement({ prompt, a: " ", b: "" }, into.children.length + 1, 0);
  turn.querySelector(".same")?.remove();
  turn.setAttribute("aria-busy", "true");
  turn.classList.add("is-live");
  into.append(turn);
  const texts = { a: "", b: "" };
  const places = { a: turn.querySelector(".side-a .said"), b: turn.querySelector(".side-b .said") };
  for (const side of ["a", "b"]) places[side].replaceChildren(element("p", { class: "quiet waiting", text: "…" }));
  follow(turn);
  const source = new EventSource(path);
  let isAsked = false;
  const draw = () => {
    isAsked = false;
    const isAtEnd = innerHeight + scrollY > document.documentElement.scrollHeight - 120;
    for (const side of ["a", "b"]) if (texts[side]) fill(places[side], texts[side]);
    if (isAtEnd) follow(turn);
  };
  source.onmessage = (message) => {
    const event = JSON.parse(message.data);
    if (event.end) {
      source.close();
      draw();
      turn.classList.remove("is-live");
      turn.removeAttribute("aria-busy");
      for (const side of event.failed || []) places[side].append(element("p", { class: "is-bad", text: "No answer: something went wrong. Ask again, or skip." }));
      onEnd(event.failed || []);
      return;
    }
    texts.a += event.a;
    texts.b += event.b;
    if (!isAsked) requestAnimationFrame(draw);
    isAsked = true;
  };
  return () => source.close();
}

// Down with the words, until the turn begins at the top: both answers are read from their beginning.
function follow(turn) {
  const tabs = document.querySelector(".tabs");
  const room = turn.getBoundingClientRect().top - (tabs ? tabs.offsetHeight : 0) - 8;
  if (room > 0) scrollBy(0, Math.min(room, document.documentElement.scrollHeight - innerHeight - scrollY));
}
