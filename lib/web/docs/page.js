"use strict";

const JSON_TYPE = "application/json", FORM_TYPE = "multipart/form-data", EVENTS_TYPE = "text/event-stream";
const base = location.pathname.replace(/\/*docs\/*$/, "");
const key = document.getElementById("key");
let spec;

/** An element with attributes (or listeners, by functions) and children. */
function el(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") made.addEventListener(attribute, value);
    else made.setAttribute(attribute, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** What a reference leads to. */
function resolved(node) {
  return node && node.$ref ? resolved(node.$ref.split("/").slice(1).reduce((at, step) => at[step], spec)) : node;
}

/** Text with `code` in it. */
function prose(text) {
  return text.split("`").map((piece, index) => (index % 2 ? el("code", {}, piece) : piece));
}

/** A description without the word that the treatment's mark says already. */
function untreated(description) {
  return description.replace(/^(Honoured|Emulated|Passed on|Refused)[.;:]\s*/, "");
}

function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeOf).filter((type) => type !== "null").join(" or ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.filter((each) => each !== null).map((each) => JSON.stringify(each)).join(" | ");
  const types = [].concat(schema.type || "any").filter((type) => type !== "null");
  const inner = schema.items ? ` of ${typeOf(schema.items)}` : "";
  return types.join(" or ") + inner + bounds(schema);
}

function bounds(schema) {
  const parts = [];
  if ("minimum" in schema || "maximum" in schema) parts.push(`${schema.minimum ?? ""} … ${schema.maximum ?? ""}`);
  if (schema.maxLength) parts.push(`at most ${schema.maxLength} characters`);
  if (schema.maxItems) parts.push(`at most ${schema.maxItems}`);
  return parts.length ? ` (${parts.join(", ")})` : "";
}

/** The members of an object's schema as a table; those with members of their own unfold. */
function members(reference, depth = 0) {
  const schema = resolved(reference), required = new Set(schema.required || []);
  const rows = Object.entries(schema.properties || {}).map(([name, member]) => {
    const treatment = member["x-treatment"];
    const inner = innerOf(member);
    return el("tr", {},
      el("td", {}, el("code", {}, name), required.has(name) ? " *" : ""),
      el("td", {}, typeOf(member)),
      el("td", {},
        treatment ? el("span", { class: `mark ${treatment}` }, treatment) : null, " ",
        ...prose(treatment ? untreated(member.description) : member.description || ""),
        inner && depth < 3 ? unfolding("Members", () => members(inner, depth + 1)) : null));
  });
  return el("div", {}, schema.description ? el("p", { class: "status" }, ...prose(schema.description)) : null,
    el("table", {}, el("tbody", {}, ...rows)));
}

function innerOf(schema) {
  const found = resolved(schema);
  if (found.properties) return found;
  if (found.items) return innerOf(found.items);
  return (found.anyOf || []).map(innerOf).find(Boolean) || null;
}

/** A part that is made when it is first opened. */
function unfolding(title, make) {
  const made = el("details", { toggle: () => made.childElementCount === 1 && made.append(make()) },
    el("summary", {}, title));
  return made;
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function curl(method, path, type, body, needsKey) {
  const lines = [`curl ${quoted(location.origin + base + path)}`];
  if (method !== "GET" && !body) lines[0] += ` -X ${method}`;
  if (needsKey) lines.push('-H "Authorization: Bearer $KEY"');
  if (type === JSON_TYPE && body) lines.push(`-H 'Content-Type: ${JSON_TYPE}'`, `-d ${quoted(body)}`);
  if (type === FORM_TYPE && body) {
    for (const [name, value] of Object.entries(parsed(body))) {
      lines.push(name === "file" ? "-F file=@recording.wav" : `-F ${quoted(`${name}=${value}`)}`);
    }
  }
  return lines.join(" \\\n  ");
}

function pretty(value) {
  return JSON.stringify(value, null, 2);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

async function copy(text, button) {
  await navigator.clipboard.writeText(text);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

function formOf(body, file) {
  const form = new FormData();
  for (const [name, value] of Object.entries(body)) {
    if (name !== "file") form.append(name, value);
    else if (file.files.length) form.append(name, file.files[0]);
    else form.append(name, new Blob([value]), "recording.wav");
  }
  return form;
}

/** The answer as it comes: text at once, sounds and pictures in the end. */
async function show(answer, output) {
  const type = (answer.headers.get("content-type") || "").split(";")[0];
  if (type.startsWith("audio/")) {
    const sound = await answer.blob();
    output.replaceChildren(el("p", { class: "status" }, `${sound.size} bytes of ${type}`),
      el("audio", { controls: "", src: URL.createObjectURL(sound) }));
    return;
  }
  const text = el("pre"), decoder = new TextDecoder();
  output.replaceChildren(text);
  const reader = answer.body.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    text.append(decoder.decode(read.value, { stream: true }));
  }
  if (type !== JSON_TYPE) return;
  const value = parsed(text.textContent);
  text.textContent = JSON.stringify(value, (name, each) => (name === "b64_json" ? `${each.slice(0, 40)}…` : each), 2);
  for (const picture of Array.isArray(value.data) ? value.data : []) {
    if (picture.b64_json) output.append(el("img", { alt: "", src: `data:image/png;base64,${picture.b64_json}` }));
  }
}

/** What may stand behind the path. */
function parametersOf(operation) {
  return (operation.parameters || []).map(resolved).filter((each) => each.in === "query");
}

/** Body, curl, and a button that sends it. */
function tryOut(method, path, operation, needsKey) {
  const content = operation.requestBody ? operation.requestBody.content : {};
  const choices = Object.entries(content).flatMap(([type, media]) =>
    Object.values(media.examples || {}).map((example) => ({ type, ...example })));
  const several = Object.keys(content).length > 1;
  const queried = parametersOf(operation);
  const picked = () => choices[select.value] || { type: null, value: null };
  const select = el("select", { "aria-label": "Example", change: () => fill() },
    ...choices.map((choice, index) =>
      el("option", { value: index }, choice.summary + (several ? ` (${choice.type})` : ""))));
  const body = el("textarea", { spellcheck: "false", "aria-label": "Body", input: () => renew() });
  const file = el("input", { type: "file", "aria-label": "File" });
  const id = el("input", { value: "demo-mini", "aria-label": "id", input: () => renew() });
  const command = el("pre"), output = el("div"), state = el("span", { class: "status" });
  const query = el("input", { "aria-label": "Query", placeholder: queried.map(({ name }) => `${name}=`).join("&"), input: () => renew() });
  const target = () => path.replace(/\{\w+\}/, () => encodeURIComponent(id.value)) + (query.value ? `?${query.value}` : "");
  const copier = el("button", { type: "button", click: () => copy(command.textContent, copier) }, "Copy");
  const sender = el("button", { type: "button", class: "send", click: () => send() }, "Send");

  function renew() {
    command.textContent = curl(method, target(), picked().type, choices.length ? body.value : "", needsKey);
  }
  function fill() {
    if (choices.length) body.value = pretty(picked().value);
    file.hidden = !("file" in (picked().value || {}));
    renew();
  }
  async function send() {
    const headers = needsKey && key.value ? { authorization: `Bearer ${key.value}` } : {};
    let sent;
    if (picked().type === FORM_TYPE) sent = formOf(parsed(body.value), file);
    else if (choices.length) { sent = body.value; headers["content-type"] = JSON_TYPE; }
    sender.disabled = true;
    state.textContent = "…";
    const started = performance.now();
    try {
      const answer = await fetch(base + target(), { method, headers, body: sent });
      const ignored = answer.headers.get("x-gateway-ignored");
      state.textContent = `${answer.status}${ignored ? `, ignored: ${ignored}` : ""}`;
      await show(answer, output);
      state.textContent += `, ${Math.round(performance.now() - started)} ms`;
    } catch (error) {
      state.textContent = `No answer: ${error.message}`;
    } finally {
      sender.disabled = false;
    }
  }

  fill();
  return el("div", {},
    choices.length ? el("div", { class: "row" }, select, file) : null,
    path.includes("{") ? el("div", { class: "row" }, id) : null,
    queried.length ? el("div", { class: "row" }, query) : null,
    choices.length ? body : null,
    command, el("div", { class: "row" }, sender, copier, state), output);
}

/** The schema of an event's data. */
function dataOf(schema) {
  return (schema.anyOf || [schema]).find((each) => each.contentSchema).contentSchema;
}

function answers(operation) {
  const content = operation.responses["200"].content || {};
  return Object.entries(content).map(([type, media]) => {
    const event = type === EVENTS_TYPE ? dataOf(media.schema.properties.data) : null;
    return unfolding(`Answer: ${type}`, () => el("div", {},
      media.example ? el("pre", {}, typeof media.example === "string" ? media.example : pretty(media.example)) : null,
      innerOf(event || media.schema) ? members(event || media.schema) : el("p", { class: "status" }, "Bytes or text.")));
  });
}

function section(path, method, operation) {
  const needsKey = Boolean(operation.security);
  const requests = Object.entries(operation.requestBody ? operation.requestBody.content : {});
  const queried = Object.fromEntries(parametersOf(operation).map(({ name, schema }) => [name, schema]));
  return el("section", { id: operation.operationId },
    el("h2", {}, el("span", { class: `method ${method}` }, method.toUpperCase()), path,
      needsKey ? null : el("span", { class: "mark" }, "no key")),
    el("p", {}, operation.summary),
    Object.keys(queried).length ? unfolding("Query", () => members({ properties: queried })) : null,
    ...requests.map(([type, media]) => unfolding(`Request: ${type}`, () => members(media.schema))),
    ...answers(operation),
    unfolding("Try it", () => tryOut(method.toUpperCase(), path, operation, needsKey)));
}

function render() {
  const groups = new Map(spec.tags.map((tag) => [tag.name, []]));
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const tag = (operation.tags || ["Further"])[0];
      groups.set(tag, [...(groups.get(tag) || []), [path, method, operation]]);
    }
  }
  const contents = document.getElementById("contents"), main = document.getElementById("main");
  main.replaceChildren(el("p", {}, ...prose(spec.info.description)));
  for (const [tag, rows] of groups) {
    if (!rows.length) continue;
    contents.append(el("h2", {}, tag));
    for (const [path, method, operation] of rows) {
      contents.append(el("a", { href: `#${operation.operationId}` }, path));
      main.append(section(path, method, operation));
    }
  }
}

async function start() {
  try {
    const answer = await fetch(`${base}/openapi.json`);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    spec = await answer.json();
    render();
  } catch (error) {
    document.getElementById("state").textContent = `The document cannot be read: ${error.message}`;
  }
}

start();
