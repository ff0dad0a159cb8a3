/* The self-check: asked for when somebody wants it, drawn by severity. What it finds is told by the gateway, in English;
   whether streams arrive as streams is seen from here, too, which is where the caller stands. */

const SEVERITIES = ["problem", "warning", "unknown", "ok"];
const CHECK_STREAM_EVENTS = 5; // until an event says how many there are
const CHECK_STREAM_MS = 400; // half of what the events take that /v1/doctor/stream sends
const check = { report: null, failure: null, abort: null, beganAt: 0, isLive: false };

async function runCheck(isLive) {
  if (check.abort) return;
  Object.assign(check, { report: null, failure: null, abort: new AbortController(), beganAt: Date.now(), isLive });
  drawCheck();
  $("check-stop").focus({ preventScroll: true });
  if (isLive) $("doctor").scrollIntoView({ behavior: calm() ? "auto" : "smooth" });
  try {
    const report = await examined(isLive, check.abort.signal);
    check.report = { ...report, at: new Date(), tookS: (Date.now() - check.beganAt) / 1000 };
  } catch (failure) {
    check.failure = failure instanceof Error ? { status: 0, isStopped: failure.name === "AbortError" } : failure;
  } finally {
    const held = [$("check-stop"), document.body].includes(document.activeElement);
    check.abort = null;
    drawCheck();
    if (held) $(isLive ? "check-live" : "check").focus({ preventScroll: true });
  }
}

async function examined(isLive, signal) {
  const answer = await ask(`/v1/doctor${isLive ? "?live=1" : ""}`, { signal, headers: { accept: "application/json" } });
  if (!answer.ok) throw await failureOf(answer);
  const { checks } = await answer.json();
  return { checks: [...checks, await streamSeen(signal)] };
}

/** A finding of this browser's own. It is worded when it is drawn, in the language of the page. */
async function streamSeen(signal) {
  const finding = (status, found, values = {}) => ({ status, t: { name: "seen_streaming", found, values, advice: `${found}_advice` } });
  const arrivals = [];
  let count = CHECK_STREAM_EVENTS;
  try {
    const answer = await ask("/v1/doctor/stream", { signal });
    if (!answer.ok) return finding("unknown", "seen_refused", { status: answer.status });
    for await (const event of streamed(answer.body)) {
      arrivals.push(performance.now());
      count = event.of;
    }
  } catch (failure) {
    if (failure.name === "AbortError") throw failure; // else it broke off, which is a finding like any other
  }
  const spread = arrivals.length ? arrivals.at(-1) - arrivals[0] : 0;
  const values = { arrived: arrivals.length, count, spread: number(spread) };
  if (!count || arrivals.length < count) return finding("problem", "seen_cut", values);
  return finding(spread >= CHECK_STREAM_MS ? "ok" : "problem", spread >= CHECK_STREAM_MS ? "seen_streamed" : "seen_at_once", values);
}

/** A finding in words: `{name, status, found, advice}`. */
function worded(finding) {
  if (!finding.t) return finding;
  const { name, found, values, advice } = finding.t;
  return { status: finding.status, isOwn: true, name: t(name), found: t(found, values), advice: finding.status === "ok" ? "" : t(advice) };
}

function drawCheck() {
  const busy = check.abort !== null;
  $("check").disabled = $("check-live").disabled = busy;
  $("check").textContent = t(check.report ? "check_again" : "check_run");
  $("check-stop").hidden = !busy;
  $("findings").setAttribute("aria-busy", busy);
  $("findings").replaceChildren(...(busy ? checking() : check.failure ? checkFailed() : check.report ? reportDrawn() : []));
  $("check-state").textContent = busy ? t("checking") : check.failure ? "" : check.report ? verdict(countsOf(check.report.checks)) : "";
}

function checking() {
  return [el("div", { class: "card checking" },
    svg("svg", { class: "spinner", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("circle", { cx: 12, cy: 12, r: 9 }), svg("path", { d: "M12 3a9 9 0 0 1 9 9" })),
    el("p", {}, el("strong", { t: check.isLive ? "checking_live" : "checking" }), el("br"), elapsed()))];
}

/** How long it has been going on; see `tick`. */
function elapsed() {
  return el("span", { class: "faint", "data-since": check.beganAt, text: t("elapsed", { time: duration((Date.now() - check.beganAt) / 1000) }) });
}

function checkFailed() {
  const { failure } = check;
  if (failure.isStopped) return [el("p", { class: "faint", t: "check_stopped" })];
  return [el("div", { class: "card bad", role: "alert" },
    el("h3", {}, icon("problem"), t("check_failed")),
    el("p", {}, plainly(failure)),
    el("p", { class: "faint small", t: failure.status === 504 || !failure.status ? "check_failed_silent" : "check_failed_is" }))];
}

function countsOf(checks) {
  return SEVERITIES.map((status) => [status, checks.filter((each) => each.status === status).length]).filter(([, count]) => count);
}

const counted = (status, count) => t(`count_${status}${count === 1 ? "" : "s"}`, { count: number(count) });
const verdict = (counts) => counts.map(([status, count]) => counted(status, count)).join(t("comma"));

function reportDrawn() {
  const { report } = check;
  const found = report.checks.map(worded), counts = countsOf(found);
  const worst = counts.length ? counts[0][0] : "unknown";
  const moment = new Intl.DateTimeFormat(session.language, { timeStyle: "medium" }).format(report.at);
  return [
    el("div", { class: "card verdict" },
      el("div", { class: "row" },
        icon(worst), el("h3", {}, t(`verdict_${worst}`)), el("span", { class: "gap" }),
        copyButton(() => asPlainText(found, counts))),
      el("div", { class: "strip", "aria-hidden": "true" }, counts.map(([status, count]) => grown(el("span", { class: `piece ${status}` }), count))),
      el("ul", { class: "legend" }, counts.map(([status, count]) => el("li", {}, icon(status), counted(status, count)))),
      el("p", { class: "faint small" }, t(check.isLive ? "checked_live" : "checked", { moment, time: number(report.tookS, 1) }))),
    ...counts.map(([status, count]) => group(status, count, found.filter((each) => each.status === status))),
  ];
}

/** What needs attention is open, what is well is folded. */
function group(status, count, found) {
  return el("details", { class: `card flush group ${status}`, open: status !== "ok" },
    el("summary", {}, icon(status), el("span", {}, counted(status, count))),
    el("ul", {}, found.map(findingDrawn)));
}

function findingDrawn(each) {
  const lang = each.isOwn ? null : "en";
  return el("li", {},
    el("strong", { lang }, each.name),
    el("div", {},
      el("p", { lang }, each.found),
      each.advice ? el("p", { class: "advice" }, el("span", { class: "sr" }, t("what_to_do")), el("span", { lang }, each.advice)) : null));
}

/** Told apart by shape as well as by colour. */
function icon(status) {
  const shapes = {
    problem: ["M8 2.5h8l5.5 5.5v8L16 21.5H8L2.5 16V8z", "M8.5 8.5l7 7m0-7l-7 7"],
    warning: ["M12 3L22 20.5H2z", "M12 9.5v5m0 2.8v.2"],
    unknown: ["M12 2.5a9.5 9.5 0 1 1 0 19 9.5 9.5 0 1 1 0-19z", "M9.3 9.5a2.7 2.7 0 1 1 4 2.4c-.9.5-1.3 1-1.3 2m0 2.9v.2"],
    ok: ["M12 2.5a9.5 9.5 0 1 1 0 19 9.5 9.5 0 1 1 0-19z", "M7.8 12.3l2.9 2.9 5.5-6"],
  };
  const [outline, sign] = shapes[status];
  return svg("svg", { class: `icon ${status}`, viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: outline }), svg("path", { class: "sign", d: sign }));
}

function asPlainText(found, counts) {
  const lines = SEVERITIES.flatMap((status) => found.filter((each) => each.status === status))
    .map((each) => `${each.status}\t${each.name}\t${each.found}${each.advice ? `\n\t→ ${each.advice}` : ""}`);
  return [...lines, "", verdict(counts)].join("\n");
}

function setUpCheck() {
  $("check").addEventListener("click", () => runCheck(false));
  $("check-live").addEventListener("click", () => runCheck(true));
  $("check-stop").addEventListener("click", () => check.abort && check.abort.abort());
}
