"use strict";

/* The key is held by this object and by nothing else: it is gone when the page is closed or read anew. */
const session = { key: null, language: "en", report: null, models: [] };
const base = location.pathname.replace(/\/*admin\/*$/, "");
const SVG = "http://www.w3.org/2000/svg";

const $ = (id) => document.getElementById(id);

/** Sets attributes; functions become listeners, `text` the content, null and false are left out. */
function dress(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (name === "text") made.textContent = value;
    else if (name === "t") made.dataset.t = value;
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  if (made.dataset && made.dataset.t) made.textContent = t(made.dataset.t);
  return made;
}

const el = (name, attributes, ...children) => dress(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) => dress(document.createElementNS(SVG, name), attributes, children);

/** A text in the language of the page; `{name}` in it is replaced. */
function t(name, values = {}) {
  const text = TEXTS[session.language][name] ?? name;
  return text.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

/** Fills in every text below an element. */
function translate(root) {
  for (const each of root.querySelectorAll("[data-t]")) each.textContent = t(each.dataset.t);
  for (const each of root.querySelectorAll("[data-t-label]")) each.setAttribute("aria-label", t(each.dataset.tLabel));
  for (const each of root.querySelectorAll("[data-t-placeholder]")) each.placeholder = t(each.dataset.tPlaceholder);
}

/** A request to this deployment, with the key. */
function ask(path, options = {}) {
  const headers = { authorization: `Bearer ${session.key}`, ...options.headers };
  return fetch(base + path, { ...options, headers, credentials: "omit", cache: "no-store" });
}

/** What a failed answer says: `{status, code, message}`. */
async function failureOf(answer) {
  const body = await answer.json().catch(() => null);
  const error = (body && body.error) || {};
  return { status: answer.status, code: error.code || null, message: error.message || "" };
}

/** The failure in plain words, and what the gateway itself says of it. */
function plainly(failure) {
  const known = { 400: "wrong_400", 401: "wrong_401", 403: "wrong_403", 404: "wrong_404", 413: "wrong_413", 429: "wrong_429" };
  const name = known[failure.status] || (failure.status >= 500 ? "wrong_500" : "wrong_network");
  return [t(name), failure.message].filter(Boolean).join(" ");
}

function number(value, digits = 0) {
  return new Intl.NumberFormat(session.language, { maximumFractionDigits: digits }).format(value);
}

/** A length of time in its two largest units: `2 d 4 h`. */
function duration(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let left = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [unit, size] of units) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count || parts.length) parts.push(`${count} ${t(unit)}`);
    if (parts.length === 2) break;
  }
  return parts.filter((part, index) => index === 0 || !part.startsWith("0 ")).join(" ") || `0 ${t("s")}`;
}

/** A day and time soon, a date later. */
function moment(epoch) {
  const days = Math.abs(epoch - gatewayNow()) / 86400;
  const options = days < 6 ? { weekday: "short", hour: "numeric", minute: "2-digit" } : { month: "short", day: "numeric" };
  if (days > 300) options.year = "numeric";
  return new Intl.DateTimeFormat(session.language, options).format(new Date(epoch * 1000));
}

/** Epoch seconds by the gateway's clock. */
function gatewayNow() {
  return Date.now() / 1000 + (session.skew || 0);
}

/** A text that counts down to a moment; see `tick`. */
function countdown(name, until) {
  return el("span", { "data-until": until, "data-says": name, text: t(name, { time: duration(until - gatewayNow()) }) });
}

function tick() {
  if (endRests()) drawStatus();
  for (const each of document.querySelectorAll("[data-until]")) {
    each.textContent = t(each.dataset.says, { time: duration(each.dataset.until - gatewayNow()) });
  }
  for (const each of document.querySelectorAll("[data-since]")) {
    each.textContent = t("elapsed", { time: duration((Date.now() - each.dataset.since) / 1000) });
  }
}

/** A button that copies; where the browser has no clipboard for this address, the text can still be marked. */
function copyButton(text) {
  const made = el("button", { type: "button", class: "copy", t: "copy", click: () => copy(text(), made) });
  return made;
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = t("copied");
  } catch {
    button.textContent = t("copy_failed");
  }
  setTimeout(() => { button.textContent = t("copy"); }, 1600);
}
