/* Signing in and out, language and theme. Nothing is stored anywhere: what the browser prefers is the beginning. */

const prefersDark = matchMedia("(prefers-color-scheme: dark)");

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("theme").setAttribute("aria-pressed", dark);
}

function setLanguage(language) {
  session.language = language;
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = t("title");
  translate(document);
  $("language").lang = language === "zh" ? "en" : "zh-CN";
  drawCheck();
  if (session.report) drawStatus();
}

async function signIn(event) {
  event.preventDefault();
  const key = $("key").value.trim();
  $("sign-in-error").textContent = "";
  if (!/^[!-~]+$/.test(key)) {
    refuse(t("key_form"));
    return;
  }
  session.key = key;
  $("sign-in-button").disabled = true;
  try {
    await loadStatus();
  } catch (failure) {
    session.key = null;
    refuse(failure.status === 403 ? t("key_not_local") : failure.status === 401 ? t("key_wrong") : plainly(failure instanceof Error ? { status: 0 } : failure));
    return;
  } finally {
    $("sign-in-button").disabled = false;
  }
  $("key").value = "";
  setSignedIn(true);
  drawStatus();
  drawCurl();
  await Promise.all([loadModels(), loadClients()]);
  drawStatus();
}

function refuse(words) {
  $("sign-in-error").textContent = words;
  $("key").focus();
  $("key").select();
}

function setSignedIn(signedIn) {
  $("sign-in").hidden = signedIn;
  for (const id of ["panel", "nav", "sign-out"]) $(id).hidden = !signedIn;
  window.scrollTo(0, 0);
  (signedIn ? $("main") : $("key")).focus({ preventScroll: true });
}

/** Reading the page anew is the surest way to forget all that is in it, and to leave nothing to go back to. */
function signOut() {
  session.key = null;
  location.replace(location.pathname);
}

/** What was seen before stays there when nothing new can be seen. */
async function refresh(button, query) {
  button.disabled = true;
  $("refresh-error").textContent = "";
  try {
    await loadStatus(query);
    if (session.modelsFailure) await loadModels();
    drawStatus();
  } catch (failure) {
    $("refresh-error").textContent = plainly(failure instanceof Error ? { status: 0 } : failure);
  } finally {
    button.disabled = false;
    if (document.activeElement === document.body) button.focus({ preventScroll: true });
  }
}

/** Marks the section that is being read, and keeps its mark in sight where the row of sections is wider than a phone. */
function markSection() {
  const links = [...document.querySelectorAll("nav a:not([hidden])")];
  const above = links.filter((each) => document.querySelector(each.hash).getBoundingClientRect().top < innerHeight / 3);
  const atEnd = scrollY > 0 && innerHeight + scrollY >= document.documentElement.scrollHeight - 4;
  const current = atEnd ? links.at(-1) : above.at(-1);
  for (const each of links) {
    if (each !== current) each.removeAttribute("aria-current");
    else if (!each.hasAttribute("aria-current")) {
      each.setAttribute("aria-current", "true");
      $("nav").scrollLeft = each.offsetLeft - ($("nav").clientWidth - each.offsetWidth) / 2;
    }
  }
}

$("sign-in-form").addEventListener("submit", signIn);
$("sign-out").addEventListener("click", signOut);
$("refresh").addEventListener("click", (event) => refresh(event.currentTarget, ""));
$("measure").addEventListener("click", (event) => refresh(event.currentTarget, "?usage=1"));
$("language").addEventListener("click", () => setLanguage(session.language === "zh" ? "en" : "zh"));
$("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme !== "dark"));
$("mint").addEventListener("submit", mint);
window.addEventListener("scroll", markSection, { passive: true });
window.addEventListener("pageshow", (event) => { if (event.persisted && !session.key) location.reload(); });
prefersDark.addEventListener("change", () => setTheme(prefersDark.matches));
for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", () => copy($(button.dataset.copies).textContent, button));
}
setTheme(prefersDark.matches);
setLanguage(/^zh\b/i.test(navigator.language) ? "zh" : "en");
setUpPlayground();
setUpCheck();
setInterval(tick, 1000);
$("key").focus();
