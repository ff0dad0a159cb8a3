/* A chat over HTTP: the request, the stream, and the model's text as elements. Model text is never parsed as HTML. */

const TIME_TOOL = {
  type: "function",
  function: {
    name: "local_time",
    description: "The time now, in a time zone",
    parameters: { type: "object", properties: { zone: { type: "string", description: "IANA name, such as Europe/Paris" } }, required: ["zone"] },
  },
};

/** The demo tool, run in this page. */
function runTool(name, text) {
  if (name !== TIME_TOOL.function.name) return `There is no tool ${name}.`;
  try {
    return new Intl.DateTimeFormat("en-GB", { timeZone: JSON.parse(text).zone, dateStyle: "full", timeStyle: "long" }).format(new Date());
  } catch {
    return new Date().toString();
  }
}

/** The values of a stream of server-sent events, until `[DONE]`. Comments keep the line open and are left out. */
async function* streamed(body) {
  const reader = body.getReader(), decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const frames = (rest + decoder.decode(value, { stream: true })).split(/\r?\n\r?\n/);
      rest = frames.pop();
      for (const frame of frames) {
        const data = frame.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()).join("\n");
        if (data === "[DONE]") return;
        if (data) yield JSON.parse(data);
      }
    }
  } finally {
    reader.cancel().catch(() => null); // after an abort there is nothing left to cancel
  }
}

/** Streams one answer. `seen(answer)` is called for each piece; an answer is {text, reasoning, calls, usage, …}. */
async function converse(body, signal, seen) {
  const answer = { text: "", reasoning: "", calls: [], usage: null, finish: null, ignored: null, firstAt: null, startedAt: performance.now(), endedAt: null };
  const reply = await ask("/v1/chat/completions", {
    method: "POST", signal, body: JSON.stringify(body), headers: { "content-type": "application/json" },
  });
  if (!reply.ok) throw await failureOf(reply);
  answer.ignored = reply.headers.get("x-gateway-ignored");
  for await (const chunk of streamed(reply.body)) {
    if (chunk.error) throw { status: 502, code: chunk.error.code, message: chunk.error.message };
    take(answer, chunk);
    seen(answer);
  }
  answer.endedAt = performance.now();
  return answer;
}

function take(answer, chunk) {
  if (chunk.usage) answer.usage = chunk.usage;
  const choice = (chunk.choices || [])[0];
  if (!choice) return;
  const delta = choice.delta || {};
  if (answer.firstAt === null && (delta.content || delta.reasoning_content || delta.tool_calls)) answer.firstAt = performance.now();
  answer.text += delta.content || "";
  answer.reasoning += delta.reasoning_content || "";
  answer.finish = choice.finish_reason || answer.finish;
  for (const part of delta.tool_calls || []) {
    const call = (answer.calls[part.index] ||= { id: "", name: "", text: "" });
    call.id = part.id || call.id;
    call.name = (part.function && part.function.name) || call.name;
    call.text += (part.function && part.function.arguments) || "";
  }
}

/** The request as a command; the key is not in it, and pictures are cut short. */
function curlOf(body) {
  const shown = JSON.stringify(body, (name, value) =>
    typeof value === "string" && value.startsWith("data:") ? `${value.slice(0, value.indexOf(",") + 1)}…` : value, 2);
  return [
    `curl -N '${location.origin}${base}/v1/chat/completions'`,
    `-H "Authorization: Bearer $KEY"`,
    "-H 'Content-Type: application/json'",
    `-d '${shown.replaceAll("'", "'\\''")}'`,
  ].join(" \\\n  ");
}

const INLINE = /(`+)([^`]+)\1|!\[([^\]]*)\]\(([^()\s]+)\)|\[([^\]]+)\]\((https?:\/\/[^()\s]+)\)|\*\*([^*]+)\*\*/;

/** A little Markdown as elements. `pictures` keeps those that are there already: URL → element. */
function markdown(text, pictures) {
  const made = document.createDocumentFragment();
  for (const [index, piece] of text.split(/^```/m).entries()) {
    if (index % 2) made.append(el("pre", {}, piece.replace(/^[^\n]*\n/, "").replace(/\n$/, "")));
    else for (const block of piece.split(/\n{2,}/)) if (block.trim()) made.append(blockOf(block.replace(/^\n+|\n+$/g, ""), pictures));
  }
  return made;
}

function blockOf(block, pictures) {
  const lines = block.split("\n");
  const heading = /^#{1,6} +(.*)$/.exec(block);
  if (heading && lines.length === 1) return el("p", { class: "heading" }, inline(heading[1], pictures));
  for (const [list, mark] of [["ul", /^\s*[-*] +/], ["ol", /^\s*\d+[.)] +/]]) {
    if (lines.every((line) => mark.test(line))) return el(list, {}, lines.map((line) => el("li", {}, inline(line.replace(mark, ""), pictures))));
  }
  return el("p", {}, lines.flatMap((line, index) => [index ? el("br") : null, ...inline(line, pictures)]));
}

function inline(text, pictures) {
  const made = [];
  for (let match = INLINE.exec(text); match; match = INLINE.exec(text)) {
    if (match.index) made.push(text.slice(0, match.index));
    made.push(inlineElement(match, pictures));
    text = text.slice(match.index + match[0].length);
  }
  return text ? [...made, text] : made;
}

function inlineElement([whole, , code, alt, source, label, target, strong], pictures) {
  if (code) return el("code", {}, code);
  if (strong) return el("strong", {}, strong);
  if (target) return link(target, label);
  if (/^(data:image\/|blob:)/.test(source)) {
    if (!pictures.has(source)) pictures.set(source, el("img", { src: source, alt: alt || t("picture") }));
    return pictures.get(source);
  }
  return /^https?:\/\//.test(source) ? link(source, alt || source) : whole; // pictures of other hosts are not fetched
}

function link(target, label) {
  return el("a", { href: target, target: "_blank", rel: "noopener noreferrer" }, label);
}
