// Requests to the server: JSON there and back; what was refused is an error with the server's own words.

const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const byId = (id) => document.getElementById(id);

class Refusal extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function call(path, { body, headers = {}, onTrouble = () => {} } = {}) {
  const options = { method: body === undefined ? "GET" : "POST", headers: { ...headers }, credentials: "same-origin" };
  if (body !== undefined) {
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  // A vote that did not arrive is sent again: the server counts it once.
  for (let tries = 0; ; tries += 1) {
    let response;
    try {
      response = await fetch(path, options);
    } catch {
      onTrouble();
      await wait(Math.min(500 * 2 ** tries, 8000));
      continue;
    }
    if (response.ok) return response;
    const said = await response.json().catch(() => ({}));
    if (response.status === 429 && tries < 5) {
      await wait(1000 * Number(response.headers.get("retry-after") || 1));
      continue;
    }
    throw new Refusal(said.error || `the server says ${response.status}`, response.status);
  }
}

// A token comes behind the address's #, which is sent to nobody, and is taken out of it at once.
function tokenOfAddress() {
  const found = new URLSearchParams(location.hash.slice(1)).get("token") || "";
  if (found) history.replaceState(null, "", location.pathname);
  return found;
}
