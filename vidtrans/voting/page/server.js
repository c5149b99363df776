// Requests to the server, with the token of the page's address.

const token = new URLSearchParams(location.search).get("token") ?? "";

export class Problem extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

// Return the answer to a GET, or with a message to a POST. Throws a Problem for a refusal, TypeError without an answer.
export async function ask(path, message) {
  const answer = await request(path, message);
  return answer.json();
}

export async function request(path, message) {
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(path, message ? { method: "POST", headers, body: JSON.stringify(message) } : { headers });
  if (answer.ok) return answer;
  const text = await answer.text();
  let found = text;
  try { found = JSON.parse(text).problem ?? text; } catch { /* a plain text */ }
  throw new Problem(answer.status, found);
}
