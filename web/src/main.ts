import "uplot/dist/uPlot.min.css";
import "./style.css";
import { byId, h } from "./dom";
import { clock } from "./format";
import { follow, live, onLive, setToken, Unauthorized } from "./live";
import { drawFacts } from "./facts";
import { containersView } from "./containers";
import { asksView } from "./asks";
import { containerView } from "./container";
import { dogstatsdView } from "./dogstatsd";
import type { View } from "./view";

const tabs: [string, string][] = [
  ["#/", "Containers"],
  ["#/asks", "Who asks Docker"],
  ["#/dogstatsd", "DogStatsD"],
];

const links = tabs.map(([href, text]) => h("a", { href }, text));
byId("tabs").append(...links);
const main = byId("main");

let view: View | undefined;
let shown = "";

function route(): View {
  const [, what, rest] = location.hash.split("/");
  if (what === "asks") return asksView();
  if (what === "dogstatsd") return dogstatsdView();
  if (what === "container" && rest) return containerView(decodeURIComponent(rest));
  return containersView();
}

function show(): void {
  if (location.hash === "#main") return;
  const first = shown === "";
  if (shown === location.hash && view) return;
  shown = location.hash || "#/";
  view?.close?.();
  view = route();
  document.title = `${view.title} – Vitrine`;
  main.replaceChildren(view.el);
  links.forEach((a) => {
    const here = a.getAttribute("href") === shown;
    if (here) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  });
  view.draw();
  if (!first) {
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

let asked = false;

/** draw draws at most once a frame. */
function draw(): void {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    performance.mark("draw");
    drawFacts();
    drawConnection();
    view?.draw();
    performance.measure("draw", "draw");
  });
}

function drawConnection(): void {
  const el = byId("live");
  el.className = live.connected ? "live on" : "live off";
  const text = live.connected ? `live ${clock(live.state?.time)}` : live.error ? `not live: ${live.error}` : "connecting";
  if (el.textContent !== text) el.textContent = text;
}

/** news tells a screen reader of what has happened, and nobody else: the others see it. */
let newest = "";
let denials = -1;
function news(what: "state" | "board" | "connection"): void {
  const e = live.state?.events[0];
  if (what === "state") {
    const key = e ? e.time + e.id + e.text : "-";
    if (newest && e && key !== newest && e.bad) byId("news").textContent = `${e.name} ${e.text}`;
    newest = key;
  }
  if (what === "board" && live.board) {
    const now = live.board.denied_hour;
    if (denials >= 0 && now > denials) byId("news").textContent = `${now} requests were denied in the last hour`;
    denials = now;
  }
}

function askToken(): void {
  const input = h("input", { id: "token", type: "password", autocomplete: "off", required: true });
  const say = h("p", { class: "bad-text", role: "alert" }, sessionStorage.length > 0 ? "This is not the token." : "");
  const form = h("form", { class: "card token" },
    h("h1", null, "This page wants its token"),
    h("p", null, "It is in the file that the monitor was given with --page-token-file. It is kept for this tab, and goes to nobody else."),
    h("label", { for: "token" }, "Token"), input, h("button", { type: "submit" }, "Show"), say);
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    setToken(input.value.trim());
    start();
  });
  view?.close?.();
  view = undefined;
  main.replaceChildren(form);
  input.focus();
}

function start(): void {
  shown = "";
  show();
  follow().catch((e: unknown) => {
    if (e instanceof Unauthorized) askToken();
    else throw e;
  });
}

onLive((what) => {
  news(what);
  draw();
});
addEventListener("hashchange", show);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view?.repaint?.());
start();
