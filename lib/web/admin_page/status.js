/* What the deployment is like: overview, accounts, models, settings. Drawn anew from the report each time. */

const STATES = ["ready", "resting", "refused", "expired"];

async function loadStatus(query = "") {
  const answer = await ask(`/admin/status${query}`);
  if (!answer.ok) throw await failureOf(answer);
  session.report = await answer.json();
  session.skew = session.report.now - Date.now() / 1000;
}

async function loadModels() {
  const answer = await ask("/v1/models").catch(() => null);
  if (answer && answer.ok) session.models = (await answer.json()).data;
  session.modelsFailure = answer && answer.ok ? null : answer ? await failureOf(answer) : { status: 0, message: "" };
}

/** Ends the rests that are over, as the gateway does; whether there was one. */
function endRests() {
  const over = (session.report ? session.report.accounts : []).filter((each) => each.state === "resting" && each.resting_until <= gatewayNow());
  for (const each of over) Object.assign(each, { state: "ready", resting_until: null });
  return over.length > 0;
}

function drawStatus() {
  drawHeadline();
  $("fleet").replaceChildren(...fleet());
  $("tiles").replaceChildren(...tiles(session.report.instance));
  $("cards").replaceChildren(...cards());
  $("problems").replaceChildren(...problems());
  $("upstreams").replaceChildren(...session.report.upstreams.map(upstream), ...unknownModels());
  $("model-list").replaceChildren(...session.models.map((model) => el("option", { value: model.id }, model.name || "")));
  drawSettings();
  markSection();
}

function drawHeadline() {
  const { accounts, upstreams, problems: found, instance } = session.report;
  const ready = accounts.filter((each) => each.state === "ready").length;
  const demo = upstreams.some((each) => each.name === "demo");
  const name = demo ? "headline_demo"
    : !accounts.length ? "headline_none"
      : ready === accounts.length ? (found.length ? "headline_problems" : "headline_ready")
        : ready ? "headline_some" : "headline_stuck";
  const tone = { headline_ready: "good", headline_demo: "calm", headline_some: "mind", headline_problems: "mind" }[name] || "bad";
  $("headline").replaceChildren(el("span", { class: `lamp ${tone}`, "aria-hidden": "true" }), t(name));
  $("subline").textContent = t(demo ? "subline_demo" : "subline", { ready, count: accounts.length });
  const serverless = instance.platform !== "server";
  const platform = t(`platform_${instance.platform}`);
  const seen = new Intl.DateTimeFormat(session.language, { timeStyle: "medium" }).format(new Date(session.report.now * 1000));
  $("instance-note").textContent = t(serverless ? "note_serverless" : "note_server", { platform, moment: seen });
  $("playground-lead").textContent = t(demo ? "playground_lead_demo" : "playground_lead");
  $("settings-note").textContent = t(serverless ? "note_settings_platform" : "note_settings_server", { platform });
  $("measure").hidden = !accounts.some((each) => each.upstream === "codex");
}

/** All accounts as one strip: a piece for each, in the colour of its state, and what the colours mean. */
function fleet() {
  const { accounts } = session.report;
  if (!accounts.length) return [];
  const counts = STATES.map((state) => [state, accounts.filter((each) => each.state === state).length]);
  return [
    el("div", { class: "strip", "aria-hidden": "true" },
      STATES.flatMap((state) => accounts.filter((each) => each.state === state)
        .map((each) => el("span", { class: `piece ${state}`, title: `${each.name}: ${t(state)}` })))),
    el("ul", { class: "legend" }, counts.filter(([, count]) => count).map(([state, count]) =>
      el("li", {}, el("span", { class: `dot ${state}` }), `${number(count)} ${t(state)}`))),
  ];
}

function tiles(instance) {
  const groups = { good: 0, client: 0, server: 0 };
  for (const [status, count] of Object.entries(instance.requests)) {
    groups[status >= 500 || status === "0" ? "server" : status >= 400 ? "client" : "good"] += count;
  }
  const total = groups.good + groups.client + groups.server;
  const made = [
    el("div", { class: "tile wide" },
      el("span", { class: "label", t: "requests" }), el("strong", {}, number(total)),
      el("div", { class: "strip thin", "aria-hidden": "true" }, Object.entries(groups).filter(([, count]) => count)
        .map(([group, count]) => grown(el("span", { class: `piece ${group}` }), count))),
      el("ul", { class: "legend" }, Object.entries(instance.requests).map(([status, count]) =>
        el("li", {}, el("code", {}, status === "0" ? "—" : status), ` ${number(count)}`)))),
  ];
  const tile = (label, value, detail) => value === null ? null : el("div", { class: "tile" },
    el("span", { class: "label", t: label }), el("strong", {}, value), el("span", { class: "faint" }, detail || ""));
  const memory = instance.memory_bytes, where = [instance.region, instance.revision, instance.bundle].filter(Boolean);
  return [
    ...made,
    tile("cold_start", instance.cold_start_ms === null ? null : `${number(instance.cold_start_ms)} ms`, t("cold_start_is")),
    tile("uptime", duration(instance.uptime_s), t("uptime_is")),
    tile("memory", memory === null ? null : `${number(memory / 1048576)} MB`, `Python ${instance.python} · ${instance.machine}`),
    tile("platform", t(`platform_${instance.platform}`),
      where.length ? where.map((each) => el("span", { title: each }, each)) : t("platform_is")),
  ].filter(Boolean);
}

/** A piece of a strip, as wide as its share. */
function grown(piece, share) {
  piece.style.flexGrow = share;
  return piece;
}

function problems() {
  const found = session.report.problems;
  if (!found.length) return [];
  return [el("div", { class: "card warn" },
    el("h3", {}, t("problems_title", { count: found.length })),
    el("ul", {}, found.map((each) => el("li", {}, el("code", {}, each.variable), ` ${each.problem}`))))];
}

function cards() {
  const { accounts } = session.report;
  return accounts.length ? accounts.map(card) : [el("p", { class: "faint", t: "no_accounts" })];
}

function card(account) {
  const windows = account.windows.map((each) => ({ ...each, over: each.reset_at !== null && each.reset_at < gatewayNow() }));
  const used = windows.filter((each) => !each.over).map((each) => each.used_percent);
  const chips = [account.upstream === "codex" ? account.plan : t("api_key"), account.has_proxy ? t("proxy") : null, account.is_renewed ? t("renewed") : null];
  return el("article", { class: `card account ${account.state}`, "aria-label": `${account.name}: ${t(account.state)}` },
    el("div", { class: "who" },
      ring(account.state, used.length ? Math.max(...used) : windows.length ? 0 : null),
      el("div", {},
        el("h3", {}, account.name, el("span", { class: "faint" }, ` ${account.upstream}`)),
        el("p", { class: "state" }, el("strong", { class: account.state }, t(account.state)), " ", stateDetail(account)),
        el("p", { class: "chips" }, chips.filter(Boolean).map((chip) => el("span", { class: "chip" }, chip))))),
    windows.map(meter),
    !windows.length && account.upstream === "codex" && account.state === "ready" ? el("p", { class: "faint small", t: "no_windows" }) : null,
    el("dl", { class: "facts" }, fact("token", tokenLife(account)), fact("last_error", account.last_error && el("code", {}, account.last_error))));
}

function stateDetail(account) {
  if (account.state === "resting") return countdown("for_time", account.resting_until);
  if (account.state === "ready") return null;
  return el("span", { class: "faint", t: account.is_renewed ? "renewed_soon" : `${account.state}_is` });
}

function tokenLife(account) {
  if (account.expires_at === null) return null;
  const name = account.expires_at > gatewayNow() ? "ends" : "ended";
  return t(name, { time: duration(Math.abs(account.expires_at - gatewayNow())), moment: moment(account.expires_at) });
}

function fact(name, value) {
  return value ? el("div", {}, el("dt", { t: name }), el("dd", {}, value)) : null;
}

/** How far the fullest window is used, as a ring; without a window, the state alone. */
function ring(state, percent) {
  const length = 2 * Math.PI * 25;
  const share = percent === null ? 1 : Math.min(1, Math.max(0.012, percent / 100));
  const signs = { ready: "M22 32.5l7 7 13-14", resting: "M32 21v11l7 5", refused: "M24 24l16 16m0-16L24 40", expired: "M32 22v13m0 6v.5" };
  return svg("svg", { class: `ring ${state} ${percent === null ? "" : tone(percent)}`, viewBox: "0 0 64 64", "aria-hidden": "true" },
    svg("circle", { class: "track", cx: 32, cy: 32, r: 25 }),
    svg("circle", { class: "arc", cx: 32, cy: 32, r: 25, "stroke-dasharray": `${share * length} ${length}`, transform: "rotate(-90 32 32)" }),
    percent === null ? svg("path", { class: "sign", d: signs[state] }) : svg("text", { x: 32, y: 37 }, `${number(Math.min(100, percent))}%`));
}

const tone = (percent) => (percent >= 98 ? "full" : percent >= 80 ? "near" : "easy");

function meter(window) {
  const percent = window.over ? 0 : window.used_percent;
  const bar = el("span", { class: tone(percent) });
  bar.style.width = `${Math.min(100, percent)}%`;
  const minutes = window.window_minutes;
  const length = minutes === null ? t("window") : duration(minutes * 60);
  const label = window.bucket === "codex" ? length : `${window.bucket} · ${length}`;
  return el("div", { class: label === length ? "window" : "window named" },
    el("span", {}, label),
    el("span", { class: "meter", role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": percent }, bar),
    el("span", { class: "percent" }, `${number(percent)} %`),
    el("span", { class: "faint reset" }, window.reset_at === null ? "" : window.over ? t("was_reset") : t("resets", { moment: moment(window.reset_at) })));
}

function upstream(each) {
  const own = session.models.filter((model) => model.owned_by === each.name || (each.name === "codex" && model.owned_by === "chatgpt"));
  const only = session.report.upstreams.length === 1;
  return el("div", { class: "card upstream" },
    el("h3", {}, each.name, each.host ? el("code", {}, each.host) : null, each.host === null && each.name !== "demo" ? el("span", { class: "chip wrong", t: "no_address" }) : null, each.tools && each.tools !== "native" ? el("span", { class: "chip" }, t("tools_way", { way: each.tools })) : null),
    modelChips(only ? session.models : own));
}

function unknownModels() {
  return session.modelsFailure ? [el("p", { class: "wrong" }, plainly(session.modelsFailure))] : [];
}

function modelChips(models) {
  if (!models.length) return el("p", { class: "faint", t: "no_models" });
  const chip = (model) => el("button", { type: "button", class: "chip pick", title: model.name || model.id, click: () => pickModel(model.id) }, model.id);
  const first = models.slice(0, 24), rest = models.slice(24);
  return el("div", { class: "chips" }, first.map(chip),
    rest.length ? el("details", {}, el("summary", {}, t("more_models", { count: rest.length })), el("div", { class: "chips" }, rest.map(chip))) : null);
}

/** What somebody set stands first; of what is not set there is nothing to show but the name. */
function drawSettings() {
  const { settings } = session.report;
  const shown = settings.filter((each) => each.state === "set" || each.has_problem);
  const defaults = settings.filter((each) => each.state === "default" && !shown.includes(each));
  const unset = settings.filter((each) => each.state === "unset" && !shown.includes(each));
  $("variables").replaceChildren(
    table(shown),
    folded("more_settings", defaults, table),
    folded("not_set", unset, (entries) => el("p", { class: "chips card" }, entries.map((each) => el("code", { class: "chip" }, each.variable)))));
}

function folded(title, entries, drawn) {
  const before = $(`settings-${title}`); // stays open when it is drawn anew
  return el("details", { class: "rest", id: `settings-${title}`, open: before !== null && before.open }, el("summary", {}, t(title, { count: number(entries.length) })), drawn(entries));
}

function table(entries) {
  return el("div", { class: "card flush" }, el("table", {}, el("tbody", {}, entries.map((each) => el("tr", {},
    el("th", { scope: "row" }, el("code", {}, each.variable)),
    el("td", {}, el("span", { class: `mark ${each.state}`, t: each.state })),
    el("td", {}, valueOf(each), problemsOf(each)))))));
}

/** As it would be written into the environment; of credentials the beginnings of their hashes. */
function valueOf({ variable, value, slots = [] }) {
  return [
    value === undefined ? null : el("code", {}, value),
    hintOf(variable, value),
    slots.length ? el("span", { class: "chips" }, slots.map((slot, index) => el("span", { class: "chip mono" }, `${index + 1} · ${slot}`))) : null,
  ];
}

/** Large numbers in units that one reads at a glance. */
function hintOf(variable, value) {
  if (variable.endsWith("_S") && value >= 60) return el("span", { class: "faint small" }, ` = ${duration(value)}`);
  if (variable.endsWith("_BYTES") && value >= 1024) return el("span", { class: "faint small" }, ` = ${number(value / 1048576, 1)} MiB`);
  return null;
}

function problemsOf({ variable }) {
  return session.report.problems.filter((each) => each.variable === variable)
    .map((each) => el("p", { class: "problem" }, icon("warning"), el("span", { lang: "en" }, each.problem)));
}
