/* The playground: one conversation at a time, kept in this page alone. */

const MAX_ROUNDS = 4; // answers to one question, when each of them calls the tool again
const REDRAW_MS = 60;
const play = { messages: [], image: null, abort: null };

function pickModel(id) {
  $("model").value = id;
  drawCurl();
  $("playground").scrollIntoView({ behavior: calm() ? "auto" : "smooth" });
  $("prompt").focus({ preventScroll: true });
}

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

function requestBody(messages) {
  const body = { messages, stream: true, stream_options: { include_usage: true } };
  if ($("model").value.trim()) body.model = $("model").value.trim();
  if ($("effort").value) body.reasoning_effort = $("effort").value;
  const tools = [];
  if ($("tool-search").checked) tools.push({ type: "web_search" });
  if ($("tool-image").checked) tools.push({ type: "image_generation" });
  if ($("tool-time").checked) tools.push(TIME_TOOL);
  if (tools.length) body.tools = tools;
  return body;
}

function question() {
  const text = $("prompt").value.trim();
  if (!play.image) return { role: "user", content: text };
  return { role: "user", content: [{ type: "text", text }, { type: "image_url", image_url: { url: play.image } }] };
}

function drawCurl() {
  $("curl").textContent = curlOf(requestBody([...play.messages, question()]));
}

async function send(event) {
  event.preventDefault();
  if (play.abort || !$("prompt").value.trim()) return;
  const asked = question(), before = play.messages.length, text = $("prompt").value.trim(), { image } = play;
  play.messages.push(asked);
  say("user", text, image);
  $("prompt").value = "";
  setImage(null);
  play.abort = new AbortController();
  setBusy(true);
  try {
    for (let round = 0; round < MAX_ROUNDS && (await answerOnce()); round += 1);
    $("play-state").textContent = t("answered");
  } catch (failure) {
    failed(failure);
    play.messages.length = before; // a question without an answer would stand in the way of the next one
    if (!$("prompt").value && !play.image && !isStop(failure)) {
      $("prompt").value = text;
      setImage(image);
    }
  } finally {
    play.abort = null;
    setBusy(false);
    drawCurl();
    $("prompt").focus({ preventScroll: true });
  }
}

/** One answer, drawn as it comes; whether a tool was called, so that there is more to come. */
async function answerOnce() {
  const view = new AnswerView();
  let answer;
  try {
    answer = await converse(requestBody(play.messages), play.abort.signal, (so) => view.show(so));
  } finally {
    view.end();
  }
  drawFigures(answer);
  const calls = answer.calls.filter(Boolean);
  const said = { role: "assistant", content: answer.text || null };
  if (calls.length) said.tool_calls = calls.map((call) => ({ id: call.id, type: "function", function: { name: call.name, arguments: call.text } }));
  play.messages.push(said);
  for (const call of calls) {
    const result = runTool(call.name, call.text);
    view.result(call, result);
    play.messages.push({ role: "tool", tool_call_id: call.id, content: result });
  }
  return calls.length > 0;
}

/** The elements of one answer. Pieces come faster than a screen shows them: it is drawn at most every REDRAW_MS. */
class AnswerView {
  constructor() {
    this.pictures = new Map();
    this.reasoning = el("div", { class: "thoughts" });
    this.thinking = el("details", { class: "reasoning", open: true, hidden: true }, el("summary", { t: "reasoning" }), this.reasoning);
    this.text = el("div", { class: "text" });
    this.calls = el("div", {});
    this.wait = el("p", { class: "wait" }, el("span", { class: "sr", t: "waiting" }), el("i"), el("i"), el("i"));
    this.root = el("div", { class: "said assistant busy" }, this.thinking, this.wait, this.text, this.calls);
    this.timer = null;
    append(this.root);
  }

  show(answer) {
    this.answer = answer;
    this.timer ??= setTimeout(() => this.draw(), REDRAW_MS);
  }

  draw() {
    this.timer = null;
    const { text, reasoning, calls } = this.answer;
    const follow = isAtEnd();
    this.wait.hidden = Boolean(text || reasoning || calls.length);
    this.thinking.hidden = !reasoning;
    this.reasoning.replaceChildren(markdown(reasoning, this.pictures));
    this.text.replaceChildren(markdown(text, this.pictures));
    this.calls.replaceChildren(...calls.filter(Boolean).map((call) => el("p", { class: "call" },
      el("span", { class: "chip", t: "calls_tool" }), " ", el("code", {}, `${call.name}(${call.text})`))));
    if (follow) scrollToEnd();
  }

  result(call, text) {
    this.calls.append(el("p", { class: "call" }, el("span", { class: "chip", t: "tool_says" }), " ", el("code", {}, text)));
  }

  end() {
    clearTimeout(this.timer);
    if (this.answer) this.draw();
    this.root.classList.remove("busy");
    this.wait.remove();
    if (!this.answer) this.root.remove();
  }
}

function say(role, text, image) {
  append(el("div", { class: `said ${role}` }, image ? el("img", { src: image, alt: t("picture") }) : null, el("p", {}, text)));
}

const isStop = (failure) => failure instanceof DOMException && failure.name === "AbortError";

function failed(failure) {
  const stopped = isStop(failure);
  const words = stopped ? t("stopped") : plainly(failure instanceof Error ? { status: 0, message: "" } : failure);
  append(el("p", { class: stopped ? "faint" : "wrong", role: stopped ? null : "alert" }, words));
  $("play-state").textContent = stopped ? words : "";
}

function append(element) {
  $("log").querySelector(".empty")?.remove();
  $("log").append(element);
  $("anew").hidden = false;
  scrollToEnd();
}

const isAtEnd = (grownBy = 0) => $("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < 60 + grownBy;
const scrollToEnd = () => { $("log").scrollTop = $("log").scrollHeight; };

function drawFigures(answer) {
  const { usage, firstAt, endedAt, startedAt } = answer;
  const spoken = usage && firstAt !== null && endedAt > firstAt ? usage.completion_tokens / ((endedAt - firstAt) / 1000) : null;
  const thought = usage && usage.completion_tokens_details && usage.completion_tokens_details.reasoning_tokens;
  const rows = [
    ["first_token", firstAt === null ? null : `${number(firstAt - startedAt)} ms`],
    ["speed", spoken === null ? null : t("tokens_per_s", { count: number(spoken, 1) })],
    ["tokens", usage ? t("tokens_in_out", { input: number(usage.prompt_tokens), output: number(usage.completion_tokens) }) : null],
    ["thought_tokens", thought ? number(thought) : null],
    ["finish", answer.finish],
    ["ignored", answer.ignored],
  ];
  $("figures").replaceChildren(...rows.filter(([, value]) => value).map(([name, value]) => fact(name, value)));
  $("figures").hidden = false;
}

function setBusy(busy) {
  $("stop").hidden = !busy;
  $("send").hidden = busy;
  $("log").setAttribute("aria-busy", busy);
  if (busy) $("play-state").textContent = t("waiting");
}

function setImage(url, name) {
  play.image = url;
  $("thumb").hidden = !url;
  $("image").value = "";
  if (url) {
    $("thumb").replaceChildren(el("img", { src: url, alt: name || t("picture") }),
      el("button", { type: "button", class: "quiet", "aria-label": t("remove_image"), click: () => setImage(null) }, "×"));
  } else $("thumb").replaceChildren();
  drawCurl();
}

function readImage() {
  const [file] = $("image").files;
  if (!file) return;
  const reader = new FileReader();
  reader.addEventListener("load", () => setImage(reader.result, file.name));
  reader.readAsDataURL(file);
}

function startAnew() {
  if (play.abort) play.abort.abort();
  play.messages = [];
  $("log").replaceChildren(el("p", { class: "empty", t: "nothing_said" }));
  $("figures").hidden = true;
  $("anew").hidden = true;
  drawCurl();
}

function setUpPlayground() {
  $("ask").addEventListener("submit", send);
  $("ask").addEventListener("input", drawCurl);
  $("image").addEventListener("change", readImage);
  $("stop").addEventListener("click", () => play.abort && play.abort.abort());
  $("anew").addEventListener("click", startAnew);
  $("log").addEventListener("load", (event) => { if (isAtEnd(event.target.offsetHeight)) scrollToEnd(); }, true); // a picture
  $("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
  });
}
