// Requests to the server, and small helpers to build a page.

export const token = encodeURIComponent(new URLSearchParams(location.search).get("token") ?? "");
export const PART = 4 << 20; // bytes of an upload that are sent at once

export function link(path, values = {}) {
  const query = Object.entries(values).map(([key, value]) => `&${key}=${encodeURIComponent(value)}`).join("");
  return `${path}?token=${token}${query}`;
}

async function answer(response) {
  if (response.status === 204) throw Object.assign(new Error("a later request replaced this one"), { isOvertaken: true });
  if (response.ok) return response;
  let text = `${response.status} ${response.statusText}`;
  try { text = (await response.json()).error ?? text; } catch { /* an answer without JSON */ }
  throw new Error(text);
}

export async function get(path, values) { return (await answer(await fetch(link(path, values)))).json(); }

export async function ask(path, message) {
  const headers = { "content-type": "application/json" };
  return answer(await fetch(link(path), { method: "POST", headers, body: JSON.stringify(message) }));
}

export async function post(path, message) { return (await ask(path, message)).json(); }

export async function put(path, values, body) { return (await answer(await fetch(link(path, values), { method: "PUT", body }))).json(); }

// Send a file in parts; what an interrupted upload has left on the server is not sent again.
export async function upload(name, file, { replace = false, progress = () => {} } = {}) {
  const own = { name, whole: file.size, stamp: file.lastModified ?? 0 };
  let offset = replace ? 0 : (await get("/api/received", own)).bytes;
  if (offset >= file.size) offset = 0;
  do {
    const part = file.slice(offset, offset + PART);
    const query = { ...own, offset, ...(replace ? { replace: 1 } : {}) };
    await put("/api/upload", query, part);
    offset += part.size;
    progress(offset / file.size);
  } while (offset < file.size);
}

// Build an element: properties, data-*, aria-*, and on… listeners by name; then its children.
export function h(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key.includes("-") || key === "role" || key === "for" || key === "list") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

// The size, frames and shots of a clip, as soon as the server knows them; {} of what is no clip.
export async function factsOf(name) {
  for (;;) {
    const facts = await get("/facts", { name }).catch(() => ({ fault: "it is gone" }));
    if (facts.known || facts.fault) return facts;
    await new Promise((done) => { setTimeout(done, 500); });
  }
}

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
export const stem = (name) => name.split("/").pop().replace(/\.[^.]+$/, "");

export function size(bytes) {
  const units = ["B", "KB", "MB", "GB", "TB"], step = bytes > 0 ? Math.min(4, Math.floor(Math.log10(bytes) / 3)) : 0;
  return `${(bytes / 1000 ** step).toFixed(step > 1 ? 1 : 0)} ${units[step]}`;
}

export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

export function ago(seconds) {
  const past = Date.now() / 1000 - seconds;
  return past < 60 ? "now" : `${duration(past)} ago`;
}

// The schema of a command; it is asked for once.
const schemas = new Map();
export async function schemaOf(command) {
  if (!schemas.has(command)) {
    schemas.set(command, command === "live" ? get("/api/live/schema") : get("/api/schema", { command }));
    schemas.get(command).catch(() => schemas.delete(command));
  }
  return schemas.get(command);
}
