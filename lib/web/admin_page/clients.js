/* Ready configurations for clients, and keys with limits of their own. Each part is there if its endpoint is. */

function offers(path) {
  return (session.report.endpoints || []).includes(path);
}

function setPart(id, shown) {
  $(id).hidden = !shown;
  document.querySelector(`nav a[href="#${id}"]`).hidden = !shown;
}

async function loadClients() {
  setPart("keys", offers("/v1/keys") && session.report.settings.some((each) => each.variable === "KEY_SECRET" && each.state === "set"));
  setPart("clients", false);
  setPart("doctor", offers("/v1/doctor"));
  if (!offers("/v1/setup")) return;
  const answer = await ask("/v1/setup").catch(() => null);
  if (!answer || !answer.ok) return;
  const { data } = await answer.json();
  $("client-names").replaceChildren(...data.map(({ client, name }) =>
    el("button", { type: "button", class: "chip pick", "aria-pressed": "false", click: (event) => showClient(client, event.currentTarget) }, name)));
  setPart("clients", data.length > 0);
}

async function showClient(client, button) {
  for (const each of $("client-names").children) each.setAttribute("aria-pressed", each === button);
  const answer = await ask(`/v1/setup?client=${encodeURIComponent(client)}`).catch(() => null);
  if (!answer || !answer.ok) {
    $("client").replaceChildren(el("p", { class: "wrong" }, plainly(answer ? await failureOf(answer) : { status: 0 })));
    return;
  }
  const setup = await answer.json();
  const variables = Object.entries(setup.environment).map(([variable, value]) => `${variable}=${value}`).join("\n");
  $("client").replaceChildren(
    ...setup.files.map((file) => block(file.path, file.content)),
    ...(variables ? [block(t("environment"), variables)] : []),
    ...setup.notes.map((note) => el("p", { class: "faint" }, note)));
}

function block(title, content) {
  return el("div", { class: "card block" }, el("h3", {}, el("code", {}, title), copyButton(() => content)), el("pre", { tabindex: 0 }, content));
}

async function mint(event) {
  event.preventDefault();
  const list = (id) => $(id).value.split(",").map((each) => each.trim()).filter(Boolean);
  const limits = { models: list("mint-models"), endpoints: list("mint-endpoints"), label: $("mint-label").value.trim(), days: $("mint-days").valueAsNumber, requests_per_minute: $("mint-rpm").valueAsNumber };
  const body = JSON.stringify(limits, (name, value) => (value === "" || Number.isNaN(value) || (Array.isArray(value) && !value.length) ? undefined : value));
  const answer = await ask("/v1/keys", { method: "POST", body, headers: { "content-type": "application/json" } }).catch(() => null);
  if (answer && answer.status === 404) {
    setPart("keys", false);
    return;
  }
  if (!answer || !answer.ok) {
    $("minted").replaceChildren(el("p", { class: "wrong" }, plainly(answer ? await failureOf(answer) : { status: 0 })));
    return;
  }
  const { key, id } = await answer.json();
  $("minted").replaceChildren(block(t("new_key"), key), el("p", { class: "faint", t: "new_key_once" }),
    el("p", { class: "faint" }, el("span", { t: "new_key_id" }), " ", el("code", {}, id)));
}
